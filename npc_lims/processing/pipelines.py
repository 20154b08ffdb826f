"""pipelines.yaml: what is run on Code Ocean, for which sessions, and what its result becomes.

The file is `{processes: {name: entry}}`; `pipelines_schema` has the keys of an entry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from npc_lims.errors import PipelinesError, Problem, SelectionError
from npc_lims.model.data_asset import SEARCHED_NAMES
from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.model.record import PROCESSES
from npc_lims.processing.pipelines_schema import (
    FACTS,
    FOLDER_NAME,
    PATTERNS,
    PROCESS_NAME,
    AssetRecipe,
    Attachment,
    Limits,
    ProcessEntry,
)
from npc_lims.processing.templates import fill, names_in
from npc_lims.sources.yaml_nodes import MapNode, Node, Report, ScalarNode, compose, kind, shorten, to_plain
from npc_lims.sources.yaml_validation import node_at, read_edited_text, validate
from npc_lims.utils.suggestions import suggestion

PIPELINES_FILE = "pipelines.yaml"

MAX_BYTES = 1_000_000
"""A larger file is not this one, whatever its name."""

ASSET_NAMES = ("recording", "session", "subject", "created")
"""Names that are filled into the name of an asset."""

PARAMETER_NAMES = ("input.id", "input.name", "raw.id", "raw.name", "session", "subject", "recording")
"""Names that are filled into parameters."""

_EXAMPLE = {
    "recording": "ecephys_626791_2022-08-15_13-07-32",
    "session": "626791_2022-08-15",
    "subject": "626791",
    "created": "2026-11-22_10-00-00",
}


@dataclasses.dataclass(frozen=True)
class Process:
    """A process, with the meaning of `pipelines_schema.ProcessEntry`.

    Attributes:
        input: Fact of the codeocean section that holds the input asset: `raw`, `sorted` ...
        asset: None where the run makes its assets itself.
        result: Fact of the codeocean section that its result becomes; None if there is no such fact.
    """

    name: str
    capsule: str | None
    pipeline: str | None
    input: str
    mount: str | None
    attach: tuple[Attachment, ...]
    parameters: Mapping[str, str]
    done: str
    needs: tuple[str, ...]
    limits: Limits
    asset: AssetRecipe | None
    result: str | None


def read_pipelines(path: Path | str) -> dict[str, Process]:
    """Return the processes of a file by name, in file order.

    Raises:
        PipelinesError: The file cannot be read, or holds errors; all of them are in it.
    """
    missing = f"{PIPELINES_FILE} lists what is run, see docs/processing.md"
    text = read_edited_text(path, PipelinesError, max_bytes=MAX_BYTES, missing=missing, content="a list of processes")
    processes, problems = parse_pipelines(text, str(path))
    if any(problem.is_error for problem in problems):
        raise PipelinesError(problems)
    return processes


def parse_pipelines(text: str, file: str = PIPELINES_FILE) -> tuple[dict[str, Process], tuple[Problem, ...]]:
    """Return the processes and problems of a text; of one with errors, the processes that could be read.

    Args:
        file: Its name, for messages.
    """
    report = Report(file)
    root = compose(text, report)
    if root is None:
        if not report.problems:
            report.add(1, 1, "error", "the file is empty: write 'processes:' and the processes below it")
        return {}, report.problems
    parsed = _read_processes(root, report)
    every = {one.name.text: one for one in parsed}
    for one in parsed:
        given = [key for key in ("capsule", "pipeline") if getattr(one.entry, key) is not None]
        if len(given) > 1:
            report.error(node_at(one.node, ["pipeline"]), f"{one.name.text} names a capsule and a pipeline: keep one")
        elif not given:
            report.error(one.node, f"{one.name.text} lacks 'capsule' or 'pipeline', the id of what is run: add one")
        _check_flags(one, report)
        _check_input(one, every, report)
        _check_folders(one, report)
        for name, template in one.entry.parameters.items():
            _check_template(template, PARAMETER_NAMES, node_at(one.node, ["parameters", name]), report)
        _check_asset(one, report)
    _report_circles(parsed, every, report)
    _report_collisions(parsed, report)
    return {name: _process(one, every) for name, one in every.items()}, report.problems


def choose_processes(every: Mapping[str, Process], names: Sequence[str] | None) -> list[Process]:
    """Return the processes of these names; all of them without names.

    Raises:
        SelectionError: There is none of that name; the message has the names that there are.
    """
    for name in names or ():
        if name not in every:
            raise SelectionError(f"no such process: {name}{suggestion(name, every)}; there are {', '.join(every)}")
    return [every[name] for name in dict.fromkeys(names)] if names else list(every.values())


# --- entries --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _ParsedProcess:
    """A process with valid values: its name and keys with their positions, and the values."""

    name: ScalarNode
    node: MapNode
    entry: ProcessEntry

    @property
    def result(self) -> str | None:
        """The fact of the codeocean section that its result becomes."""
        if self.entry.result is not None:
            return str(self.entry.result)
        return self.name.text if self.name.text in FACTS else None


def _read_processes(root: Node, report: Report) -> list[_ParsedProcess]:
    """Return the valid processes, in file order; the others are reported."""
    if not isinstance(root, MapNode):
        report.error(root, f"the file must be a mapping with the key 'processes', not {kind(root)}")
        return []
    processes: Node | None = None
    for key, value in root.pairs:
        if key.text == "processes":
            processes = value
        else:
            hint = suggestion(key.text, ["processes"])
            report.error(key, f"unknown key {key.text!r}{hint}: the only key here is 'processes'")
    if processes is None:
        if not root.pairs:
            report.error(root, "there is no process in it: write 'processes:' and the processes below it")
        elif not any(problem.is_error for problem in report.problems):
            report.error(root, "lacks 'processes': add it")
        return []
    if not isinstance(processes, MapNode) or not processes.pairs:
        report.error(processes, f"processes must be a mapping of names to processes, not {_found(processes)}")
        return []
    parsed = [_read_process(name, node, report) for name, node in processes.pairs]
    # each name is that of a file, and some systems keep one for both
    first: dict[str, ScalarNode] = {}
    for name, _ in processes.pairs:
        before = first.setdefault(name.text.lower(), name)
        if before is not name:
            where = f"{before.text!r} in line {before.line}"
            report.error(name, f"{name.text!r} differs from {where} by capitals only: rename one")
    return [process for process in parsed if process is not None]


def _read_process(name: ScalarNode, node: Node, report: Report) -> _ParsedProcess | None:
    if not PROCESS_NAME.fullmatch(name.text):
        report.error(
            name,
            f"{shorten(name.text)!r} is no name of a process: begin with a letter; letters, digits and _ may follow",
        )
    if not isinstance(node, MapNode):
        report.error(node, f"{shorten(name.text)} must be a mapping with keys such as capsule, not {_found(node)}")
        return None
    values = to_plain(node, report)
    entry, _ = validate(values, node, ProcessEntry, report, owner="this process", patterns=PATTERNS)
    return None if entry is None else _ParsedProcess(name, node, entry)


def _found(node: Node) -> str:
    return "an empty one" if isinstance(node, MapNode) and not node.pairs else kind(node)


# --- values ---------------------------------------------------------------------------------------


def _process(one: _ParsedProcess, every: Mapping[str, _ParsedProcess]) -> Process:
    entry = one.entry
    return Process(
        name=one.name.text,
        capsule=entry.capsule,
        pipeline=entry.pipeline,
        input=_input_fact(one, every) or entry.input,
        mount=entry.mount,
        attach=tuple(entry.attach),
        parameters=entry.parameters,
        done=entry.done,
        needs=tuple(entry.needs),
        limits=entry.limits,
        asset=entry.asset if isinstance(entry.asset, AssetRecipe) else None,
        result=one.result,
    )


def _input_fact(one: _ParsedProcess, every: Mapping[str, _ParsedProcess]) -> str | None:
    """Return the fact of the codeocean section that holds the input, which may be given as a process."""
    name = one.entry.input
    if name in every:
        return every[name].result
    return name if name in ("raw", *FACTS) else None


# --- checks ---------------------------------------------------------------------------------------


def _check_flags(one: _ParsedProcess, report: Report) -> None:
    paths: list[tuple[str | int, ...]] = [("done",), *(("needs", n) for n in range(len(one.entry.needs)))]
    for path, flag in zip(paths, (one.entry.done, *one.entry.needs)):
        if flag not in BOOLEAN_FLAGS:
            hint = suggestion(flag, BOOLEAN_FLAGS)
            report.error(
                node_at(one.node, path), f"unknown status flag {flag!r}{hint}: there are {', '.join(BOOLEAN_FLAGS)}"
            )
    result = one.entry.result
    if result is not None and result not in FACTS:
        message = (
            f"unknown result {result!r}{suggestion(result, FACTS)}: those that are recorded are {', '.join(FACTS)}"
        )
        report.error(node_at(one.node, ["result"]), message)


def _check_input(one: _ParsedProcess, every: Mapping[str, _ParsedProcess], report: Report) -> None:
    name = one.entry.input
    if _input_fact(one, every) is not None:
        return
    node = node_at(one.node, ["input"])
    if name in every:
        report.error(node, f"nobody records the results of {name}: give it a 'result', one of {', '.join(FACTS)}")
        return
    known = list(dict.fromkeys(("raw", *FACTS, *every)))
    report.error(node, f"nothing makes the input {name!r}{suggestion(name, known)}: there are {', '.join(known)}")


def _check_folders(one: _ParsedProcess, report: Report) -> None:
    taken = {one.entry.mount: "the input"}
    for number, attached in enumerate(one.entry.attach):
        before = taken.setdefault(attached.mount, f"attach[{number}]")
        if before != f"attach[{number}]":
            node = node_at(one.node, ["attach", number, "mount"])
            report.error(node, f"{before} is in the folder {attached.mount} already: give this another")


def _check_template(template: str, known: Sequence[str], node: object, report: Report) -> bool:
    assert isinstance(node, ScalarNode)
    try:
        unknown = [name for name in names_in(template) if name not in known]
    except ValueError as error:
        report.error(node, f"{error}, in {template!r}")
        return False
    for name in unknown:
        listed = ", ".join(f"{{{one}}}" for one in known)
        report.error(node, f"nothing to fill in for {{{name}}}{suggestion(name, known)}: there are {listed}")
    return not unknown


def _check_asset(one: _ParsedProcess, report: Report) -> None:
    recipe = one.entry.asset
    if not isinstance(recipe, AssetRecipe):
        return
    node = node_at(one.node, ["asset", "name"])
    if _check_template(recipe.name, ASSET_NAMES, node, report):
        for wrong in _wrong_with_name(recipe.name, one.result):
            report.error(node, wrong)
    if "raw" in recipe.tags or recipe.metadata.get("data level") == "raw data":
        report.error(
            node_at(one.node, ["asset"]),
            "an asset with the tag raw, or the data level raw data, is taken for raw data: remove it",
        )


def _wrong_with_name(template: str, result: str | None) -> Iterator[str]:
    """Yield the reasons why the sync would not take an asset of that name for the result."""
    names = names_in(template)
    if "created" not in names:
        yield "two tries would give their assets the same name: add {created}"
    example = fill(template, _EXAMPLE)
    if not FOLDER_NAME.fullmatch(example):
        yield "an asset is mounted, and searched for, by its name: use letters, digits, '.', '_' and '-' only"
        return
    match = SEARCHED_NAMES.match(example)
    if match is None or match["platform"] != "ecephys" or "recording" not in names:
        yield "the sync finds an asset by the recording at the beginning of its name: begin it with {recording}_"
        return
    rest = match["rest"] or ""
    facts = {*(["sorted"] if "_sorted" in rest else []), *(fact for fact in PROCESSES if fact in rest)}
    if facts != {result} - {None}:
        taken = f"for {' and for '.join(sorted(facts))}" if facts else "for no result that is recorded"
        should = f"such as {{recording}}_{result}_{{created}}" if result else "without these words"
        yield f"the sync would take {example!r} {taken}: write a name {should}"


def _report_circles(parsed: Iterable[_ParsedProcess], every: Mapping[str, _ParsedProcess], report: Report) -> None:
    makers = {fact: one for one in parsed if (fact := one.result) is not None}
    reported: set[str] = set()
    for start in parsed:
        names = [start.name.text]
        maker = makers.get(_input_fact(start, every) or "")
        while maker is not None and maker.name.text not in names:
            names.append(maker.name.text)
            maker = makers.get(_input_fact(maker, every) or "")
        if maker is start and start.name.text not in reported:
            reported.update(names)
            circle = " needs ".join([*names, names[0]])
            report.error(node_at(start.node, ["input"]), f"inputs go in a circle: {circle}; let one begin with raw")


def _report_collisions(parsed: Iterable[_ParsedProcess], report: Report) -> None:
    first_result: dict[str, _ParsedProcess] = {}
    first_name: dict[str, _ParsedProcess] = {}
    for one in parsed:
        result = one.result
        if result is not None and first_result.setdefault(result, one) is not one:
            before = first_result[result].name
            report.error(
                one.name, f"{one.name.text} makes {result}, as {before.text} in line {before.line} does: keep one"
            )
        recipe = one.entry.asset
        if isinstance(recipe, AssetRecipe) and first_name.setdefault(recipe.name, one) is not one:
            before = first_name[recipe.name].name
            report.error(
                node_at(one.node, ["asset", "name"]),
                f"assets of {before.text} in line {before.line} have this name too: let each name its process",
            )

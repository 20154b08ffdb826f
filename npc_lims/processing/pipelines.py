"""Read pipelines.yaml, `{processes: {name: entry}}`: what is run on Code Ocean, and what its result becomes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from npc_lims.errors import PipelinesError, Problem, SelectionError
from npc_lims.model.data_asset import SEARCHED_NAMES
from npc_lims.model.record import PROCESSES
from npc_lims.processing.process import (
    FACTS,
    FOLDER_NAME,
    PATTERNS,
    PROCESS_NAME,
    Process,
    ProcessEntry,
    fill,
    names_in,
)
from npc_lims.sources.yaml_nodes import MapNode, Node, Report, ScalarNode, compose, kind, shorten, to_plain
from npc_lims.sources.yaml_validation import node_at, read_edited_text, validate
from npc_lims.utils.text import suggestion

PIPELINES_FILE = "pipelines.yaml"

_MAX_BYTES = 1_000_000
_EXAMPLE = {
    "recording": "ecephys_626791_2022-08-15_13-07-32",
    "session": "626791_2022-08-15",
    "subject": "626791",
    "created": "2026-11-22_10-00-00",
}


def read_pipelines(path: Path | str) -> dict[str, Process]:
    """Return the processes of a file by name, in file order; PipelinesError with all errors of the file."""
    missing = f"{PIPELINES_FILE} lists what is run, see docs/processing.md"
    text = read_edited_text(path, PipelinesError, max_bytes=_MAX_BYTES, missing=missing, content="a list of processes")
    processes, problems = parse_pipelines(text, str(path))
    if any(problem.is_error for problem in problems):
        raise PipelinesError(problems)
    return processes


def parse_pipelines(text: str, file: str = PIPELINES_FILE) -> tuple[dict[str, Process], tuple[Problem, ...]]:
    """Return the processes and problems of a text; of one with errors, the processes that could be read."""
    report = Report(file)
    root = compose(text, report)
    if root is None:
        if not report.problems:
            report.add(1, 1, "error", "the file is empty: write 'processes:' and the processes below it")
        return {}, report.problems
    nodes = _process_nodes(root, report)
    parsed = {key.text: one for key, node in nodes if (one := _read_process(key, node, report)) is not None}
    results: dict[str, str | None] = {key.text: "" for key, _ in nodes}  # of a process with errors it is not known
    results.update((name, one.process.result) for name, one in parsed.items())
    for _, node in nodes:
        _check_input(node, results, report)
    for one in parsed.values():
        _check_folders(one, report)
        if one.process.recipe is not None:
            for problem in _name_problems(one.process.recipe.name, one.process.result):
                report.error(one.at("asset", "name"), problem)
    _check_circles(parsed, results, report)
    _check_collisions(parsed, report)
    processes = {
        name: one.process.model_copy(update={"input": results.get(one.process.input) or one.process.input})
        for name, one in parsed.items()
    }
    return processes, report.problems


def choose_processes(every: Mapping[str, Process], names: Sequence[str] | None) -> list[Process]:
    """Return the processes of these names; all of them without names. SelectionError for an unknown name."""
    for name in names or ():
        if name not in every:
            raise SelectionError(f"no such process: {name}{suggestion(name, every)}; there are {', '.join(every)}")
    return [every[name] for name in dict.fromkeys(names)] if names else list(every.values())


# --- entries --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _ParsedProcess:
    """A process, whose `input` may still be the name of another one, and its positions."""

    process: Process
    key: ScalarNode
    node: MapNode

    def at(self, *path: str | int) -> Node:
        return node_at(self.node, path)


def _process_nodes(root: Node, report: Report) -> list[tuple[ScalarNode, Node]]:
    if not isinstance(root, MapNode):
        report.error(root, f"the file must be a mapping with the key 'processes', not {kind(root)}")
        return []
    unknown = [key for key, _ in root.pairs if key.text != "processes"]
    for key in unknown:
        hint = suggestion(key.text, ["processes"])
        report.error(key, f"unknown key {key.text!r}{hint}: the only key here is 'processes'")
    processes = next((value for key, value in root.pairs if key.text == "processes"), None)
    if processes is None:
        if not unknown:
            report.error(root, "there is no process in it: write 'processes:' and the processes below it")
        return []
    if not isinstance(processes, MapNode) or not processes.pairs:
        report.error(processes, f"processes must be a mapping of names to processes, not {_found(processes)}")
        return []
    # each name is that of a file, and some systems use one for both
    first: dict[str, ScalarNode] = {}
    for key, _ in processes.pairs:
        before = first.setdefault(key.text.lower(), key)
        if before is not key:
            where = f"{before.text!r} in line {before.line}"
            report.error(key, f"{key.text!r} differs from {where} by capitals only: rename one")
    return processes.pairs


def _read_process(key: ScalarNode, node: Node, report: Report) -> _ParsedProcess | None:
    name = key.text
    if not PROCESS_NAME.fullmatch(name):
        message = f"{shorten(name)!r} is no name of a process: begin with a letter; letters, digits and _ may follow"
        report.error(key, message)
    if not isinstance(node, MapNode):
        report.error(node, f"{shorten(name)} must be a mapping with keys such as capsule, not {_found(node)}")
        return None
    values = to_plain(node, report)
    entry, _ = validate(values, node, ProcessEntry, report, owner="this process", patterns=PATTERNS)
    if entry is None:
        return None
    fields = {**dict(entry), "name": name, "result": entry.result or (name if name in FACTS else None)}
    return _ParsedProcess(Process.model_construct(**fields), key, node)


def _found(node: Node) -> str:
    return "an empty one" if isinstance(node, MapNode) and not node.pairs else kind(node)


# --- checks ---------------------------------------------------------------------------------------


def _check_input(entry: Node, results: Mapping[str, str | None], report: Report) -> None:
    node = node_at(entry, ["input"])
    if not (isinstance(node, ScalarNode) and isinstance(node.value, str)):
        return
    name = node.value
    if name in results:
        if results[name] is None:
            message = f"nobody records the results of {name}: give it a 'result', one of {', '.join(FACTS)}"
            report.error(node, message)
    elif name not in ("raw", *FACTS):
        known = list(dict.fromkeys(("raw", *FACTS, *results)))
        message = f"nothing makes the input {name!r}{suggestion(name, known)}: there are {', '.join(known)}"
        report.error(node, message)


def _check_folders(one: _ParsedProcess, report: Report) -> None:
    taken = {one.process.mount: "the input"}
    for number, attached in enumerate(one.process.attach):
        before = taken.setdefault(attached.mount, f"attach[{number}]")
        if before != f"attach[{number}]":
            message = f"{before} is in the folder {attached.mount} already: give this another"
            report.error(one.at("attach", number, "mount"), message)


def _name_problems(template: str, result: str | None) -> Iterator[str]:
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


def _check_circles(parsed: Mapping[str, _ParsedProcess], results: Mapping[str, str | None], report: Report) -> None:
    makers = {result: name for name, result in results.items() if result is not None}
    reported: set[str] = set()
    for start, one in parsed.items():
        names: list[str] = []
        name: str | None = start
        while name is not None and name not in names:
            names.append(name)
            needed = parsed[name].process.input
            name = makers.get(results.get(needed) or needed)
        if name == start and start not in reported:
            reported.update(names)
            circle = " needs ".join([*names, start])
            report.error(one.at("input"), f"inputs go in a circle: {circle}; let one begin with raw")


def _check_collisions(parsed: Mapping[str, _ParsedProcess], report: Report) -> None:
    by_result: dict[str, _ParsedProcess] = {}
    by_asset: dict[str, _ParsedProcess] = {}
    for name, one in parsed.items():
        result, recipe = one.process.result, one.process.recipe
        before = one if result is None else by_result.setdefault(result, one)
        if before is not one:
            where = f"{before.process.name} in line {before.key.line}"
            report.error(one.key, f"{name} makes {result}, as {where} does: keep one")
        before = one if recipe is None else by_asset.setdefault(recipe.name, one)
        if before is not one:
            where = f"{before.process.name} in line {before.key.line}"
            report.error(one.at("asset", "name"), f"assets of {where} have this name too: let each name its process")

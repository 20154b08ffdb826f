"""From the nodes of pipelines.yaml to its entries, each checked on its own."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Sequence
from typing import Any, Optional, Union

import pydantic

from npc_lims.processing.pipelines_schema import PROCESS_NAME, Attached, Entry, Limits, Result
from npc_lims.sources.tracked.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, kind, shorten, to_plain

__all__ = ["Listed", "nearest", "node_at", "read_entries"]

Step = Union[str, int]

# the models of what stands below an entry, to name the keys that there are
_BELOW: dict[str, type[pydantic.BaseModel]] = {"attach": Attached, "limits": Limits, "asset": Result}


@dataclasses.dataclass(frozen=True)
class Listed:
    """One process whose keys and values are of the right kinds.

    Attributes:
        name: Its name, where it stands.
        node: What is said of it, where it stands.
        entry: The same, as values.
    """

    name: ScalarNode
    node: MapNode
    entry: Entry


def read_entries(root: Node, report: Report) -> list[Listed]:
    """The processes whose entries can be used, in file order; the others are reported."""
    if not isinstance(root, MapNode):
        report.error(root, f"the file must be a mapping with the key 'processes', not {kind(root)}")
        return []
    processes: Optional[Node] = None
    for key, value in root.pairs:
        if key.text == "processes":
            processes = value
        else:
            hint = nearest(key.text, ["processes"])
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
    listed = [_entry(name, node, report) for name, node in processes.pairs]
    _report_names_alike([name for name, _ in processes.pairs], report)
    return [one for one in listed if one is not None]


def _entry(name: ScalarNode, node: Node, report: Report) -> Listed | None:
    if not PROCESS_NAME.fullmatch(name.text):
        report.error(
            name,
            f"{shorten(name.text)!r} is no name of a process: begin with a letter; letters, digits and _ may follow",
        )
    if not isinstance(node, MapNode):
        report.error(node, f"{shorten(name.text)} must be a mapping with keys such as capsule, not {_found(node)}")
        return None
    data = to_plain(node, report)
    try:
        entry = Entry.model_validate(data)
    except pydantic.ValidationError as error:
        for where, details in _by_place(node, error).items():
            _report(node, where, details, report)
        return None
    return Listed(name, node, entry)


def _report_names_alike(names: Sequence[ScalarNode], report: Report) -> None:
    """Each name is that of a file, and some systems keep one for both."""
    first: dict[str, ScalarNode] = {}
    for name in names:
        before = first.setdefault(name.text.lower(), name)
        if before is not name:
            report.error(
                name, f"{name.text!r} differs from {before.text!r} in line {before.line} by capitals only: rename one"
            )


# --- what the models refuse -----------------------------------------------------------------------


def node_at(node: Node, where: Iterable[Step]) -> Node:
    """The node below *node* that *where* leads to, as far as it goes."""
    for step in where:
        child = _child(node, step)
        if child is None:
            break
        node = child
    return node


def _child(node: Node, step: Step) -> Node | None:
    if isinstance(node, MapNode):
        return next((value for key, value in node.pairs if key.text == step), None)
    if isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def _by_place(node: MapNode, error: pydantic.ValidationError) -> dict[tuple[Step, ...], list[Any]]:
    """What is wrong, by the place in the file; names of union branches in a location are passed over."""
    found: dict[tuple[Step, ...], list[Any]] = {}
    for detail in error.errors(include_url=False):
        where: list[Step] = []
        place: Node = node
        for step in detail["loc"]:
            child = _child(place, step)
            if child is not None:
                where.append(step)
                place = child
        if "Result" not in detail["loc"] and isinstance(place, MapNode) and where == ["asset"]:
            continue  # of a mapping, that it is not the word none is no news
        found.setdefault(tuple(where), []).append(detail)
    return found


def _report(entry: MapNode, where: tuple[Step, ...], details: Sequence[Any], report: Report) -> None:
    node = node_at(entry, where)
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)[1:]
    for detail in details:
        if detail["type"] == "missing":
            report.error(node, f"{name or 'this process'} lacks {detail['loc'][-1]!r}: add it")
        elif detail["type"] == "extra_forbidden":
            _report_unknown_key(entry, where, report)
    if any(detail["type"] in ("missing", "extra_forbidden") for detail in details):
        return
    if isinstance(node, ScalarNode) and node.value is None:
        report.error(node, f"{name} has no value: write it, or remove the key")
        return
    wanted = " or ".join(dict.fromkeys(_wanted(str(where[-1]), detail) for detail in details))
    report.error(node, f"{name} must be {wanted}, not {kind(node)}{_remedy(node, wanted)}")


def _report_unknown_key(entry: MapNode, where: tuple[Step, ...], report: Report) -> None:
    *above, name = where
    parent = node_at(entry, above)
    model: type[pydantic.BaseModel] = _BELOW[str(above[0])] if above else Entry
    keys = list(model.model_fields)
    assert isinstance(parent, MapNode)
    key = next(key for key, _ in parent.pairs if key.text == name)
    report.error(key, f"unknown key {shorten(key.text)!r}{nearest(key.text, keys)}: the keys are {', '.join(keys)}")


def _wanted(name: str, detail: Any) -> str:
    kind_ = detail["type"]
    if kind_ == "string_pattern_mismatch":
        is_mount = name == "mount"
        return (
            "a name of letters, digits, '.', '_' and '-'"
            if is_mount
            else "an id such as 4cf0be83-2245-4bb1-a55c-a78201b14bfe"
        )
    kinds = {
        "int_type": "a whole number",
        "string_type": "text",
        "string_too_short": "a text that is not empty",
        "list_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "literal_error": str(detail.get("ctx", {}).get("expected")),
        "greater_than_equal": f"{detail.get('ctx', {}).get('ge')} or more",
    }
    return kinds.get(kind_) or str(detail["msg"])


def _remedy(node: Node, wanted: str) -> str:
    if isinstance(node, ScalarNode):
        if not node.plain and wanted == "a whole number":
            return ": remove the quotes"
        if node.plain and not isinstance(node.value, str) and "text" in wanted:
            return ": quote it"
        if wanted == "a list":
            return f": write [{shorten(node.text)}]"
    return ""


def _found(node: Node) -> str:
    is_empty = isinstance(node, (MapNode, ListNode)) and node.size == 1
    return "an empty one" if is_empty and isinstance(node, MapNode) else kind(node)


def nearest(name: str, known: Iterable[str]) -> str:
    """Words that offer the known name that is most like *name*, if there is one."""
    by_lower = {one.lower(): one for one in known}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""

"""From the nodes of tracked_sessions.yaml to its entries, each checked on its own."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

import npc_session
import npc_session.parsing
import pydantic

from npc_lims.model.record import Platform
from npc_lims.sources.tracked.schema import ENTRY_KEYS, KNOWN_KWARGS, PLATFORMS, Entry
from npc_lims.sources.tracked.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, kind, shorten, to_plain

__all__ = ["Listed", "read_entries"]

FIRST_YEAR = 2016
"""Sessions of earlier years are refused by npc_session too."""

_DATE_LIKE = re.compile(r"(?<![0-9])(20[0-9]{2})[-/]?([0-9]{2})[-/]?([0-9]{2})(?![0-9])")


@dataclasses.dataclass(frozen=True)
class Listed:
    """One entry that can be used.

    Attributes:
        node: Its path, where it stands.
        idx: Index among the sessions of the day, if the entry or its path says so.
        time: `YYYY-MM-DD HH:MM:SS`, if the path says so.
        said: Its keys and their values, those with mistakes left out.
    """

    node: ScalarNode
    platform: Platform
    project: str
    subject: str
    date: str
    idx: int | None
    time: str | None
    said: dict[str, Any]

    @property
    def path(self) -> str:
        return self.node.text

    @property
    def session(self) -> str:
        return f"{self.subject}_{self.date}"

    @property
    def place(self) -> str:
        return f"{self.platform}/{self.project}"


def read_entries(root: Node, report: Report, today: datetime.date) -> Iterator[Listed]:
    """Every entry below the root that has a subject, a date and a known platform, in file order."""
    if not isinstance(root, MapNode):
        report.error(root, f"the file must be a mapping of platforms ({', '.join(PLATFORMS)}), not {kind(root)}")
        return
    for platform, projects in root.pairs:
        name = platform.text
        if name not in PLATFORMS:
            name, hint = _nearest(name, PLATFORMS)
            known = ", ".join(PLATFORMS)
            report.error(platform, f"unknown platform {_quote(platform)}{hint}: the platforms are {known}")
        if name not in PLATFORMS:
            continue
        if isinstance(projects, MapNode):
            for project, entries in projects.pairs:
                _warn_of_trap(project, report)
                for path, said in _paths(project, entries, report):
                    entry = _entry(path, said, cast(Platform, name), project.text, report, today)
                    if entry is not None:
                        yield entry
        elif not _is_null(projects):
            report.error(projects, f"{name} must be a mapping of projects, each with a list, not {kind(projects)}")


def _paths(project: ScalarNode, entries: Node, report: Report) -> Iterator[tuple[ScalarNode, Node | None]]:
    """Path of each entry of a project and what stands below it, if anything."""
    if _is_null(entries):
        return
    if not isinstance(entries, ListNode):
        report.error(
            entries,
            f"project {_quote(project)} must be a list, not {kind(entries)}: begin each entry with '- '",
        )
        return
    for item in entries.items:
        if isinstance(item, ScalarNode):
            if _is_null(item):
                report.error(item, "an entry with nothing in it: write a path, or remove the dash")
            else:
                yield item, None
        elif isinstance(item, ListNode):
            report.error(item, "an entry must be a path, not a list: one dash is enough")
        elif len(item.pairs) == 1:
            yield item.pairs[0]
        elif item.pairs:
            _report_several_keys(item, report)
        else:
            report.error(item, "an entry with nothing in it: write a path, or remove it")


def _report_several_keys(item: MapNode, report: Report) -> None:
    second = item.pairs[1][0]
    if second.text in (*ENTRY_KEYS, *KNOWN_KWARGS):
        report.error(second, f"'{second.text}' stands beside the path, not below it: indent it further")
    else:
        report.error(
            second,
            f"an entry of several keys, {_quote(item.pairs[0][0])} and {_quote(second)}: "
            "one path each; begin the next with '- '",
        )


def _entry(
    path: ScalarNode,
    said: Node | None,
    platform: Platform,
    project: str,
    report: Report,
    today: datetime.date,
) -> Listed | None:
    values: dict[str, Any] = {}
    if isinstance(said, MapNode):
        values = _said(said, report)
    elif said is not None and _is_null(said):
        report.error(path, f"nothing after the colon of {_quote(path)}: remove the colon, or write keys below it")
    elif said is not None:
        report.error(said, f"keys such as day or session_kwargs must follow the path, not {kind(said)}")
    record = _record(path, report, today)
    if record is None:
        return None
    subject, date, path_idx = record
    time = npc_session.parsing.extract_isoformat_datetime(path.text)
    idx = values.get("idx", path_idx or None)
    return Listed(path, platform, project, subject, date, idx, time, values)


# ------------------------------------------------------------------------------- the path


def _record(path: ScalarNode, report: Report, today: datetime.date) -> tuple[str, str, int] | None:
    """Subject, date and index that the path names."""
    if path.plain and (not isinstance(path.value, str) or path.trap):
        _report_no_text(path, report)
        return None
    try:
        subject, date, idx = npc_session.SessionRecord(path.text).id.split("_")
    except ValueError:
        report.error(path, _what_is_missing(path))
        return None
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError:
        report.error(path, f"{date} is no date in the calendar, in {_quote(path)}: correct the date")
        return None
    if day.year < FIRST_YEAR:
        report.error(path, f"{date} is before {FIRST_YEAR}, in {_quote(path)}: correct the date")
        return None
    # a day of grace, since it is tomorrow already in other time zones
    if day > today + datetime.timedelta(days=1):
        report.error(path, f"{date} is in the future, in {_quote(path)}: correct the date, or wait for the session")
        return None
    return subject, date, int(idx)


def _report_no_text(path: ScalarNode, report: Report) -> None:
    read_as = path.trap or kind(path)
    digits = re.fullmatch(r"([0-9]{6,7})(20[0-9]{6})", path.text.replace("_", ""))
    meant = f'"{digits[1]}_{digits[2]}"' if digits else f'"{shorten(path.text)}"'
    report.error(path, f"{_quote(path)} without quotes is read as {read_as}: write {meant}, or the whole path")


def _what_is_missing(path: ScalarNode) -> str:
    """Why npc_session finds no session in a path, in words."""
    text = path.text
    like = _DATE_LIKE.search(text)
    if npc_session.parsing.extract_isoformat_date(text):
        what = "no subject (6 or 7 digits)"
    elif like:
        date = "-".join(like.groups())
        wrong = "is no date that a session can have" if _is_date(date) else "is no date in the calendar"
        return f"{date} {wrong}, in {_quote(path)}: correct the date"
    else:
        what = "no date" if npc_session.parsing.extract_subject(text) else "no subject and no date"
    return f"{what} in {_quote(path)}: write <subject>_<YYYYMMDD> in the path"


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


# ---------------------------------------------------------------------- what is said below


def _said(node: MapNode, report: Report) -> dict[str, Any]:
    """Values of the keys that are right; the others are reported."""
    nodes: dict[str, Node] = {}
    for key, value in node.pairs:
        if key.text in ENTRY_KEYS:
            nodes[key.text] = value
        elif key.text in KNOWN_KWARGS:
            report.warning(key, f"'{key.text}' is ignored here, beside session_kwargs: move it under session_kwargs")
        else:
            _, hint = _nearest(key.text, (*ENTRY_KEYS, *KNOWN_KWARGS))
            report.error(key, f"unknown key {_quote(key)}{hint}: the keys are {', '.join(ENTRY_KEYS)}")
    kwargs = nodes.get("session_kwargs")
    if isinstance(kwargs, MapNode):
        _check_names(kwargs, report)
    values = {key: to_plain(value, report) for key, value in nodes.items()}
    for wrong in _report_wrong_types(values, nodes, report):
        values.pop(wrong, None)
    if isinstance(values.get("issues"), str):
        values["issues"] = [values["issues"]]
    return values


def _check_names(kwargs: MapNode, report: Report) -> None:
    for key, _ in kwargs.pairs:
        if key.text in KNOWN_KWARGS:
            continue
        if key.text in ENTRY_KEYS:
            report.warning(key, f"'{key.text}' has no effect under session_kwargs: move it up, beside session_kwargs")
            continue
        # names of one's own are welcome: only what is surely a slip of the pen is worth a word
        _, hint = _nearest(key.text, KNOWN_KWARGS, cutoff=0.85)
        if hint:
            report.warning(key, f"unknown key {_quote(key)} of session_kwargs{hint}: passed on as it is")
        _warn_of_trap(key, report)


def _report_wrong_types(values: dict[str, Any], nodes: dict[str, Node], report: Report) -> set[str]:
    """Report values that the models refuse; the names of their keys. What is right may still hold traps."""
    wrong: dict[tuple[str | int, ...], tuple[Node, list[Any]]] = {}
    try:
        Entry.model_validate(values)
    except pydantic.ValidationError as error:
        for detail in error.errors(include_url=False):
            where, node = _find(nodes, detail["loc"])
            wrong.setdefault(where, (node, []))[1].append(detail)
    for where, (node, details) in wrong.items():
        # of a list or a text with a wrong item in the list, it is the list that was meant
        if not any(len(other) > len(where) and other[: len(where)] == where for other in wrong):
            name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where)[1:]
            report.error(node, f"{name} {_complaint(node, details)}")
    for key, value in nodes.items():
        _warn_of_traps(value, (key,), set(wrong), report)
    return {str(where[0]) for where in wrong}


def _find(nodes: dict[str, Node], loc: Iterable[str | int]) -> tuple[tuple[str | int, ...], Node]:
    """The node that a pydantic location means; names of union branches in it are passed over."""
    first, *rest = loc
    where: list[str | int] = [first]
    node = nodes[str(first)]
    for part in rest:
        child: Node | None = None
        if isinstance(node, MapNode):
            child = next((value for key, value in node.pairs if key.text == part), None)
        elif isinstance(node, ListNode) and isinstance(part, int):
            child = node.items[part]
        if child is not None:
            where.append(part)
            node = child
    return tuple(where), node


def _complaint(node: Node, details: list[Any]) -> str:
    """What the models say of a value, in words."""
    if _is_null(node):
        return "has no value: write it, or remove the key"
    for detail in details:
        if detail["type"] == "missing":
            return f"lacks '{detail['loc'][-1]}': add it"
        if detail["type"] == "extra_forbidden":
            return "is not a known key: remove it"
    wanted = " or ".join(dict.fromkeys(_wanted(detail) for detail in details))
    return f"must be {wanted}, not {kind(node)}{_remedy(node, wanted)}"


def _wanted(detail: Any) -> str:
    kinds = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "text",
        "list_type": "a list",
        "model_type": "a mapping",
        "string_pattern_mismatch": "probe letters A to F such as DE",
        "greater_than_equal": f"{detail.get('ctx', {}).get('ge')} or more",
        "less_than_equal": f"{detail.get('ctx', {}).get('le')} or less",
    }
    return kinds.get(detail["type"]) or str(detail["msg"])


def _remedy(node: Node, wanted: str) -> str:
    if not isinstance(node, ScalarNode):
        return ""
    if not node.plain and not isinstance(ScalarNode(0, 0, node.text, True).value, str):
        return ": remove the quotes"
    if wanted == "true or false" and node.trap in ("true", "false"):
        return f": write {node.trap}"
    if wanted == "a list":
        return f": write [{shorten(node.text)}]"
    if node.plain and not isinstance(node.value, str) and "text" in wanted:
        return ": quote it"
    return ""


def _warn_of_traps(node: Node, where: tuple[str | int, ...], wrong: set[Any], report: Report) -> None:
    if where in wrong:
        return
    if isinstance(node, ScalarNode):
        _warn_of_trap(node, report)
    elif isinstance(node, ListNode):
        for n, item in enumerate(node.items):
            _warn_of_traps(item, (*where, n), wrong, report)
    else:
        for key, value in node.pairs:
            _warn_of_traps(value, (*where, key.text), wrong, report)


def _warn_of_trap(node: ScalarNode, report: Report) -> None:
    if node.trap:
        is_text = isinstance(node.value, str)
        here = "text" if is_text else kind(node)
        remedy = "quote it" if is_text else "quote it if it is text, else write it plainly"
        report.warning(node, f"{_quote(node)} is {here} here but {node.trap} to other YAML readers: {remedy}")


# -------------------------------------------------------------------------------- helpers


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None


def _quote(node: ScalarNode) -> str:
    return repr(shorten(node.text))


def _nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> tuple[str, str]:
    """The known name that is most like *name* and the words that offer it; two empty texts if none is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=cutoff)
    return (near[0], f" (did you mean {near[0]!r}?)") if near else ("", "")

"""Changes between two states, in words that people use. Pure."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, compute_status
from npc_lims.model.record import Record
from npc_lims.model.sections import OBSERVING, SECTIONS
from npc_lims.utils.mappings import differing_keys, grouped
from npc_lims.utils.text import one_line


class Absent(enum.Enum):
    """The value of a field that is not in the file, which is not null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

_FLAG_WORDS = {name: FLAGS[name].word or FLAGS[name].label for name in BOOLEAN_FLAGS}
_MILESTONES = tuple(name for name in BOOLEAN_FLAGS if FLAGS[name].is_milestone)
# Assets that somebody recorded; all others were computed from these.
_RECORDED = ("raw", "surface", "smartspim")

GROUPS = (
    "removed",
    "lost",
    "new",
    *(_FLAG_WORDS[flag] for flag in _MILESTONES),
    "other progress",
    "re-processed",
    "edited",
    "other facts",
    "other schema",
)
"""Kinds of changes of a session, the most important first."""
_GROUP_OF_WORD = {
    **dict.fromkeys(_FLAG_WORDS.values(), "other progress"),
    **{_FLAG_WORDS[flag]: _FLAG_WORDS[flag] for flag in _MILESTONES},
    "new": "new",
    "removed": "removed",
    "edited": "edited",
    "re-processed": "re-processed",
    "asset replaced": "re-processed",
}
# In these sections null means that it was not observed; elsewhere it is an empty cell.
_OBSERVED = (*OBSERVING, "status")


@dataclasses.dataclass(frozen=True)
class FieldChange:
    """One value that differs, at a path such as `tracked.session_kwargs.day`: plain data, or `ABSENT`."""

    field: str
    before: Any
    after: Any

    @property
    def section(self) -> str:
        return self.field.partition(".")[0]

    def as_dict(self) -> dict[str, Any]:
        """As JSON: `before` or `after` is left out where the field was or is not there."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not ABSENT}


@dataclasses.dataclass(frozen=True)
class SessionChange:
    """One session that changed."""

    id: str
    what: tuple[str, ...]
    """Kinds of change, such as `new`, `sorted`, `no longer sorted`, `re-processed`, `edited`."""
    details: tuple[str, ...] = ()
    """Details such as `day 3 -> 4`: one line each, which may contain text that people typed."""
    fields: tuple[FieldChange, ...] = ()
    """Every value that differs; none for a session that is new or gone."""

    @property
    def group(self) -> str:
        """The one of `GROUPS` to list it under."""
        return min((_group_of(word) for word in self.what), key=GROUPS.index, default="other facts")

    def as_dict(self) -> dict[str, Any]:
        fields = [field.as_dict() for field in self.fields]
        lists = {"what": list(self.what), "details": list(self.details), "fields": fields}
        return {"id": self.id, "group": self.group, **lists}


def changes_between(before: Mapping[str, Record], after: Mapping[str, Record]) -> list[SessionChange]:
    """Return every session that differs, in id order."""
    ids = differing_keys(before, after)
    return compare_sessions(
        {session_id: before[session_id].as_dict() for session_id in ids if session_id in before},
        {session_id: after[session_id].as_dict() for session_id in ids if session_id in after},
    )


def compare_sessions(
    before: Mapping[str, Mapping[str, Any]], after: Mapping[str, Mapping[str, Any]]
) -> list[SessionChange]:
    """Do as `changes_between` with sessions as plain data: the content of their files, of whatever schema."""
    changes = []
    for session_id in sorted({*before, *after}):
        old, new = before.get(session_id), after.get(session_id)
        if new is None:
            changes.append(SessionChange(session_id, ("removed",)))
        elif old is None:
            # of a session that was not there, only the milestones are news
            milestones = (_FLAG_WORDS[flag] for flag in _MILESTONES if _status(new).get(flag) is True)
            changes.append(SessionChange(session_id, ("new", *milestones)))
        else:
            fields = tuple(field_changes(old, new))
            if fields:
                changes.append(_change(session_id, old, new, fields))
    return changes


def field_changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[FieldChange]:
    """Yield every value that differs between two nested mappings, in their order. 1, 1.0 and true are three values."""
    for name in dict.fromkeys((*old, *new)):
        a, b = old.get(name, ABSENT), new.get(name, ABSENT)
        if a is b:
            continue
        if _is_nested(a, b):
            yield from field_changes({} if a is ABSENT else a, {} if b is ABSENT else b, f"{prefix}{name}.")
        elif not _is_same(a, b):
            yield FieldChange(f"{prefix}{name}", a, b)


def by_group(changes: Iterable[SessionChange]) -> dict[str, list[SessionChange]]:
    """Return changes by kind, in the order of `GROUPS`; each is in one group."""
    groups = grouped((change.group, change) for change in changes)
    return {name: groups[name] for name in GROUPS if name in groups}


def word_counts(changes: Iterable[SessionChange]) -> dict[str, int]:
    """Return how often each kind of change occurs, the commonest first; of equally common ones, the more important."""
    counts = Counter(word for change in changes for word in change.what)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], GROUPS.index(_group_of(item[0])))))


def headline(changes: Iterable[SessionChange]) -> str:
    """Return the counts of each kind of change, the commonest first.

    >>> headline([SessionChange("a", ("sorted",)), SessionChange("b", ("sorted",)), SessionChange("c", ("new",))])
    '2 sorted, 1 new'
    """
    return ", ".join(f"{count:,} {word}" for word, count in word_counts(changes).items()) or "nothing changed"


def show_field(change: FieldChange) -> str:
    """Return the change of one value in one line.

    >>> show_field(FieldChange("tracked.session_kwargs.probe_letters_to_skip", "F", "EF"))
    'probe_letters_to_skip F -> EF'
    >>> show_field(FieldChange("codeocean.sorted", None, {"id": "6c7d", "name": "ecephys_1_sorted"}))
    'sorted ? -> ecephys_1_sorted'
    >>> show_field(FieldChange("codeocean.sorted", False, {"id": "6c7d", "name": "ecephys_1_sorted"}))
    'sorted asset added: ecephys_1_sorted'
    """
    section, name = change.section, change.field
    for prefix in ("tracked.", "session_kwargs.", "codeocean.", "status."):
        name = name.removeprefix(prefix)
    before, after = _text(change.before, section), _text(change.after, section)
    if section == "codeocean" and isinstance(change.after, Mapping) and change.before is False:
        return f"{one_line(name)} asset added: {one_line(after)}"
    if section == "codeocean" and isinstance(change.before, Mapping) and change.after is False:
        return f"{one_line(name)} asset removed: {one_line(before)}"
    if section in OBSERVING and isinstance(change.after, Mapping) and change.before is False:
        return f"{one_line(name)} added"
    if section in OBSERVING and isinstance(change.before, Mapping) and change.after is False:
        return f"{one_line(name)} removed"
    if before == after:  # two assets of one name, 1 and true
        before, after = _exact(change.before), _exact(change.after)
    return f"{one_line(name)} {one_line(before)} -> {one_line(after)}"


def _group_of(word: str) -> str:
    if word.startswith("no longer ") or word.endswith(" gone"):
        return "lost"
    return _GROUP_OF_WORD.get(word, "other schema" if word.startswith("schema ") else "other facts")


def _change(
    session_id: str, old: Mapping[str, Any], new: Mapping[str, Any], fields: tuple[FieldChange, ...]
) -> SessionChange:
    what = [*_flags(old, new), *_assets(fields)]
    tracked = (field for field in fields if field.section == "tracked")
    # the first observation that a session is not in the file is no edit
    if any(field.field != "tracked" or field.before or field.after for field in tracked):
        what.append("edited")
    was, now = old.get("training"), new.get("training")
    if was and now and not _is_same(was, now):
        what.append("training row changed")
    elif bool(was) != bool(now):
        what.append("training row added" if now else "training row gone")
    what += [f"{name} facts gone" for name in OBSERVING if old.get(name) and not new.get(name)]
    if old.get("schema") != new.get("schema"):
        what.append(f"schema {old.get('schema')} -> {new.get('schema')}")
    if not what:
        moved = [name for name in SECTIONS if any(field.section == name for field in fields)]
        first = [name for name in moved if old.get(name) is None]
        what = [f"{name} first seen" for name in first] or [f"{name} facts changed" for name in moved]
    return SessionChange(session_id, tuple(what or ["status recomputed"]), tuple(_details(fields)), fields)


def _flags(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return words for flags that are true now, and then for those that are no longer."""
    was, now = _status(old), _status(new)
    # the platform of a session that is no longer tracked is unknown, and with it which flags apply
    is_untracked = bool(old.get("tracked")) and not new.get("tracked")
    is_other_schema = old.get("schema") != new.get("schema")
    gained, lost = [], []
    for flag, word in _FLAG_WORDS.items():
        if now.get(flag) is True and was.get(flag) is not True:
            # one that is newer than the old file is no news if the facts of that file had made it true
            if flag in was or is_other_schema or compute_status(old, (flag,)).get(flag) is not True:
                gained.append(word)
        elif was.get(flag) is True and now.get(flag) is not True and (flag in now or not is_untracked):
            lost.append(f"no longer {word}")
    return gained + lost


def _assets(fields: Iterable[FieldChange]) -> list[str]:
    """Return words for assets that were replaced."""
    recorded = [
        field.field.partition(".")[2] in _RECORDED
        for field in fields
        if field.section == "codeocean" and isinstance(field.before, Mapping) and isinstance(field.after, Mapping)
    ]
    return ["asset replaced"] * (True in recorded) + ["re-processed"] * (False in recorded)


def _details(fields: tuple[FieldChange, ...]) -> Iterator[str]:
    """Yield details beyond the kinds of change. Flags follow from the other facts, unless only they changed."""
    names = {field.field for field in fields}
    only_status = all(field.section == "status" for field in fields)
    for field in fields:
        if field.field == "tracked" and (field.after or field.before):
            yield f"{'now' if field.after else 'no longer'} in tracked_sessions.yaml"
        elif field.field == "tracked.experiment_day" and names & {"tracked.day", "tracked.ephys_day"}:
            continue  # it follows from these
        elif "." in field.field and (field.section != "status" or only_status):
            yield show_field(field)


def _status(session: Mapping[str, Any]) -> Mapping[str, Any]:
    status = session.get("status")
    return status if isinstance(status, Mapping) else {}


def _is_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b) or a != b:
        return False
    # a list may still hold 1 where the other holds true
    return not a or not isinstance(a, (list, Mapping)) or json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)


def _is_nested(a: Any, b: Any) -> bool:
    """Return True if two values are compared field by field: not if one asset replaced another."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return bool(a.get("id") == b.get("id"))
    there = b if a is ABSENT else a if b is ABSENT else None
    return isinstance(there, Mapping) and bool(there)


def _text(value: Any, section: str) -> str:
    if value is None and section not in _OBSERVED:
        return "(none)"
    if section in _OBSERVED and (value is None or value is False or value == []):
        return "?" if value is None else "no" if section == "status" else "nothing"
    if isinstance(value, Mapping) and section in _OBSERVED:
        return str(value.get("name", "found"))
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "(none)"
    if isinstance(value, str) and value:
        return value
    return "yes" if section == "status" and value is True else _exact(value)


def _exact(value: Any) -> str:
    if isinstance(value, Mapping) and "id" in value:
        return str(value["id"])
    return "(none)" if value is ABSENT else json.dumps(value, ensure_ascii=False)

"""Summary of a change of tracked_sessions.yaml, session by session."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from npc_lims.errors import Problem
from npc_lims.model.session_id import subject_of
from npc_lims.sources.tracked.entries import same_path
from npc_lims.sources.yaml_nodes import shorten
from npc_lims.track.entry_spans import Layout, canonical
from npc_lims.track.formatting import inline


@dataclasses.dataclass(frozen=True)
class ChangedSession:
    """A session that was added, edited or removed.

    Attributes:
        session: Its id; its path where the entry named no session.
        line: Line of its entry: the new one, or the one that is gone.
        fields: Each as `name before -> after`, or `name value` where there was no other.
    """

    session: str
    what: Literal["added", "edited", "removed"]
    line: int
    fields: tuple[str, ...]

    def __str__(self) -> str:
        fields = f": {'; '.join(self.fields)}" if self.fields else ""
        return f"{self.session} {self.what}{fields}"


def changed_sessions(before: Layout, after: Layout, paths: Iterable[str]) -> Iterator[ChangedSession]:
    """Yield the sessions of *paths* that changed."""
    old_ids, new_ids = _ids(before), _ids(after)
    for path in dict.fromkeys(map(same_path, paths)):
        old, new = before.of_path(path), after.of_path(path)
        was, now = _flat(old[0].keys if old else {}), _flat(new[0].keys if new else {})
        if new and old:
            fields = tuple(_differences(was, now))
            if fields:
                yield ChangedSession(new_ids[path], "edited", new[0].path.line, fields)
        elif new:
            yield ChangedSession(new_ids[path], "added", new[0].path.line, _fields(now))
        elif old:
            yield ChangedSession(old_ids.get(path, old[0].path.text), "removed", old[0].path.line, _fields(was))


def _fields(flat: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(f"{name} {_show(value)}" for name, value in flat.items())


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if canonical(old) == canonical(new):
            continue
        if isinstance(old, list) and isinstance(new, list) and len(old) + len(new) > 2:
            gone = [f"-{_show(item)}" for item in old if item not in new]
            come = [f"+{_show(item)}" for item in new if item not in old]
            if gone or come:
                yield f"{name} {' '.join(gone + come)}"
                continue
        yield f"{name} {_show(old)} -> {_show(new)}"


def _flat(keys: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = keys.get("session_kwargs")
    kwargs = kwargs if isinstance(kwargs, Mapping) else {}
    flat = {name: value for name, value in keys.items() if not (name == "session_kwargs" and kwargs)}
    # a name that stands at both levels needs its level
    return {**flat, **{f"session_kwargs.{name}" if name in flat else name: value for name, value in kwargs.items()}}


def _show(value: Any) -> str:
    return "nothing" if value is None else shorten(inline(value))


def _ids(layout: Layout) -> dict[str, str]:
    return {same_path(tracked.allen_path): session for session, tracked in layout.file.sessions.items()}


def shifted_ids(before: Layout, after: Layout) -> list[str]:
    """Return messages about sessions whose id changed because of others of the same day."""
    new = _ids(after)
    return [
        f"{session} becomes {new[path]}, as the sessions of its day are numbered again"
        for path, session in _ids(before).items()
        if new.get(path, session) != session
    ]


def shifted_days(before: Layout, after: Layout, paths: Iterable[str]) -> list[str]:
    """Return messages about other sessions than those of *paths* whose experiment_day changed, by subject.

    One without a day is numbered by the dates of its subject.
    """
    changed = set(map(same_path, paths))
    was = {same_path(tracked.allen_path): tracked.experiment_day for tracked in before.file.sessions.values()}
    shifts: dict[str, list[str]] = {}
    for session, tracked in after.file.sessions.items():
        path, day = same_path(tracked.allen_path), tracked.experiment_day
        if path in was and path not in changed and was[path] != day:
            shifts.setdefault(subject_of(session), []).append(f"{session} ({was[path]} -> {day})")
    return [
        f"experiment_day changes of {', '.join(sessions)}: with no day of their own, the sessions of subject {subject} "
        "are numbered by their dates"
        for subject, sessions in shifts.items()
    ]


def new_warnings(before: Layout, after: Layout) -> list[Problem]:
    """Return problems that were not there before, whatever their line."""

    def gist(problem: Problem) -> str:
        return re.sub(r"\bline [0-9]+", "line", problem.message)

    known = {gist(problem) for problem in before.file.problems}
    return [problem for problem in after.file.problems if gist(problem) not in known]

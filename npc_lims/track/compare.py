"""Two versions of tracked_sessions.yaml compared: sessions that change, and problems that are new."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npc_lims.config.environment import TRACKED_FILE
from npc_lims.config.settings import Settings
from npc_lims.errors import Problem
from npc_lims.model.record import Tracked
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.sources.yaml_validation import encoding_problem
from npc_lims.state.diff import SessionChange, compare_sessions, one_line
from npc_lims.state.diff_format import Chapter, groups_of
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.remote import check_ref, fetch_file
from npc_lims.utils.text import counted

_EDITS_NAMED = 3
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_LINE_NUMBER = re.compile(r"\bline [0-9]+\b")
# subject and date in the path of a session
_SESSION = re.compile(r"[0-9]{6,7}_(?:[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclasses.dataclass(frozen=True)
class TrackedDiff:
    """Differences between two versions of tracked_sessions.yaml.

    Attributes:
        before: Name of the one version.
        after: Name of the other.
        changes: Sessions that are new, removed or edited.
        summary: All of them in one line.
        notes: About missing files and errors.
    """

    before: str
    after: str
    changes: Sequence[SessionChange]
    summary: str
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "before": self.before,
            "after": self.after,
            "summary": self.summary,
            "changes": [change.as_dict() for change in self.changes],
            "notes": list(self.notes),
        }

    def chapter(self) -> Chapter:
        title = f"tracked_sessions.yaml, {self.before} -> {self.after}"
        return Chapter(title, self.summary, self.notes, groups_of(self.changes))


def tracked_on_github(settings: Settings, ref: str) -> bytes | None:
    """Return the file published at a branch, tag or commit; None if there is none.

    Raises:
        As `state_on_github`.
    """
    at_ref = settings.model_copy(update={"ref": ref})
    content = fetch_file(at_ref, TRACKED_FILE)
    if content is None:
        check_ref(at_ref, f"state/{SYNC_FILE}")
    return content


def decode_tracked(content: bytes, file: str) -> TrackedFile:
    """Return what can be read of a file, whatever is in it; problems name it *file*."""
    try:
        return parse_tracked(content.decode("utf-8-sig"), file)
    except UnicodeDecodeError as error:
        parsed = parse_tracked(content.decode("utf-8-sig", "replace"), file)
        return dataclasses.replace(parsed, problems=(encoding_problem(file, error), *parsed.problems))


def compare_tracked(before: bytes | None, after: bytes | None, names: tuple[str, str]) -> TrackedDiff:
    """Compare two versions of the file; one with errors as far as it can be read.

    Args:
        before: The content of the one version, None if it is not there.
        after: The content of the other.
        names: Of the two versions, for messages.
    """
    if before == after:
        return TrackedDiff(*names, [], "nothing changed" if after is not None else "no such file", [])
    old, new = (_sessions(content, name) for content, name in zip((before, after), names))
    notes = [note for _, note in (old, new) if note]
    changes = compare_sessions(
        {session_id: {"tracked": entry.model_dump()} for session_id, entry in old[0].items()},
        {session_id: {"tracked": entry.model_dump()} for session_id, entry in new[0].items()},
    )
    paths = tuple({entry.allen_path: session_id for session_id, entry in side[0].items()} for side in (old, new))
    described = []
    for change in changes:
        if change.id not in old[0]:
            change = _described(change, new[0][change.id], "was", paths[0])
        elif change.id not in new[0]:
            change = _described(change, old[0][change.id], "now", paths[1])
        described.append(change)
    return TrackedDiff(*names, described, _summary(described), notes)


def _sessions(content: bytes | None, name: str) -> tuple[Mapping[str, Tracked], str]:
    """Return the sessions of a file, and a note if it is missing or has errors."""
    if content is None:
        return {}, f"{name}: there is no such file"
    file = decode_tracked(content, name)
    errors = sum(problem.is_error for problem in file.problems)
    if not errors:
        return file.sessions, ""
    return file.sessions, f"{name}: {counted(errors, 'error')} (see npc-lims validate); compared is what can be read"


def _described(change: SessionChange, entry: Tracked, verb: str, other: Mapping[str, str]) -> SessionChange:
    """Add the values of a new or removed session to its change; *other* has the paths on the side without it."""
    details = [f"{entry.platform}, {entry.project}, day {entry.experiment_day}"]
    if entry.allen_path in other:
        details.append(f"{verb} {other[entry.allen_path]}")
    details += [f"{name} {value}" for name, value in entry.session_kwargs.items()]
    return dataclasses.replace(change, details=tuple(one_line(detail) for detail in details))


def _summary(changes: Sequence[SessionChange]) -> str:
    """Return counts of new and removed sessions, and the edits, equal ones together."""
    if not changes:
        return "comments, layout or repeated entries only: no session changes"
    parts = []
    for sign, word in (("+", "new"), ("-", "removed")):
        count = sum(change.group == word for change in changes)
        if count:
            parts.append(f"{sign}{counted(count, 'session')}")
    alike: dict[tuple[str, ...], list[str]] = {}
    for change in changes:
        if change.group not in ("new", "removed"):
            alike.setdefault(change.details, []).append(change.id)
    edits = sorted(alike.items(), key=lambda item: -len(item[1]))
    for details, ids in edits[:_EDITS_NAMED]:
        parts.append(f"{ids[0] if len(ids) == 1 else counted(len(ids), 'session')}: {'; '.join(details)}")
    more = sum(len(ids) for _, ids in edits[_EDITS_NAMED:])
    return "; ".join([*parts, f"{more:,} more edited"] if more else parts)


# -------------------------------------------------------------------------------- problems


def split_known(
    problems: Iterable[Problem], text: str, base_problems: Iterable[Problem], base_text: str
) -> tuple[list[Problem], list[Problem]]:
    """Return new problems, and known ones: those that the base has too, of the same session and in the same words.

    Their lines are not compared, since a new line at the top moves all of them; the number of equal ones is.
    """
    lines, base_lines = _LINE_BREAK.split(text), _LINE_BREAK.split(base_text)
    left = Counter(_key(problem, base_lines) for problem in base_problems)
    new: list[Problem] = []
    known: list[Problem] = []
    for problem in problems:
        key = _key(problem, lines)
        (known if left[key] > 0 else new).append(problem)
        left[key] -= 1
    return new, known


def _key(problem: Problem, lines: Sequence[str]) -> tuple[str, str, str]:
    return problem.severity, _session_at(lines, problem.line), _LINE_NUMBER.sub("line N", problem.message)


def _session_at(lines: Sequence[str], number: int) -> str:
    """Return the session named in a line, or in the nearest one above it: the entry that the line belongs to."""
    for line in reversed(lines[:number]):
        match = _SESSION.search(line)
        if match:
            return match.group()
    return ""

"""Two versions of tracked_sessions.yaml compared: sessions that change, the effect on state, and new problems."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npc_lims.config.settings import TRACKED_FILE, Settings
from npc_lims.errors import Problem, SyncRefused
from npc_lims.model.reconcile import check_breaker
from npc_lims.model.record import Found, Observation, Record, Tracked
from npc_lims.model.recording_days import reconcile_days
from npc_lims.sources.tracked.parser import TrackedFile, parse_tracked
from npc_lims.sources.yaml_validation import encoding_problem
from npc_lims.state.diff import SessionChange, changes_between, compare_sessions
from npc_lims.state.diff_format import Chapter, groups_of
from npc_lims.state.freshness import SYNC_FILE
from npc_lims.state.published import check_ref, fetch_file
from npc_lims.utils.mappings import grouped
from npc_lims.utils.text import counted, one_line

_EDITS_NAMED = 3
_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_LINE_NUMBER = re.compile(r"\bline [0-9]+\b")
# subject and date in the path of a session
_SESSION = re.compile(r"[0-9]{6,7}_(?:[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})")


@dataclasses.dataclass(frozen=True)
class TrackedDiff:
    """Sessions that differ between two versions of the file; *before* and *after* are their names."""

    before: str
    after: str
    summary: str
    changes: Sequence[SessionChange]
    notes: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        changes = [change.as_dict() for change in self.changes]
        return {**vars(self), "changes": changes, "notes": list(self.notes)}

    def chapter(self) -> Chapter:
        title = f"tracked_sessions.yaml, {self.before} -> {self.after}"
        return Chapter(title, self.summary, self.notes, groups_of(self.changes))


def tracked_on_github(settings: Settings, ref: str) -> bytes | None:
    """Return the file published at a branch, tag or commit; None if there is none."""
    at_ref = settings.replace(ref=ref)
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
    """Compare two versions of the file (None if it is not there), with errors as far as they can be read."""
    if before == after:
        return TrackedDiff(*names, "nothing changed" if after is not None else "no such file", [], [])
    notes: list[str] = []
    old, new = (_sessions(content, name, notes) for content, name in zip((before, after), names))
    described = []
    for change in compare_sessions(_as_state(old), _as_state(new)):
        if change.id not in old:
            change = _described(change, new[change.id], "was", old)
        elif change.id not in new:
            change = _described(change, old[change.id], "now", new)
        described.append(change)
    return TrackedDiff(*names, _summary(described), described, notes)


def _as_state(sessions: Mapping[str, Tracked]) -> dict[str, dict[str, Any]]:
    return {session: {"tracked": entry.model_dump()} for session, entry in sessions.items()}


def _sessions(content: bytes | None, name: str, notes: list[str]) -> Mapping[str, Tracked]:
    """Return the sessions of a file; note if it is missing or has errors."""
    if content is None:
        notes.append(f"{name}: there is no such file")
        return {}
    file = decode_tracked(content, name)
    errors = sum(problem.is_error for problem in file.problems)
    if errors:
        notes.append(f"{name}: {counted(errors, 'error')} (see npc-lims validate); compared is what can be read")
    return file.sessions


def _described(change: SessionChange, entry: Tracked, verb: str, others: Mapping[str, Tracked]) -> SessionChange:
    """Add the values of a new or removed session to its change, and its id if the *others* have its path by another."""
    details = [f"{entry.platform}, {entry.project}, day {entry.experiment_day}"]
    details += [f"{verb} {session}" for session, other in others.items() if other.allen_path == entry.allen_path][-1:]
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
    alike = grouped((change.details, change.id) for change in changes if change.group not in ("new", "removed"))
    edits = sorted(alike.items(), key=lambda item: -len(item[1]))
    for details, ids in edits[:_EDITS_NAMED]:
        parts.append(f"{ids[0] if len(ids) == 1 else counted(len(ids), 'session')}: {'; '.join(details)}")
    more = sum(len(ids) for _, ids in edits[_EDITS_NAMED:])
    return "; ".join([*parts, f"{more:,} more edited"] if more else parts)


# ------------------------------------------------------------------------- effect on state


# A session stays if a training workbook has it, unless its row is no session on a day on which an ephys session is
# tracked now.
_FATES = {
    "appear": "will appear",
    "change": "will change",
    "go": "will be removed",
    "may_go": "will be removed, unless a training workbook has them (never queried)",
    "stay": "will no longer be tracked, but stay in state: a training workbook has them",
}


@dataclasses.dataclass(frozen=True)
class Preview:
    """Effects of an edit on the next sync, before any source is queried."""

    base: str
    refused: str | None
    """Why the breaker would stop the sync; None if it would not."""
    fates: Mapping[str, Sequence[SessionChange]]
    """Changed sessions by the names in `_FATES`."""

    def as_dict(self) -> dict[str, Any]:
        fates = {fate: [change.as_dict() for change in changes] for fate, changes in self.fates.items()}
        return {"base": self.base, "refused": self.refused, **fates}

    def chapter(self) -> Chapter:
        found = {fate: changes for fate, changes in self.fates.items() if changes}
        groups = {f"{len(changes):,} {_FATES[fate]}": changes for fate, changes in found.items()}
        summary = "; ".join(groups) or "no session changes"
        notes = [f"The breaker would stop the next sync: {self.refused}"] if self.refused else []
        return Chapter(f"effect of tracked_sessions.yaml on state, compared with {self.base}", summary, notes, groups)


def preview(state: Mapping[str, Record], base: Mapping[str, Tracked], now: Mapping[str, Tracked], name: str) -> Preview:
    """Return the effect of the edit from *base* to *now* alone: as if *base* were already applied to *state*."""
    before = _reconciled(state, base)
    after = _reconciled(before, now)
    fates: dict[str, list[SessionChange]] = {fate: [] for fate in _FATES}
    for change in changes_between(before, after):
        if change.id not in before:
            fates["appear"].append(change)
        elif change.id not in after:
            fates["go"].append(change)
        elif change.id in now:
            fates["change"].append(change)
        elif change.id in base:
            fates["stay" if after[change.id].training else "may_go"].append(change)
    refused = None
    try:
        check_breaker(before, after)
    except SyncRefused as error:
        refused = str(error)
    return Preview(name, refused, fates)


def _reconciled(records: Mapping[str, Record], tracked: Mapping[str, Tracked]) -> dict[str, Record]:
    """Reconcile as a sync in which the training workbooks have not changed."""
    known_to_lack: dict[str, Found] = {
        session_id: False for session_id, record in records.items() if record.training is False
    }
    observed = Observation("tracked", facts=tracked, complete=True), Observation("training", facts=known_to_lack)
    return reconcile_days(records, observed)


# -------------------------------------------------------------------------------- problems


def split_known(
    problems: Iterable[Problem], text: str, base_problems: Iterable[Problem], base_text: str
) -> tuple[list[Problem], list[Problem]]:
    """Return new problems, and known ones: those that the base has too, of the same session and in the same words."""
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
    """Return what equal problems share; their session is named in the line, or in the nearest one above it."""
    above = map(_SESSION.search, reversed(lines[: problem.line]))
    session = next((match.group() for match in above if match), "")
    return problem.severity, session, _LINE_NUMBER.sub("line N", problem.message)

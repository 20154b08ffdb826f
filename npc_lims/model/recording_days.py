"""Training rows on days with a recording: which row belongs to which session. Pure.

A row of a training workbook is a session of its own. Not on a day with a tracked ephys session: there the rows belong
to the tracked sessions, each to the one whose recording started closest to it, and a row that is left over is no
session. So the second session of such a day is never one that a row has made, and the index 1 is free for the
recording of surface channels.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Literal

from npc_lims.errors import Problem
from npc_lims.model.data_asset import SEARCHED_NAMES
from npc_lims.model.reconcile import Records, known_ids, reconcile, reconcile_session
from npc_lims.model.record import AssetFact, Found, Observation, Record, Tracked, Training
from npc_lims.model.session_id import day_of, split_session_id, subject_of
from npc_lims.utils.mappings import grouped, with_changes

_AFTER_DATE = re.compile(
    r"20[0-9]{2}-[0-9]{2}-[0-9]{2}_(?:(?P<time>[0-9]{2}-[0-9]{2}-[0-9]{2})(?![0-9])|(?P<number>[0-9]+)(?![0-9-]))"
)
_FILE_TIME = re.compile(r"_([0-9]{8}_[0-9]{6})\.hdf5$")
# the name of a file may precede the start of its session: two clocks and roundings differ
_CLOCK_SLACK = datetime.timedelta(minutes=1)
_WORKBOOKS = {False: "DynamicRoutingTraining.xlsx", True: "DynamicRoutingTrainingNSB.xlsx"}


def reconcile_days(previous: Records, observed: Sequence[Observation], *, refresh: bool = True) -> dict[str, Record]:
    """`reconcile`, with each training row assigned to the session that it belongs to."""
    return reconcile(previous, assign_rows(previous, observed), refresh=refresh)


def reconcile_scope(
    previous: Records, observed: Sequence[Observation], scope: Container[str], *, refresh: bool = True
) -> Records:
    """`reconcile_days` where only sessions in *scope* may change: those of other days are not even parsed."""
    days = {day_of(session_id) for session_id in previous if session_id in scope}
    days.update(day_of(session_id) for one in observed for session_id in one.facts if session_id in scope)
    before = {session_id: previous[session_id] for session_id in previous if day_of(session_id) in days}
    after = reconcile(before, assign_rows(before, observed), scope, refresh=refresh)
    changes = {session_id: record for session_id, record in after.items() if before.get(session_id) is not record}
    return with_changes(previous, changes, before.keys() - after.keys())


def assign_rows(previous: Records, observed: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return *observed* with training rows, recorded ones included, assigned to the sessions that they belong to."""
    facts: dict[str, Found] = {}
    for ids in _days(previous, observed):
        drafts = {session_id: reconcile_session(session_id, previous.get(session_id), observed) for session_id in ids}
        # a session goes when the tracked file, too, says that it does not have it
        tracked = [one for one in observed if one.source == "tracked"]
        goes = {session_id for session_id in ids if any(one.is_about(session_id) for one in tracked)}
        facts.update(_facts_of_day(drafts, goes))
    if not facts:
        return tuple(observed)
    training = next((one for one in observed if one.source == "training"), Observation("training"))
    others = [one for one in observed if one.source != "training"]
    return (*others, dataclasses.replace(training, facts={**training.facts, **facts}))


def _days(previous: Records, observed: Sequence[Observation]) -> Iterator[list[str]]:
    """Yield the ids of each day that may have more rows or recordings than one, in the order of their indexes."""
    ids = known_ids(previous, observed)
    days: dict[str, list[str]] = {day_of(session_id): [] for session_id in ids if session_id.count("_") > 1}
    days.update((day_of(one.id), []) for one in previous.values() if one.training and one.training.other_rows)
    for session_id in ids:
        day = session_id if session_id.count("_") == 1 else day_of(session_id)
        if day in days:
            days[day].append(session_id)
    for day in sorted(days):
        yield sorted(days[day], key=_index)


def _facts_of_day(drafts: Mapping[str, Record], goes: Container[str]) -> Iterator[tuple[str, Found]]:
    """Yield training facts that differ from those of *drafts*; sessions that may lose their only row are in *goes*."""
    rows = _rows(drafts.values())
    if any(draft.is_tracked_ephys for draft in drafts.values()):
        assigned = _assign(rows, {id_: draft for id_, draft in drafts.items() if draft.tracked})
    elif any(draft.training and draft.training.other_rows for draft in drafts.values()):
        day = day_of(next(iter(drafts)))
        assigned = {f"{day}_{number}" if number else day: row for number, row in enumerate(rows)}
    else:
        return
    for session_id in {**drafts, **assigned}:
        row = assigned.get(session_id)
        draft = drafts.get(session_id)
        before = draft.training if draft is not None else None
        if row is not None:
            if row != before:
                yield session_id, row
        elif before and (session_id in goes or (draft is not None and draft.tracked)):
            yield session_id, False


def _rows(sessions: Iterable[Record]) -> list[Training]:
    """Return all rows of a day, by start time: two of one start time are one, as in the workbooks."""
    found: dict[str, Training] = {}
    for session in sessions:
        if session.training:
            for row in (session.training.model_copy(update={"other_rows": []}), *session.training.other_rows):
                found.setdefault(row.start_time, row)
    return [found[start] for start in sorted(found)]


def _assign(rows: Sequence[Training], sessions: Mapping[str, Record]) -> dict[str, Training]:
    """Assign each session the row closest to the start of its recording, and to the first what is left over."""
    starts = {id_: start for id_, one in sessions.items() if (start := recording_start(one)) is not None}
    times = {number: time for number, row in enumerate(rows) if (time := _time(row.start_time)) is not None}
    pairs = sorted(
        (abs(start - time), session_id, number)
        for session_id, start in starts.items()
        for number, time in times.items()
    )
    given: dict[str, int] = {}
    for _, session_id, number in pairs:
        if session_id not in given and number not in given.values():
            given[session_id] = number
    left = sorted(set(range(len(rows))) - set(given.values()), key=lambda number: (number not in times, number))
    for session_id in sessions:
        if session_id not in given and left:
            given[session_id] = left.pop(0)
    assigned = {session_id: rows[number] for session_id, number in given.items()}
    if left:
        first = next(id_ for id_, one in sessions.items() if one.is_tracked_ephys)
        assigned[first] = assigned[first].model_copy(update={"other_rows": [rows[number] for number in sorted(left)]})
    return assigned


def recording_start(record: Record) -> datetime.datetime | None:
    """Return when the recording of a tracked session started; None if that is unknown.

    By the name of the raw data, else by a time in the path; the path comes first where raw data of an ephys session
    are behavior, maybe of another recording. If the main recording was lost, that of surface channels is the closest.
    """
    raw = record.asset("raw")
    named = [_start_of(raw), _time_in_path(record.tracked)]
    if raw and not raw.name.startswith("ecephys") and record.is_tracked_ephys:
        named.reverse()
    return named[0] or named[1] or _start_of(record.asset("surface"))


def undecided_sessions(records: Records) -> set[str]:
    """Return the tracked sessions whose training row depends on Code Ocean, where they were never looked up."""
    days = grouped((day_of(one.id), one) for one in records.values())
    tracked = {day: [one for one in sessions if one.tracked] for day, sessions in days.items()}
    return {
        one.id
        for day, sessions in days.items()
        if max(len(tracked[day]), len(_rows(sessions))) > 1
        for one in tracked[day]
        if one.codeocean is None
    }


def _start_of(asset: AssetFact) -> datetime.datetime | None:
    match = SEARCHED_NAMES.match(asset.name) if asset else None
    return match and datetime.datetime.strptime(f"{match['date']} {match['time']}", "%Y-%m-%d %H-%M-%S")


def _time_in_path(tracked: Tracked | Literal[False] | None) -> datetime.datetime | None:
    if not tracked:
        return None
    import npc_session

    text = npc_session.parsing.extract_isoformat_datetime(tracked.allen_path)
    return None if text is None else datetime.datetime.fromisoformat(text)


def report_other_rows(before: Records, after: Records, observed: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return *observed* with a warning for each row that is no session, where that was read or decided just now."""
    read = next((one for one in observed if one.source == "training" and one.facts), None)
    problems = tuple(
        _problem(record, record.training, row, _line(read, day_of(record.id), row.start_time))
        for record in after.values()
        if record.training and (read is not None or record.id not in before or before[record.id] is not record)
        for row in record.training.other_rows
    )
    if not problems:
        return tuple(observed)
    # the tracked file decides, too: without the workbooks being queried it alone may make a row one that is no session
    source = min((one.source for one in observed), key=lambda name: ("training", "tracked", name).index(name))
    return tuple(_with_problems(one, problems) if one.source == source else one for one in observed)


def _with_problems(observation: Observation, problems: tuple[Problem, ...]) -> Observation:
    counts = dict(observation.counts)
    if "problems" in counts:
        counts["problems"] += len(problems)
    return dataclasses.replace(observation, problems=(*observation.problems, *problems), counts=counts)


def _problem(record: Record, own: Training, row: Training, line: int) -> Problem:
    message = (
        f"row {row.row} below the header ({row.start_time}) is no session: row {own.row} ({own.start_time}) belongs to "
        f"the tracked ephys session {record.id}; if that is right, mark this row to be ignored"
    )
    return Problem(f"{_WORKBOOKS[row.nsb]}[{subject_of(record.id)}]", line, 0, "warning", message)


def _line(read: Observation | None, day: str, start: str) -> int:
    """Return the row of the sheet as Excel shows it; 0 where the workbook was not read just now."""
    for session_id, line in read.lines.items() if read is not None else ():
        fact = read.facts.get(session_id) if read is not None else None
        if isinstance(fact, Training) and fact.start_time == start and day_of(session_id) == day:
            return line
    return 0


def files_of_session(names: Iterable[str], session_id: str, day: Mapping[str, Record]) -> list[str]:
    """Return the stimulus files (`..._<yyyymmdd>_<hhmmss>.hdf5`) of one session, given those of its day.

    Of several sessions of the *day* each has the files from its start on, until the next one starts; the first has
    those before it, too. While the start of one is unknown, or for what is no session, they are all of the day.
    """
    starts = {id_: _start_of_session(one) for id_, one in day.items()} if len(day) > 1 else {}
    known = sorted((start, id_) for id_, start in starts.items() if start is not None)
    if session_id not in starts or len(known) < len(starts):
        return list(names)

    def owner(name: str) -> str:
        match = _FILE_TIME.search(name)
        time = datetime.datetime.min if match is None else datetime.datetime.strptime(match[1], "%Y%m%d_%H%M%S")
        return max((one for one in known if one[0] <= time + _CLOCK_SLACK), default=known[0])[1]

    return [name for name in names if owner(name) == session_id]


def is_folder_of(name: str, record: Record) -> bool:
    """Return whether a folder of a recording of the day is of the session: by a time in its name, else by an index."""
    match = _AFTER_DATE.search(name)
    number, time = (match["number"], match["time"]) if match else (None, None)
    if time is not None:
        for asset, is_own in ((record.asset("raw"), True), (record.asset("surface"), False)):
            if asset and asset.name.startswith("ecephys"):
                return asset.name.endswith(time) is is_own
    return int(number or 0) == _index(record.id)


def _start_of_session(record: Record) -> datetime.datetime | None:
    """Return when a session started: its recording or, unless it is ephys, its training row, whichever was first."""
    recording = recording_start(record) if record.tracked else None
    row = datetime.datetime.fromisoformat(record.training.start_time) if record.training else None
    if recording is None or row is None or record.is_tracked_ephys:
        return recording or row
    return min(recording, row)


def _time(start: str) -> datetime.datetime | None:
    """Return the start time of a row; None if it has no time of day."""
    time = datetime.datetime.fromisoformat(start)
    return None if time.time() == datetime.time(0) else time


def _index(session_id: str) -> int:
    return split_session_id(session_id)[2]

"""Merge observations into what is recorded. Pure.

A sync and a live lookup call `reconcile_days` or `reconcile_scope` of `npc_lims.model.recording_days`, which assign
training rows to sessions first.

A section is written by its own source only; of two observations of one the later takes precedence (`is_newer`); what
could not be queried stays as it was. A session goes only when both sources that make sessions known
(tracked_sessions.yaml and the training workbooks) do not have it.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Container, Iterable, Mapping
from typing import Any

from npc_lims.errors import SyncRefused
from npc_lims.model.flags import compute_status
from npc_lims.model.record import Found, Observation, Record, Tracked, Training
from npc_lims.model.sections import DISCOVERING, SECTIONS
from npc_lims.model.session_id import day_of
from npc_lims.utils.mappings import differing_keys
from npc_lims.utils.timestamps import utc_text

"""Sources whose facts make a session known. Code Ocean and S3 hold much that is no session of ours."""

BREAKER_SESSIONS = 10
BREAKER_SHARE = 0.05
Records = Mapping[str, Record]
Newer = Mapping[str, frozenset[str]]
"""Session id to the sections that a newer observation changed."""
Dropped = Mapping[str, int]
"""Source to the number of its sections that were dropped, as a newer observation is published."""


def reconcile(
    previous: Records, observed: Iterable[Observation], only: Container[str] | None = None, *, refresh: bool = True
) -> dict[str, Record]:
    """Return records by session id, in id order.

    Sessions not in *only* stay as they are recorded. With *refresh* the status of unchanged sessions is computed again:
    a newer version may have better rules.
    """
    observations = tuple(observed)
    records = {}
    for session_id in sorted(known_ids(previous, observations)):
        before = previous.get(session_id)
        if only is not None and session_id not in only:
            if before is not None:
                records[session_id] = reconcile_session(session_id, before, (), refresh=refresh)
            continue
        record = reconcile_session(session_id, before, observations, refresh=refresh)
        if not _is_gone(record, observations):
            records[session_id] = record
    return records


def known_ids(previous: Records, observed: Iterable[Observation]) -> set[str]:
    """Return the ids of the sessions that are recorded, or that a source has made known."""
    discovering = [one for one in observed if one.source in DISCOVERING]
    return {*previous, *(session_id for one in discovering for session_id, found in one.facts.items() if found)}


def is_newer(observed: str | None, at: datetime.datetime) -> bool:
    """Return whether an observation of the recorded time *observed* is as new as one that began at *at*, or newer."""
    return observed is not None and observed > utc_text(at)


def keep_newest(
    observations: Iterable[Observation],
    at: datetime.datetime,
    recorded: Records,
    newer: Newer,
    last_complete: Mapping[str, str | None],
    scope: Container[str],
) -> tuple[tuple[Observation, ...], Dropped]:
    """Return observations that began at *at* as they may be applied to *recorded*, and what newer ones drop of them.

    A source that was read completely by a newer observation (`is_newer`) is left out; but not the tracked file, which
    is read again as it is in the commit. Where a newer one changed a section, what is recorded takes its place.

    Args:
        last_complete: When each source was last read completely.
        scope: Sessions that the observations are about.
    """
    applicable: list[Observation] = []
    dropped: dict[str, int] = {}
    for one in observations:
        changed = [session_id for session_id, sections in newer.items() if one.source in sections]
        if one.source != "tracked" and is_newer(last_complete.get(one.source), at):
            # that there is nothing, or nothing new, is an observation, too
            dropped.update({one.source: max(1, len(one.facts))} if one.facts or one.failure is None else {})
        elif one.unchanged or not changed:  # without facts it could undo nothing
            applicable.append(one)
        else:
            found = {session_id: _recorded_fact(recorded.get(session_id), one.source) for session_id in changed}
            facts = {session_id: fact for session_id, fact in found.items() if fact is not None}
            nothing = False if one.complete else None
            lost = [id_ for id_ in facts if id_ in scope and one.facts.get(id_, nothing) not in (None, facts[id_])]
            dropped.update({one.source: len(lost)} if lost else {})
            # a mixture of two observations is of no version
            applicable.append(dataclasses.replace(one, facts={**one.facts, **facts}, versions={}, unlisted=None))
    return tuple(applicable), dropped


def _recorded_fact(record: Record | None, source: str) -> Found | None:
    if record is None:
        # a newer observation removed it: neither of the sources that make sessions known has it
        return False if source in DISCOVERING else None
    found: Found | None = getattr(record, source)
    return found


def _is_gone(record: Record, observed: Iterable[Observation]) -> bool:
    # both in one sync: a session that moves from one to the other is in neither while one is unavailable
    if record.tracked is not False or record.training is not False:
        return False
    queried = {one.source for one in observed if one.is_about(record.id)}
    return queried.issuperset(DISCOVERING)


def reconcile_session(
    session_id: str, before: Record | None, observed: Iterable[Observation], *, refresh: bool = True
) -> Record:
    """Return one session: *before* itself if nothing about it changed."""
    old = before if before is not None else Record(id=session_id)
    sections: dict[str, Any] = {}
    for observation in observed:
        recorded = getattr(old, observation.source)
        new = _merge(recorded, observation, session_id)
        if not _is_same(new, recorded):
            sections[observation.source] = new
    if not sections and not refresh and before is not None:
        return before
    record = old.model_copy(update=sections) if sections else old
    status = compute_status(record.as_dict())
    return record if status == record.status else record.model_copy(update={"status": status})


def _merge(recorded: Found | None, observation: Observation, session_id: str) -> Any:
    found = observation.facts.get(session_id)
    if found is None:
        nothing_there = observation.complete or (observation.unchanged and recorded is None)
        return False if nothing_there else recorded
    if not recorded or found is False or isinstance(found, (Tracked, Training)):
        return found  # in what people edit, a key that is not there was not given
    # null inside a section is "not observed": what is recorded there stays
    not_observed = [name for name in type(found).model_fields if getattr(found, name) is None]
    return found.model_copy(update={name: getattr(recorded, name) for name in not_observed}) if not_observed else found


def _is_same(new: Any, recorded: Any) -> bool:
    if new is recorded or new != recorded:
        return new is recorded
    # values that no model gives a type
    if isinstance(new, Tracked):
        return _same_types(new.session_kwargs, recorded.session_kwargs)
    return not isinstance(new, Training) or _same_types(new.model_extra, recorded.model_extra)


def _same_types(new: Any, recorded: Any) -> bool:
    # to Python 0 is False and 1 is 1.0, to YAML not
    if type(new) is not type(recorded):
        return False
    if isinstance(new, dict):
        return all(_same_types(value, recorded[name]) for name, value in new.items())
    if isinstance(new, list):
        return all(map(_same_types, new, recorded))
    return True


def check_breaker(previous: Records, new: Records) -> None:
    """Raise SyncRefused if a sync would remove, or take facts or flags from, more than 10 sessions and 5 %."""
    differing = [session_id for session_id in differing_keys(previous, new) if session_id in previous]
    removed = [session_id for session_id in differing if session_id not in new]
    blanked = [
        session_id for session_id in differing if session_id in new and _lost(previous[session_id], new[session_id])
    ]
    lost = len(removed) + len(blanked)
    if lost <= BREAKER_SESSIONS or lost <= BREAKER_SHARE * len(previous):
        return
    examples = ", ".join((removed + blanked)[:5])
    days = {day_of(one.id) for one in new.values() if one.training and one.training.other_rows}
    of_days = sum(day_of(session_id) in days for session_id in removed)
    rows = f" {of_days} of them are training rows of days with a recording, which make no session any more."
    raise SyncRefused(
        f"refused: this sync would remove {len(removed)} and blank {len(blanked)} of {len(previous)} sessions "
        f"(such as {examples}).{rows if of_days else ''} Nothing was written. Check the sources; if it is right, "
        "run again with --allow-removals"
    )


def _lost(before: Record, after: Record) -> list[str]:
    lost = [name for name in SECTIONS if getattr(before, name) and not getattr(after, name)]
    lost += [flag for flag, value in before.status.items() if value is True and after.status.get(flag) is not True]
    return lost

"""Sessions that have stood before a step for longer than others did.

How long others took is measured between two dates: when a session was ready for the step (its raw asset was made, say),
and when the step was taken (its sorting result was made). Where state holds no date of that, history does: the first
time that a sync saw it.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npc_lims.dashboard.totals import LABELS, is_recording
from npc_lims.model.session_id import split_session_id
from npc_lims.utils.moments import midnight_of, moment_of

__all__ = [
    "LEAST_EXAMPLES",
    "PATIENCE",
    "STEPS",
    "VIDEO_RESULTS",
    "FirstSeen",
    "Stall",
    "Step",
    "Waiting",
    "find_stalls",
]

FirstSeen = Mapping[str, Mapping[str, datetime.datetime]]
"""Session id to flag to when a sync first saw it turn from no to yes; from the history, as far as that is at hand."""

LEAST_EXAMPLES = 8
"""Of fewer sessions nobody can say what is usual."""
PATIENCE = datetime.timedelta(days=2)
"""No wait is a stall before that, however quick others were: a sync may be a day behind."""
_USUAL, _MOST = 0.5, 0.9


@dataclasses.dataclass(frozen=True)
class Step:
    """Something that happens to sessions.

    Attributes:
        flag: The flag that turns true.
        after: The flag that must be true for it to happen; empty if being recorded is enough.
        before: What a session is that waits for it, in words; of a family, what it is without.
        remedy: What to do, one sentence.
        fact: The asset on Code Ocean whose creation is the step; empty if there is none.
        family: Steps of one family are told together.
    """

    flag: str
    after: str
    before: str
    remedy: str
    fact: str = ""
    family: str = ""


VIDEO_RESULTS = "video results"
_PROCESS = "npc-lims process plan tells whether they would run now, and why not."


def _of_video(flag: str, fact: str) -> Step:
    return Step(flag, "is_uploaded", LABELS[flag], _PROCESS, fact, VIDEO_RESULTS)


STEPS = (
    Step(
        "is_uploaded",
        "",
        "tracked, not uploaded",
        "Upload them or correct their paths; for one that never will be, session_kwargs: is_production: false.",
        "raw",
    ),
    Step(
        "is_sorted",
        "is_uploaded",
        "uploaded, not sorted",
        "Start the sorting; where it cannot succeed, note an issue in tracked_sessions.yaml.",
        "sorted",
    ),
    Step(
        "is_annotated",
        "is_sorted",
        "sorted, not annotated",
        "Annotate them in the IBL GUI; where that cannot be done, note an issue in tracked_sessions.yaml.",
    ),
    _of_video("is_dlc_eye", "dlc_eye"),
    _of_video("is_dlc_side", "dlc_side"),
    _of_video("is_dlc_face", "dlc_face"),
    _of_video("is_facemap", "facemap"),
    _of_video("is_gamma_encoding", "GammaEncoding"),
    _of_video("is_LPFaceParts", "LPFaceParts"),
    Step("is_nwb_cached", "is_sorted", "sorted, not in the NWB cache", "Write the cache anew with npc_sessions."),
)
"""Steps in their order. What a session may do without (surface channels, imaging) is none."""


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A session that waits, and since when."""

    session: str
    since: datetime.datetime


@dataclasses.dataclass(frozen=True)
class Stall:
    """The sessions that wait for one step longer than usual.

    Attributes:
        usual: Half of those that took the step took no longer.
        most: Nine tenths of them took no longer.
        examples: How many took the step, and when is known.
        waiting: Sessions that wait for longer than that, the one that began last first.
    """

    step: Step
    usual: datetime.timedelta
    most: datetime.timedelta
    examples: int
    waiting: tuple[Waiting, ...]


def find_stalls(records: Iterable[Mapping[str, Any]], first_seen: FirstSeen, now: datetime.datetime) -> list[Stall]:
    """Those steps, in their order, for which sessions wait longer than nine tenths of the others did.

    Only sessions that are to go all the way count (`is_recording`). One with a noted issue is not waited for: somebody
    knows. A step that less than half of those took that could have is not usual, and nobody stalls before it.
    """
    wanted = [record for record in records if is_recording(record)]
    found = (_stall(step, wanted, first_seen, now) for step in STEPS)
    return [stall for stall in found if stall is not None and stall.waiting]


def _stall(
    step: Step, records: Sequence[Mapping[str, Any]], first_seen: FirstSeen, now: datetime.datetime
) -> Stall | None:
    taken: list[datetime.timedelta] = []
    waiting: list[tuple[Mapping[str, Any], Waiting]] = []
    undated = 0
    for record in records:
        seen = first_seen.get(record["id"], {})
        value = record["status"].get(step.flag)
        ready = _ready(step, record, seen)
        if value is True:
            done = _happened(step.flag, record, seen)
            if ready is None or done is None:
                undated += 1
            else:
                taken.append(max(done - ready, datetime.timedelta(0)))
        elif value is False and ready is not None and _is_ready(step, record):
            waiting.append((record, Waiting(record["id"], ready)))
    if len(taken) < LEAST_EXAMPLES:
        return None
    taken.sort()
    usual, most = _within(taken, _USUAL), _within(taken, _MOST)
    late = [(record, wait) for record, wait in waiting if now - wait.since > max(most, PATIENCE)]
    if len(late) > len(taken) + undated:
        return None
    told = [wait for record, wait in late if not (record["tracked"] or {}).get("issues")]
    told.sort(key=lambda wait: (-wait.since.timestamp(), wait.session))
    return Stall(step, usual, most, len(taken), tuple(told))


def _is_ready(step: Step, record: Mapping[str, Any]) -> bool:
    return not step.after or record["status"].get(step.after) is True


def _ready(step: Step, record: Mapping[str, Any], seen: Mapping[str, datetime.datetime]) -> datetime.datetime | None:
    """When the session could take the step."""
    if not step.after:
        return midnight_of(split_session_id(record["id"])[1])
    return _happened(step.after, record, seen)


def _happened(flag: str, record: Mapping[str, Any], seen: Mapping[str, datetime.datetime]) -> datetime.datetime | None:
    """When the flag turned true: when its asset was made, or was first seen if that was before.

    An asset that was made anew is younger than the first one of its kind.
    """
    created = None
    fact = _FACTS.get(flag, "")
    if fact:
        asset = (record["codeocean"] or {}).get(fact) or {}
        created = moment_of(asset.get("created"))
    moments = [moment for moment in (created, seen.get(flag)) if moment is not None]
    return min(moments, default=None)


_FACTS = {step.flag: step.fact for step in STEPS}


def _within(ordered: Sequence[datetime.timedelta], share: float) -> datetime.timedelta:
    """The least of the *ordered* times that this share of them does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]

"""What Code Ocean is asked to run, and which of its runs is the one that was asked for. Pure.

A run is asked for once, and the answer may be lost, or whoever asked may be killed before it is recorded. It is then
found among the runs of the capsule: by the name that it was given, or, if it came to no name, by what it runs on.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Sequence

from npc_lims.clients.codeocean_models import Computation, Place, RunRequest
from npc_lims.errors import NoSessionData
from npc_lims.model.record import Asset, Record
from npc_lims.processing.asset_names import input_of, parameters_of
from npc_lims.processing.pipelines import Process
from npc_lims.processing.runs import Run
from npc_lims.sources.codeocean.outcomes import is_finished
from npc_lims.utils.timestamps import utc_time

__all__ = ["elder_first", "find_started", "place_of", "recorded_elsewhere", "request_of"]

CLOCKS_DIFFER = datetime.timedelta(minutes=10)
"""As much may lie between our clock and Code Ocean's."""

OURS = "npc_lims "
"""How the names of our runs begin (`Run.name`)."""


def place_of(process: Process) -> Place:
    """The capsule or pipeline of a process."""
    if process.capsule is not None:
        return Place("capsule", process.capsule)
    return Place("pipeline", process.pipeline or "")


def request_of(process: Process, run: Run, record: Record | None) -> RunRequest | None:
    """What to ask for; None if the session has not, or no more, the input that the claim is about."""
    asset = None if record is None else input_of(process, record)
    if record is None or not isinstance(asset, Asset) or asset.id != run.input:
        return None
    try:
        parameters = parameters_of(process, record, asset)
    except NoSessionData:
        return None  # the raw asset that a parameter names is gone
    inputs = [] if _is_told_its_input(process) else [(asset.id, process.mount)]
    attached = [(one.asset, one.mount) for one in process.attach]
    return RunRequest(place_of(process), (*inputs, *attached), parameters)


def _is_told_its_input(process: Process) -> bool:
    """It dispatches: it is given the id of its input, and fetches what it needs by itself."""
    told = any("{input.id}" in value or "{raw.id}" in value for value in process.parameters.values())
    return told and process.asset is None and process.mount is None


def recorded_elsewhere(runs: Iterable[Run], run: Run) -> frozenset[str]:
    """Computations that are recorded for other runs than *run*."""
    return frozenset(one.computation for one in runs if one.computation is not None and one.key != run.key)


def find_started(
    process: Process,
    run: Run,
    asked: RunRequest | None,
    computations: Sequence[Computation],
    *,
    taken: Collection[str],
    since: datetime.datetime | None = None,
) -> Computation | None:
    """The run that *run* stands for, if it was started, by whomever.

    Args:
        process: Whose runs these are.
        run: A claim.
        asked: What was, or would be, asked for; None if that cannot be told any more.
        computations: All runs of the capsule or pipeline.
        taken: Ids of those that stand for other claims.
        since: When it may have been asked for at the earliest; when it was claimed, if not given.
    """
    free = [one for one in computations if one.id not in taken]
    named = [one for one in free if _is_named_for(one, process, run)]
    if named:
        return _best(named)
    if asked is None:
        return None
    earliest = min(since or utc_time(run.claimed), utc_time(run.claimed)) - CLOCKS_DIFFER
    return _best([one for one in free if one.answers(asked) and _may_be_it(one, earliest)])


def elder_first(computations: Iterable[Computation]) -> list[Computation]:
    """In an order that everybody who looks at them agrees on."""
    return sorted(computations, key=lambda one: (one.created, one.id))


def _is_named_for(computation: Computation, process: Process, run: Run) -> bool:
    """By any claim: one that was given up may have been started nevertheless."""
    any_claim = run.name(process.name)[: -len(run.claim)]
    return computation.name.startswith(any_claim)


def _may_be_it(computation: Computation, earliest: datetime.datetime) -> bool:
    """One that is going is as good as another; of those that are over, one that nobody has given a name of ours."""
    if not is_finished(computation):
        return True
    return computation.began >= earliest and not computation.name.startswith(OURS)


def _best(computations: Sequence[Computation]) -> Computation | None:
    """The eldest that is going; else the one that was the last to begin."""
    ordered = elder_first(computations)
    going = [one for one in ordered if not is_finished(one)]
    return going[0] if going else ordered[-1] if ordered else None

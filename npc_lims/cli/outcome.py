"""The outcome of a run of the sources, as a file for `npc-lims alert` and for jobs that follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from npc_lims.model.record import SECTIONS
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.errors import SourceError
    from npc_lims.sync.observation_file import Observed

__all__ = ["OUTCOME_HELP", "gaps_of", "write_outcome"]

OUTCOME_HELP = "Write which sources answered and which failed to this file, as JSON, for npc-lims alert."
_MAX_REASON = 700


def write_outcome(path: Optional[Path], observed: Sequence[Observed], failures: Sequence[SourceError]) -> None:
    """Write the outcome as one line of JSON: `answered`, `failed` with reasons, and whether it is `complete`.

    It is complete if every source was queried about every session, as scheduled runs do, whatever came of it.

    Args:
        path: Nothing is written if None.
        failures: Sources that could not be queried.
    """
    if path is None:
        return
    failed = {one.source: one.reason for one in failures}
    queried = dict.fromkeys(one.source for each in observed for one in each.observations)
    outcome = {
        "answered": [source for source in queried if source not in failed],
        "failed": [
            {"source": single_line(source, 80), "reason": single_line(reason, _MAX_REASON)}
            for source, reason in failed.items()
        ],
        "complete": any(
            each.scope.is_full and {one.source for one in each.observations} == set(SECTIONS) for each in observed
        ),
    }
    path.write_text(json.dumps(outcome), encoding="utf-8")


def gaps_of(observed: Sequence[Observed]) -> list[SourceError]:
    """Return what makes *observed* none, or not all, of the observations of a run although no source failed."""
    from npc_lims.errors import SourceError

    gaps = []
    if not any(each.observations for each in observed):
        gaps.append(SourceError("sources", "no source was queried: see the log of npc-lims observe"))
    missing = {
        f"{number}/{each.scope.of}"
        for each in observed
        if each.scope.shards is not None
        for number in range(1, each.scope.of + 1)
        if number not in each.scope.shards
    }
    if missing:
        reason = (
            f"no observations of {', '.join(sorted(missing))}: the sessions of these shards were not queried; "
            "see their jobs, and the variable NPC_LIMS_SHARDS"
        )
        gaps.append(SourceError("shards", reason))
    return gaps

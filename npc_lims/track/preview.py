"""Effect of an edit of tracked_sessions.yaml on state, before any source is queried. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from npc_lims.errors import SyncRefused
from npc_lims.model.observation import Found, Observation
from npc_lims.model.reconcile import check_breaker
from npc_lims.model.record import Record, Tracked
from npc_lims.model.recording_days import reconcile_days
from npc_lims.state.diff import SessionChange, changes_between
from npc_lims.state.diff_format import Chapter, Group


@dataclasses.dataclass(frozen=True)
class Preview:
    """Effects of the edit on the next sync.

    Attributes:
        base: Name of the version that the file is compared with.
        appear: Sessions that state will have and has not.
        change: Sessions that stay tracked, with other facts.
        go: Sessions that leave state: no training workbook has them, or their row is no session on a day on which an
            ephys session is tracked now.
        stay: Sessions that cease to be tracked and stay, since a training workbook has them.
        may_go: Sessions that cease to be tracked, of which nobody knows yet whether a workbook has them.
        refused: Why the breaker would stop the sync; None if it would not.
    """

    base: str
    appear: Sequence[SessionChange]
    change: Sequence[SessionChange]
    go: Sequence[SessionChange]
    stay: Sequence[SessionChange]
    may_go: Sequence[SessionChange]
    refused: str | None

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        lists = {name: getattr(self, name) for name in _TITLES}
        return {
            "base": self.base,
            "refused": self.refused,
            **{name: [change.as_dict() for change in changes] for name, changes in lists.items()},
        }

    def chapter(self) -> Chapter:
        found = {title: getattr(self, name) for name, title in _TITLES.items() if getattr(self, name)}
        groups = tuple(Group(f"{len(changes):,} {title}", changes) for title, changes in found.items())
        summary = "; ".join(group.title for group in groups) or "no session changes"
        notes = [f"The breaker would stop the next sync: {self.refused}"] if self.refused else []
        return Chapter(f"effect on state of tracked_sessions.yaml, compared with {self.base}", summary, notes, groups)


_TITLES = {
    "appear": "will appear",
    "change": "will change",
    "go": "will go",
    "may_go": "will go, unless a training workbook has them (never looked up)",
    "stay": "will no longer be tracked, and stay: a training workbook has them",
}


def preview(state: Mapping[str, Record], base: Mapping[str, Tracked], now: Mapping[str, Tracked], name: str) -> Preview:
    """Return the effect of the edit alone: as if *base* were already applied to *state*.

    Args:
        state: What is recorded.
        base: Sessions of the file before the edit.
        now: Sessions of the file after it.
        name: Of *base*, for messages.
    """
    before = _reconciled(state, base)
    after = _reconciled(before, now)
    changes = changes_between(before, after)
    untracked = [change for change in changes if change.id in base and change.id not in now]
    left = [change for change in untracked if change.id in after]
    return Preview(
        base=name,
        appear=[change for change in changes if change.id not in before],
        change=[change for change in changes if change.id in before and change.id in now],
        go=[change for change in changes if change.id not in after],
        stay=[change for change in left if after[change.id].training],
        may_go=[change for change in left if not after[change.id].training],
        refused=_refusal(before, after),
    )


def _reconciled(records: Mapping[str, Record], tracked: Mapping[str, Tracked]) -> dict[str, Record]:
    """Reconcile as a sync in which the training workbooks have not changed."""
    known_to_lack: dict[str, Found] = {
        session_id: False for session_id, record in records.items() if record.training is False
    }
    observed = (
        Observation("tracked", facts=tracked, complete=True),
        Observation("training", facts=known_to_lack),
    )
    return reconcile_days(records, observed)


def _refusal(before: Mapping[str, Record], after: Mapping[str, Record]) -> str | None:
    try:
        check_breaker(before, after)
    except SyncRefused as error:
        return str(error)
    return None

"""Warnings that point at the caller's line, however deep in this package they arise."""

from __future__ import annotations

import sys
import warnings

from npc_lims.errors import FutureTimestampWarning, NpcLimsWarning
from npc_lims.utils.redaction import safe_text

__all__ = ["notify", "warn_future_timestamp"]


def notify(message: str, category: type[NpcLimsWarning]) -> None:
    """Warn as if from the line that called into this package: there a filter finds it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "npc_lims":
        level, frame = level + 1, frame.f_back
    warnings.warn(safe_text(message), category, stacklevel=level)


def warn_future_timestamp(where: str, timestamp: str) -> None:
    """Warn that *timestamp* is ignored.

    Args:
        where: The file and key, commit or ref that has it.
        timestamp: As it is to be shown.
    """
    notify(
        f"{where}: {timestamp} is more than ten minutes in the future and is ignored; correct the clock of the machine "
        "that wrote it, or of this one",
        FutureTimestampWarning,
    )

"""Which state folder and which tracked file a command means when it is not told."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from npc_lims.settings import Settings, load_settings
from npc_lims.sources import TRACKED_FILE

__all__ = ["checkout", "reading_settings"]


def checkout(start: Optional[Path] = None) -> Path:
    """The nearest folder at or above *start* that has a `state/` or a tracked file, else *start* itself."""
    start = Path.cwd() if start is None else start
    for folder in (start, *start.parents):
        if (folder / TRACKED_FILE).is_file() or (folder / "state").is_dir():
            return folder
        if (folder / ".git").exists():
            break
    return start


def reading_settings(state: Optional[Path]) -> Settings:
    """Settings for a command that reads state: `--state`, else NPC_LIMS_STATE, else the checkout one stands in."""
    settings = load_settings()
    if state is None and settings.state is None and (checkout() / "state").is_dir():
        state = checkout() / "state"
    return settings if state is None else settings.model_copy(update={"state": state})

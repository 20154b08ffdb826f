"""Which state folder and which tracked file a command means when it is not told."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

from npc_lims.config.environment import TRACKED_FILE

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["checkout", "reading_settings", "state_folder"]


def checkout(start: Optional[Path] = None) -> Path:
    """The nearest folder at or above *start* that has a `state/` or a tracked file, else *start* itself."""
    start = Path.cwd() if start is None else start
    for folder in (start, *start.parents):
        if (folder / TRACKED_FILE).is_file() or (folder / "state").is_dir():
            return folder
        if (folder / ".git").exists():
            break
    return start


def state_folder(settings: Settings, state: Optional[Path]) -> Optional[Path]:
    """The folder to read state from: `--state`, else NPC_LIMS_STATE, else that of the checkout one stands in."""
    if state is not None or settings.state is not None:
        return state or settings.state
    here = checkout() / "state"
    return here if here.is_dir() else None


def reading_settings(state: Optional[Path]) -> Settings:
    """Settings for a command that reads state, from the folder that is meant or, without one, from GitHub."""
    from npc_lims.config.settings import load_settings  # not for completion, which has no time for it

    settings = load_settings()
    return settings.model_copy(update={"state": state_folder(settings, state)})

"""Where this package keeps what it can fetch again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from npc_lims.settings import Settings

__all__ = ["cache_dir"]


def cache_dir(settings: Settings) -> Path:
    """`NPC_LIMS_CACHE_DIR`, else the user's cache folder on this platform. It may not exist yet."""
    if settings.cache_dir is not None:
        return settings.cache_dir
    import platformdirs

    return Path(platformdirs.user_cache_dir("npc_lims", appauthor=False))

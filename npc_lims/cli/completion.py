"""Shell completion of sessions, subjects, projects, flags and columns.

It must be fast: only local data is read (the state folder, or the cached snapshot), without slow checks, and an error
completes nothing: the command itself reports it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Optional

import typer

from npc_lims.model.flags import FLAGS
from npc_lims.model.rows import COLUMNS

# a longer list is no help, and slow to lay out
_MOST = 500
_PROJECT = re.compile(rb'"project":"([^"\\]+)"')


def complete_session(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete ids of sessions, the newest first."""
    return _beginning(incomplete, _ids(ctx))


def complete_subject(ctx: typer.Context, incomplete: str) -> list[str]:
    return _beginning(incomplete, (session_id.partition("_")[0] for session_id in _ids(ctx)))


def complete_project(ctx: typer.Context, incomplete: str) -> list[str]:
    # parsing ten thousand lines would take too long
    found = {match.decode(errors="replace") for line in _lines(ctx) for match in _PROJECT.findall(line)}
    return _beginning(incomplete, sorted(found))


def complete_flag(incomplete: str) -> list[str]:
    """Complete flags with or without `is_`."""
    return _beginning(incomplete, [*(name.replace("is_", "", 1) for name in FLAGS), *FLAGS])


def complete_column(incomplete: str) -> list[str]:
    return _beginning(incomplete, COLUMNS)


def complete_columns(incomplete: str) -> list[str]:
    """Complete the column after the last comma."""
    before, comma, last = incomplete.rpartition(",")
    left = [name for name in COLUMNS if name not in before.split(",")]
    return [f"{before}{comma}{name}" for name in _beginning(last, left)]


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)][:_MOST]


def _ids(ctx: typer.Context) -> list[str]:
    from npc_lims.state.snapshot import line_id

    return [line_id(line) for line in _lines(ctx)]


def _lines(ctx: typer.Context) -> list[bytes]:
    try:
        return _lines_at_hand(ctx.params.get("state"))
    except Exception:
        return []  # nothing can be printed during completion


def _lines_at_hand(state: Optional[Any]) -> list[bytes]:
    from npc_lims.cli.options import find_state_folder
    from npc_lims.config.disk_cache import load_entry
    from npc_lims.config.lazy_settings import settings_for_reading
    from npc_lims.state.remote import cached_snapshot_path
    from npc_lims.state.snapshot import SNAPSHOT, checked_lines

    settings = settings_for_reading()
    folder = find_state_folder(settings, None if state is None else Path(state))
    if folder is not None:
        return checked_lines((folder / SNAPSHOT).read_bytes())
    cached = load_entry(cached_snapshot_path(settings))
    return [] if cached is None else checked_lines(cached.content)

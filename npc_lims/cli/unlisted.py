"""`npc-lims sessions --unlisted`: recordings in Code Ocean that belong to no session."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Optional

from rich.console import Console
from rich.text import Text

from npc_lims.cli.options import SelectionOptions
from npc_lims.cli.output import OutputStyle, out, show_text
from npc_lims.config.settings import Settings
from npc_lims.errors import SelectionError
from npc_lims.sessions.unlisted import COLUMNS, FILTERS, UnlistedRecording, unlisted_recordings
from npc_lims.utils.text import counted

_CHECK = "Paths and projects are guesses, by other sessions of the subject or platform: check them before you add one."
_REPLACE = "FOLDER and PROJECT stand for what nothing suggests: replace them."


def list_unlisted(
    settings: Settings,
    selection: SelectionOptions,
    at: Optional[str],
    limit: Optional[int],
    style: OutputStyle,
    *,
    pager: bool,
) -> None:
    """Print unlisted recordings, each with the command that adds its session."""
    given = (field.name.rstrip("_") for field in dataclasses.fields(selection) if getattr(selection, field.name))
    others = [f"--{name}" for name in given if name not in (*FILTERS, "ephys")]
    if others:
        raise SelectionError(f"{', '.join(others)}: not known of a recording without a session; leave it out")
    found = unlisted_recordings(settings, selection.filters(), at)[:limit]
    if not style.print_rows(COLUMNS, map(dataclasses.asdict, found)):
        show_text(_render(found, out()), pager=pager)


def _render(recordings: Sequence[UnlistedRecording], console: Console) -> str:
    known = [one for one in recordings if one.is_known_subject]
    others = [one for one in recordings if not one.is_known_subject]
    with console.capture() as captured:
        for group, heading in ((known, ""), (others, "Of subjects without a session, perhaps of other projects:")):
            if group and heading:
                console.print(Text(f"\n{heading}" if known else heading, "bold"))
            for one in group:
                console.print(Text.assemble((one.session, "bold"), f"  {one.platform}, created {one.created}"))
                console.print(Text(f"  {one.asset_name}  {one.asset_id}"), soft_wrap=True)
                command = (one.track_command, "cyan") if one.track_command else "further recording of the day"
                console.print(Text.assemble("  ", command), soft_wrap=True)
        if recordings:
            console.print(Text(f"\n{_CHECK}", "dim"))
        if any("/FOLDER/" in one.track_command for one in recordings):
            console.print(Text(_REPLACE, "dim"))
        total = counted(len(recordings), "recording")
        note = f"{total} in Code Ocean without a session" if recordings else "every recording has a session"
        console.print(Text(note, "dim"))
    return captured.get()

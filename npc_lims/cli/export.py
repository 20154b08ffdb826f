"""`npc-lims export`: everything as tables for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli.options import reading_settings
from npc_lims.cli.output import out, print_note
from npc_lims.cli.progress import progress_bar
from npc_lims.errors import NpcLimsError
from npc_lims.history.export.build import Format, default_place, export_history

__all__ = ["export_command"]


def export_command(
    place: Optional[Path] = typer.Argument(
        None, metavar="OUT", help="The database; of other formats a folder. Default: npc-lims.sqlite, npc-lims-csv ..."
    ),
    format: Format = typer.Option(
        Format.sqlite, help="sqlite is one file; the others are a folder with a file for each table."
    ),
    state: Optional[Path] = typer.Option(None, help="State folder in a checkout. Default: that of this checkout."),
) -> None:
    """Write all sessions and their history as tables.

    The tables are sessions (a column for each status), transitions, fields (each value that differed), assets, commits,
    edits and about. SQLite opens in Datasette. Parquet needs pyarrow: pip install "npc_lims[parquet]".

    Reads the commits of the checkout that holds state/. Writes OUT alone; an earlier export there is replaced at
    once, when all is written, and nothing else ever is. Needs no credentials.

    \b
    Examples:
      npc-lims export
      npc-lims export sessions.sqlite
      npc-lims export tables --format csv
    """
    from npc_lims.history.session_history import UNSHALLOW, repository_of, shallow_since

    settings = reading_settings(state)
    if settings.state is None:
        raise NpcLimsError(
            "an export is made of commits, and here is no state folder: work in a clone of the repository "
            f"(git clone https://github.com/{settings.repo}), or name its state folder with --state"
        )
    repository = repository_of(settings.state)
    folder = repository.path_of(settings.state)
    target = default_place(format) if place is None else place
    with progress_bar() as progress:
        done = export_history(
            repository, target, format, folder=folder, progress=lambda *counts: progress("reading commits", *counts)
        )
    counts = ", ".join(f"{count:,} {table}" for table, count in done.counts.items() if table != "about")
    out().print(f"{done.place}: {counts}", soft_wrap=True)
    begins = shallow_since(repository)
    if begins is not None:
        print_note(f"this is a shallow clone, whose history begins {begins}: {UNSHALLOW}")

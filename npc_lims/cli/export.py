"""`npc-lims export`: everything as tables for other programs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.console import err, note, out
from npc_lims.cli.places import reading_settings
from npc_lims.errors import NpcLimsError
from npc_lims.history.export.build import Format, default_place, export_history

if TYPE_CHECKING:
    from npc_lims.history.walk import Progress

__all__ = ["export_command"]

_SECONDS_BETWEEN_LINES = 5.0


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
    with _progress() as progress:
        done = export_history(
            repository, default_place(format) if place is None else place, format, folder=folder, progress=progress
        )
    counts = ", ".join(f"{count:,} {table}" for table, count in done.counts.items() if table != "about")
    out().print(f"{done.place}: {counts}", soft_wrap=True)
    begins = shallow_since(repository)
    if begins is not None:
        note(f"this is a shallow clone, whose history begins {begins}: {UNSHALLOW}")


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line now and then, which is nothing where it is soon done."""
    console = err()
    if not console.is_terminal:
        yield _lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("reading commits"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines() -> Progress:
    console = err()
    last = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            console.print(f"export: {done:,} of {total:,} commits")

    return tell

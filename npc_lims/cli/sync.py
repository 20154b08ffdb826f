"""`npc-lims sync`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.errors import report_failed_sources
from npc_lims.cli.options import (
    CHANGED_HELP,
    ONLY_HELP,
    SESSIONS_HELP,
    checkout,
    session_ids_of,
    sources_of,
    tracked_beside,
)
from npc_lims.cli.output import csv_option, err, json_option, one_style, out, print_csv, print_json, print_warning
from npc_lims.cli.progress import reporter
from npc_lims.config.settings import load_settings
from npc_lims.errors import GitError, NpcLimsError
from npc_lims.sync.observation_file import Observed
from npc_lims.sync.pending import Waiting, hold, replace_older
from npc_lims.sync.run import SyncOptions, SyncResult, sync

__all__ = ["sync_command"]

_MOST_LISTED = 30
_COLUMNS = ("id", "what", "details")


def sync_command(
    state: Optional[Path] = typer.Option(None, help="State folder. Default: state/ of this checkout."),
    tracked: Optional[Path] = typer.Option(
        None, exists=True, help="Default: tracked_sessions.yaml beside the state folder."
    ),
    only: Optional[list[str]] = typer.Option(None, help=ONLY_HELP),
    sessions: Optional[list[str]] = typer.Option(None, help=SESSIONS_HELP),
    changed: bool = typer.Option(False, "--changed", help=CHANGED_HELP),
    full: bool = typer.Option(False, "--full", help="Read again also what has not changed."),
    mirror: Optional[Path] = typer.Option(None, help="Read DIR/s3/<bucket>/<key> and DIR/codeocean, not the cloud."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would change; write nothing."),
    allow_removals: bool = typer.Option(False, "--allow-removals", help="Go on where the breaker would refuse."),
    as_json: bool = json_option("an object with what changed, failed and was written"),
    as_csv: bool = csv_option(_COLUMNS),
) -> None:
    """Ask the sources, and write what changed to the state folder.

    Reads tracked_sessions.yaml, the training workbooks, Code Ocean and S3. Writes files of the state folder whose facts
    changed, and keeps what was seen for `npc-lims publish`. Needs AWS keys and CODE_OCEAN_API_TOKEN, unless --only or
    --mirror leaves out what needs them.

    Exits with 0 if complete; 2 on bad input; 3 if a source failed, such as a tracked file with errors
    (the rest is written); 4 if it would
    remove or blank more than 10 sessions and 5 % of them.

    \b
    Examples:
      npc-lims sync
      npc-lims sync --only tracked,training --dry-run
      npc-lims sync --sessions 626791_2022-08-15 --json
    """
    one_style(json=as_json, csv=as_csv)
    settings = load_settings()
    if mirror is not None:
        settings = settings.model_copy(update={"mirror": mirror})
    folder = state or settings.state or checkout() / "state"
    options = SyncOptions(
        state=folder,
        tracked=tracked or tracked_beside(folder),
        sources=sources_of(only),
        sessions=session_ids_of(sessions),
        changed=changed,
        full=full,
        dry_run=dry_run,
        allow_removals=allow_removals,
    )
    pending: list[Waiting] = []
    try:
        with reporter(err()) as report:
            # before a file is written: also what a sync saw that is killed can be published
            result = sync(settings, options, report, lambda observed: pending.extend(_hold(folder, observed, dry_run)))
    except NpcLimsError:
        _forget(pending)
        raise
    if not result.written:
        _forget(pending)
    for waiting in pending:
        replace_older(waiting)
    if as_json:
        print_json(_as_json(result, options))
    elif as_csv:
        print_csv(_COLUMNS, (change.as_dict() for change in result.changes))
    else:
        _print(result, options)
    report_failed_sources(result.observations)
    if result.failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _hold(folder: Path, observed: Observed, dry_run: bool) -> list[Waiting]:
    try:
        return [] if dry_run else [hold(folder, observed)]
    except GitError as error:
        # where there is no git nobody means to publish
        if any((parent / ".git").exists() for parent in folder.absolute().parents):
            print_warning(f"what this sync saw cannot be kept for npc-lims publish: {error}")
        return []


def _forget(pending: list[Waiting]) -> None:
    while pending:
        pending.pop().path.unlink(missing_ok=True)


def _as_json(result: SyncResult, options: SyncOptions) -> dict[str, object]:
    from npc_lims.state.diff import headline

    changes = result.changes
    return {
        "headline": headline(changes),
        "dry_run": options.dry_run,
        "sessions": len(result.after),
        "changes": [{"id": c.id, "what": list(c.what), "details": list(c.details)} for c in changes],
        "failures": {failure.source: failure.reason for failure in result.failures},
        "written": [path.as_posix() for path in result.written],
    }


def _print(result: SyncResult, options: SyncOptions) -> None:
    from rich.table import Table

    from npc_lims.state.diff import headline

    console = out()
    for observation in result.observations:
        kinds = Counter(problem.severity for problem in observation.problems)
        if kinds:
            counted = ", ".join(f"{count} {kind}{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items()))
            hint = "; see npc-lims validate" if observation.source == "tracked" else ""
            console.print(f"{observation.source}: {counted} in its files{hint}")
            if observation.source != "tracked":
                for problem in observation.problems[:_MOST_LISTED]:
                    console.print(f"  {problem}")
    changes = result.changes
    verb = "would change" if options.dry_run else "changed"
    console.print(f"{len(result.after)} sessions; {headline(changes)}" + (" (dry run)" if options.dry_run else ""))
    if changes:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("session", no_wrap=True)
        table.add_column(f"what {verb}")
        for change in changes[:_MOST_LISTED]:
            table.add_row(change.id, "; ".join([", ".join(change.what), *change.details]))
        console.print(table)
        if len(changes) > _MOST_LISTED:
            console.print(f"... and {len(changes) - _MOST_LISTED} more (--json lists them all)")

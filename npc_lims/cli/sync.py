"""`npc-lims sync`, and `npc-lims observe`: its half that needs credentials, for a job that may not write."""

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
from npc_lims.cli.output import (
    csv_option,
    err,
    json_option,
    one_style,
    out,
    print_csv,
    print_json,
    print_warning,
    reporter,
)
from npc_lims.cli.publish import OUTCOME_HELP, write_outcome
from npc_lims.config.settings import load_settings
from npc_lims.errors import GitError, NpcLimsError
from npc_lims.model.observation import parse_shard
from npc_lims.sync.observation_file import (
    ObservationSet,
    Pending,
    file_name,
    remove_superseded,
    save_pending,
    write_observations,
)
from npc_lims.sync.run import SyncOptions, SyncResult, observe, sync

_MOST_LISTED = 30
_COLUMNS = ("id", "what", "details")
_TRACKED = typer.Option(None, exists=True, help="Default: tracked_sessions.yaml beside the state folder.")
_ONLY = typer.Option(None, help=ONLY_HELP)
_SESSIONS = typer.Option(None, help=SESSIONS_HELP)
_CHANGED = typer.Option(False, "--changed", help=CHANGED_HELP)
_FULL = typer.Option(False, "--full", help="Also read unchanged input again.")
_ALLOW_REMOVALS = typer.Option(False, "--allow-removals", help="Permit removals that the breaker would refuse.")


def sync_command(
    state: Optional[Path] = typer.Option(None, help="State folder. Default: state/ of this checkout."),
    tracked: Optional[Path] = _TRACKED,
    only: Optional[list[str]] = _ONLY,
    sessions: Optional[list[str]] = _SESSIONS,
    changed: bool = _CHANGED,
    full: bool = _FULL,
    mirror: Optional[Path] = typer.Option(None, help="Read DIR/s3/<bucket>/<key> and DIR/codeocean, not the cloud."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would change; write nothing."),
    allow_removals: bool = _ALLOW_REMOVALS,
    as_json: bool = json_option("an object with what changed, failed and was written"),
    as_csv: bool = csv_option(_COLUMNS),
) -> None:
    """Query the sources, and write what changed to the state folder.

    Reads tracked_sessions.yaml, the training workbooks, Code Ocean and S3. Writes files of the state folder whose facts
    changed, and saves the observations for `npc-lims publish`. Needs AWS keys and CODE_OCEAN_API_TOKEN, unless --only
    or --mirror leaves out what needs them.

    Exits with 0 if complete; 2 on bad input; 3 if a source failed, such as a tracked file with errors
    (the rest is written); 4 if it would remove or blank more than 10 sessions and 5 % of them.

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
    pending: list[Pending] = []
    try:
        with reporter(err()) as report:
            # before a file is written: the observations of a sync that is killed can be published, too
            result = sync(settings, options, report, lambda one: pending.extend(_save_pending(folder, one, dry_run)))
    except NpcLimsError:
        _remove(pending)
        raise
    if not result.written:
        _remove(pending)
    for one in pending:
        remove_superseded(one)
    if as_json:
        print_json(_as_json(result, options))
    elif as_csv:
        print_csv(_COLUMNS, (change.as_dict() for change in result.changes))
    else:
        _print(result, options)
    report_failed_sources(result.observations)
    if result.failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def observe_command(
    into: Path = typer.Option(..., "--out", help="Folder for the file of observations; made if need be."),
    state: Optional[Path] = typer.Option(
        None, help="State folder, which is only read. Default: that of this checkout."
    ),
    tracked: Optional[Path] = _TRACKED,
    only: Optional[list[str]] = _ONLY,
    sessions: Optional[list[str]] = _SESSIONS,
    changed: bool = _CHANGED,
    shard: str = typer.Option("1/1", help="NUMBER/COUNT: only that share of the subjects, for several runners."),
    skip_unknown: bool = typer.Option(
        False, "--skip-unknown", help="Leave out unknown sessions of --sessions, rather than refuse."
    ),
    full: bool = _FULL,
    allow_removals: bool = _ALLOW_REMOVALS,
    outcome: Optional[Path] = typer.Option(None, help=OUTCOME_HELP),
) -> None:
    """Query the sources, and write the observations to a file.

    It is the half of a sync that needs credentials, for a job that may not push; `npc-lims publish --observed` is the
    other half.

    Reads tracked_sessions.yaml, the state folder, the training workbooks, Code Ocean and S3. Writes one file into the
    folder --out. Needs AWS keys and CODE_OCEAN_API_TOKEN, unless --only leaves out what needs them.

    Exits with 0 if complete; 2 on bad input; 3 if a source failed, such as a tracked file
    with errors (the observations of the others are written); 4 if the breaker refuses.

    \b
    Examples:
      npc-lims observe --out observed
      npc-lims observe --out observed --shard 1/4
    """
    settings = load_settings()
    folder = state or settings.state or checkout() / "state"
    number, of = parse_shard(shard)
    options = SyncOptions(
        state=folder,
        tracked=tracked or tracked_beside(folder),
        sources=sources_of(only),
        sessions=session_ids_of(sessions),
        changed=changed,
        shard=None if of == 1 else (number, of),
        skip_unknown=skip_unknown,
        full=full,
        allow_removals=allow_removals,
    )
    with reporter(err()) as report:
        observed = observe(settings, options, report)
    path = into / file_name(observed.scope)
    write_observations(path, observed)
    write_outcome(outcome, [observed], observed.failures)
    sources = ", ".join(one.source for one in observed.observations if one.failure is None)
    out().print(f"{path}: observations of {sources or 'no source'}")
    report_failed_sources(observed.observations)
    if observed.failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _save_pending(folder: Path, observed: ObservationSet, dry_run: bool) -> list[Pending]:
    try:
        return [] if dry_run else [save_pending(folder, observed)]
    except GitError as error:
        # nothing is published from a folder outside of git
        if any((parent / ".git").exists() for parent in folder.absolute().parents):
            print_warning(f"the observations of this sync cannot be kept for npc-lims publish: {error}")
        return []


def _remove(pending: list[Pending]) -> None:
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

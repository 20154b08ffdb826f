"""`npc-lims observe`: the half of a sync that needs credentials, for a job that may not write."""

from __future__ import annotations

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
from npc_lims.cli.outcome import OUTCOME_HELP, write_outcome
from npc_lims.cli.output import err, out

__all__ = ["observe_command"]


def observe_command(
    into: Path = typer.Option(..., "--out", help="Folder for the file of what was seen; made if need be."),
    state: Optional[Path] = typer.Option(
        None, help="State folder, which is only read. Default: that of this checkout."
    ),
    tracked: Optional[Path] = typer.Option(
        None, exists=True, help="Default: tracked_sessions.yaml beside the state folder."
    ),
    only: Optional[list[str]] = typer.Option(None, help=ONLY_HELP),
    sessions: Optional[list[str]] = typer.Option(None, help=SESSIONS_HELP),
    changed: bool = typer.Option(False, "--changed", help=CHANGED_HELP),
    shard: str = typer.Option("1/1", help="NUMBER/COUNT: only that share of the subjects, for several runners."),
    skip_unknown: bool = typer.Option(
        False, "--skip-unknown", help="Leave out those of --sessions that nobody knows yet, rather than refuse."
    ),
    full: bool = typer.Option(False, "--full", help="Read again also what has not changed."),
    allow_removals: bool = typer.Option(False, "--allow-removals", help="Go on where the breaker would refuse."),
    outcome: Optional[Path] = typer.Option(None, help=OUTCOME_HELP),
) -> None:
    """Ask the sources, and write what they say to a file.

    It is the half of a sync that needs credentials, for a job that may not push; `npc-lims publish --observed` is the
    other half.

    Reads tracked_sessions.yaml, the state folder, the training workbooks, Code Ocean and S3. Writes one file into the
    folder --out. Needs AWS keys and CODE_OCEAN_API_TOKEN, unless --only leaves out what needs them.

    Exits with 0 if complete; 2 on bad input; 3 if a source failed, such as a tracked file
    with errors (what the others say is written); 4 if the breaker
    refuses.

    \b
    Examples:
      npc-lims observe --out observed
      npc-lims observe --out observed --shard 1/4
    """
    from npc_lims.cli.progress import reporter
    from npc_lims.config.settings import load_settings
    from npc_lims.model.observation import parse_shard
    from npc_lims.sync.observation_file import file_name, write_observed
    from npc_lims.sync.run import SyncOptions, observe

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
    write_observed(path, observed)
    write_outcome(outcome, [observed], observed.failures)
    sources = ", ".join(one.source for one in observed.observations if one.failure is None)
    out().print(f"{path}: what {sources or 'no source'} said")
    report_failed_sources(observed.observations)
    if observed.failures:
        raise typer.Exit(ExitCode.INCOMPLETE)

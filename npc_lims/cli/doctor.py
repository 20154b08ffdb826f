"""`npc-lims doctor`: check credentials and services."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Callable, NamedTuple, Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.options import reading_settings
from npc_lims.cli.output import OutputStyle, out, style_options
from npc_lims.config.error_boundary import source_failure
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError, SourceError, StateError


class CheckResult(NamedTuple):
    """The result of one check; *detail* says what was found, or what to do."""

    name: str
    ok: bool
    detail: str


def doctor_command(
    state: Optional[Path] = typer.Option(None, help="Check this state folder. Default: as other commands read."),
    mirror: Optional[Path] = typer.Option(None, help="Check this mirror instead of the cloud."),
    style: OutputStyle = style_options("an array of results", CheckResult._fields),
) -> None:
    """Check each credential and service, and say what to do.

    Reads a little of each source, and the state; writes nothing. Needs what is to be checked: AWS keys,
    CODE_OCEAN_API_TOKEN and GITHUB_TOKEN. Missing ones are reported.

    Exits with 0 if everything works; with 1 if anything fails.

    \b
    Examples:
      npc-lims doctor
      npc-lims doctor --json
    """
    settings = reading_settings(state)
    if mirror is not None:
        settings = settings.model_copy(update={"mirror": mirror})
    results = list(_results(settings))
    if style.is_text:
        _print(results)
    else:
        style.print_rows(CheckResult._fields, (result._asdict() for result in results))
    if not all(result.ok for result in results):
        raise typer.Exit(ExitCode.PROBLEMS)


def _results(settings: Settings) -> Iterator[CheckResult]:
    checks: dict[str, Callable[[Settings], str]] = {
        "state": _state,
        "last sync": _last_sync,
        "github token": _github,
        "code ocean": _codeocean,
        "training workbooks": _training,
        "stimulus files": lambda settings: _bucket(settings, settings.stim_root),
        "IBL annotations": lambda settings: _bucket(settings, settings.ibl_root),
        "tissuecyte annotations": lambda settings: _bucket(settings, settings.tissuecyte_root),
        "parquet cache": lambda settings: _bucket(settings, settings.parquet_root),
        "NWB cache": lambda settings: _bucket(settings, settings.nwb_root),
        "sorting results": lambda settings: _bucket(settings, f"s3://{settings.codeocean_bucket}"),
    }
    for name, check in checks.items():
        try:
            yield CheckResult(name, True, check(settings))
        except Exception as error:  # an unexpected one must not hide the results of the other checks
            yield CheckResult(name, False, source_failure(name, error, settings).reason)


def _state(settings: Settings) -> str:
    from npc_lims.state.reader import origin_of_state, read_snapshot, sync_copy

    count = len(read_snapshot(settings, warn_stale=False).lines.all)
    origin = origin_of_state(settings)
    if stale := sync_copy(settings, origin).staleness():
        raise StateError(f"{count} sessions, {origin}; {stale}")
    return f"{count} sessions, {origin}"


def _last_sync(settings: Settings) -> str:
    """Raise SourceError if a source was not read completely by the last sync."""
    from npc_lims.cli.overview import recorded_sync
    from npc_lims.dashboard.totals import source_ages
    from npc_lims.state.reader import origin_of_state

    sync_file = recorded_sync(settings, origin_of_state(settings))
    if not sync_file.sources:
        return "not recorded"
    ages = source_ages(sync_file, datetime.datetime.now(datetime.timezone.utc))
    failed = [f"{age.name} failed since {age.failing_since}: {age.failure}" for age in ages if age.failure is not None]
    if failed:
        raise SourceError("last sync", "; ".join(failed))
    return "every source was read completely"


def _github(settings: Settings) -> str:
    if settings.github_token is None:
        return "GITHUB_TOKEN is not set: reading works without it, with 60 requests an hour"
    from npc_lims.clients.github import GitHubClient

    url = settings.github_api_url
    try:
        limits = GitHubClient.for_reading(settings).fetch("checking GITHUB_TOKEN", "/rate_limit").body
        left = limits["resources"]["core"]["remaining"]
    except (KeyError, TypeError):
        raise GitHubError(f"{url} sent a response without a limit of requests; check GITHUB_API_URL") from None
    return f"{url} accepts it: {left} requests left"


def _codeocean(settings: Settings) -> str:
    from npc_lims.clients.codeocean import open_client

    next(open_client(settings).search(limit=1))
    return f"{settings.mirror or settings.codeocean_domain} is reachable, data assets can be read"


def _training(settings: Settings) -> str:
    from npc_lims.clients.s3 import open_store
    from npc_lims.sources.training.workbooks import check_workbooks

    return f"{', '.join(check_workbooks(settings, lambda: open_store(settings)))} in {settings.training}"


def _bucket(settings: Settings, root: str) -> str:
    from npc_lims.clients.s3 import open_store, split_s3_uri

    bucket, prefix = split_s3_uri(root)
    where = root if settings.mirror is None else f"{root} in the mirror"
    if not open_store(settings).has_any(bucket, f"{prefix}/" if prefix else ""):
        return f"{where} can be read, and is empty"
    return f"{where} can be read"


def _print(results: list[CheckResult]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for result in results:
        mark = Text("ok", "green") if result.ok else Text("failed", "bold red")
        table.add_row(mark, result.name, Text(result.detail))
    out().print(table)

"""`npc-lims validate`, `verify` and `doctor`: checks of edited files, of the state folder, and of services."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.activity import doing
from npc_lims.cli.options import STATE_HERE, checkout, reading_settings
from npc_lims.cli.output import OutputStyle, print_columns, print_note, style_options
from npc_lims.clients.codeocean import open_client
from npc_lims.clients.git import find_repository
from npc_lims.clients.github import GitHubClient, present
from npc_lims.clients.http import is_unreachable
from npc_lims.clients.s3 import open_store, split_s3_uri
from npc_lims.config.error_boundary import source_failure
from npc_lims.config.settings import TRACKED_FILE, Settings
from npc_lims.dashboard.totals import source_ages
from npc_lims.errors import PipelinesError, Problem, SourceError, StateError, TrackedFileError
from npc_lims.processing.pipelines import PIPELINES_FILE, read_pipelines
from npc_lims.processing.runs import RUNS, verify_runs
from npc_lims.sources.tracked.parser import read_tracked
from npc_lims.sources.training.workbooks import check_workbooks
from npc_lims.state.reader import origin_of_state, read_snapshot, recorded_sync, sync_copy
from npc_lims.state.snapshot import SNAPSHOT
from npc_lims.state.store import verify_state
from npc_lims.state.sync_file import verify_sync_file
from npc_lims.state.unlisted import verify_unlisted
from npc_lims.track.compare import decode_tracked, split_known
from npc_lims.utils.atomic_write import TEMPORARY
from npc_lims.utils.mappings import grouped
from npc_lims.utils.text import counted

_MOST_LISTED = 30

_EDITED = "by hand: the next sync undoes it; correct its source, or open an issue 'Report a wrong fact'."
_RUN_EDITED = (
    "by hand: it may be started twice or lost; to run a session again: "
    "npc-lims process run PROCESS --sessions SESSION --again."
)


class ProblemFormat(str, enum.Enum):
    text = "text"
    github = "github"


_COLUMNS = ("file", "line", "column", "severity", "message")
_FORMAT = typer.Option(ProblemFormat.text, help="text, or github for annotations on the lines of a pull request.")
_STYLE = style_options("an array of problems", _COLUMNS)


def validate_command(
    file: Optional[Path] = typer.Argument(None, help="Default: tracked_sessions.yaml of this checkout."),
    format: ProblemFormat = _FORMAT,
    base: Optional[str] = typer.Option(
        None, help="File, commit, branch or tag: existing warnings are only counted, new ones fail."
    ),
    style: OutputStyle = _STYLE,
) -> None:
    """Check tracked_sessions.yaml and pipelines.yaml.

    Each problem is reported as `file:line:col: severity: message`. A pipelines.yaml beside the file is checked too.

    Reads these files, and with --base the version to compare with; writes nothing. Needs no credentials.

    Exits with 0 if there is no error; warnings are listed and accepted. With 1 if there are errors, or with --base
    warnings that are new.

    \b
    Examples:
      npc-lims validate
      npc-lims validate tracked_sessions.yaml --base origin/main
      npc-lims validate --csv
    """
    style.combined(format.value)
    path = _default_file() if file is None else file
    try:
        tracked = read_tracked(path)
        problems, sessions = tracked.problems, f"{counted(len(tracked.sessions), 'session')}, "
    except TrackedFileError as error:
        problems, sessions = error.problems, ""
    new, known = (list(problems), []) if base is None else _compared(path, problems, base)
    known_errors = [
        dataclasses.replace(problem, message=f"{problem.message} (the base has this error too)")
        for problem in known
        if problem.is_error
    ]
    pipelines_problems, pipelines_summary = _check_pipelines(path.parent)
    listed = [*sorted([*new, *known_errors]), *pipelines_problems]
    _print_problems(listed, format, style)
    errors = sum(problem.is_error for problem in problems)
    warnings = sum(not problem.is_error for problem in new)
    summary = f"{counted(errors, 'error')}, {counted(warnings, 'warning' if base is None else 'new warning')}"
    more = "" if base is None else f", {len(known) - len(known_errors)} known"
    typer.echo(f"{path}: {sessions}{summary}{more}", err=True)
    if pipelines_summary:
        typer.echo(pipelines_summary, err=True)
    if errors or pipelines_problems or (base is not None and warnings):
        raise typer.Exit(ExitCode.PROBLEMS)


def verify_command(
    state: Optional[Path] = STATE_HERE,
    since: Optional[str] = typer.Option(
        None, help="Commit, branch or tag: report files that were edited manually since then."
    ),
    format: ProblemFormat = _FORMAT,
    style: OutputStyle = _STYLE,
) -> None:
    """Check that snapshot and session files agree.

    Every file must parse, including those of runs, and session files must agree with their lines of the snapshot. With
    --since, none may have been edited manually.

    Reads the state folder, and with --since its history in git; writes nothing. Needs no credentials.

    Exits with 0 if all is well; with 1 if anything is wrong.

    \b
    Examples:
      npc-lims verify
      npc-lims verify --state state --json
      npc-lims verify --since origin/main --format github
    """
    style.combined(format.value)
    folder = checkout() / "state" if state is None else state
    edited = [] if since is None else _hand_edits(folder, since)
    wrong = [*verify_state(folder), *verify_sync_file(folder), *verify_unlisted(folder), *verify_runs(folder)]
    problems = [Problem(str(folder), 1, 1, "error", text) for text in wrong]
    if style.is_text:
        _print_problems(edited[:_MOST_LISTED], format, style)
        if len(edited) > _MOST_LISTED:
            typer.echo(f"... and {len(edited) - _MOST_LISTED:,} more files edited by hand (--json lists them all)")
        for problem in problems:
            typer.echo(problem.as_github_annotation() if format is ProblemFormat.github else problem.message)
    else:
        _print_problems([*edited, *problems], format, style)
    if edited or problems:
        typer.echo(f"{folder}: {counted(len(edited) + len(problems), 'problem')}", err=True)
        raise typer.Exit(ExitCode.PROBLEMS)
    count = (folder / SNAPSHOT).read_bytes().count(b"\n")
    typer.echo(f"{folder}: {counted(count, 'session')}, all files and the snapshot agree", err=not style.is_text)


def _print_problems(problems: Sequence[Problem], format: ProblemFormat, style: OutputStyle) -> None:
    if style.print_rows(_COLUMNS, map(dataclasses.asdict, problems)):
        return
    for problem in problems:
        typer.echo(problem.as_github_annotation() if format is ProblemFormat.github else str(problem))


def _check_pipelines(folder: Path) -> tuple[Sequence[Problem], str]:
    """Return the problems of the pipelines.yaml of *folder*, and a summary line; nothing if there is none."""
    path = folder / PIPELINES_FILE
    if not path.exists():
        return (), ""
    try:
        count = len(read_pipelines(path))
    except PipelinesError as error:
        return error.problems, f"{path}: {counted(len(error.problems), 'error')}"
    return (), f"{path}: {count:,} process{'' if count == 1 else 'es'}, 0 errors"


def _default_file() -> Path:
    """Return the tracked file of this checkout; in its root by name alone, which is how GitHub names it."""
    home = checkout()
    return Path(TRACKED_FILE) if home == Path.cwd() else home / TRACKED_FILE


def _compared(path: Path, problems: Sequence[Problem], base: str) -> tuple[list[Problem], list[Problem]]:
    """Return new and known problems. *base* is a file, or a commit that has one at the path of *path*."""
    content: Optional[bytes]
    if Path(base).is_file():
        content = Path(base).read_bytes()
    else:
        repository = find_repository(path)
        content = repository.read_file(repository.commit_of(base), repository.path_of(path))
    if content is None:
        print_note(f"{base} has no {path.name}: all of it counts as new")
        return list(problems), []
    text = path.read_bytes().decode("utf-8-sig", "replace") if path.is_file() else ""
    known = decode_tracked(content, base).problems
    return split_known(problems, text, known, content.decode("utf-8-sig", "replace"))


def _hand_edits(folder: Path, since: str) -> list[Problem]:
    repository = find_repository(folder)
    base = repository.fork_point(since)
    inside = repository.path_of(folder)
    changed = repository.changed_since(base, inside)
    quoted = shlex.quote(inside)
    undo = f"To undo: git restore --source={base[:10]} --staged --worktree -- {quoted}"
    if any(how == "added" for how in changed.values()):
        undo += f" && git clean -f -d -- {quoted}"
    return [
        Problem(path, 1, 1, "error", f"{how} {_RUN_EDITED if path.startswith(f'{inside}/{RUNS}/') else _EDITED} {undo}")
        for path, how in changed.items()
        if not path.rpartition("/")[2].startswith(TEMPORARY)
    ]


# --- doctor


class CheckResult(NamedTuple):
    """The result of one check; *detail* says what was found, or what to do."""

    name: str
    ok: bool
    detail: str
    service: str
    is_unreachable: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _CHECK_COLUMNS}


_CHECK_COLUMNS = ("name", "ok", "detail")
_UNREACHABLE = "unreachable"


def doctor_command(
    state: Optional[Path] = typer.Option(None, help="Check this state folder. Default: as other commands read."),
    mirror: Optional[Path] = typer.Option(None, help="Check this mirror instead of the cloud."),
    style: OutputStyle = style_options("an array of results", _CHECK_COLUMNS),
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
        settings = settings.replace(mirror=mirror)
    results = list(_results(settings))
    if not style.print_rows(_CHECK_COLUMNS, (result.as_dict() for result in results)):
        marks = {True: ("ok", "green"), False: ("failed", "bold red")}
        shown = _with_common_causes(results)
        print_columns(["", "check", "result"], ([marks[one.ok], one.name, one.detail] for one in shown))
    if not all(result.ok for result in results):
        raise typer.Exit(ExitCode.PROBLEMS)


def _results(settings: Settings) -> Iterator[CheckResult]:
    state = "GitHub" if settings.state is None else "the state folder"
    checks: dict[str, tuple[str, Callable[[Settings], str]]] = {
        "state": (state, _state),
        "last sync": (state, _last_sync),
        "github token": ("GitHub", _github),
        "code ocean": ("Code Ocean", _codeocean),
        "training workbooks": ("S3", _training),
        "stimulus files": ("S3", lambda settings: _bucket(settings, settings.stim_root)),
        "IBL annotations": ("S3", lambda settings: _bucket(settings, settings.ibl_root)),
        "tissuecyte annotations": ("S3", lambda settings: _bucket(settings, settings.tissuecyte_root)),
        "parquet cache": ("S3", lambda settings: _bucket(settings, settings.parquet_root)),
        "NWB cache": ("S3", lambda settings: _bucket(settings, settings.nwb_root)),
        "sorting results": ("S3", lambda settings: _bucket(settings, f"s3://{settings.codeocean_bucket}")),
    }
    for name, (service, check) in checks.items():
        doing(f"checking {name}")
        try:
            yield CheckResult(name, True, check(settings), service)
        except Exception as error:  # an unexpected one must not hide the results of the other checks
            detail = source_failure(name, error, settings).reason
            yield CheckResult(name, False, detail, service, is_unreachable(error))


def _with_common_causes(results: Sequence[CheckResult]) -> Iterator[CheckResult]:
    """Yield the results, those of one cause as one: services without a connection, or checks with the same message."""
    unreachable = list(dict.fromkeys(result.service for result in results if result.is_unreachable))
    for cause, members in grouped((_cause(result), result) for result in results).items():
        first, names = members[0], ", ".join(result.name for result in members)
        if cause == _UNREACHABLE and len(unreachable) > 1:
            services = f"{', '.join(unreachable[:-1])} and {unreachable[-1]}"
            detail = f"{services} could not be reached ({len(members)} checks): check the network, a proxy, a firewall"
            yield first._replace(name="no network", detail=detail)
        elif len(members) > 1:
            yield first._replace(name=first.service, detail=f"{first.detail} ({names})")
        else:
            yield first


def _cause(result: CheckResult) -> object:
    if result.is_unreachable:
        return _UNREACHABLE
    return result.name if result.ok else (result.service, result.detail)


def _state(settings: Settings) -> str:
    count = len(read_snapshot(settings, warn_stale=False).lines.all)
    origin = origin_of_state(settings)
    if stale := sync_copy(settings, origin).staleness():
        raise StateError(f"{count} sessions, {origin}; {stale}")
    return f"{count} sessions, {origin}"


def _last_sync(settings: Settings) -> str:
    """Raise SourceError if a source was not read completely by the last sync."""
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
    client = GitHubClient.for_reading(settings)
    left = client.call(
        "checking GITHUB_TOKEN", lambda: present(client.github.get_rate_limit().resources.core.remaining)
    )
    return f"{settings.github_api_url} accepts it: {left} requests left"


def _codeocean(settings: Settings) -> str:
    next(open_client(settings).search(limit=1))
    return f"{settings.mirror or settings.codeocean_domain} is reachable, data assets can be read"


def _training(settings: Settings) -> str:
    return f"{', '.join(check_workbooks(settings, lambda: open_store(settings)))} in {settings.training}"


def _bucket(settings: Settings, root: str) -> str:
    bucket, prefix = split_s3_uri(root)
    where = root if settings.mirror is None else f"{root} in the mirror"
    if not open_store(settings).has_any(bucket, f"{prefix}/" if prefix else ""):
        return f"{where} can be read, and is empty"
    return f"{where} can be read"

"""`npc-lims sync`; and its halves `npc-lims observe`, which needs credentials, and `npc-lims publish`, which writes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.options import (
    FULL,
    ONLY,
    SESSIONS,
    STATE_HERE,
    SUMMARY,
    checkout,
    pairs_of,
    session_ids_of,
    sources_of,
    tracked_beside,
)
from npc_lims.cli.output import (
    OutputStyle,
    list_problems,
    out,
    print_columns,
    print_error,
    print_note,
    print_warning,
    progress_bars,
    style_options,
)
from npc_lims.clients.git import find_repository
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import GitError, NpcLimsError, SourceError
from npc_lims.model.record import Observation
from npc_lims.model.sections import SECTIONS, SOURCES
from npc_lims.state.diff import headline
from npc_lims.state.diff_format import Chapter, Format, groups_of, render_chapters
from npc_lims.sync.observation_file import (
    ObservationSet,
    Pending,
    Scope,
    file_name,
    load_pending,
    parse_shard,
    read_observation_folder,
    remove_superseded,
    save_pending,
    write_observations,
)
from npc_lims.sync.publish import Published, publish
from npc_lims.sync.run import Report, SourceProgress, SyncOptions, SyncResult, observe, sync
from npc_lims.utils.text import counted, single_line

_MOST_LISTED = 30
_MAX_REASON = 700
_TRAILER = (
    r"([A-Za-z0-9][A-Za-z0-9-]*)\s*=\s*(.*)",
    "KEY=VALUE, such as Run=https://example.org/1; a key has letters, digits and hyphens",
)
_COLUMNS = ("id", "what", "details")
_OUTCOME = typer.Option(
    None, help="Write which sources answered and which failed to this file, as JSON, for npc-lims alert."
)
_ALLOW_REMOVALS = typer.Option(False, "--allow-removals", help="Permit removals that the breaker would refuse.")


@dataclasses.dataclass(frozen=True)
class QueryOptions:
    """Options that say what is queried."""

    tracked: Optional[Path] = typer.Option(
        None, exists=True, help="Default: tracked_sessions.yaml beside the state folder."
    )
    only: Optional[list[str]] = ONLY
    sessions: Optional[list[str]] = SESSIONS
    changed: bool = typer.Option(
        False,
        "--changed",
        help="Only sessions whose entry in the tracked file has changed, or that were never queried.",
    )

    def sync_options(self, settings: Settings, state: Optional[Path], shard: str = "1/1", **more: bool) -> SyncOptions:
        folder = state or settings.state or checkout() / "state"
        number, of = parse_shard(shard)
        scope = Scope(session_ids_of(self.sessions, folder), None if of == 1 else frozenset([number]), of)
        tracked = self.tracked or tracked_beside(folder)
        return SyncOptions(folder, tracked, sources_of(self.only), scope, changed=self.changed, **more)


def sync_command(
    state: Optional[Path] = STATE_HERE,
    queried: QueryOptions = QueryOptions(),
    full: bool = FULL,
    mirror: Optional[Path] = typer.Option(None, help="Read DIR/s3/<bucket>/<key> and DIR/codeocean, not the cloud."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show what would change; write nothing."),
    allow_removals: bool = _ALLOW_REMOVALS,
    style: OutputStyle = style_options("an object with what changed, failed and was written", _COLUMNS),
) -> None:
    """Query the sources, and write what changed to the state folder.

    Reads tracked_sessions.yaml, the training workbooks, Code Ocean and S3. Writes files of the state folder whose facts
    changed, and saves the observations for `npc-lims publish`. Needs AWS keys and CODE_OCEAN_API_TOKEN, unless --only
    or --mirror leaves out what needs them.

    Exits with 0 if complete; 2 on bad input; 3 if a source failed, such as a tracked file with errors (the rest is
    written); 4 if it would remove or blank more than 10 sessions and more than 5 % of all.

    \b
    Examples:
      npc-lims sync
      npc-lims sync --only tracked,training --dry-run
      npc-lims sync --sessions 626791_2022-08-15 --json
    """
    settings = load_settings()
    if mirror is not None:
        settings = settings.replace(mirror=mirror)
    options = queried.sync_options(settings, state, full=full, dry_run=dry_run, allow_removals=allow_removals)
    pending: list[Pending] = []
    try:
        with _source_progress() as report:
            # before a file is written: the observations of a sync that is killed can be published, too
            result = sync(settings, options, report, lambda one: pending.extend(_save_pending(options, one)))
    except NpcLimsError:
        _remove(pending)
        raise
    if not result.written:
        _remove(pending)
    for one in pending:
        remove_superseded(one)
    if not style.print_rows(_COLUMNS, [change.as_dict() for change in result.changes], _as_json(result, options)):
        _print(result, options)
    _report_failed_sources(result.observations)


def observe_command(
    into: Path = typer.Option(..., "--out", help="Folder for the file of observations; created if missing."),
    state: Optional[Path] = STATE_HERE,
    queried: QueryOptions = QueryOptions(),
    shard: str = typer.Option("1/1", help="NUMBER/COUNT: only that share of the subjects, for several runners."),
    skip_unknown: bool = typer.Option(
        False, "--skip-unknown", help="Leave out unknown sessions of --sessions, rather than refuse."
    ),
    full: bool = FULL,
    allow_removals: bool = _ALLOW_REMOVALS,
    outcome: Optional[Path] = _OUTCOME,
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
    options = queried.sync_options(
        settings, state, shard, full=full, skip_unknown=skip_unknown, allow_removals=allow_removals
    )
    with _source_progress() as report:
        observed = observe(settings, options, report)
    path = into / file_name(observed.scope)
    write_observations(path, observed)
    _write_outcome(outcome, [observed], observed.failures)
    sources = ", ".join(one.source for one in observed.observations if one.failure is None)
    out().print(f"{path}: observations of {sources or 'no source'}")
    _report_failed_sources(observed.observations)


def publish_command(
    branch: Optional[str] = typer.Option(None, help="Branch to push to. Default: the branch that is checked out."),
    observed: Optional[Path] = typer.Option(
        None, help="Folder with the observations of `npc-lims observe`. Default: those of syncs in this checkout."
    ),
    state: Optional[Path] = STATE_HERE,
    trailer: Optional[list[str]] = typer.Option(None, help="KEY=VALUE for the end of commit messages; repeat."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the commits that would be made; push nothing."),
    summary: Optional[typer.FileTextWrite] = SUMMARY,
    outcome: Optional[Path] = _OUTCOME,
) -> None:
    """Commit and push pending observations.

    They are applied to the newest state on the remote's branch, with one commit per sync. If others push first, they
    are applied again to the new state; nothing is merged or forced. Only files of the state folder are committed.

    Reads the observations, and the remote's branch. Writes commits there, and fast-forwards the checkout where git can.
    Needs permission to push, as git is configured.

    Exits with 0 if the push succeeded, or if there is nothing to push; 2 if it failed; 3 if some of it could not be
    applied, or if --observed holds no observation at all or lacks shards (the rest is pushed); 4 if the breaker
    refuses.

    \b
    Examples:
      npc-lims publish
      npc-lims publish --branch main --dry-run
      npc-lims publish --observed observed --trailer Run=https://github.com/lab/state/actions/runs/7
    """
    settings = load_settings()
    folder = (state or checkout() / "state").absolute()
    pending = [] if observed is not None else load_pending(folder)
    sets = read_observation_folder(observed) if observed is not None else [one.observed for one in pending]
    # at once, as publishing may fail
    gaps = _gaps_of(sets) if observed is not None else []
    _write_outcome(outcome, sets, [*(failure for one in sets for failure in one.failures), *gaps])
    if not sets:
        _check_clean(folder)
        out().print("nothing to publish: no observations are pending in this checkout (npc-lims sync)")
        return
    trailers = dict(pairs_of("--trailer", trailer, *_TRAILER))
    done = publish(folder, sets, branch, trailers=trailers, dry_run=dry_run, backoff=settings.backoff)
    # the tracked file was read again, as it is published
    _write_outcome(outcome, sets, [*done.failures, *gaps])
    unapplied = [one.path for one, is_applied in zip(pending, done.applied) if not is_applied]
    if not dry_run:
        for one in pending:
            if one.path not in unapplied:
                one.path.unlink(missing_ok=True)
    _print_published(done, dry_run)
    if summary is not None:
        summary.write(_as_markdown(done))
    for failure in (*done.unapplied, *gaps):
        print_error(f"{failure.source} could not be applied; its recorded values are unchanged: {failure.reason}")
    for path in unapplied:
        print_note(f"{path} stays pending until all of it is applied; delete the file to discard it")
    if done.unapplied or gaps:
        raise typer.Exit(ExitCode.INCOMPLETE)


@contextlib.contextmanager
def _source_progress() -> Iterator[Report]:
    with progress_bars(transient=False) as show:

        def report(one: SourceProgress) -> None:
            done, total = (one.done, one.total) if one.observation is None else (1, 1)
            show(one.source, done, total, _describe(one), one.done is None)

        yield report


def _describe(progress: SourceProgress) -> str:
    if progress.observation is not None:
        return _summary(progress.observation)
    if progress.done is None:
        return "querying"
    of = f" of {progress.total}" if progress.total else ""
    return f"{progress.done}{of} {SOURCES[progress.source].counts}"


def _summary(observation: Observation) -> str:
    if observation.failure is not None:
        return f"failed: {observation.failure.reason}"
    if observation.unchanged:
        return "unchanged"
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in observation.counts.items()) or "done"


def _report_failed_sources(observations: Sequence[Observation]) -> None:
    """Print why sources failed; typer.Exit if any did."""
    for one in observations:
        if one.failure is not None:
            errors = [problem for problem in one.problems if problem.is_error]
            list_problems(errors)
            message = f"{one.source} failed; its recorded values are unchanged: {one.failure.reason}"
            print_error(message, annotate=not errors)
    if any(one.failure is not None for one in observations):
        raise typer.Exit(ExitCode.INCOMPLETE)


def _save_pending(options: SyncOptions, observed: ObservationSet) -> list[Pending]:
    try:
        return [] if options.dry_run else [save_pending(options.state, observed)]
    except GitError as error:
        # nothing is published from a folder outside of git
        if any((parent / ".git").exists() for parent in options.state.absolute().parents):
            print_warning(f"the observations of this sync cannot be saved for npc-lims publish: {error}")
        return []


def _remove(pending: list[Pending]) -> None:
    while pending:
        pending.pop().path.unlink(missing_ok=True)


def _as_json(result: SyncResult, options: SyncOptions) -> dict[str, object]:
    changes = result.changes
    return {
        "headline": headline(changes),
        "dry_run": options.dry_run,
        "sessions": len(result.after),
        "changes": [{"id": c.id, "what": list(c.what), "details": list(c.details)} for c in changes],
        "unlisted": result.unlisted_changes,
        "failures": {failure.source: failure.reason for failure in result.failures},
        "written": [path.as_posix() for path in result.written],
    }


def _print(result: SyncResult, options: SyncOptions) -> None:
    console = out()
    for observation in result.observations:
        kinds = Counter(problem.severity for problem in observation.problems)
        if kinds:
            found = ", ".join(counted(count, kind) for kind, count in sorted(kinds.items()))
            hint = "; see npc-lims validate" if observation.source == "tracked" else ""
            console.print(f"{observation.source}: {found} in its files{hint}")
            if observation.source != "tracked":
                for problem in observation.problems[:_MOST_LISTED]:
                    console.print(f"  {problem}")
    changes = result.changes
    verb = "would change" if options.dry_run else "changed"
    console.print(f"{len(result.after)} sessions; {headline(changes)}" + (" (dry run)" if options.dry_run else ""))
    if changes:
        rows = [[one.id, "; ".join([", ".join(one.what), *one.details])] for one in changes[:_MOST_LISTED]]
        print_columns(["session", f"what {verb}"], rows)
        if len(changes) > _MOST_LISTED:
            console.print(f"... and {len(changes) - _MOST_LISTED} more (--json lists them all)")
    unlisted = result.unlisted_changes
    if unlisted:
        console.print(
            f"{counted(len(result.unlisted or ()), 'recording')} without a session (npc-lims sessions --unlisted)"
        )
        for line in unlisted[:_MOST_LISTED]:
            console.print(f"  {line}")


def _check_clean(folder: Path) -> None:
    """Raise a GitError if state has changes whose observations are gone."""
    repository = find_repository(folder)
    inside = repository.path_of(folder)
    if not repository.run("status", "--porcelain", "--", inside):
        return
    if repository.find_commit("HEAD") is None:
        remedy = "Nothing is committed here yet: git add and git commit make the first one, git push publishes it"
    else:
        remedy = (
            f"Take them back (git restore --staged --worktree {inside}; git clean -f {inside}), "
            "then npc-lims sync and publish"
        )
    raise GitError(f"{folder} has changes, but no observations are pending in this checkout. {remedy}")


def _print_published(done: Published, dry_run: bool) -> None:
    console = out()
    messages = "\n".join(done.messages)
    if messages and dry_run:
        console.print(f"would push to {done.branch}:\n\n{messages}", soft_wrap=True)
    elif done.commit is None:
        same = "" if done.dropped or done.unapplied else f": {done.branch} already has these facts"
        console.print(f"nothing to publish{same}")
    else:
        tries = f" ({done.attempts} attempts)" if done.attempts > 1 else ""
        console.print(f"pushed {done.commit[:10]} to {done.branch}{tries}\n\n{messages}", soft_wrap=True)
    for one in (*_dropped(done), *done.notes):
        console.print(one, soft_wrap=True)


def _dropped(done: Published) -> list[str]:
    """Observations that were dropped, as newer ones are published, in lines."""
    return [
        f"{source}: {counted(count, 'observation')} dropped, since {done.branch} already has newer ones"
        for source, count in done.dropped.items()
    ]


def _as_markdown(done: Published) -> str:
    subjects = [message.partition("\n")[0] for message in done.messages]
    summary = "; ".join(subjects) or "nothing to add"
    notes = [f"{one.source} failed; its recorded values are unchanged: {one.reason}" for one in done.failures]
    notes += _dropped(done)
    if done.commit is not None:
        notes.insert(0, f"commit {done.commit[:10]}")
    chapter = Chapter(f"state on {done.branch}", summary, tuple(notes), groups_of(done.changes))
    return render_chapters([chapter], Format.markdown, see_all="npc-lims diff HEAD^ HEAD")


def _write_outcome(path: Optional[Path], observed: Sequence[ObservationSet], failures: Sequence[SourceError]) -> None:
    """Write `answered`, `failed` with reasons, and `complete` (all was queried, as scheduled) as a line of JSON."""
    if path is None:
        return
    failed = {one.source: one.reason for one in failures}
    queried = dict.fromkeys(one.source for each in observed for one in each.observations)
    outcome = {
        "answered": [source for source in queried if source not in failed],
        "failed": [
            {"source": single_line(source, 80), "reason": single_line(reason, _MAX_REASON)}
            for source, reason in failed.items()
        ],
        "complete": any(
            each.scope.is_full and {one.source for one in each.observations} == set(SECTIONS) for each in observed
        ),
    }
    path.write_text(json.dumps(outcome), encoding="utf-8")


def _gaps_of(observed: Sequence[ObservationSet]) -> list[SourceError]:
    """Return what makes *observed* none, or not all, of the observations of a run although no source failed."""
    gaps = []
    if not any(each.observations for each in observed):
        gaps.append(SourceError("sources", "no source was queried: see the log of npc-lims observe"))
    missing = {
        f"{number}/{each.scope.of}"
        for each in observed
        if each.scope.shards is not None
        for number in range(1, each.scope.of + 1)
        if number not in each.scope.shards
    }
    if missing:
        reason = (
            f"no observations of {', '.join(sorted(missing))}: the sessions of these shards were not queried; "
            "see their jobs, and the variable NPC_LIMS_SHARDS"
        )
        gaps.append(SourceError("shards", reason))
    return gaps

"""`npc-lims publish`: commit and push pending observations; and the outcome of a run of the sources, as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.options import checkout
from npc_lims.cli.output import out, print_error, print_note
from npc_lims.model.record import SECTIONS
from npc_lims.utils.text import counted, single_line

if TYPE_CHECKING:
    from npc_lims.errors import SourceError
    from npc_lims.sync.observation_file import ObservationSet
    from npc_lims.sync.publish import Published

OUTCOME_HELP = "Write which sources answered and which failed to this file, as JSON, for npc-lims alert."
_MAX_REASON = 700


def publish_command(
    branch: Optional[str] = typer.Option(None, help="Branch to push to. Default: the branch that is checked out."),
    observed: Optional[Path] = typer.Option(
        None, help="Folder with the observations of `npc-lims observe`. Default: those of syncs in this checkout."
    ),
    state: Optional[Path] = typer.Option(None, help="State folder of a checkout. Default: that of this one."),
    trailer: Optional[list[str]] = typer.Option(None, help="KEY=VALUE for the end of commit messages; repeat."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the commits that would be made; push nothing."),
    summary: Optional[Path] = typer.Option(None, help="Append what changed to this file, as Markdown."),
    outcome: Optional[Path] = typer.Option(None, help=OUTCOME_HELP),
) -> None:
    """Commit and push pending observations.

    They are applied to the newest state on the remote's branch, with a commit for each sync. If others push first, they
    are applied again to what was pushed; nothing is merged or forced. Only files of the state folder are committed.

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
    from npc_lims.config.settings import load_settings
    from npc_lims.sync.observation_file import load_pending, read_observation_folder
    from npc_lims.sync.publish import publish

    settings = load_settings()
    folder = (state or checkout() / "state").absolute()
    pending = [] if observed is not None else load_pending(folder)
    sets = read_observation_folder(observed) if observed is not None else [one.observed for one in pending]
    if summary is not None:
        summary.open("a").close()  # fails now if it cannot be written
    # at once, as publishing may fail
    gaps = _gaps_of(sets) if observed is not None else []
    write_outcome(outcome, sets, [*(failure for one in sets for failure in one.failures), *gaps])
    if not sets:
        _check_clean(folder)
        out().print("nothing to publish: no observations are pending in this checkout (npc-lims sync)")
        return
    done = publish(
        folder,
        sets,
        branch,
        trailers=_trailers(trailer),
        dry_run=dry_run,
        backoff=settings.backoff,
    )
    # the tracked file was read again, as it is published
    write_outcome(outcome, sets, [*done.failures, *gaps])
    kept = [one.path for one, is_applied in zip(pending, done.applied) if not is_applied]
    if not dry_run:
        for one in pending:
            if one.path not in kept:
                one.path.unlink(missing_ok=True)
    _print(done, dry_run)
    if summary is not None:
        with summary.open("a", encoding="utf-8") as file:
            file.write(_as_markdown(done))
    _complain([*done.unapplied, *gaps], kept)


def _complain(failures: Sequence[SourceError], kept: Sequence[Path]) -> None:
    """
    Raises:
        typer.Exit: Something failed.
    """
    for failure in failures:
        print_error(f"{failure.source} could not be applied, what is recorded of it stays: {failure.reason}")
    for path in kept:
        print_note(f"{path} is kept until all of it is applied; to give it up, delete the file")
    if failures:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _check_clean(folder: Path) -> None:
    """
    Raises:
        GitError: State has changes whose observations are gone.
    """
    from npc_lims.clients.git import find_repository
    from npc_lims.errors import GitError

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


def _trailers(values: Optional[list[str]]) -> dict[str, str]:
    from npc_lims.clients.git_tree import TOKEN_PATTERN
    from npc_lims.errors import NpcLimsError

    trailers = {}
    for value in values or []:
        key, found, text = value.partition("=")
        if not (found and TOKEN_PATTERN.fullmatch(key.strip())):
            raise NpcLimsError(
                f"--trailer {value}: expected KEY=VALUE, such as Run=https://example.org/1; "
                "a key has letters, digits and hyphens"
            )
        trailers[key.strip()] = text.strip()
    return trailers


def _print(done: Published, dry_run: bool) -> None:
    console = out()
    messages = "\n".join(done.messages)
    if messages and dry_run:
        console.print(f"would push to {done.branch}:\n\n{messages}", soft_wrap=True)
    elif done.commit is None:
        same = "" if done.dropped or done.unapplied else f": {done.branch} says the same already"
        console.print(f"nothing to publish{same}")
    else:
        tries = f" at the {done.attempts}. attempt" if done.attempts > 1 else ""
        console.print(f"pushed {done.commit[:10]} to {done.branch}{tries}\n\n{messages}", soft_wrap=True)
    for one in (*_dropped(done), *done.notes):
        console.print(one, soft_wrap=True)


def _dropped(done: Published) -> list[str]:
    """Observations that were dropped, as newer ones are published, in lines."""
    return [
        f"{source}: {counted(count, 'observation')} dropped, as newer ones are on {done.branch} already"
        for source, count in done.dropped.items()
    ]


def _as_markdown(done: Published) -> str:
    from npc_lims.state.diff_format import Chapter, Format, groups_of, render_chapters

    subjects = [message.partition("\n")[0] for message in done.messages]
    summary = "; ".join(subjects) or "nothing to add to what is there"
    notes = [f"{one.source} failed, what is recorded of it stays: {one.reason}" for one in done.failures]
    notes += _dropped(done)
    if done.commit is not None:
        notes.insert(0, f"commit {done.commit[:10]}")
    chapter = Chapter(f"state on {done.branch}", summary, tuple(notes), groups_of(done.changes))
    return render_chapters([chapter], Format.markdown, see_all="npc-lims diff HEAD^ HEAD")


def write_outcome(path: Optional[Path], observed: Sequence[ObservationSet], failures: Sequence[SourceError]) -> None:
    """Write the outcome as one line of JSON: `answered`, `failed` with reasons, and whether it is `complete`.

    It is complete if every source was queried about every session, as scheduled runs do, whatever came of it.

    Args:
        path: Nothing is written if None.
        failures: Sources that could not be queried.
    """
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
    from npc_lims.errors import SourceError

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

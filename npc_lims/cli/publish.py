"""`npc-lims publish`: commit and push what syncs saw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli import ExitCode
from npc_lims.cli.options import checkout
from npc_lims.cli.outcome import OUTCOME_HELP, gaps_of, write_outcome
from npc_lims.cli.output import out, print_error, print_note

if TYPE_CHECKING:
    from npc_lims.errors import SourceError
    from npc_lims.sync.publish import Published

__all__ = ["publish_command"]


def publish_command(
    branch: Optional[str] = typer.Option(None, help="Where to push. Default: the branch that is checked out."),
    observed: Optional[Path] = typer.Option(
        None, help="Folder with what `npc-lims observe` saw. Default: what syncs in this checkout saw."
    ),
    state: Optional[Path] = typer.Option(None, help="State folder of a checkout. Default: that of this one."),
    trailer: Optional[list[str]] = typer.Option(None, help="KEY=VALUE for the end of commit messages; repeat."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the commits that would be made; push nothing."),
    summary: Optional[Path] = typer.Option(None, help="Append what changed to this file, as Markdown."),
    outcome: Optional[Path] = typer.Option(None, help=OUTCOME_HELP),
) -> None:
    """Commit and push what syncs saw.

    It is applied to the newest state on the remote's branch, a commit for each sync. If others push first it is applied
    to what they pushed, and so on; nothing is merged or forced. Only files of the state folder are in the commits.

    Reads what syncs saw, and the remote's branch. Writes commits there, and nothing in the working tree. Needs the
    right to push, as git has it.

    Exits with 0 if it was pushed, or if there is nothing to push; 2 if it cannot be; 3 if some of it could not be
    applied, or if --observed holds no observation at all or lacks shards (the rest is pushed); 4 if the breaker
    refuses.

    \b
    Examples:
      npc-lims publish
      npc-lims publish --branch main --dry-run
      npc-lims publish --observed observed --trailer Run=https://github.com/lab/state/actions/runs/7
    """
    from npc_lims.config.settings import load_settings
    from npc_lims.sync.observation_file import read_observed_folder
    from npc_lims.sync.pending import held
    from npc_lims.sync.publish import publish

    settings = load_settings()
    folder = (state or checkout() / "state").absolute()
    waiting = [] if observed is not None else held(folder)
    looks = read_observed_folder(observed) if observed is not None else [one.observed for one in waiting]
    if summary is not None:
        summary.open("a").close()  # if it cannot be written, now is the time to say so
    # at once: whoever wants to know wants to even if nothing can be published
    gaps = gaps_of(looks) if observed is not None else []
    write_outcome(outcome, looks, [*(failure for look in looks for failure in look.failures), *gaps])
    if not looks:
        _check_clean(folder)
        out().print("nothing to publish: no sync in this checkout waits for it (npc-lims sync)")
        return
    done = publish(
        folder,
        looks,
        branch,
        trailers=_trailers(trailer),
        dry_run=dry_run,
        backoff=settings.backoff,
    )
    # what was seen of the tracked file was read again where it is published
    write_outcome(outcome, looks, [*done.failures, *gaps])
    kept = [one.path for one, is_applied in zip(waiting, done.applied) if not is_applied]
    if not dry_run:
        for one in waiting:
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
        GitError: State has changes of which nobody knows any more what was seen.
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
    raise GitError(f"{folder} has changes, but no sync in this checkout waits to be published. {remedy}")


def _trailers(values: Optional[list[str]]) -> dict[str, str]:
    from npc_lims.clients.git_trailers import TOKEN_PATTERN
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
    from npc_lims.state.diff_format import counted

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

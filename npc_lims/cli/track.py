"""`npc-lims track`: changes of tracked_sessions.yaml in place, shown, written or proposed as a pull request."""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import enum
import hashlib
import io
import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional
from urllib.parse import quote

import typer
from rich.console import Console

from npc_lims.cli import ExitCode
from npc_lims.cli.options import checkout, session_of
from npc_lims.cli.output import OutputStyle, err, out, print_note, style_options
from npc_lims.clients.git import repository_on_github
from npc_lims.clients.github_pull_requests import Proposal, Revised, propose
from npc_lims.config.settings import TRACKED_FILE, Settings, load_settings
from npc_lims.errors import NpcLimsError
from npc_lims.model.session_id import make_session_id, resolve_session_id, split_session_id
from npc_lims.state.diff_format import Format, cut, render_chapters
from npc_lims.track.assignments import assigned, parse_path
from npc_lims.track.edits import Add, Change, Deduped, Edit, Remove, dedupe, make_changes
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.text import counted

_MAX_BODY = 50_000
"""Bytes of the list of changes in a pull request; GitHub refuses bodies of more than 65,536 characters."""
_MOST_LINES = 60
_LONGEST_BRANCH = 120
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclasses.dataclass(frozen=True)
class Outcome(Revised):
    """A changed file, with notes and a list of what was done, as lines and for programs as rows."""

    notes: Sequence[str] = ()
    listed: Sequence[str] = ()
    rows: Sequence[Mapping[str, Any]] = ()


_Revise = Callable[[str, str], Outcome]  # of the text of a file, and its name


@dataclasses.dataclass(frozen=True)
class Target:
    """Options of all commands: the file that is changed, and how the change is proposed."""

    tracked: Optional[Path] = typer.Option(None, help="Default: tracked_sessions.yaml of this checkout.")
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the diff; write nothing.")
    pr: bool = typer.Option(
        False,
        "--pr",
        help="Open or update a pull request, based on the newest version of the file on GitHub. "
        "Needs GITHUB_TOKEN; without it the local file is changed.",
    )
    branch: Optional[str] = typer.Option(
        None,
        help="Branch of the pull request. Default: one named after the change, so that the same again updates its "
        "pull request.",
    )
    base: Optional[str] = typer.Option(
        None, help="Branch that the pull request is to change. Default: that of the repository."
    )


def _apply_or_propose(
    change: _Revise,
    target: Target,
    name: str,
    title: str,
    style: OutputStyle = OutputStyle(),
    columns: Sequence[str] = (),
) -> None:
    """Print the diff of a change, write it to the file, or propose it on a branch of its *name*, as *target* says."""
    settings = load_settings()
    branch, title = target.branch or branch_name(name), f"track: {title}"
    console = out() if style.is_text else err()

    def report(outcome: Outcome) -> None:
        if style.print_rows(columns, outcome.rows):
            return
        for note in outcome.notes:
            print_note(note)
        for line in outcome.listed:
            console.print(line, soft_wrap=True)

    if target.pr and not target.dry_run and settings.github_token is not None:
        outcome, message = _propose(settings, change, target.base, branch, title)
        report(outcome)
        console.print(message, soft_wrap=True)
        return
    tracked = checkout() / TRACKED_FILE if target.tracked is None else target.tracked
    old = _read_text(tracked)
    outcome = change(old, str(tracked))
    if outcome.text == old:
        report(outcome)
        console.print(f"{tracked}: nothing to change", soft_wrap=True)
        return
    # a read-only file would be replaced by another whatever its mode
    if not target.dry_run and not (tracked.stat().st_mode & 0o222 and os.access(tracked, os.W_OK)):
        raise NpcLimsError(f"{tracked}: is read-only, so nothing is written; make it writable, or propose with --pr")
    _print_diff(console, old, outcome.text, tracked.name, None if target.dry_run else _MOST_LINES)
    report(outcome)
    if target.dry_run:
        return
    if _read_text(tracked) != old:
        raise NpcLimsError(f"{tracked}: changed by somebody else meanwhile; nothing is written, give the command again")
    _write(tracked, outcome.text)
    if target.pr:
        console.print("\nNo pull request is opened, as GITHUB_TOKEN is not set; the file is changed.", soft_wrap=True)
    _print_steps(console, repository_on_github(settings, tracked), tracked, target.base, branch, title)


def branch_name(name: str) -> str:
    """Return the branch of a change: equal for equal names, so that a repeated change updates its pull request."""
    # no dots: git refuses some, such as two in a row or .lock at the end
    name = "track/" + re.sub(r"[^A-Za-z0-9_-]+", "_", name)
    if len(name) <= _LONGEST_BRANCH:
        return name
    return f"{name[: _LONGEST_BRANCH - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _code(text: str) -> str:
    """Return *text* as code in a line of Markdown."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"


def _read_text(path: Path) -> str:
    """Return the content of the file, with its byte order mark and its line breaks as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise NpcLimsError(f"{path}: there is no such file; name one with --tracked") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise NpcLimsError(f"{path}:{line}: not UTF-8; npc-lims validate shows where, save the file as UTF-8") from None


def _write(path: Path, text: str) -> None:
    path = path.resolve()  # of a link, the file behind it
    mode = path.stat().st_mode
    try:
        write_atomically(path, text.encode("utf-8"))
        if path.stat().st_mode != mode:
            path.chmod(mode)
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be written: {error.strerror or error}") from None


def _propose(settings: Settings, change: _Revise, base: Optional[str], branch: str, title: str) -> tuple[Outcome, str]:
    """Return the change, and a message about its pull request."""
    outcomes: list[Outcome] = []

    def revise(text: str) -> Outcome:
        outcomes.append(change(text, TRACKED_FILE))
        return outcomes[-1]

    proposed = propose(settings, Proposal(branch, title, TRACKED_FILE, revise, base))
    if proposed.number is None:
        return outcomes[-1], f"nothing to change in {proposed.url}"
    what = "opened" if proposed.is_new else "updated" if proposed.is_changed else "is up to date"
    return outcomes[-1], f"pull request {what}: {proposed.url}"


def _print_diff(console: Console, old: str, new: str, name: str, most: int | None) -> None:
    before, after = (io.StringIO(text, newline="\n").readlines() for text in (old, new))
    lines = list(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"))
    for number, line in enumerate(lines[:most]):
        style = "bold" if number < 2 else _STYLES.get(line[:1])
        console.print(line.rstrip("\r\n"), style=style, soft_wrap=True)
        if not line.endswith("\n"):
            console.print("\\ No newline at end of file")
    if most is not None and len(lines) > most:
        console.print(f"... and {len(lines) - most} lines more: git diff shows them all")


def _print_steps(console: Console, repo: str | None, file: Path, base: str | None, branch: str, title: str) -> None:
    console.print("\nTo propose this change:")
    for command in (
        f"git switch -c {shlex.quote(branch)}",
        f"git add {shlex.quote(str(file))}",
        f"git commit -m {shlex.quote(title)}",
        f"git push -u origin {shlex.quote(branch)}",
    ):
        console.print(f"  {command}", soft_wrap=True)
    compared = quote(branch) if base is None else f"{quote(base)}...{quote(branch)}"
    page = "a pull request" if repo is None else f"https://github.com/{repo}/compare/{compared}?expand=1"
    console.print(f"and open {page}", soft_wrap=True)


track_app = typer.Typer(
    help="Add, change and remove sessions in tracked_sessions.yaml.\n\nOnly their own lines change."
    "\n\n\b\nExamples:\n  npc-lims track add //allen/DRpilot_626791_20220815 --dry-run"
    "\n  npc-lims track edit 626791_2022-08-15 --set day=3 --pr",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_IMPORT_COLUMNS = ("group", "id", "what")
_DUPLICATE_COLUMNS = ("id", "line", "is_removed", "differs", "problem")
_SESSION = typer.Argument(help="Session id in any form, path of its entry, or a data asset.", callback=session_of)
_SET = typer.Option(
    None,
    "--set",
    metavar="KEY=VALUE",
    help="A key and its value in YAML, such as day=3, is_video=false or concatenate_recordings=[a, b]. Arguments "
    "of analysis code such as probe_letters_to_skip go into session_kwargs; others: session_kwargs.NAME=VALUE. "
    "Repeatable.",
)


class Keep(str, enum.Enum):
    first = "first"
    last = "last"


@track_app.command("add")
def add_command(
    path: str = typer.Argument(help="Path of the session's data; its subject and date are read from it."),
    project: Optional[str] = typer.Option(
        None, help="Default: that of the subject's other sessions, else the platform's most frequent one."
    ),
    platform: str = typer.Option("ephys", help="ephys, behavior_with_sync or behavior."),
    day: Optional[int] = typer.Option(
        None, help="Day of the experiment: ephys_day for ephys, day for other platforms."
    ),
    set_: Optional[list[str]] = _SET,
    note: Optional[str] = typer.Option(None, help="Notes for readers."),
    issue: Optional[list[str]] = typer.Option(None, metavar="URL", help="Address of an issue. Repeat for several."),
    target: Target = Target(),
) -> None:
    """Add a session.

    The entry is formatted like its neighbours, and inserted by date among the sessions of its subject, or else of its
    project.

    Reads tracked_sessions.yaml. Writes that file, or with --pr a pull request. Needs no credentials; with --pr,
    GITHUB_TOKEN.

    \b
    Examples:
      npc-lims track add //allen/DRpilot_626791_20220815 --day 1 --dry-run
      npc-lims track add //allen/DRpilot_626791_20220815 --set probe_letters_to_skip=DE --pr
    """
    path = parse_path(path)
    given = {"ephys_day" if platform == "ephys" else "day": day, "notes": note, "issues": issue or None}
    values = assigned(set_ or (), given)
    other = None if platform == "ephys" else platform
    command = _command("add", path, project=project, platform=other, day=day, set=set_, note=note, issue=issue)
    _change(Add(path, platform, project, values), f"add {_session_id(path, values)}", command, target)


@track_app.command("edit")
def edit_command(
    session: str = _SESSION,
    set_: Optional[list[str]] = _SET,
    unset: Optional[list[str]] = typer.Option(None, metavar="KEY", help="A key to remove. Repeat for several."),
    note: Optional[str] = typer.Option(None, help="Replace its notes by this text."),
    issue: Optional[list[str]] = typer.Option(None, metavar="URL", help="Add an issue. Repeatable."),
    target: Target = Target(),
) -> None:
    """Edit the entry of a session.

    Only the values that change are touched: comments, quotes and indents stay. If a session has several
    entries, the first is changed, which takes precedence.

    Reads tracked_sessions.yaml. Writes that file, or with --pr a pull request. Needs no credentials; with --pr,
    GITHUB_TOKEN.

    \b
    Examples:
      npc-lims track edit 626791_2022-08-15 --set probe_letters_to_skip=EF --unset day
      npc-lims track edit 626791_2022-08-15 --note "no video" --pr
    """
    if note is None and not (set_ or unset or issue):
        raise NpcLimsError(f"nothing to change in {session}: say what with --set, --unset, --note or --issue")
    values = assigned(set_ or (), {"notes": note})
    append = assigned((), {"issues": issue or None})
    keys = ", ".join(sorted({*values, *(unset or ()), *append}))
    command = _command("edit", session, set=set_, unset=unset, note=note, issue=issue)
    change = Edit(session, values, tuple(unset or ()), append)
    _change(change, f"edit {_session_id(session)} ({keys})", command, target)


@track_app.command("remove")
def remove_command(
    session: str = _SESSION,
    target: Target = Target(),
) -> None:
    """Remove the entry of a session.

    Duplicates are removed too. Comments above an entry stay, as does the line of a project without entries.

    Reads tracked_sessions.yaml. Writes that file, or with --pr a pull request. Needs no credentials; with --pr,
    GITHUB_TOKEN.

    \b
    Examples:
      npc-lims track remove 626791_2022-08-15 --dry-run
      npc-lims track remove 626791_2022-08-15 --pr
    """
    _change(Remove(session), f"remove {_session_id(session)}", ["remove", session], target)


@track_app.command("dedupe")
def dedupe_command(
    keep: Optional[Keep] = typer.Option(
        None, help="If entries of a session differ, keep the first, which takes precedence now, or the last."
    ),
    target: Target = Target(),
    style: OutputStyle = style_options("an array of duplicates", _DUPLICATE_COLUMNS),
) -> None:
    """Remove duplicate entries.

    Duplicates have the same path and values. Entries of one session with other values are shown, and stay unless --keep
    selects one.

    Reads tracked_sessions.yaml. Writes that file, or with --pr a pull request. Needs no credentials; with --pr,
    GITHUB_TOKEN.

    \b
    Examples:
      npc-lims track dedupe --dry-run
      npc-lims track dedupe --keep last --pr
    """
    kept: Optional[Literal["first", "last"]] = None if keep is None else keep.value
    command = _command("dedupe", keep=kept)

    def change(text: str, name: str) -> Outcome:
        found = dedupe(text, name, kept)
        lines = [f"- {_code(repeat.id)}: {_code(repeat.problem)}" for repeat in found.removed]
        rows = [vars(repeat) for repeat in (*found.removed, *found.left)]
        return Outcome(found.text, _body(command, lines), listed=_listed(found, target.dry_run), rows=rows)

    name = "-".join(["dedupe", *command[2:]])
    _apply_or_propose(change, target, name, "remove repeated entries", style, _DUPLICATE_COLUMNS)


def _listed(found: Deduped, dry_run: bool) -> list[str]:
    lines = [f"{counted(len(found.removed), 'repeat')} {'would be removed' if dry_run else 'removed'}"]
    lines += [f"  line {repeat.line}: {repeat.problem}" for repeat in found.removed if repeat.differs]
    if found.left:
        left = counted(len(found.left), "repeat")
        lines.append(f"{left} left, since they differ; choose with --keep first or --keep last:")
    return lines + [f"  line {repeat.line}: {repeat.problem}" for repeat in found.left]


@track_app.command("import")
def import_command(
    workbook: list[Path] = typer.Argument(..., help="The planning workbook (.xlsx), or sheets exported as .csv."),
    batch: Optional[list[Path]] = typer.Option(
        None, help="Batch file of `upload_dr_ecephys PATH` lines; repeat it for several."
    ),
    project: Optional[str] = typer.Option(
        None, help="Project of new entries. Default: that of workbook or config, else of their folder's sessions."
    ),
    target: Target = Target(),
    style: OutputStyle = style_options("an array of what is done with each session", _IMPORT_COLUMNS),
) -> None:
    """Add and edit sessions from a planning workbook and batch files.

    The workbook takes precedence over the session_config.json of an uploaded folder, and that over the entry. Conflicts
    and skipped sessions are listed. A new session needs the path of an upload.

    Reads the workbook, batch files, configs of uploaded folders and tracked_sessions.yaml. Writes that file, or with
    --pr a pull request. Needs no credentials; with --pr, GITHUB_TOKEN.

    Exits with 1 if something in workbook, batch file or configs could not be read (the rest is imported all
    the same), and with 2 if a whole file could not.

    \b
    Examples:
      npc-lims track import tracking.xlsx --batch upload.bat --dry-run
      npc-lims track import monday.csv tuesday.csv --project DynamicRouting --pr
    """
    from npc_lims.track.planning.batch_files import read_batches
    from npc_lims.track.planning.changes import import_chapter, import_report, join_plans, plan_import
    from npc_lims.track.planning.workbook import read_planning_workbooks

    today = datetime.date.today()
    sessions, problems = join_plans(read_planning_workbooks(workbook, today), read_batches(batch or ()))
    for problem in problems:
        typer.echo(str(problem), err=True)
    sources = ", ".join(file.name for file in (*workbook, *(batch or ())))

    def change(text: str, name: str) -> Outcome:
        plan = plan_import(sessions, text, project=project, file=name, today=today)
        changed = make_changes(text, plan.changes, name)
        found = import_report(plan, changed)
        chapter = import_chapter(found, changed.notes, sources)
        body = render_chapters([chapter], Format.markdown, max_bytes=_MAX_BODY)
        rows = [dict(zip(_IMPORT_COLUMNS, (kind, one.id, one.what))) for kind in found for one in found[kind]]
        listed = render_chapters([chapter], listed=None).split("\n")[:-1]
        return Outcome(changed.text, body, listed=listed, rows=rows)

    name, title = f"import-{_plain(workbook[0].stem)}", f"import {_plain(workbook[0].name)}"
    _apply_or_propose(change, target, name, title, style, _IMPORT_COLUMNS)
    if any(problem.is_error for problem in problems):
        raise typer.Exit(ExitCode.PROBLEMS)


def _plain(name: str) -> str:
    """Return the name of a file without what a shell or a heading could take for something else."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "workbook"


def _change(change: Change, title: str, command: Sequence[str], target: Target) -> None:
    def revise(text: str, file: str) -> Outcome:
        made = make_changes(text, [change], file)
        lines = []
        for changed in made.sessions:
            lines.append(f"- {_code(changed.id)} {', '.join(changed.what)}")
            lines += [f"  - {_code(detail)}" for detail in changed.details]
        body = _body(command, lines + [f"- {_code(note)}" for note in made.notes])
        return Outcome(made.text, body, notes=made.notes)

    _apply_or_propose(revise, target, re.sub(r"[ ,()]+", "-", title).strip("-"), title)


def _body(command: Sequence[str], lines: Sequence[str]) -> str:
    """Return the text for a reviewer: the changes, and the command that makes them."""
    # each line of an argument is indented: one that is not would end the block of code
    made_by = "\n".join(f"    {line}" for line in shlex.join(["npc-lims", "track", *command]).splitlines())
    return f"What changes in {_code(TRACKED_FILE)}:\n\n{cut(lines, _MAX_BODY)}\nMade by\n\n{made_by}\n"


def _session_id(session: str, values: Mapping[str, Any] = {}) -> str:
    subject, date, recorded = split_session_id(resolve_session_id(session))
    idx = values.get("idx")
    return make_session_id(subject, date, idx if isinstance(idx, int) else recorded)


def _command(*words: str, **options: Any) -> list[str]:
    """Return the words of a command, with those of its options that are given."""
    command = list(words)
    for name, value in options.items():
        for one in value if isinstance(value, list) else [value]:
            command += [] if one is None else [f"--{name}", str(one)]
    return command

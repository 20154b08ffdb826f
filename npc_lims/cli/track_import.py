"""`npc-lims track import`: entries from the workbook in which the lab plans its sessions."""

from __future__ import annotations

import datetime
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import typer

from npc_lims.cli.exit_codes import ExitCode
from npc_lims.cli.lists import csv_option, json_option, one_style, print_csv, print_json
from npc_lims.config.environment import TRACKED_FILE

if TYPE_CHECKING:
    from npc_lims.track import EditResult
    from npc_lims.track.planning.changes import ImportPlan

__all__ = ["import_command"]

_COLUMNS = ("group", "id", "what")


def import_command(
    workbook: list[Path] = typer.Argument(..., help="The planning workbook (.xlsx), or sheets exported as .csv."),
    batch: Optional[list[Path]] = typer.Option(
        None, help="Batch file of `upload_dr_ecephys PATH` lines; repeat it for several."
    ),
    project: Optional[str] = typer.Option(
        None, help="Project of new entries. Default: what workbook or config say, else that of their folder's sessions."
    ),
    tracked: Optional[Path] = typer.Option(None, help=f"Default: {TRACKED_FILE} of this checkout."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Show the difference and change nothing."),
    pr: bool = typer.Option(
        False, "--pr", help="Open or update a pull request. Needs GITHUB_TOKEN; without it the local file is changed."
    ),
    branch: Optional[str] = typer.Option(None, help="Branch of the pull request. Default: named after the workbook."),
    base: Optional[str] = typer.Option(
        None, help="Branch that the pull request is to change. Default: that of the repository."
    ),
    as_json: bool = json_option("an array of what is done with each session"),
    as_csv: bool = csv_option(_COLUMNS),
) -> None:
    """Add and edit sessions as a planning workbook and batch files say.

    The workbook wins over the session_config.json of an uploaded folder, which wins over the present
    entry; what neither says stays. Every conflict is listed, and every session that is skipped. A new
    session needs the path of an upload.

    Reads the workbook, batch files, configs of uploaded folders and tracked_sessions.yaml. Writes that file, or with
    --pr a pull request. Needs no credentials, but with --pr GITHUB_TOKEN.

    Exits with 1 if something in workbook, batch file or configs could not be read (the rest is imported all
    the same), and with 2 if a whole file could not.

    \b
    Examples:
      npc-lims track import tracking.xlsx --batch upload.bat --dry-run
      npc-lims track import monday.csv tuesday.csv --project DynamicRouting --pr
    """
    from npc_lims.cli.track_apply import MAX_BODY, Target, apply_or_propose, branch_name
    from npc_lims.clients.github_pull_requests import Revised
    from npc_lims.state.diff_format import Chapter, Format, render_chapters
    from npc_lims.track.edits import make_changes
    from npc_lims.track.entry_spans import is_blank
    from npc_lims.track.planning.batch_files import read_batches
    from npc_lims.track.planning.changes import import_chapter, plan_import
    from npc_lims.track.planning.join import join_plans
    from npc_lims.track.planning.workbook import read_planning_workbooks

    one_style(json=as_json, csv=as_csv)
    today = datetime.date.today()
    planned = read_planning_workbooks(workbook, today)
    uploads = read_batches(batch or [])
    sessions, more = join_plans(planned, uploads.uploads)
    problems = [*planned.problems, *uploads.problems, *more]
    for problem in problems:
        typer.echo(str(problem), err=True)

    sources = ", ".join(file.name for file in (*workbook, *(batch or [])))
    found: list[Chapter] = []
    rows: list[dict[str, Any]] = []

    def change(text: str, name: str) -> Revised:
        # to readers of the file it is an error that nothing is in it; here it is something to begin from
        listed = "ephys:\n" if is_blank(text) else text
        plan = plan_import(sessions, listed, project=project, file=name, today=today)
        changed = make_changes(text, plan.changes, name)
        found.append(import_chapter(plan, changed, sources))
        rows[:] = _rows(plan, changed)
        return Revised(changed.text, render_chapters(found[-1:], Format.markdown, max_bytes=MAX_BODY))

    def tell() -> None:
        if as_json:
            print_json(rows)
        elif as_csv:
            print_csv(_COLUMNS, rows)
        else:
            typer.echo(render_chapters(found[-1:], listed=None), nl=False)

    apply_or_propose(
        change,
        Target(tracked, dry_run, pr, branch, base, is_listed=as_json or as_csv),
        branch=branch_name(f"import-{_plain(workbook[0].stem)}"),
        title=f"track: import {_plain(workbook[0].name)}",
        tell=tell,
    )
    if any(problem.is_error for problem in problems):
        raise typer.Exit(ExitCode.PROBLEMS)


def _rows(plan: ImportPlan, changed: EditResult) -> list[dict[str, Any]]:
    """Return a row for each session, and for each conflict about one."""
    touched = [(one.what, one.session, list(one.fields)) for one in changed.sessions]
    conflicts = [("conflict", one.session, [one.gist]) for one in plan.conflicts]
    skipped = [("skipped", one.session, [f"{one.reason} ({one.where})"]) for one in plan.skipped]
    unchanged: list[tuple[str, str, list[str]]] = [("unchanged", session, []) for session in plan.unchanged]
    return [dict(zip(_COLUMNS, row)) for row in (*touched, *conflicts, *skipped, *unchanged)]


def _plain(name: str) -> str:
    """A file's name without what a shell or a heading could take for something else."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "workbook"

"""Options that the commands of `npc-lims process` share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.options import checkout, reading_settings
from npc_lims.cli.output import csv_option, err, json_option
from npc_lims.errors import NpcLimsError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.processing.process import Process
    from npc_lims.processing.workflow import RunStore

EVENT_COLUMNS = ("process", "session", "try", "what", "about", "failure")

NAMES = typer.Argument(None, metavar="PROCESS", help="Names of processes. Default: all in pipelines.yaml.")
PIPELINES = typer.Option(None, "--pipelines", help="Path of pipelines.yaml. Default: beside the state folder.")
SESSIONS = typer.Option(None, help="Only these sessions, by any form of their ids; repeat or separate by commas.")
STATE = typer.Option(None, help="State folder. Default: that of this checkout.")
PUBLISH = typer.Option(False, "--publish", help="Record on the remote's branch, not in the state folder here.")
BRANCH = typer.Option(None, help="With --publish: branch to push to. Default: the branch that is checked out.")
BY = typer.Option("", help="URL of the workflow run that does this, for the record.")
LIMIT = typer.Option(None, min=1, help="At most so many of each process, if pipelines.yaml allows as many.")
SUMMARY = typer.Option(None, help="Append what was done to this file, as Markdown.")
AS_JSON = json_option("an array of what was done")
AS_CSV = csv_option(EVENT_COLUMNS)


def state_folder(state: Optional[Path]) -> Path:
    """Return the state folder that is meant; runs are recorded in a folder, not in published state.

    Raises:
        NpcLimsError: There is none.
    """
    folder = reading_settings(state).state
    if folder is None:
        raise NpcLimsError(
            "there is no state folder here: run this in a checkout of the repository, or give one with --state"
        )
    if not folder.is_dir():
        raise NpcLimsError(f"there is no state folder {folder}: check --state or NPC_LIMS_STATE, or run npc-lims sync")
    return folder


def open_store(settings: Settings, state: Path, publish: bool, branch: Optional[str], by: str) -> RunStore:
    """Return the store of runs that the options name; it reports on standard error."""
    from npc_lims.processing.workflow import RunStore

    return RunStore(settings, state, publish, branch, by, report=err().print)


def chosen_processes(names: Optional[list[str]], pipelines: Optional[Path], state: Path) -> list[Process]:
    """Return the named processes, from the file that belongs to the *state* folder.

    Raises:
        NpcLimsError: There is no such file, it holds errors, or no such process.
    """
    from npc_lims.processing.pipelines import PIPELINES_FILE, choose_processes, read_pipelines

    if pipelines is None:
        beside = state.resolve().parent / PIPELINES_FILE
        pipelines = beside if beside.is_file() else checkout() / PIPELINES_FILE
        if not pipelines.is_file():
            raise NpcLimsError(
                f"there is no {beside}, which defines what is run: "
                "give its path with --pipelines, or write one (docs/processing.md)"
            )
    return choose_processes(read_pipelines(pipelines), names)

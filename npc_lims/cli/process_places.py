"""What the commands of `npc-lims process` share: which processes, and which state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Optional

import typer

from npc_lims.cli.places import checkout, reading_settings
from npc_lims.errors import NpcLimsError

if TYPE_CHECKING:
    from npc_lims.processing.pipelines import Process

__all__ = ["NAMES", "PIPELINES", "SESSIONS", "STATE", "chosen_processes", "state_folder"]

NAMES = typer.Argument(None, metavar="PROCESS", help="Names of processes. Default: all in pipelines.yaml.")
PIPELINES = typer.Option(None, "--pipelines", help="Default: pipelines.yaml beside the state folder.")
SESSIONS = typer.Option(None, help="Only these sessions, by any form of their ids; repeat or separate by commas.")
STATE = typer.Option(None, help="State folder. Default: that of this checkout.")


def state_folder(state: Optional[Path]) -> Path:
    """
    Raises:
        NpcLimsError: There is none: runs are recorded in a folder, not in what GitHub publishes.
    """
    folder = reading_settings(state).state
    if folder is None:
        raise NpcLimsError(
            "there is no state folder here: run this in a checkout of the repository, or give one with --state"
        )
    if not folder.is_dir():
        raise NpcLimsError(f"there is no state folder {folder}: check --state or NPC_LIMS_STATE, or run npc-lims sync")
    return folder


def chosen_processes(names: Optional[list[str]], pipelines: Optional[Path], state: Path) -> list[Process]:
    """The processes that a user means, from the file that belongs to the *state* folder.

    Raises:
        NpcLimsError: There is no such file, it holds errors, or no such process.
    """
    from npc_lims.processing.pipelines import PIPELINES_FILE, choose_processes, read_pipelines

    if pipelines is None:
        beside = state.resolve().parent / PIPELINES_FILE
        pipelines = beside if beside.is_file() else checkout() / PIPELINES_FILE
        if not pipelines.is_file():
            raise NpcLimsError(
                f"there is no {beside}, which says what is run: "
                "give its place with --pipelines, or write one (docs/processing.md)"
            )
    return choose_processes(read_pipelines(pipelines), names)

"""All commands, put together."""

from __future__ import annotations

import importlib
from collections import UserDict
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from npc_lims.cli.help import TaskGroup

__all__ = ["app"]

_COMMANDS = {
    "sync": "sync:sync_command",
    "observe": "observe:observe_command",
    "publish": "publish:publish_command",
    "sessions": "sessions:sessions_command",
    "show": "sessions:show_command",
    "history": "history:history_command",
    "validate": "validate:validate_command",
    "verify": "validate:verify_command",
    "diff": "diff:diff_command",
    "preview": "diff:preview_command",
    "track": "track:track_app",
    "process": "process:process_app",
    "dispatch": "dispatch:dispatch_command",
    "alert": "alert:alert_command",
    "doctor": "doctor:doctor_command",
    "site": "site:site_app",
    "export": "export:export_command",
    "demo": "demo:demo_command",
}
"""Each command or group of commands, in the order of `--help`: its module of `npc_lims.cli`, and its name in there."""


class _Commands(UserDict[str, Any]):
    """Commands by name, each imported when it is looked at: all of them take half a second, one a fraction of that."""

    def __init__(self, places: Mapping[str, str]) -> None:
        super().__init__()
        self.data.update(places)

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if isinstance(found, str):
            module, _, attribute = found.partition(":")
            target = getattr(importlib.import_module(f"npc_lims.cli.{module}"), attribute)
            found = self.data[name] = _build(name, target)
        return found


class _Group(TaskGroup):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        commands: Any = _Commands(_COMMANDS)
        self.commands = commands

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Names alone: for what each is good for all would have to be imported, while somebody waits for a key."""
        commands = self.commands
        self.commands = {name: TyperCommand(name) for name in commands}
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = commands


def _build(name: str, target: Any) -> Any:
    """The command as typer makes it of a function, or of an app of its own."""
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(target, typer.Typer):
        holder.add_typer(target, name=name)
    else:
        holder.command(name)(target)
    holder.callback()(lambda: None)  # an app of one command would be that command
    group: Any = get_command(holder)
    return group.commands[name]


app = typer.Typer(
    cls=_Group,
    help="""Paths, metadata and state of Mindscope Neuropixels sessions, kept in git.

    Without a command: what state is read, how old it is, and what needs attention.

    \b
    Examples:
      npc-lims
      npc-lims demo
      npc-lims sessions --ephys --is uploaded --missing sorted
    """,
    invoke_without_command=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        import npc_lims

        typer.echo(f"npc-lims {npc_lims.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    as_json: bool = typer.Option(False, "--json", help="Without a command: print what there is to tell as JSON."),
) -> None:
    if context.invoked_subcommand is None:
        from npc_lims.cli.home import show_home

        show_home(as_json)
    elif as_json:
        raise typer.BadParameter("goes behind the command that is to print JSON", param_hint="--json")

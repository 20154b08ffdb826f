"""All commands of `npc-lims`, and its `--help`."""

from __future__ import annotations

import importlib
import itertools
import os
from collections import ChainMap
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from npc_lims.cli import ExitCode
from npc_lims.cli.options import OPTIONAL_VALUES, refuse_offline, with_option_groups
from npc_lims.utils.mappings import LazyMapping

SECTIONS = {
    "Query": {
        "sessions": "sessions:sessions_command",
        "show": "show:show_command",
        "paths": "show:paths_command",
        "history": "history:history_command",
        "diff": "changes:diff_command",
        "site": "site:site_app",
        "export": "history:export_command",
    },
    "Change what is tracked": {
        "track": "track:track_app",
        "validate": "checks:validate_command",
        "preview": "changes:preview_command",
    },
    "Update state": {
        "sync": "sync:sync_command",
        "observe": "sync:observe_command",
        "publish": "sync:publish_command",
        "verify": "checks:verify_command",
        "dispatch": "actions:dispatch_command",
        "alert": "actions:alert_command",
    },
    "Process": {"process": "process:process_app"},
    "Set up": {"doctor": "checks:doctor_command", "demo": "demo:demo_command"},
}
"""Tasks, and their commands or groups of commands: the module in `npc_lims.cli` of each, and its name there."""


class _Group(TyperGroup):
    """A group whose help lists its commands in `SECTIONS`, and the exit codes."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        names = itertools.chain.from_iterable(SECTIONS.values())
        commands: Any = LazyMapping(names, _load)  # all of them take half a second
        self.commands = commands

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete names without their help, for which all modules would have to be imported."""
        commands = self.commands
        self.commands = {name: TyperCommand(name) for name in commands}
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.commands = commands

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        room = formatter.width - 6 - width  # as click computes it
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(room)) for name in names]
                )

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), code.meaning) for code in ExitCode])


class _Command(TyperCommand):
    """A command whose options of `OPTIONAL_VALUES` may stand without a value, which is then empty."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        values = [*args]
        for n, word in enumerate(args):
            if word in OPTIONAL_VALUES and (n + 1 == len(args) or args[n + 1].startswith("-")):
                values[n] = f"{word}="
        return super().parse_args(ctx, values)


def _load(name: str) -> Any:
    """Return the command that typer makes of a function or of an app."""
    module, _, attribute = ChainMap(*SECTIONS.values())[name].partition(":")
    target = getattr(importlib.import_module(f"npc_lims.cli.{module}"), attribute)
    holder = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(target, typer.Typer):
        for command in target.registered_commands:
            command.callback = with_option_groups(command.callback)
        holder.add_typer(target, name=name)
    else:
        holder.command(name, cls=_Command)(with_option_groups(target))
    holder.callback()(lambda: None)  # an app of one command would be that command
    group: Any = get_command(holder)
    return group.commands[name]


app = typer.Typer(
    cls=_Group,
    help="""Paths, metadata and state of Mindscope Neuropixels sessions, stored in git.

    Without a command: show the age of the state, pipeline progress, and what needs attention.

    \b
    Examples:
      npc-lims
      npc-lims demo
      npc-lims sessions --ephys --is uploaded --missing sorted
    """,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


_OFFLINE = "NPC_LIMS_OFFLINE"
_OFFLINE_HELP = "Use the state folder or the cached snapshot, and no network. Also after the command."
_ONLINE = ("alert", "dispatch", "doctor", "observe", "publish", "sync")
"""Commands that are about services."""


def _set_offline(context: typer.Context) -> None:
    before = {_OFFLINE: os.environ[_OFFLINE]} if _OFFLINE in os.environ else {}

    def restore() -> None:  # for scripts that call main()
        del os.environ[_OFFLINE]
        os.environ.update(before)

    os.environ[_OFFLINE] = "1"
    context.call_on_close(restore)


def _version(value: bool) -> None:
    if value:
        import npc_lims

        typer.echo(f"npc-lims {npc_lims.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
    as_json: bool = typer.Option(False, "--json", help="Without a command: print the overview as JSON."),
    offline: bool = typer.Option(False, "--offline", help=_OFFLINE_HELP),
) -> None:
    if offline:
        _set_offline(context)
    if context.invoked_subcommand in _ONLINE:
        refuse_offline(f"npc-lims {context.invoked_subcommand}")
    if context.invoked_subcommand is None:
        from npc_lims.cli.overview import show_overview

        show_overview(as_json)
    elif as_json:
        raise typer.BadParameter("belongs after the command that prints JSON", param_hint="--json")

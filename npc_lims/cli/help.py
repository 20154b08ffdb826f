"""The overview that `npc-lims --help` gives: commands by what one wants to do, and exit codes."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from npc_lims.cli.exit_codes import MEANINGS

__all__ = ["SECTIONS", "TaskGroup"]

SECTIONS = {
    "Look": ("sessions", "show", "history", "diff", "site", "export"),
    "Change what is tracked": ("track", "validate", "preview"),
    "Keep state": ("sync", "observe", "publish", "verify", "dispatch", "alert"),
    "Process": ("process",),
    "Set up": ("doctor", "demo"),
}
"""What one wants to do, and the commands for that. One that is in none of them is listed at the end."""
_OTHER = "Other"


class TaskGroup(TyperGroup):
    """A group whose help lists its commands in `SECTIONS`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        names = [name for name in self.list_commands(ctx) if not self.get_command(ctx, name).hidden]  # type: ignore[union-attr]
        width = max(map(len, names))
        listed = {name for some in SECTIONS.values() for name in some}
        for title, wanted in {**SECTIONS, _OTHER: [name for name in names if name not in listed]}.items():
            # the limit is that of click: names, and the room around them
            rows = [
                (name.ljust(width), self.get_command(ctx, name).get_short_help_str(formatter.width - 6 - width))  # type: ignore[union-attr]
                for name in wanted
                if name in names
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])

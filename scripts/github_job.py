"""What the steps of GitHub Actions jobs share: the address of their run, and outputs for the jobs that follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["outcome_file", "run_command", "run_url", "set_output"]


def run_url(environ: Mapping[str, str] = os.environ) -> str:
    """Return the address of this run."""
    return "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}".format_map(environ)


def set_output(name: str, value: str) -> None:
    """Set an output of this step; *value* must be a single line."""
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.write(f"{name}={value}\n")


def outcome_file() -> Path:
    """Return where a command is to write its outcome, which `run_command` makes an output of the step."""
    return Path(os.environ["RUNNER_TEMP"], "outcome.json")


def run_command(arguments: Sequence[str], *, is_request: bool = False) -> int:
    """Run `npc-lims`, and set the output `outcome` if it wrote one. Its exit code.

    Args:
        is_request: Somebody asked for some sessions, sources or processes. If these are mistyped, the output `rejected`
            is set: that person sees that the run failed, and no issue is opened.
    """
    from npc_lims.cli import main
    from npc_lims.cli.failures import is_selection_mistake

    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        code, error = end.code, end.__context__
    path = outcome_file()
    if path.exists():
        set_output("outcome", path.read_text(encoding="utf-8").strip())
    if is_request and is_selection_mistake(error):
        set_output("rejected", "true")
    return code if isinstance(code, int) else 1

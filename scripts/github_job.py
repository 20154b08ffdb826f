"""Shared by the steps of GitHub Actions jobs: the address of their run, and outputs for the jobs that follow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

__all__ = ["outcome_file", "run_command", "run_url", "set_output", "update_issue"]

_GONE = 410
"""Status of GitHub's response if the issues of a repository are disabled."""


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
    """Run `npc-lims`. Its exit code. Sets the outputs `outcome`, if it wrote one, and `error`, if it could not go on.

    Args:
        is_request: Somebody asked for some sessions, sources or processes. If these are mistyped, the output `rejected`
            is set: that person sees that the run failed, and no issue is opened.
    """
    from npc_lims.cli import main
    from npc_lims.cli.output import error_line, is_selection_mistake

    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        code, error = end.code, end.__context__
    path = outcome_file()
    if path.exists():
        set_output("outcome", path.read_text(encoding="utf-8").strip())
    if isinstance(error, Exception):
        set_output("error", error_line(error))
    if is_request and is_selection_mistake(error):
        set_output("rejected", "true")
    return code if isinstance(code, int) else 1


def update_issue(update: Callable[[], str]) -> None:
    """Print the result of *update*. A refusal of GitHub becomes an annotation, and exit code 1.

    A repository without issues, as a fork may be, has none to update: that is a warning.
    """
    from npc_lims.errors import GitHubError
    from npc_lims.utils.text import single_line

    try:
        print(single_line(update()))  # it may quote GitHub's answer
    except GitHubError as error:
        message = single_line(error).replace("%", "%25")
        if error.status != _GONE:
            sys.exit(f"::error::{message}")
        print(f"::warning::no issue reports what fails: {message}; enable issues under Settings, General, Features")

"""What the jobs of the process workflow run: `npc-lims process`, with what started the run, and where it is recorded.

Its first argument is the command: claim and record push to the branch of the run, start and collect only write files.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from github_job import run_command, run_url, set_output


def wanted(inputs: Mapping[str, Any]) -> list[str]:
    """What is to be claimed, as whoever started the run by hand says; all there is, on a schedule."""
    if str(inputs.get("collect_only")).lower() == "true":
        return ["--none"]
    chosen = {"--limit": inputs.get("limit"), "--sessions": inputs.get("sessions")}
    names = [name.strip() for name in (inputs.get("process") or "").split(",") if name.strip()]
    # a name is never an option, whatever it begins with
    return [*(f"{option}={value}" for option, value in chosen.items() if value), "--", *names]


def is_complete(inputs: Mapping[str, Any]) -> bool:
    """Whether nobody selected anything: the run does all that a scheduled one does."""
    return wanted(inputs) == ["--"]


def arguments(command: str, environ: Mapping[str, str], inputs: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Options for a command, before and after those that it is called with."""
    if command in ("start", "collect"):
        return [f"--summary={environ['GITHUB_STEP_SUMMARY']}"], []
    here = ["--publish", f"--branch={environ['GITHUB_REF']}", f"--by={run_url(environ)}"]
    return here, wanted(inputs) if command == "claim" else []


def main(command: str, more: list[str]) -> int:
    payload = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    inputs = payload.get("inputs") or {}
    before, after = arguments(command, os.environ, inputs)
    if command == "claim":
        set_output("outcome", json.dumps({"answered": [], "failed": [], "complete": is_complete(inputs)}))
    return run_command(["process", command, *before, *more, *after], is_request=not is_complete(inputs))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

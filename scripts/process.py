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

from npc_lims.cli import main

RUN = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"


def wanted(inputs: Mapping[str, Any]) -> list[str]:
    """What is to be claimed, as whoever started the run by hand says; all there is, on a schedule."""
    if str(inputs.get("collect_only")).lower() == "true":
        return ["--none"]
    chosen = {"--limit": inputs.get("limit"), "--sessions": inputs.get("sessions")}
    names = [name.strip() for name in (inputs.get("process") or "").split(",") if name.strip()]
    # a name is never an option, whatever it begins with
    return [*(f"{option}={value}" for option, value in chosen.items() if value), "--", *names]


def arguments(command: str, environ: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Options for a command, before and after those that it is called with."""
    if command in ("start", "collect"):
        return [f"--summary={environ['GITHUB_STEP_SUMMARY']}"], []
    here = ["--publish", f"--branch={environ['GITHUB_REF']}", f"--by={RUN.format_map(environ)}"]
    if command == "record":
        return here, []
    payload = json.loads(Path(environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    return here, wanted(payload.get("inputs") or {})


if __name__ == "__main__":
    before, after = arguments(sys.argv[1], os.environ)
    sys.argv[1:] = ["process", sys.argv[1], *before, *sys.argv[2:], *after]
    main()

"""What the sync workflow's observe job runs: `npc-lims observe`, as the event that started the run asks for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from npc_lims.cli import main


def arguments(event: str, payload: Mapping[str, Any]) -> list[str]:
    """Options for the event of a GitHub Actions run."""
    if event == "push":
        return ["--changed"]
    if event == "repository_dispatch":
        return [f"--sessions={payload['client_payload'].get('session', '')}"]
    if event == "schedule":
        # the schedule with a day of the week is that of the sync that reads everything again
        return [] if payload["schedule"].split()[-1] == "*" else ["--full"]
    inputs = payload.get("inputs") or {}
    chosen = {"--only": inputs.get("sources"), "--sessions": inputs.get("sessions")}
    full = str(inputs.get("full")).lower() == "true"
    return [f"{option}={value}" for option, value in chosen.items() if value] + ["--full"] * full


if __name__ == "__main__":
    payload = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    sys.argv[1:1] = ["observe", *arguments(os.environ["GITHUB_EVENT_NAME"], payload)]
    main()

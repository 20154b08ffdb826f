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
        # a pipeline may be done before its session is tracked: then there is nothing to look at yet
        return [f"--sessions={session_of(payload.get('client_payload'))}", "--skip-unknown"]
    if event == "schedule":
        # the schedule with a day of the week is that of the sync that reads everything again
        return [] if payload["schedule"].split()[-1] == "*" else ["--full"]
    inputs = payload.get("inputs") or {}
    chosen = {"--only": inputs.get("sources"), "--sessions": inputs.get("sessions")}
    full = str(inputs.get("full")).lower() == "true"
    return [f"{option}={value}" for option, value in chosen.items() if value] + ["--full"] * full


def session_of(sent: object) -> str:
    session = sent.get("session") if isinstance(sent, dict) else None
    if not (isinstance(session, str) and session.strip()):
        sys.exit(f'session-changed came with {json.dumps(sent)[:200]}; send {{"session": "714748_2024-06-24"}}')
    return session


if __name__ == "__main__":
    payload = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    sys.argv[1:1] = ["observe", *arguments(os.environ["GITHUB_EVENT_NAME"], payload)]
    main()

"""What the sync workflow's observe job runs: `npc-lims observe`, as the event that started the run asks for it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from github_job import outcome_file, run_command, set_output

from npc_lims.cli import ExitCode
from npc_lims.cli.output import print_error


class BadPayload(ValueError):
    """A repository_dispatch came with something else than a session."""


def arguments(event: str, payload: Mapping[str, Any]) -> list[str]:
    """Options for the event of a GitHub Actions run.

    Raises:
        BadPayload: It names no session.
    """
    if event == "push":
        return ["--changed"]
    if event == "repository_dispatch":
        # a pipeline may be done before its session is tracked: then there is nothing to look at yet
        return [f"--sessions={session_of(payload.get('client_payload'))}", "--skip-unknown"]
    if event == "schedule":
        # the schedule with a day of the week is that of the sync that reads everything again
        return [] if payload["schedule"].split()[-1] == "*" else ["--full"]
    inputs = payload.get("inputs") or {}
    full = str(inputs.get("full")).lower() == "true"
    return [f"{option}={value}" for option, value in selected(inputs).items() if value] + ["--full"] * full


def selected(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody who started the run by hand selected, by option."""
    return {"--only": inputs.get("sources"), "--sessions": inputs.get("sessions")}


def session_of(sent: object) -> str:
    session = sent.get("session") if isinstance(sent, dict) else None
    if not (isinstance(session, str) and session.strip()):
        raise BadPayload(f'session-changed came with {json.dumps(sent)[:200]}; send {{"session": "714748_2024-06-24"}}')
    return session


def is_request(event: str, payload: Mapping[str, Any]) -> bool:
    """Whether somebody asked for some sessions or sources: then bad input is that person's mistake."""
    return event == "repository_dispatch" or any(selected(payload.get("inputs") or {}).values())


def main(event: str, payload: Mapping[str, Any], more: list[str]) -> int:
    try:
        wanted = arguments(event, payload)
    except BadPayload as error:
        print_error(str(error))
        set_output("rejected", "true")
        return ExitCode.MISTAKE
    asked = is_request(event, payload)
    return run_command(["observe", *wanted, f"--outcome={outcome_file()}", *more], is_request=asked)


if __name__ == "__main__":
    payload = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    sys.exit(main(os.environ["GITHUB_EVENT_NAME"], payload, sys.argv[1:]))

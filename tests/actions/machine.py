"""The machine of one job: its folders, its variables, and what it may do."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import loopback_guard
from tests.actions.events import Event
from tests.actions.expressions import as_text
from tests.actions.remote import Remote
from tests.actions.world import JobRun, Run, World

PROGRAMS = ("bash", "git", "node")
"""Found where the tests find them; nothing else of the PATH of the tests is kept."""
VARIABLES = (
    "event_name", "ref", "ref_name", "ref_type", "sha", "repository", "repository_owner", "run_id", "run_number",
    "run_attempt", "actor", "triggering_actor", "workflow", "workflow_ref", "job", "head_ref", "base_ref", "server_url",
    "api_url", "workspace", "event_path",
)  # fmt: skip
"""What of the `github` context is GITHUB_* too."""
NOWHERE = "http://127.0.0.1:9"


class ActionFailed(Exception):
    """A step that uses an action ends with this message."""


@dataclass
class Machine:
    """Folders and variables of one job; everything a step leaves behind for later ones."""

    world: World
    repo: Remote
    event: Event
    run: Run
    record: JobRun
    folder: Path
    github: dict[str, Any]
    token: str
    env: dict[str, str] = field(default_factory=dict)
    """The `env` context: of the workflow, the job and what steps wrote to GITHUB_ENV."""
    path: list[str] = field(default_factory=list)
    status: str = "success"
    deadline: float = 0.0

    @property
    def workspace(self) -> Path:
        return self.folder / "work" / self.repo.name.split("/")[1] / self.repo.name.split("/")[1]

    @property
    def temp(self) -> Path:
        return self.folder / "temp"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def event_file(self) -> Path:
        return self.temp / "_github_workflow" / "event.json"

    def build(self) -> None:
        """Make its folders, and the event's file."""
        for folder in (self.workspace, self.home, self.event_file.parent):
            folder.mkdir(parents=True)
        self.event_file.write_text(json.dumps(self.event.payload), encoding="utf-8")

    @property
    def subject(self) -> str:
        """The `sub` of the tokens that GitHub would give this job for other services."""
        if self.record.environment:
            about = f"environment:{self.record.environment}"
        elif self.event.name == "pull_request":
            about = "pull_request"
        else:
            about = f"ref:{self.event.ref}"
        return f"repo:{self.repo.name}:{about}"

    def mask(self, *secrets: str) -> None:
        """Hide these in the log from now on."""
        self.run.masks.update(line for secret in secrets for line in secret.splitlines() if line.strip())

    def base_environment(self) -> dict[str, str]:
        """What every step gets before any `env:`: of the test process only where programs are."""
        folders = {str(Path(found).parent): None for program in PROGRAMS if (found := shutil.which(program))}
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            **{f"GITHUB_{name.upper()}": as_text(self.github[name]) for name in VARIABLES},
            "RUNNER_ENVIRONMENT": "github-hosted",
            "RUNNER_NAME": "rehearsal",
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
            "RUNNER_TEMP": str(self.temp),
            "RUNNER_TOOL_CACHE": str(self.folder / "tools"),
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "PATH": os.pathsep.join([*self.path, *folders, os.defpath]),
            # the machine's own settings of git would be no one's on GitHub
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            # whatever is asked of another machine ends at a port where nobody listens
            **{f"{kind}_proxy": NOWHERE for kind in ("http", "https", "all")},
            "no_proxy": "127.0.0.1,localhost",
            loopback_guard.NOTES: str(self.temp / "outside.txt"),
            **self.world.env,
        }

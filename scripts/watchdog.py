"""Step of the watchdog workflow: opens or closes the issue about stale state, by the files of this checkout.

`python3 scripts/watchdog.py`, where nothing is installed. PAUSE is the variable NPC_LIMS_PAUSE of the repository.
"""

from __future__ import annotations

import datetime
import os
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from github_job import run_url, update_issue

from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.state.watchdog import watch

SYNC_FILE = Path(__file__).resolve().parent.parent / "state" / "sync.yaml"


def main(environ: Mapping[str, str]) -> str:
    content = SYNC_FILE.read_bytes() if SYNC_FILE.is_file() else None
    now = datetime.datetime.now(datetime.timezone.utc)
    paused = environ.get("PAUSE", "") not in ("", "false")
    return watch(PlainGitHubClient.of_job(environ), content, run_url(environ), now, paused=paused)


if __name__ == "__main__":
    update_issue(lambda: main(os.environ))

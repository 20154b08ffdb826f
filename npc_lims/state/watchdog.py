"""Checks that the committed state is as new as it should be, by the standard library alone.

A schedule that is dropped, a workflow that is disabled or a pause that was forgotten fails no run, so no failing run
reports it.
"""

from __future__ import annotations

import datetime
import urllib.parse
from collections.abc import Iterator

from npc_lims.clients.github_alerts import STALE, Failure, clear_alert, raise_alert
from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.errors import GitHubError
from npc_lims.state.freshness import STALE_AFTER, age_of, parse_sync_times

WORKFLOW = "sync.yml"
PERIOD = datetime.timedelta(hours=6)
"""How often the schedule of the workflow sync starts it."""
LAST_RUN_AFTER = 2 * PERIOD
"""Two periods. The times in `sync.yaml` have more (`STALE_AFTER`), as an unchanged state is committed once a day."""


def check_state(content: bytes | None, now: datetime.datetime) -> Iterator[Failure]:
    """Yield what is stale by the committed `state/sync.yaml`, None if there is none, or that it cannot be read."""
    remedy = "no sync is known to have been committed; npc-lims verify checks the state"
    if content is None:
        yield Failure("state", f"state/sync.yaml is missing: {remedy}")
        return
    try:
        sources = parse_sync_times(content)
    except ValueError as error:
        yield Failure("state", f"state/sync.yaml cannot be read ({error}): {remedy}")
        return
    if not any(times.last_complete for times in sources.values()):
        yield Failure("state", "state/sync.yaml has no source that was ever read completely")
    for name, times in sources.items():
        since = times.last_complete or times.failing_since
        age = age_of(since, now)
        if since is not None and age is None:
            yield Failure(name, f"its time {since} lies in the future: the clock of a publisher is wrong; sync again")
        elif age is not None and age > STALE_AFTER:
            what = "last read completely" if times.last_complete else "never read completely, and failing since"
            yield Failure(name, f"{what} {since}, more than {_hours(STALE_AFTER)} ago")


def check_runs(client: PlainGitHubClient, now: datetime.datetime, *, paused: bool) -> Iterator[Failure]:
    """Yield why the workflow sync has not succeeded lately, if it has not; *paused* if NPC_LIMS_PAUSE stops it."""
    path = f"/actions/workflows/{WORKFLOW}"
    action = "looking for the last sync"
    try:
        with client.validated(action):
            query = urllib.parse.urlencode({"status": "success", "branch": _default_branch(client), "per_page": 1})
            found = client.request(action, "GET", f"{path}/runs?{query}")
            finished = [str(run["updated_at"]) for run in found["workflow_runs"]]
            state = str(client.request(action, "GET", path)["state"])
    except GitHubError as error:
        yield Failure("workflow sync", f"its runs are not known: {error}")
        return
    age = age_of(finished[0], now) if finished else None
    if age is not None and age <= LAST_RUN_AFTER:
        return
    last = f"last succeeded {finished[0]}, more than {_hours(LAST_RUN_AFTER)} ago" if finished else "never succeeded"
    yield Failure("workflow sync", f"{last}; see its runs, and whether GitHub still starts it by schedule")
    if state != "active":
        yield Failure("workflow sync", f"it is {state}: enable it under Actions, sync")
    if paused:
        yield Failure("workflow sync", "the variable NPC_LIMS_PAUSE stops it: unset it, or set it to false")


def watch(
    client: PlainGitHubClient, content: bytes | None, run_url: str, now: datetime.datetime, *, paused: bool
) -> str:
    """Open, update or close the issue about stale state, by the *content* of sync.yaml. Return a line for the log.

    When the issue is opened a sync is started, unless *paused*; a later check of the same issue starts none.
    """
    failures = [*check_state(content, now), *check_runs(client, now, paused=paused)]
    if not failures:
        return f"the state is fresh{clear_alert(client, STALE, run_url)}"
    raised = raise_alert(client, STALE, failures, run_url, now=now)
    done = f"{', '.join(dict.fromkeys(failure.source for failure in failures))}: reported in {raised.url}"
    if not raised.is_new or paused:
        return done
    started = _start_sync(client)
    number = raised.url.rpartition("/")[2]
    path = f"/issues/{number}/comments"
    client.request(f"commenting on issue #{number}", "POST", path, {"body": started})
    return f"{done}; {started}"


def _start_sync(client: PlainGitHubClient) -> str:
    """Start a sync, unless one is queued or running. Return a sentence for people."""
    path = f"/actions/workflows/{WORKFLOW}"
    try:
        found = client.request("looking for a sync", "GET", f"{path}/runs?per_page=20")
        if any(run["status"] != "completed" for run in found["workflow_runs"]):
            return "A sync is running or queued, so none was started."
        client.request("starting a sync", "POST", f"{path}/dispatches", {"ref": _default_branch(client)})
    except (GitHubError, KeyError, TypeError) as error:
        status = error.status if isinstance(error, GitHubError) else None
        return f"A sync could not be started (GitHub answered {status}); start it under Actions, sync, Run workflow."
    return "A sync was started. If it succeeds, the next check closes this issue."


def _default_branch(client: PlainGitHubClient) -> str:
    return str(client.request("looking for the default branch", "GET", "")["default_branch"])


def _hours(duration: datetime.timedelta) -> str:
    return f"{duration.total_seconds() / 3600:.0f} h"

"""Whether committed state is found stale, and the issue about it, against a stand-in for GitHub."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta, timezone

import pytest

from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.clients.http import RetryPolicy
from npc_lims.errors import SourceError
from npc_lims.model.record import Observation, failed
from npc_lims.model.sections import SECTIONS
from npc_lims.state.freshness import STALE_AFTER
from npc_lims.state.sync_file import SyncFile, next_sync_file
from npc_lims.state.watchdog import LAST_RUN_AFTER, check_state, watch
from npc_lims.utils.yaml import render_yaml
from tests.servers.faults import FaultyProxy, Status
from tests.servers.fixtures import Serve
from tests.servers.github_hub import NAME, ROBOT, TOKENS, Hub
from tests.servers.github_records import Run
from tests.servers.web import Request

HOUR = timedelta(hours=1)
RUN_URL = f"https://github.com/{NAME}/actions/runs/7"


@pytest.fixture
def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


def synced(at: datetime, *, broken: str = "", before: SyncFile | None = None) -> SyncFile:
    """The file after a sync of everything, in which one source may have failed."""
    seen = [
        failed(SourceError(name, "the token was refused")) if name == broken else Observation(name, complete=True)
        for name in SECTIONS
    ]
    return next_sync_file(before or SyncFile(), seen, at)


def text_of(file: SyncFile) -> bytes:
    return render_yaml(file.model_dump(by_alias=True)).encode()


@dataclasses.dataclass
class Desk:
    """The repository, and what the watchdog is given."""

    hub: Hub
    client: PlainGitHubClient
    now: datetime

    def run(self, age: timedelta, conclusion: str | None = "success", branch: str = "main") -> Run:
        """A sync that began so long ago; one without a conclusion is going."""
        at = self.now - age
        status = "completed" if conclusion else "in_progress"
        run = Run(100 + len(self.hub.runs), 1, ".github/workflows/sync.yml", "sync", "sync", "schedule", branch,
                  self.hub.git.branch("main") or "", ROBOT, at, at, status=status, conclusion=conclusion)  # fmt: skip
        self.hub.repo.runs.append(run)
        return run

    def watch(self, content: bytes | None, *, paused: bool = False) -> str:
        return watch(self.client, content, RUN_URL, self.now, paused=paused)

    @property
    def started(self) -> int:
        return sum(run.event == "workflow_dispatch" for run in self.hub.runs)

    @property
    def states(self) -> list[str]:
        return [issue.state for issue in self.hub.issues]

    @property
    def body(self) -> str:
        return self.hub.issues[-1].body or ""


def client_of(url: str) -> PlainGitHubClient:
    return PlainGitHubClient(url, NAME, TOKENS[ROBOT], RetryPolicy(2, 5, 0.01))


@pytest.fixture
def desk(hub: Hub, now: datetime) -> Desk:
    hub.api.add_token(TOKENS[ROBOT], ROBOT, may_write={"issues", "actions"})
    return Desk(hub, client_of(hub.api.url), now)


def test_fresh_state_opens_nothing(desk: Desk) -> None:
    desk.run(5 * HOUR)
    done = desk.watch(text_of(synced(desk.now - 30 * HOUR)))
    assert done == "the state is fresh", desk.body
    assert desk.hub.writes == []


def test_a_schedule_that_is_dropped_opens_one_issue_and_starts_one_sync(desk: Desk) -> None:
    desk.run(60 * HOUR)
    old = text_of(synced(desk.now - 60 * HOUR))
    assert "A sync was started" in desk.watch(old)
    (issue,) = desk.hub.issues
    assert (issue.title, issue.labels) == ("The state is stale", ["state-stale"])
    for name in (*SECTIONS, "workflow sync"):
        assert f"**{name}**" in desk.body
    assert "more than 48 h ago" in desk.body
    assert "First found stale: " in desk.body and "Checks: 1" in desk.body
    assert "more than 12 h ago" in desk.body
    assert desk.started == 1
    # it goes on: one issue, and no further run, also once that one has ended
    desk.hub.repo.runs[-1].status, desk.hub.repo.runs[-1].conclusion = "completed", "failure"
    for _ in range(3):
        desk.watch(old)
    assert (desk.states, desk.started) == (["open"], 1)
    assert [comment.body[:18] for comment in issue.comments] == ["A sync was started"]
    # a run that succeeded is no recovery as long as a source is old, nor new state without one
    desk.run(HOUR)
    desk.watch(old)
    assert desk.states == ["open"]
    assert "**workflow sync**" not in desk.body
    desk.watch(text_of(synced(desk.now - HOUR)))
    assert desk.states == ["closed"]
    assert issue.comments[-1].body == f"The state is fresh: {RUN_URL}"


def test_one_source_that_fails_for_long_is_named_alone(desk: Desk) -> None:
    desk.run(HOUR)
    before = synced(desk.now - STALE_AFTER - HOUR)
    desk.watch(text_of(synced(desk.now - HOUR, broken="s3", before=before)))
    assert "**s3**" in desk.body
    assert "**codeocean**" not in desk.body


def test_the_limits_are_what_a_healthy_sync_never_reaches(desk: Desk) -> None:
    desk.run(LAST_RUN_AFTER - timedelta(minutes=1))
    assert desk.watch(text_of(synced(desk.now - STALE_AFTER + timedelta(minutes=1)))) == "the state is fresh", desk.body
    desk.watch(text_of(synced(desk.now - STALE_AFTER - timedelta(minutes=1))))
    assert desk.states == ["open"]


def test_runs_that_failed_or_were_skipped_are_no_success(desk: Desk) -> None:
    desk.run(20 * HOUR)
    desk.run(HOUR, "failure")
    desk.run(HOUR, "skipped")
    desk.run(HOUR, branch="try")
    desk.watch(text_of(synced(desk.now - HOUR)))
    assert "**workflow sync**" in desk.body


@pytest.mark.parametrize("conclusion", [None, "success"])
def test_no_sync_is_started_beside_one_that_is_going(desk: Desk, conclusion: str | None) -> None:
    desk.run(20 * HOUR)
    desk.run(HOUR, None) if conclusion is None else None
    desk.watch(text_of(synced(desk.now - HOUR)))
    assert desk.started == (conclusion is not None)


def test_a_pause_is_reported_and_nothing_is_started(desk: Desk) -> None:
    desk.run(20 * HOUR)
    desk.watch(text_of(synced(desk.now - 60 * HOUR)), paused=True)
    assert "NPC_LIMS_PAUSE stops it" in desk.body
    assert (desk.started, desk.hub.issues[0].comments) == (0, [])


def test_a_sync_that_cannot_be_started_is_reported(desk: Desk) -> None:
    desk.hub.api.add_token(TOKENS[ROBOT], ROBOT, may_write={"issues"})
    assert "could not be started (GitHub answered 403)" in desk.watch(None)
    assert desk.states == ["open"]


def test_a_workflow_that_is_disabled_is_named(desk: Desk, serve: Serve) -> None:
    def rule(request: Request) -> Status | None:
        disabled = b'{"state": "disabled_inactivity"}'
        json = {"Content-Type": "application/json"}
        return Status(200, json, disabled) if request.path.endswith("/sync.yml") else None

    desk.client = client_of(serve(FaultyProxy(desk.hub.api.url, rule=rule)).url)
    desk.run(20 * HOUR)
    desk.watch(text_of(synced(desk.now - HOUR)))
    assert "it is disabled_inactivity: enable it under Actions, sync" in desk.body


@pytest.mark.parametrize("answer", [Status(403), Status(200, {"Content-Type": "x/json"}, b"[]")], ids=repr)
def test_runs_that_cannot_be_looked_at_are_no_success(desk: Desk, serve: Serve, answer: Status) -> None:
    proxy = serve(FaultyProxy(desk.hub.api.url, rule=lambda r: answer if "/actions/" in r.path else None))
    desk.client = client_of(proxy.url)
    desk.run(HOUR)
    desk.watch(text_of(synced(desk.now - HOUR)))
    assert "its runs are not known" in desk.body


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "state/sync.yaml is missing"),
        (b"", "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"schema: 1\n", "cannot be read"),
        (b"schema: 1\nsources: {}\n", "no source that was ever read completely"),
        (b"schema: 1\nsources:\n  s3:\n    last_complete: null\n", "no source that was ever read completely"),
        (b"schema: 1\nsources:\n  s3:\n    last_complete: soon\n", "cannot be read"),
        (b"schema: 1\nsources:\n<<<<<<< HEAD\n  s3:\n", "cannot be read"),
        (b'schema: 1\nsources:\n  s3:\n    last_complete: "2026-13-45T00:00:00Z"\n', "cannot be read"),
        (b"::error::x\n", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_stale(content: bytes | None, says: str, now: datetime) -> None:
    assert any(says in failure.reason for failure in check_state(content, now))


@pytest.mark.parametrize(("ahead", "is_fresh"), [(timedelta(minutes=9), True), (timedelta(minutes=11), False)])
def test_a_time_in_the_future_is_not_fresh(now: datetime, ahead: timedelta, is_fresh: bool) -> None:
    found = list(check_state(text_of(synced(now + ahead)), now))
    assert (found == []) is is_fresh
    assert all("lies in the future" in failure.reason for failure in found)


def test_a_source_that_never_answered_is_stale_when_it_has_failed_for_long(now: datetime) -> None:
    first = synced(now - STALE_AFTER - HOUR, broken="s3")
    later = synced(now - HOUR, broken="s3", before=first)
    assert [failure.source for failure in check_state(text_of(later), now)] == ["s3"]
    assert list(check_state(text_of(synced(now - HOUR, broken="s3")), now)) == []

"""Looks that cross: what a later one saw is not undone, and sync.yaml never says more than was read."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from npc_lims.clients.git import Repository
from npc_lims.config.settings import Settings
from npc_lims.errors import FutureTimestampWarning, NpcLimsError
from npc_lims.model.reconcile import Dropped, Newer, Records, keep_newest
from npc_lims.model.record import CodeOcean, Observation
from npc_lims.sources.tracked.parser import observe_text
from npc_lims.sources.tracked.parser import tracked_text as read_text
from npc_lims.state.store import read_state
from npc_lims.state.sync_file import read_sync_file
from npc_lims.sync.observation_file import EVERYTHING, ObservationSet, Scope
from npc_lims.sync.run import SyncOptions, apply, sync
from npc_lims.utils.timestamps import utc_text
from tests.builders import SESSION, no_assets, record, tracked, training
from tests.integration.world import run_git
from tests.sync.repositories import NOON, SESSIONS, clone, observation_set, push, state_of, tracked_text, uploaded

FIRST, SECOND, THIRD = SESSIONS[:3]
HOUR = datetime.timedelta(hours=1)


def rows(version: str, at: datetime.datetime, scope: Scope = EVERYTHING, **hits: int) -> ObservationSet:
    """An observation of a workbook of that version, which has one row."""
    facts = {FIRST: training(**hits)}
    return ObservationSet((Observation("training", facts, complete=True, versions={"book": version}),), scope, at)


def versions(state: Path) -> dict[str, str]:
    return dict(read_sync_file(state).sources["training"].versions)


def is_uploaded(remote: Path, folder: Path, session: str) -> object:
    return state_of(remote, folder)[session].status["is_uploaded"]


# --- newer observations ----------------------------------------------------------------------------


@pytest.mark.slow
def test_each_of_two_observations_is_compared_by_its_own_time(checkout: Path, remote: Path, tmp_path: Path) -> None:
    early, late = observation_set({FIRST: no_assets()}), observation_set({SECOND: uploaded(SECOND)}, at=NOON + 2 * HOUR)
    push(clone(remote, tmp_path / "other"), early, late)
    between = observation_set({FIRST: uploaded(FIRST), SECOND: no_assets()}, at=NOON + HOUR)
    push(checkout, between)
    assert is_uploaded(remote, tmp_path / "a", FIRST) is True
    assert is_uploaded(remote, tmp_path / "b", SECOND) is True


@pytest.mark.slow
@pytest.mark.parametrize("depth", [(), ("--depth=1",)], ids=["full", "shallow"])
def test_commits_of_people_with_wrong_clocks_hide_nothing(depth: tuple[str, ...], remote: Path, tmp_path: Path) -> None:
    checkout = clone(remote, tmp_path / "checkout", *depth)
    other = clone(remote, tmp_path / "other")
    push(other, observation_set({FIRST: uploaded(FIRST)}, at=NOON + HOUR))
    then = {"GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z"}
    Repository(other).run("commit", "--quiet", "--allow-empty", "--message=by an old clock", env=then)
    run_git(other, "push", "--quiet", "origin", "HEAD:main")
    push(checkout, observation_set({FIRST: no_assets(), SECOND: uploaded(SECOND)}))
    assert is_uploaded(remote, tmp_path / "after", FIRST) is True


@pytest.mark.slow
def test_a_source_that_was_queried_completely_later_is_left_unchanged(
    checkout: Path, remote: Path, tmp_path: Path
) -> None:
    """Also where that observation changed nothing, and so left no trace in any session."""
    push(clone(remote, tmp_path / "other"), rows("new", NOON + HOUR, hits=2))
    done = push(checkout, rows("old", NOON, hits=1))
    assert (done.commit, done.dropped, done.applied) == (None, {"training": 1}, (True,))
    unchanged = Observation("training", unchanged=True, versions={"book": "older"})
    done = push(checkout, ObservationSet((unchanged,), EVERYTHING, NOON))
    assert (done.commit, done.dropped, done.unapplied) == (None, {"training": 1}, ())
    after = clone(remote, tmp_path / "after") / "state"
    assert versions(after) == {"book": "new"}


def newest(seen: ObservationSet, newer: Newer, recorded: Records) -> tuple[tuple[Observation, ...], Dropped]:
    return keep_newest(seen.observations, seen.at, recorded, newer, {}, seen.scope)


def test_a_session_that_is_gone_is_not_known_to_have_nothing() -> None:
    seen = observation_set({SESSION: uploaded(SESSION)})
    (observation,) = newest(seen, {SESSION: frozenset({"tracked", "codeocean"})}, {})[0]
    assert isinstance(observation.facts[SESSION], CodeOcean)
    unknown = {SESSION: record(SESSION)}
    (observation,) = newest(seen, {SESSION: frozenset({"codeocean"})}, unknown)[0]
    assert isinstance(observation.facts[SESSION], CodeOcean)
    gone = ObservationSet((Observation("tracked", {SESSION: tracked()}),), EVERYTHING, NOON)
    (observation,) = newest(gone, {SESSION: frozenset({"tracked"})}, {})[0]
    assert observation.facts[SESSION] is False


def test_only_what_differs_is_dropped_and_counted() -> None:
    newer = {session: frozenset({"codeocean"}) for session in (FIRST, SECOND, THIRD)}
    recorded = {
        FIRST: record(FIRST, codeocean=no_assets()),
        SECOND: record(SECOND, codeocean=uploaded(SECOND)),
        THIRD: record(THIRD, codeocean=uploaded(THIRD)),
    }
    seen = observation_set({session: uploaded(session) for session in (FIRST, SECOND)})
    assert newest(seen, newer, recorded)[1] == {"codeocean": 1}
    # one that has everything says of THIRD that there is nothing
    whole = ObservationSet((Observation("codeocean", {FIRST: no_assets()}, complete=True),), EVERYTHING, NOON)
    assert newest(whole, newer, recorded)[1] == {"codeocean": 2}
    assert newest(rows("one", NOON), newer, recorded)[1] == {}


def test_the_newest_time_of_squashed_commits_takes_precedence(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    push(other, observation_set({FIRST: uploaded(FIRST)}, at=NOON + HOUR))
    observed = f"Npc-Lims-Observed: {utc_text(NOON)}\nNpc-Lims-Observed: {utc_text(NOON + HOUR)}\n"
    run_git(other, "commit", "--quiet", "--amend", f"--message=squashed\n\n{observed}")
    run_git(other, "push", "--quiet", "--force", "origin", "HEAD:main")
    assert push(checkout, observation_set({FIRST: no_assets()}, at=NOON + HOUR / 2)).dropped == {"codeocean": 1}


@pytest.mark.parametrize("rest", [b",,}", b',"more":' + b"[" * 99_999 + b"}"], ids=["no JSON", "deep"])
def test_a_snapshot_that_was_damaged_once_is_no_reason_to_fail(checkout: Path, remote: Path, rest: bytes) -> None:
    other = clone(remote, checkout.parent / "other")
    snapshot = other / "state" / "sessions.jsonl"
    content = snapshot.read_bytes()
    for damaged in (content + b'{"id":"626791_2022-08-15"' + rest + b"\n", content):
        snapshot.write_bytes(damaged)
        message = f"state: by hand\n\nNpc-Lims-Observed: {utc_text(NOON + HOUR)}\n"
        run_git(other, "commit", "--quiet", "--all", f"--message={message}")
    run_git(other, "push", "--quiet")
    assert push(checkout, observation_set({FIRST: uploaded(FIRST)})).commit is not None


# --- clocks that are ahead ------------------------------------------------------------------------


def publish_from_the_future(checkout: Path) -> str:
    """What a publisher in 2099 leaves behind. The commit."""
    push(checkout, observation_set({FIRST: no_assets()}, at=NOON), rows("one", NOON))
    sync_file = checkout / "state" / "sync.yaml"
    sync_file.write_text(sync_file.read_text().replace("2024-10-01T12:00:00Z", "2099-01-01T00:00:00Z"))
    message = run_git(checkout, "log", "-1", "--format=%B").replace("2024-10-01T12:00:00Z", "2099-01-01T00:00:00Z")
    run_git(checkout, "commit", "--quiet", "--all", "--amend", f"--message={message}")
    run_git(checkout, "push", "--quiet", "--force", "origin", "HEAD:main")
    return run_git(checkout, "rev-parse", "HEAD").strip()


def test_a_publisher_with_a_clock_in_2099_hides_nothing(checkout: Path, remote: Path, tmp_path: Path) -> None:
    commit = publish_from_the_future(clone(remote, tmp_path / "other"))
    with pytest.warns(FutureTimestampWarning) as warned:
        done = push(
            checkout, rows("two", NOON + HOUR, hits=2), observation_set({FIRST: uploaded(FIRST)}, at=NOON + HOUR)
        )
    where = {str(one.message).partition(": 2099")[0] for one in warned}
    assert where == {
        f"commit {commit[:10]}: Npc-Lims-Observed",
        "origin/main:state/sync.yaml: sources.training.last_complete",
    }
    assert done.commit is not None
    assert (done.dropped, done.applied) == ({}, (True, True))
    assert is_uploaded(remote, tmp_path / "after", FIRST) is True
    synced = read_sync_file(tmp_path / "after" / "state").sources["training"]
    assert (synced.last_complete, synced.versions) == ("2024-10-01T13:00:00Z", {"book": "two"})


def test_observations_from_the_future_are_not_published(checkout: Path, remote: Path) -> None:
    before = run_git(remote, "rev-parse", "main")
    ahead = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=11)
    with pytest.raises(NpcLimsError, match=r"in the future.*Correct the clock.*observe again"):
        push(checkout, observation_set({FIRST: uploaded(FIRST)}), observation_set({SECOND: uploaded(SECOND)}, at=ahead))
    assert run_git(remote, "rev-parse", "main") == before
    a_little = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=9)
    assert push(checkout, observation_set({SECOND: uploaded(SECOND)}, at=a_little)).commit is not None


# --- what sync.yaml may say -----------------------------------------------------------------------


def test_what_was_read_of_some_sessions_is_of_no_version(tmp_path: Path) -> None:
    """Else what is put back as it was would be taken for what is recorded."""
    state = tmp_path / "state"
    apply(state, rows("one", NOON))
    assert versions(state) == {"book": "one"}
    apply(state, rows("two", NOON + HOUR, Scope(frozenset({FIRST})), hits=2))
    assert versions(state) == {}


def test_unchanged_since_another_version_is_a_failure_and_not_an_answer(tmp_path: Path) -> None:
    """A workbook that was changed and changed back meanwhile: what is recorded is outdated, and nobody would say so."""
    state = tmp_path / "state"
    apply(state, rows("one", NOON))
    unchanged = Observation("training", unchanged=True, versions={"book": "two"})
    result = apply(state, ObservationSet((unchanged,), EVERYTHING, NOON + HOUR))
    assert ["observe again" in failure.reason for failure in result.failures] == [True]
    training = read_sync_file(state).sources["training"]
    assert (training.last_complete, training.versions) == ("2024-10-01T12:00:00Z", {"book": "one"})
    assert training.failure is not None
    apply(state, rows("two", NOON + 2 * HOUR))
    assert read_sync_file(state).sources["training"].failure is None


@pytest.mark.parametrize("versions", [{}, {"book": "one", "other": "one"}])
def test_unchanged_since_no_recorded_version_is_a_failure(versions: dict[str, str], tmp_path: Path) -> None:
    state = tmp_path / "state"
    apply(state, rows("one", NOON))
    unchanged = Observation("training", unchanged=True, versions=versions)
    assert apply(state, ObservationSet((unchanged,), EVERYTHING, NOON + HOUR)).failures


def test_an_edit_that_is_reverted_is_found(tmp_path: Path) -> None:

    state, file = tmp_path / "state", tmp_path / "tracked_sessions.yaml"

    def run(changed: bool) -> None:
        sync(Settings(), SyncOptions(state, file, sources=["tracked"], changed=changed))

    whole, edited = tracked_text([FIRST, SECOND]), tracked_text([FIRST])
    file.write_text(whole)
    run(changed=False)
    file.write_text(edited)
    run(changed=True)
    assert not read_state(state).records[SECOND].tracked
    file.write_text(whole)
    run(changed=True)
    assert read_state(state).records[SECOND].tracked


def test_line_ends_are_no_change_of_the_tracked_file(tmp_path: Path) -> None:

    file = tmp_path / "tracked_sessions.yaml"
    file.write_bytes(tracked_text([FIRST]).encode())
    first = observe_text(*read_text(file), {})
    file.write_bytes(tracked_text([FIRST]).replace("\n", "\r\n").encode())
    assert observe_text(*read_text(file), first.versions).unchanged

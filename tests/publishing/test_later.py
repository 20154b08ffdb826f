"""Looks that cross: what a later one saw is not undone, and sync.yaml never says more than was read."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from npc_lims.git import Repository
from npc_lims.model import CodeOcean
from npc_lims.observed import Observed
from npc_lims.publishing.later import with_later
from npc_lims.scope import EVERYTHING, Scope
from npc_lims.settings import Settings
from npc_lims.sources.observation import Observation
from npc_lims.sources.tracked import observe_tracked
from npc_lims.state.store import read_state
from npc_lims.state.sync_file import read_sync_file
from npc_lims.sync import SyncOptions, apply, sync
from tests.builders import SESSION, no_assets, record, tracked, training
from tests.integration.world import run_git
from tests.publishing.repositories import (
    NOON,
    SESSIONS,
    clone,
    look,
    make_remote,
    push,
    state_of,
    tracked_text,
    uploaded,
)

FIRST, SECOND, THIRD = SESSIONS[:3]
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    return make_remote(tmp_path / "remote")


@pytest.fixture
def checkout(remote: Path, tmp_path: Path) -> Path:
    return clone(remote, tmp_path / "checkout")


def rows(version: str, at: datetime.datetime, scope: Scope = EVERYTHING, **hits: int) -> Observed:
    """A look at a workbook of that version, which has one row."""
    facts = {FIRST: training(**hits)}
    return Observed((Observation("training", facts, complete=True, versions={"book": version}),), scope, at)


def versions(state: Path) -> dict[str, str]:
    return dict(read_sync_file(state).sources["training"].versions)


def is_uploaded(remote: Path, folder: Path, session: str) -> object:
    return state_of(remote, folder)[session].status["is_uploaded"]


# --- what later looks saw -------------------------------------------------------------------------


@pytest.mark.slow
def test_each_of_two_looks_counts_from_its_own_time(checkout: Path, remote: Path, tmp_path: Path) -> None:
    early, late = look({FIRST: no_assets()}), look({SECOND: uploaded(SECOND)}, at=NOON + 2 * HOUR)
    push(clone(remote, tmp_path / "other"), early, late)
    between = look({FIRST: uploaded(FIRST), SECOND: no_assets()}, at=NOON + HOUR)
    push(checkout, between)
    assert is_uploaded(remote, tmp_path / "a", FIRST) is True
    assert is_uploaded(remote, tmp_path / "b", SECOND) is True


@pytest.mark.slow
def test_commits_of_people_with_wrong_clocks_hide_nothing(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    push(other, look({FIRST: uploaded(FIRST)}, at=NOON + HOUR))
    then = {"GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z", "GIT_AUTHOR_DATE": "2001-01-01T00:00:00Z"}
    Repository(other).run("commit", "--quiet", "--allow-empty", "--message=by an old clock", env=then)
    run_git(other, "push", "--quiet", "origin", "HEAD:main")
    push(checkout, look({FIRST: no_assets(), SECOND: uploaded(SECOND)}))
    assert is_uploaded(remote, tmp_path / "after", FIRST) is True


@pytest.mark.slow
def test_a_source_that_was_asked_about_everything_later_is_left_as_it_is(
    checkout: Path, remote: Path, tmp_path: Path
) -> None:
    """Also where that look changed nothing, and so left no trace in any session."""
    push(clone(remote, tmp_path / "other"), rows("new", NOON + HOUR, hits=2))
    done = push(checkout, rows("old", NOON, hits=1))
    assert done.commit is None
    after = clone(remote, tmp_path / "after") / "state"
    assert versions(after) == {"book": "new"}


def test_a_session_that_is_gone_is_not_known_to_have_nothing() -> None:
    seen = look({SESSION: uploaded(SESSION)})
    (observation,) = with_later(seen, {SESSION: frozenset({"tracked", "codeocean"})}, {}).observations
    assert isinstance(observation.facts[SESSION], CodeOcean)
    unknown = {SESSION: record(SESSION)}
    (observation,) = with_later(seen, {SESSION: frozenset({"codeocean"})}, unknown).observations
    assert isinstance(observation.facts[SESSION], CodeOcean)
    gone = Observed((Observation("tracked", {SESSION: tracked()}),), EVERYTHING, NOON)
    (observation,) = with_later(gone, {SESSION: frozenset({"tracked"})}, {}).observations
    assert observation.facts[SESSION] is False


# --- what sync.yaml may say -----------------------------------------------------------------------


def test_what_was_read_of_some_sessions_is_of_no_version(tmp_path: Path) -> None:
    """Else what is put back as it was would be taken for what is recorded."""
    state = tmp_path / "state"
    apply(state, [rows("one", NOON)])
    assert versions(state) == {"book": "one"}
    apply(state, [rows("two", NOON + HOUR, Scope(frozenset({FIRST})), hits=2)])
    assert versions(state) == {}


def test_an_unchanged_workbook_of_another_version_says_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    apply(state, [rows("one", NOON)])
    before = (state / "sync.yaml").read_bytes()
    unchanged = Observation("training", unchanged=True, versions={"book": "two"})
    apply(state, [Observed((unchanged,), EVERYTHING, NOON + HOUR)])
    assert (state / "sync.yaml").read_bytes() == before


def test_an_edit_that_is_taken_back_is_seen(tmp_path: Path) -> None:

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
    first = observe_tracked(file)
    file.write_bytes(tracked_text([FIRST]).replace("\n", "\r\n").encode())
    assert observe_tracked(file, first.versions).unchanged

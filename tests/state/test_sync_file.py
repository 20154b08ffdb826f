"""sync.yaml: rewritten when something but a time changed, or once a day."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from npc_lims.errors import FutureTimestampWarning, SourceError, StateError
from npc_lims.model.record import Observation, failed
from npc_lims.state.sync_file import (
    SYNC_FILE,
    SourceSync,
    SyncFailure,
    SyncFile,
    next_sync_file,
    read_sync_file,
    write_sync_file,
)

NOON = datetime.datetime(2024, 3, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)
STAMP = "2024-03-01T12:00:00Z"


def later(**more: int) -> datetime.datetime:
    return NOON + datetime.timedelta(**more)


def seen(source: str = "training", **more: dict[str, str] | dict[str, int]) -> Observation:
    return Observation(source=source, complete=True, **more)  # type: ignore[arg-type]


def down(reason: str = "timed out", source: str = "training") -> Observation:
    return failed(SourceError(source, reason))


def after_first(*observed: Observation) -> SyncFile:
    return next_sync_file(SyncFile(), observed or [seen(counts={"rows": 5})], NOON)


def test_the_first_sync() -> None:
    made = next_sync_file(SyncFile(), [seen(counts={"rows": 5}, versions={"a.xlsx": "etag"})], NOON)
    assert made.sources == {
        "training": SourceSync(last_complete=STAMP, counts={"rows": 5}, versions={"a.xlsx": "etag"}, failure=None)
    }


def test_sources_stand_in_the_order_of_the_sections() -> None:
    made = after_first(seen("s3"), seen("codeocean"), seen("tracked"), seen("training"))
    assert list(made.sources) == ["tracked", "training", "codeocean", "s3"]


def test_times_are_in_utc() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-8))
    made = next_sync_file(SyncFile(), [seen()], NOON.astimezone(zone))
    assert made.sources["training"].last_complete == STAMP


@pytest.mark.parametrize("more", [{"seconds": 0}, {"minutes": 5}, {"hours": 23, "minutes": 59, "seconds": 59}])
def test_an_unchanged_world_leaves_the_file_as_it_is(more: dict[str, int]) -> None:
    before = after_first()
    assert next_sync_file(before, [seen(counts={"rows": 5})], later(**more)) is before


@pytest.mark.parametrize("days", [1, 30])
def test_once_a_day_the_time_is_written(days: int) -> None:
    before = after_first()
    made = next_sync_file(before, [seen(counts={"rows": 5})], later(days=days))
    assert made.sources["training"].last_complete == f"{later(days=days):%Y-%m-%dT%H:%M:%SZ}"


def test_a_source_that_is_not_queried_any_more_does_not_make_each_sync_write() -> None:
    before = after_first(seen("training"), seen("s3"))
    then = next_sync_file(before, [seen("s3")], later(days=3))
    assert then.sources["training"] == before.sources["training"]
    assert next_sync_file(then, [seen("s3")], later(days=3, minutes=5)) is then


@pytest.mark.parametrize("change", [{"counts": {"rows": 6}}, {"counts": {"rows": 5}, "versions": {"a.xlsx": "e"}}])
def test_other_counts_or_versions_are_written(change: dict[str, dict[str, int]]) -> None:
    made = next_sync_file(after_first(), [seen(**change)], later(minutes=5))
    assert made.sources["training"].last_complete == "2024-03-01T12:05:00Z"


def test_a_source_that_gives_no_counts_keeps_those_that_are_known() -> None:
    before = after_first()
    assert next_sync_file(before, [seen()], later(minutes=5)) is before


def test_a_failure_is_written_and_the_rest_stays() -> None:
    before = after_first()
    made = next_sync_file(before, [down()], later(minutes=5))
    assert made.sources["training"] == SourceSync(
        last_complete=STAMP, counts={"rows": 5}, failure=SyncFailure(at="2024-03-01T12:05:00Z", reason="timed out")
    )


def test_versions_of_a_failed_observation_are_not_recorded() -> None:
    partly = Observation(source="training", versions={"a.xlsx": "new"}, failure=SourceError("training", "half"))
    before = after_first(seen(versions={"a.xlsx": "old"}))
    assert next_sync_file(before, [partly], later(minutes=5)).sources["training"].versions == {"a.xlsx": "old"}


@pytest.mark.parametrize("days", [0, 40])
def test_the_same_failure_again_leaves_the_file_as_it_is(days: int) -> None:
    before = next_sync_file(after_first(), [down()], NOON)
    assert next_sync_file(before, [down()], later(days=days, minutes=5)) is before


def test_another_failure_is_written() -> None:
    before = next_sync_file(after_first(), [down()], NOON)
    made = next_sync_file(before, [down("refused")], later(minutes=5))
    assert made.sources["training"].failure == SyncFailure(at="2024-03-01T12:05:00Z", reason="refused")


def test_a_success_takes_the_failure_away_at_once() -> None:
    before = next_sync_file(after_first(), [down()], NOON)
    made = next_sync_file(before, [seen(counts={"rows": 5})], later(minutes=5))
    assert made.sources["training"] == SourceSync(last_complete="2024-03-01T12:05:00Z", counts={"rows": 5})


def test_a_source_that_never_answered_has_no_time() -> None:
    made = next_sync_file(SyncFile(), [down()], NOON)
    assert made.sources["training"] == SourceSync(failure=SyncFailure(at=STAMP, reason="timed out"))


def test_a_sync_of_some_sessions_does_not_count_for_all() -> None:
    before = after_first()
    assert next_sync_file(before, [seen(counts={"rows": 1})], later(days=3), full=False) is before
    assert next_sync_file(before, [down()], later(days=3), full=False).sources["training"].failure is not None


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = next_sync_file(after_first(seen(versions={"s3://a/b c.xlsx": '"0"'})), [down("a: b\nc", "s3")], NOON)
    assert write_sync_file(tmp_path, made) == tmp_path / SYNC_FILE
    assert read_sync_file(tmp_path) == made


FUTURE = "2099-01-01T00:00:00Z"


def test_times_in_the_future_are_ignored_with_a_warning_until_the_next_answer(tmp_path: Path) -> None:
    """A clock that was wrong once would else hide every later sync: the file would seem to be up to date until then."""
    failing = SourceSync(last_complete=FUTURE, counts={"rows": 5}, failure=SyncFailure(at=FUTURE, reason="timed out"))
    write_sync_file(tmp_path, SyncFile(sources={"training": failing}))
    with pytest.warns(FutureTimestampWarning) as warned:
        before = read_sync_file(tmp_path)
    where = tmp_path / SYNC_FILE
    assert [str(one.message).partition(" is more")[0] for one in warned] == [
        f"{where}: sources.training.last_complete: {FUTURE}",
        f"{where}: sources.training.failure.at: {FUTURE}",
    ]
    assert before.sources["training"] == SourceSync(
        counts={"rows": 5}, failure=SyncFailure(at=None, reason="timed out")
    )
    again = next_sync_file(before, [down()], NOON).sources["training"]
    assert (again.last_complete, again.failure) == (None, SyncFailure(at=STAMP, reason="timed out"))
    assert next_sync_file(before, [seen()], NOON).sources["training"].last_complete == STAMP


def test_times_that_somebody_typed_without_quotes_are_times(tmp_path: Path) -> None:
    made = after_first()
    path = write_sync_file(tmp_path, made)
    path.write_text(path.read_text().replace(f'"{STAMP}"', STAMP))
    assert f": {STAMP}\n" in path.read_text()
    assert read_sync_file(tmp_path) == made
    path.write_text(path.read_text().replace(STAMP, FUTURE))
    with pytest.warns(FutureTimestampWarning, match=rf"sources\.training\.last_complete: {FUTURE}"):
        assert read_sync_file(tmp_path).sources["training"].last_complete is None


def test_a_damaged_value_is_named_by_its_key(tmp_path: Path) -> None:
    (tmp_path / SYNC_FILE).write_bytes(b"sources: {training: {last_complete: 2024-01-01}}")
    with pytest.raises(StateError, match=r"\(sources\.training\.last_complete: '2024-01-01' is not written as .*\)"):
        read_sync_file(tmp_path)


def test_an_older_observation_does_not_turn_the_time_back() -> None:
    before = after_first(seen(counts={"rows": 5}))
    made = next_sync_file(before, [seen(counts={"rows": 6})], NOON - datetime.timedelta(minutes=5))
    assert made.sources["training"] == SourceSync(last_complete=STAMP, counts={"rows": 6})


def test_no_file_is_an_empty_one(tmp_path: Path) -> None:
    assert read_sync_file(tmp_path) == SyncFile()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"a: b: c",
        b"\xff\xfe\x00",
        b"sources: {training: {rows: 5}}",
        b"sources: {training: {last_complete: yesterday}}",
        b"sources: {training: {last_complete: '2024-13-01T00:00:00Z'}}",
        b"sources: {training: {last_complete: '2024-01-01T99:00:00Z'}}",
        b"sources: {training: {failure: {at: yesterday, reason: timed out}}}",
        b"sources: {elsewhere: {}}",
    ],
)
def test_a_damaged_file_is_named_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SYNC_FILE).write_bytes(content)
    with pytest.raises(StateError, match=r"sync\.yaml: damaged \(.*\(git checkout"):
        read_sync_file(tmp_path)


def test_a_time_that_a_slow_clock_takes_for_the_future_stays_until_its_source_is_read(tmp_path: Path) -> None:
    sources = {"training": SourceSync(last_complete=FUTURE), "s3": SourceSync(last_complete=FUTURE)}
    write_sync_file(tmp_path, SyncFile(sources=sources))
    with pytest.warns(FutureTimestampWarning):
        before = read_sync_file(tmp_path)
    after = next_sync_file(before, [seen(), down(source="s3")], NOON)
    assert after.sources["s3"].last_complete is None
    write_sync_file(tmp_path, after)
    content = (tmp_path / SYNC_FILE).read_text()
    assert content.count(f'last_complete: "{FUTURE}"') == content.count(f'last_complete: "{STAMP}"') == 1

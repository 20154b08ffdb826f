"""Observations as a file, and merged from several runners."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import NpcLimsError, Problem, SourceError
from npc_lims.model.reconcile import reconcile
from npc_lims.model.record import Observation, failed
from npc_lims.model.recording_days import reconcile_scope
from npc_lims.model.sections import SECTIONS
from npc_lims.sync.observation_file import (
    EVERYTHING,
    ObservationSet,
    Scope,
    file_name,
    merge_shards,
    parse_shard,
    read_observation_folder,
    read_observations,
    shard_of,
    write_observations,
)
from tests.builders import SECOND, SESSION, many_records, no_assets, nothing_on_s3, tracked, training
from tests.strategies import FACTS, IDS, recorded

NOW = datetime.datetime(2024, 10, 1, 6, 30, tzinfo=datetime.timezone.utc)


@st.composite
def observations(draw: st.DrawFn, source: str) -> Observation:
    facts = draw(st.dictionaries(st.sampled_from(IDS), st.sampled_from([False, *FACTS[source]])))
    return Observation(
        source=source,
        facts=facts,
        complete=draw(st.booleans()),
        problems=tuple(
            draw(
                st.lists(
                    st.builds(Problem, st.text(), st.integers(0), st.integers(0), st.just("warning"), st.text()),
                    max_size=2,
                )
            )
        ),
        versions=draw(st.dictionaries(st.text(), st.text(), max_size=2)),
        counts=draw(st.dictionaries(st.text(), st.integers(0, 10**6), max_size=2)),
        failure=draw(st.sampled_from([None, SourceError(source, "it was down")])),
    )


@st.composite
def observation_sets(draw: st.DrawFn) -> ObservationSet:
    sources = draw(st.lists(st.sampled_from(SECTIONS), unique=True))
    scope = draw(
        st.sampled_from([EVERYTHING, Scope(frozenset(IDS[:2])), Scope(None, frozenset([2]), 3), Scope(frozenset())])
    )
    return ObservationSet(tuple(draw(observations(source)) for source in sources), scope, NOW, draw(st.booleans()))


def comparable(observed: ObservationSet) -> tuple[Any, ...]:
    """Observations with their failures as text: exceptions are never equal."""
    ones = [(*vars(one).values(), str(one.failure)) for one in observed.observations]
    return [one[:-2] + one[-1:] for one in ones], observed.scope, observed.at, observed.allow_removals


@given(observed=observation_sets())
def test_a_file_has_what_was_observed(observed: ObservationSet, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("observed") / file_name(observed.scope)
    write_observations(path, observed)
    assert comparable(read_observations(path)) == comparable(observed)


@pytest.mark.slow
@given(before=recorded(), observed=observation_sets())
def test_a_file_reconciles_as_its_observations_do(
    before: dict[str, Any], observed: ObservationSet, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("observed") / "all.observed.json"
    write_observations(path, observed)
    assert reconcile(before, read_observations(path).observations) == reconcile(before, observed.observations)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "damaged"),
        ("[]", "not a file of observations"),
        ('{"format": 2}', "not a file of observations"),
        ('{"format": 1}', "damaged"),
        ('{"format": 1, "at": "2024-10-01T00:00:00", "sessions": null, "shards": null, "of": 1}', "no zone"),
    ],
)
def test_a_damaged_file_is_named(content: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    path.write_text(content)
    with pytest.raises(NpcLimsError, match=says) as raised:
        read_observations(path)
    assert str(path) in str(raised.value)
    assert "observe again" in str(raised.value)


def good() -> dict[str, Any]:
    """The content of a file that is read."""
    section = {
        "source": "training",
        "facts": {IDS[0]: False},
        "complete": True,
        "unchanged": False,
        "problems": [{"file": "a.xlsx[1]", "line": 1, "column": 0, "severity": "warning", "message": "no rig"}],
        "versions": {"a.xlsx": "etag"},
        "counts": {"rows": 1},
        "failure": "down",
    }
    scope = {"sessions": None, "shards": None, "of": 1, "allow_removals": False}
    return {"format": 1, "at": "2024-10-01T00:00:00+00:00", **scope, "observations": [section]}


def spoiled(key: str, value: Any) -> str:
    """The text of that file with one value replaced; *key* is a path of keys."""
    data = good()
    *path, last = key.split(".")
    within: Any = data
    for name in path:
        within = within[int(name)] if isinstance(within, list) else within[name]
    within[last] = value
    return json.dumps(data)


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"more": [value]}
    return value


SECTION = "observations.0"
TRACKED = {"platform": "ephys", "project": "x", "allen_path": "//a", "experiment_day": 1}
SPOILED = [
    ("at", "2099-01-01T00:00:00+00:00"),
    ("at", "9999-12-31T23:59:59-14:00"),
    ("at", "0001-01-01T00:00:00+14:00"),
    ("at", "1970-01-01T00:00:00+00:00"),
    ("at", "2024-10-01T00:00:00"),
    ("at", "soon\n::error::owned"),
    ("at", 1727740800),
    ("at", None),
    ("format", "1"),
    ("sessions", ["626791_2022-08-15", "\n::error::owned"]),
    ("sessions", ["626791_2022-02-30"]),
    ("sessions", "626791_2022-08-15"),
    ("sessions", [7]),
    ("sessions", [f"626791_2022-08-15_{'1' * 250}"]),
    ("shards", []),
    ("shards", [2]),
    ("shards", [True]),
    ("shards", "1"),
    ("of", 0),
    ("of", 10**6),
    ("of", 1.0),
    ("of", True),
    ("allow_removals", "no"),
    ("allow_removals", 1),
    ("observations", {}),
    ("observations", [good()["observations"][0]] * 2),
    ("observations", [7]),
    (f"{SECTION}.source", "fax"),
    (f"{SECTION}.source", ["training"]),
    (f"{SECTION}.source", {}),
    (f"{SECTION}.source", "\ud800"),
    (f"{SECTION}.complete", "yes"),
    (f"{SECTION}.complete", None),
    (f"{SECTION}.unchanged", 0),
    (f"{SECTION}.facts", []),
    (f"{SECTION}.facts", {"nobody": False}),
    (f"{SECTION}.facts", {"DRpilot_626791_20220815": False}),
    (f"{SECTION}.facts", {IDS[0]: True}),
    (f"{SECTION}.facts", {IDS[0]: None}),
    (f"{SECTION}.facts", {IDS[0]: []}),
    (f"{SECTION}.facts", {IDS[0]: {"nsb": True, "row": 1, "start_time": "x", "rig_name": nested(1)}}),
    (f"{SECTION}.facts", {IDS[0]: {"nsb": True, "row": True, "start_time": "x"}}),
    (f"{SECTION}.facts", {IDS[0]: {"nsb": True, "row": 1, "start_time": "\udcff"}}),
    (f"{SECTION}.problems", [7]),
    (f"{SECTION}.problems", [{"file": "a", "line": -1, "column": 0, "severity": "warning", "message": "b"}]),
    (f"{SECTION}.problems", [{"file": "a", "line": 1, "column": 0, "severity": "fatal", "message": "b"}]),
    (f"{SECTION}.problems", [{"file": "a", "line": 1, "column": 0, "severity": "error", "message": "\ud800"}]),
    (f"{SECTION}.problems", [{"file": "a", "line": 1, "column": 0, "severity": "error", "message": "b", "more": 1}]),
    (f"{SECTION}.versions", {"a.xlsx": None}),
    (f"{SECTION}.versions", {"a.xlsx": 7}),
    (f"{SECTION}.versions", {"a.xlsx": "\ud800"}),
    (f"{SECTION}.versions", [1]),
    *((f"{SECTION}.counts", {"rows": count}) for count in (-1, 1.0, 1.5, True, "1", None, 10**13, [1])),
    *((f"{SECTION}.counts", {"rows": count}) for count in (float("inf"), float("-inf"), float("nan"))),
    (f"{SECTION}.failure", 7),
    (f"{SECTION}.failure", {"reason": "down"}),
    (f"{SECTION}.failure", "\ud800"),
    (f"{SECTION}.more", 1),
    ("more", 1),
    ("more", nested(40)),
]


@pytest.mark.parametrize(("key", "value"), SPOILED, ids=[f"{key}-{n}" for n, (key, _) in enumerate(SPOILED)])
def test_a_value_that_no_observation_has_is_one_line_that_names_the_file(key: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    path.write_text(spoiled(key, value))
    with pytest.raises(NpcLimsError) as raised:
        read_observations(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert "observe again" in message


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(good()).replace('"rows": 1', '"rows": 1e999').encode(),
        json.dumps(good()).replace('"rows": 1', '"rows": 1, "rows": 2').encode(),
        json.dumps(good()).replace('"rows": 1', f'"rows": {"9" * 5000}').encode(),
        json.dumps(good()).encode()[:-1],
        json.dumps(good()).encode() + b"{}",
        json.dumps(good()).replace("no rig", "n\x1b").encode().replace(b"\\u001b", b"\x1b"),
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"format":' * 50_000,
        json.dumps(good()).replace("no rig", "RIG").encode().replace(b"RIG", b"\xed\xa0\x80"),
        b"",
    ],
    ids=["inf", "twice", "huge", "cut", "more", "control", "bytes", "deep list", "deep", "surrogate", "empty"],
)
def test_text_that_is_no_observation_is_one_line_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    path.write_bytes(content)
    with pytest.raises(NpcLimsError) as raised:
        read_observations(path)
    assert str(raised.value).startswith(f"{path}: damaged (")
    assert str(raised.value).isprintable()


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    with path.open("wb") as file:
        file.truncate(600 << 20)
    with pytest.raises(NpcLimsError, match=r"damaged \(larger than 512 MiB\)"):
        read_observations(path)


def test_deep_values_of_a_tracked_entry_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    for levels, is_read in ((8, True), (30, False)):
        data = good()
        entry = {**TRACKED, "session_kwargs": nested(levels)}
        data["observations"][0].update(source="tracked", facts={IDS[0]: entry})
        path.write_text(json.dumps(data))
        if is_read:
            assert read_observations(path).observations[0].facts
        else:
            with pytest.raises(NpcLimsError, match="nested deeper than"):
                read_observations(path)


def test_failures_are_reported_on_one_line(tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    path.write_text(spoiled(f"{SECTION}.failure", "down\n::error::owned\x1b[2J"))
    (failure,) = read_observations(path).failures
    assert failure.reason == "down ::error::owned\\x1b[2J"


def test_facts_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "all.observed.json"
    write_observations(path, ObservationSet((Observation("tracked", {IDS[0]: tracked()}),), EVERYTHING, NOW))
    data = json.loads(path.read_text())
    data["observations"][0]["facts"][IDS[0]]["platform"] = "abacus"
    path.write_text(json.dumps(data))
    with pytest.raises(NpcLimsError, match="platform"):
        read_observations(path)


def test_a_missing_file_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(NpcLimsError, match=r"nothing\.json: cannot be read"):
        read_observations(tmp_path / "nothing.json")
    with pytest.raises(NpcLimsError, match="holds no observations"):
        read_observation_folder(tmp_path)


# --- shards ---------------------------------------------------------------------------------------


@given(of=st.integers(1, 300))
def test_a_subject_is_in_one_shard_and_always_the_same(of: int) -> None:
    for session_id in IDS:
        number = shard_of(session_id, of)
        assert 1 <= number <= of
        assert [n for n in range(1, of + 1) if session_id in Scope(None, frozenset([n]), of)] == [number]
    assert shard_of("626791_2022-08-15", of) == shard_of("626791_2023-01-01_1", of)


def test_shards_do_not_move_between_machines_and_versions() -> None:
    assert [shard_of(f"{subject}_2024-01-01", 4) for subject in (626791, 668755, 676909, 702136)] == [4, 1, 3, 3]


def test_shards_share_the_subjects_evenly() -> None:
    numbers = [shard_of(f"{600000 + n}_2024-01-01", 4) for n in range(1000)]
    assert all(200 < numbers.count(number) < 300 for number in (1, 2, 3, 4))


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "-1/2", "1/2/3", "a/b", "1/0"])
def test_a_shard_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(NpcLimsError, match="NUMBER/COUNT"):
        parse_shard(text)


def observed_by_shard(number: int, of: int = 2, **more: Any) -> ObservationSet:
    """Observations of twenty sessions by the runner of one shard."""
    scope = Scope(None, frozenset([number]), of)
    mine = [session_id for session_id in many_records(20) if session_id in scope]
    seen = (
        Observation(
            "tracked",
            {id_: tracked() for id_ in many_records(20)},
            complete=True,
            counts={"sessions": 20},
            versions={"content": "1"},
        ),
        Observation("training", unchanged=True, versions={"a": "etag"}, counts={"rows": 5}),
        Observation("codeocean", {id_: no_assets() for id_ in mine}, counts={"assets": len(mine)}),
        Observation("s3", {id_: nothing_on_s3(stim=["a.hdf5"]) for id_ in mine}, counts={"stimulus_files": len(mine)}),
    )
    return ObservationSet(tuple(more.get(one.source, one) for one in seen), scope, NOW)


def test_all_shards_together_are_one_complete_observation() -> None:
    (observed,) = merge_shards([observed_by_shard(2), observed_by_shard(1)])
    assert observed.scope.is_full
    assert [one.source for one in observed.observations] == list(SECTIONS)
    by_source = {one.source: one for one in observed.observations}
    assert by_source["tracked"].complete
    assert by_source["tracked"].counts == {"sessions": 20}
    assert by_source["training"].unchanged
    assert by_source["training"].versions == {"a": "etag"}
    assert by_source["codeocean"].counts == {"assets": 20}
    assert reconcile({}, observed.observations).keys() == many_records(20).keys()


def test_shards_of_one_session_keep_the_training_rows_of_its_day() -> None:
    """Which of them belongs to the session is decided among all rows of the day."""
    rows = {
        SESSION: training(start_time="2022-08-15 09:00:00"),
        SECOND: training(start_time="2022-08-15 13:24:00"),
    }
    seen = (
        Observation("tracked", {SESSION: tracked(allen_path="//allen/2022-08-15_13-07-32_626791")}, complete=True),
        Observation("training", rows, complete=True),
    )
    parts = [ObservationSet(seen, Scope(frozenset([SESSION]), frozenset([number]), 2), NOW) for number in (1, 2)]
    (observed,) = merge_shards(parts)
    (session,) = reconcile_scope({}, observed.observations, observed.scope).values()
    assert session.training == rows[SECOND].model_copy(update={"other_rows": [rows[SESSION]]})


def test_of_a_shard_that_is_missing_nothing_changes() -> None:
    (observed,) = merge_shards([observed_by_shard(1)])
    assert not observed.scope.is_full
    before = many_records(20)
    after = reconcile(before, observed.observations, observed.scope)
    changed = {id_ for id_ in before if after[id_] != before[id_]}
    assert changed == {id_ for id_ in before if shard_of(id_, 2) == 1}


def test_a_source_that_failed_in_one_shard_has_failed() -> None:
    down = failed(SourceError("codeocean", "it was down"))
    (observed,) = merge_shards([observed_by_shard(1), observed_by_shard(2, codeocean=down)])
    by_source = {one.source: one for one in observed.observations}
    assert str(by_source["codeocean"].failure) == "codeocean: it was down"
    assert set(by_source["codeocean"].facts) == {id_ for id_ in many_records(20) if shard_of(id_, 2) == 1}
    assert by_source["s3"].failure is None


def test_what_changed_between_two_shards_is_read_again_next_time() -> None:
    newer = Observation("training", {IDS[0]: training()}, complete=True, versions={"a": "newer"})
    (observed,) = merge_shards([observed_by_shard(1), observed_by_shard(2, training=newer)])
    merged = next(one for one in observed.observations if one.source == "training")
    assert (merged.versions, merged.unchanged, merged.complete) == ({}, False, False)


def test_two_files_of_one_shard_are_refused() -> None:
    with pytest.raises(NpcLimsError, match="one shard"):
        merge_shards([observed_by_shard(1), observed_by_shard(1)])


def test_observations_that_are_no_shards_stay_separate_and_in_order() -> None:
    later = ObservationSet((), Scope(frozenset(IDS[:1])), NOW + datetime.timedelta(hours=1))
    earlier = ObservationSet((), EVERYTHING, NOW)
    assert merge_shards([later, earlier]) == [earlier, later]


def test_a_folder_of_artifacts(tmp_path: Path) -> None:
    for number in (1, 2):
        observed = observed_by_shard(number)
        write_observations(tmp_path / f"observed-{number}" / file_name(observed.scope), observed)
    (observed,) = read_observation_folder(tmp_path)
    assert observed.scope.is_full

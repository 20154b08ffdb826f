"""What is recorded of runs: files that are read as they were written, and updates that come in any order."""

from __future__ import annotations

import datetime
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import FutureTimestampWarning, NpcLimsError, StateError
from npc_lims.processing.collect import is_settled
from npc_lims.processing.plan import count_running
from npc_lims.processing.process import AssetRecipe, Limits, Process
from npc_lims.processing.runs import (
    ClaimReleased,
    Run,
    RunAsset,
    Update,
    apply_updates,
    parse_runs,
    read_all_runs,
    read_runs,
    read_updates,
    render_runs,
    runs_name,
    runs_schema,
    verify_runs,
    write_runs,
    write_updates,
)
from npc_lims.utils.timestamps import utc_text, utc_time

SCHEMA = jsonschema.Draft202012Validator(runs_schema())
SESSION = "626791_2022-08-15"
INPUT = "83636983-f80d-42d6-a075-09b60c6abd5e"
COMPUTATION = "1c900aa5-8bf8-4f3d-a9a4-1d9d5b1c6b0e"
NOON = "2024-11-22T12:00:00Z"
LATER = "2024-11-22T13:00:00Z"
ASSET = RunAsset(id="7a1f0b1e-0000-4000-8000-000000000001", name="ecephys_626791_2022-08-15_13-07-32_dlc_eye")


def claim(**more: Any) -> Run:
    fields = {"session": SESSION, "input": INPUT, "attempt": 1, "claim": "5f1c0c2d9a3e", "claimed": NOON}
    return Run.model_validate({**fields, **more})


def advance(run: Run, **facts: Any) -> Run:
    """The same run with more known of it."""
    return Run.model_validate({**run.model_dump(), **facts})


def runs_path(state: Path) -> Path:
    return state / runs_name("dlc_eye")


def started(**more: Any) -> Run:
    return claim(**{"computation": COMPUTATION, "started": LATER, **more})


def released(token: str = "5f1c0c2d9a3e") -> ClaimReleased:
    return ClaimReleased(key=claim().key, claim=token)


# --- one run


def test_a_run_goes_on_step_by_step() -> None:
    run = claim()
    assert run.is_claim and run.is_open
    run = advance(run, computation=COMPUTATION, started=LATER)
    assert run.is_open and not run.is_claim
    run = advance(run, outcome="succeeded")
    assert not run.is_open
    run = advance(run, asset=ASSET)
    assert advance(run, shared=True).asset == ASSET


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"session": "626791"}, "is not a session id"),
        ({"attempt": 0}, "greater than or equal to 1"),
        ({"claim": "a b"}, "String should match pattern"),
        ({"claimed": "yesterday"}, "String should match pattern"),
        ({"claimed": "2024-13-22T12:00:00Z"}, "month must be in 1..12"),
        ({"started": LATER}, "it has started, and names no computation"),
        ({"outcome": "succeeded"}, "it succeeded, and names no computation"),
        ({"outcome": "errored"}, "it errored, and there is no reason"),
        ({"reason": "Out of memory."}, "it has a reason, and did not error"),
        ({"computation": COMPUTATION, "asset": ASSET}, "it has an asset, and no outcome"),
        ({"computation": COMPUTATION, "outcome": "succeeded", "shared": True}, "there is no good asset"),
        ({"state": "failed"}, "Extra inputs are not permitted"),
    ],
)
def test_a_run_that_makes_no_sense_is_refused(facts: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        advance(claim(), **facts)


def test_the_name_has_process_session_input_try_and_claim() -> None:
    assert claim(attempt=2).name("dlc_eye") == "npc_lims dlc_eye 626791_2022-08-15 83636983 try 2 5f1c0c2d9a3e"


def test_times_are_utc_and_whole_seconds() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=-8))
    moment = datetime.datetime(2024, 11, 22, 4, 0, 0, 999, tzinfo=zone)
    assert utc_text(moment) == NOON
    assert utc_time(NOON) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("run", "captures", "shares", "answer"),
    [
        (claim(), True, True, False),
        (started(), True, True, False),
        (started(outcome="errored", reason="Out of memory."), True, True, True),
        (started(outcome="succeeded"), True, True, False),
        (started(outcome="succeeded"), False, False, True),
        (started(outcome="succeeded", asset=ASSET), True, True, False),
        (started(outcome="succeeded", asset=ASSET), True, False, True),
        (started(outcome="succeeded", asset=ASSET, shared=True), True, True, True),
    ],
)
def test_settled_is_when_nothing_is_left_to_do(run: Run, captures: bool, shares: bool, answer: bool) -> None:
    recipe = AssetRecipe(name="{recording}_x_{created}", share="everyone" if shares else "none")
    limits = Limits(running=1, tries=1)
    asset = recipe if captures else "none"
    process = Process(name="x", capsule=COMPUTATION, input="raw", done="is_video", limits=limits, asset=asset)
    assert is_settled(run, process) is answer


# --- files

EXPECTED = """\
schema: 1
process: dlc_eye
runs:
- session: 626791_2022-08-15
  input: 83636983-f80d-42d6-a075-09b60c6abd5e
  try: 1
  claim: "5f1c0c2d9a3e"
  claimed: "2024-11-22T12:00:00Z"
  by: https://github.com/lab/state/actions/runs/7
  computation: 1c900aa5-8bf8-4f3d-a9a4-1d9d5b1c6b0e
  started: "2024-11-22T13:00:00Z"
  outcome: errored
  reason: Out of memory.
  asset: null
  shared: false
- session: 626791_2022-08-15
  input: 83636983-f80d-42d6-a075-09b60c6abd5e
  try: 2
  claim: "5f1c0c2d9a3e"
  claimed: "2024-11-22T12:00:00Z"
  computation: null
  started: null
  outcome: null
  asset: null
  shared: false
"""


def test_the_file_is_as_documented_and_sorted(tmp_path: Path) -> None:
    address = "https://github.com/lab/state/actions/runs/7"
    runs = [claim(attempt=2), started(outcome="errored", reason="Out of memory.", by=address)]
    assert write_runs(tmp_path, "dlc_eye", runs) is True
    assert runs_path(tmp_path).read_bytes() == EXPECTED.encode()
    assert read_runs(tmp_path, "dlc_eye") == tuple(reversed(runs))
    assert list(read_all_runs(tmp_path)) == ["dlc_eye"]


def test_a_file_is_written_only_if_it_changes_and_goes_with_its_last_run(tmp_path: Path) -> None:
    assert write_runs(tmp_path, "dlc_eye", []) is False
    assert not (tmp_path / "runs").exists()
    write_runs(tmp_path, "dlc_eye", [claim()])
    before = runs_path(tmp_path).stat().st_mtime_ns
    assert write_runs(tmp_path, "dlc_eye", [claim()]) is False
    assert runs_path(tmp_path).stat().st_mtime_ns == before
    assert write_runs(tmp_path, "dlc_eye", []) is True
    assert read_runs(tmp_path, "dlc_eye") == ()
    assert read_all_runs(tmp_path) == {}


def test_a_claim_of_the_future_has_expired(tmp_path: Path) -> None:
    """It would else block its session until then, and win over the claim that takes over."""
    late, going = claim(claimed="2099-01-01T00:00:00Z"), started(attempt=2, claimed="2099-01-01T00:00:00Z")
    write_runs(tmp_path, "dlc_eye", [late, going])
    with pytest.warns(FutureTimestampWarning, match=f"dlc_eye.yaml: the claim of {SESSION}, try 1: 2099-01-01T00"):
        expired, still_going = read_runs(tmp_path, "dlc_eye")
    assert count_running([expired, still_going], utc_time(NOON)) == 1
    assert still_going == going
    taken_over = claim(claim="0b5e", claimed=NOON)
    assert apply_updates([expired], [taken_over]) == (taken_over,)
    assert verify_runs(tmp_path) == []


SESSIONS = ("626791_2022-08-15", "626791_2022-08-15_1", "626791_2022-08-16")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12)
STAMPS = st.sampled_from([NOON, LATER, "2024-11-23T00:00:00Z"])
IDS = st.sampled_from(["a", "1e5", "12", INPUT, COMPUTATION])


@st.composite
def runs_of(draw: st.DrawFn, sessions: Sequence[str] = SESSIONS, tries: int = 3) -> Run:
    """Any run that may stand."""
    facts: dict[str, Any] = {
        "session": draw(st.sampled_from(sessions)),
        "input": draw(IDS),
        "attempt": draw(st.integers(1, tries)),
        "claim": draw(IDS),
        "claimed": draw(STAMPS),
        "by": draw(TEXTS),
    }
    if draw(st.booleans()):
        facts.update(computation=draw(IDS), started=draw(st.none() | STAMPS))
    facts["outcome"] = draw(st.sampled_from([None, "errored", *(["succeeded"] if "computation" in facts else [])]))
    if facts["outcome"] == "errored":
        facts["reason"] = draw(TEXTS.filter(bool))
    elif facts["outcome"] == "succeeded" and draw(st.booleans()):
        facts.update(asset=RunAsset(id=draw(IDS), name=draw(TEXTS)), shared=draw(st.booleans()))
    return Run.model_validate(facts)


def unique(runs: Sequence[Run]) -> list[Run]:
    return list({run.key: run for run in runs}.values())


@given(st.lists(runs_of(), max_size=4).map(unique), st.randoms())
def test_what_is_written_is_read_by_us_and_by_any_reader_of_yaml(runs: list[Run], random: Any) -> None:
    content = render_runs("dlc_eye", runs)
    assert set(parse_runs(content, Path("dlc_eye.yaml"))) == set(runs)
    random.shuffle(runs)
    assert render_runs("dlc_eye", runs) == content
    # another layout is read the slow way, and says the same
    assert set(parse_runs(b"# a comment\n" + content, Path("dlc_eye.yaml"))) == set(runs)
    read = yaml.safe_load(content)
    assert {Run.model_validate(run) for run in read["runs"]} == set(runs)
    assert SCHEMA.is_valid(read)


DAMAGED = {
    "not YAML": ("schema: [", "not readable as YAML"),
    "another schema": (EXPECTED.replace("schema: 1", "schema: 2"), "schema 2, this version reads 1; upgrade npc_lims"),
    "another process": (EXPECTED.replace("dlc_eye", "facemap"), "holds the runs of facemap"),
    "a list": ("- 1\n", "valid dictionary"),
    "nothing": ("", "valid dictionary"),
    "an unknown key": (EXPECTED.replace("  shared", "  share", 1), "runs.0.share: Extra inputs"),
    "a try that is none": (EXPECTED.replace("try: 1", "try: one"), "runs.0.try"),
    "a try twice": (EXPECTED.replace("try: 2", "try: 1"), "try 1 of 626791_2022-08-15 is there twice"),
    "a reason without an error": (EXPECTED.replace("errored", "succeeded"), "it has a reason, and did not error"),
    "marks of a merge": (EXPECTED.replace("- session", "<<<<<<< HEAD\n- session", 1), "not readable as YAML"),
    "half of it": (EXPECTED.partition("  claimed")[0], "runs.0: claimed is missing"),
    "bytes that are no text": (EXPECTED.replace("Out of memory.", "\udcff"), "not readable as YAML"),
}


@pytest.mark.parametrize(("text", "words"), DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_file_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    path = runs_path(tmp_path)
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(StateError) as caught:
        read_runs(tmp_path, "dlc_eye")
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "git checkout" in str(caught.value)


@given(st.integers(0, len(EXPECTED)), st.text(alphabet=" \n:-{\"'5aé\x00", max_size=4), st.integers(0, 8))
def test_any_damage_is_reported_or_harmless(place: int, inserted: str, removed: int) -> None:
    content = (EXPECTED[:place] + inserted + EXPECTED[place + removed :]).encode()
    try:
        runs = parse_runs(content, Path("dlc_eye.yaml"))
    except StateError:
        return
    read = yaml.safe_load(content)
    assert {Run.model_validate(run).key for run in read["runs"]} == {run.key for run in runs}


# --- updates


@pytest.mark.parametrize(
    ("before", "update", "after"),
    [
        pytest.param([], claim(), [claim()], id="a claim"),
        pytest.param([claim()], started(), [started()], id="it is started"),
        pytest.param([started()], claim(), [started()], id="the claim again, late"),
        pytest.param([started()], started(outcome="succeeded"), [started(outcome="succeeded")], id="it ended"),
        pytest.param([started(outcome="succeeded")], started(), [started(outcome="succeeded")], id="late news"),
        pytest.param(
            [started(outcome="succeeded", asset=ASSET)],
            started(outcome="errored", reason="asset failed", asset=ASSET),
            [started(outcome="errored", reason="asset failed", asset=ASSET)],
            id="its asset failed",
        ),
        pytest.param(
            [started(outcome="succeeded", asset=ASSET, shared=True)],
            started(outcome="errored", reason="asset failed", asset=ASSET),
            [started(outcome="succeeded", asset=ASSET, shared=True)],
            id="an error after it was shared",
        ),
        pytest.param(
            [claim()],
            claim(claim="b", claimed=LATER),
            [claim(claim="b", claimed=LATER)],
            id="an expired claim is replaced",
        ),
        pytest.param([claim(claimed=LATER)], claim(claim="b"), [claim(claimed=LATER)], id="a claim that is older"),
        pytest.param([started()], claim(claim="b", claimed=LATER), [started()], id="a claim of what is started"),
        pytest.param(
            [started()],
            started(claim="b", computation="c", started=NOON),
            [started()],
            id="started by somebody else too",
        ),
        pytest.param(
            [started()],
            started(computation="c", started=NOON),
            [started(computation="c", started=NOON)],
            id="an elder one of the same claim is adopted",
        ),
        pytest.param(
            [started()],
            started(computation="c", started="2027-01-01T00:00:00Z"),
            [started()],
            id="a younger one is not",
        ),
        pytest.param([claim()], released(), [], id="a claim is released"),
        pytest.param([claim()], released("b"), [claim()], id="a claim of another is released"),
        pytest.param([started()], released(), [started()], id="released too late"),
        pytest.param([], released("b"), [], id="nothing is released"),
        pytest.param(
            [claim()],
            claim(outcome="errored", reason="Refused."),
            [claim(outcome="errored", reason="Refused.")],
            id="refused before it was started",
        ),
        pytest.param(
            [claim(outcome="errored", reason="Refused.")],
            claim(claim="b", claimed=LATER),
            [claim(outcome="errored", reason="Refused.")],
            id="a claim of a try that is over",
        ),
    ],
)
def test_an_update(before: list[Run], update: Update, after: list[Run]) -> None:
    assert apply_updates(before, [update]) == tuple(after)
    assert apply_updates(after, [update]) == tuple(after)


ONE = (SESSION,)
# few tries of one session, so that they meet
FEW = st.lists(runs_of(ONE, 1), max_size=5)
RELEASED = st.builds(lambda id_, token: ClaimReleased(key=(SESSION, id_, 1), claim=token), IDS, IDS)
NEWS = st.lists(runs_of(ONE, 1) | RELEASED, max_size=5)


@given(FEW.map(unique), NEWS, st.randoms())
def test_updates_of_one_time_may_come_in_any_order(before: list[Run], news: list[Update], random: Any) -> None:
    after = apply_updates(before, news)
    random.shuffle(news)
    random.shuffle(before)
    assert apply_updates(before, news) == after
    assert apply_updates(before, [*news, *news]) == after


@pytest.mark.slow
@given(FEW.map(unique), NEWS)
def test_updates_may_come_twice(before: list[Run], news: list[Update]) -> None:
    after = apply_updates(before, news)
    assert apply_updates(after, news) == after
    assert apply_updates(after, []) == after


@given(FEW.map(unique), NEWS)
def test_a_computation_is_never_forgotten(before: list[Run], news: list[Update]) -> None:
    after = {run.key: run for run in apply_updates(before, news)}
    elder = {(update.key, update.claim, update.computation) for update in news if isinstance(update, Run)}
    for run in before:
        if run.computation is not None:
            kept = after[run.key]
            assert kept.computation == run.computation or (run.key, run.claim, kept.computation) in elder


HISTORY = [
    claim(),
    started(),
    started(outcome="succeeded"),
    started(outcome="succeeded", asset=ASSET),
    started(outcome="succeeded", asset=ASSET, shared=True),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(len(HISTORY))))[::7])
def test_the_steps_of_a_run_end_alike_in_any_order(order: tuple[int, ...]) -> None:
    runs: tuple[Run, ...] = ()
    for step in order:
        runs = apply_updates(runs, [HISTORY[step]])
    assert runs == (HISTORY[-1],)


def test_updates_are_read_as_they_were_written(tmp_path: Path) -> None:
    updates: dict[str, list[Update]] = {
        "dlc_eye": [claim(), started(outcome="succeeded", asset=ASSET), released("b")],
        "sorting": [],
    }
    write_updates(tmp_path / "u.json", updates)
    assert read_updates(tmp_path / "u.json") == {name: tuple(some) for name, some in updates.items()}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("", "damaged"),
        ("[]", "not a file of runs"),
        ('{"format": 2, "updates": {}}', "not a file of runs that this version reads"),
        ('{"format": 1}', "damaged"),
        ('{"format": 1, "updates": []}', "damaged"),
        ('{"format": 1, "updates": {"../x": []}}', "'../x' is no name of a process"),
        ('{"format": 1, "updates": {"x": [{"session": "1"}]}}', "damaged"),
        ('{"format": 1, "updates": {"x": [{"withdrawn": ["1", "a", 1], "claim": "b"}]}}', "is not a session id"),
        ('{"format": 1, "updates": {"x": [{"withdrawn": ["626791_2022-08-15", 1, 1], "claim": "b"}]}}', "damaged"),
        ("[" * 100_000, "damaged"),
    ],
)
def test_damaged_updates_are_one_message(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "u.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(NpcLimsError, match=words) as caught:
        read_updates(path)
    assert str(path) in str(caught.value)


# --- verify


def test_good_files_are_verified(tmp_path: Path) -> None:
    write_runs(tmp_path, "dlc_eye", [started(), claim(attempt=2)])
    (tmp_path / "runs" / ".tmp-1").write_text("left behind")
    assert verify_runs(tmp_path) == []
    assert verify_runs(tmp_path / "elsewhere") == []


def test_what_is_wrong_with_runs_is_reported(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    write_runs(tmp_path, "dlc_eye", [started(), started(session="626791_2022-08-16")])
    (runs / "notes.txt").write_text("")
    (runs / "dlc-face.yaml").write_text("")
    (runs / "facemap.yaml").write_text("schema: 1")
    write_runs(tmp_path, "sorting", [claim()])
    path = runs / "sorting.yaml"
    path.write_text(f"# by hand\n{path.read_text()}")
    found = "\n".join(verify_runs(tmp_path))
    assert f"{runs / 'notes.txt'}: not the runs of a process; its name is <process>.yaml" in found
    assert f"{runs / 'dlc-face.yaml'}: not the runs of a process" in found
    assert f"{runs / 'facemap.yaml'}: top level: process is missing" in found
    assert f"{path}: not written as npc-lims writes it" in found
    assert f"the computation {COMPUTATION} is recorded for 626791_2022-08-15 and 626791_2022-08-16" in found
    assert found.count("\n") == 4


def test_the_committed_schema_accepts_what_is_written() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    schema = json.loads((root / "docs" / "schemas" / "runs.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    content = yaml.safe_load(EXPECTED)
    jsonschema.validate(content, schema)
    content["runs"][0]["outcome"] = "failed"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(content, schema)

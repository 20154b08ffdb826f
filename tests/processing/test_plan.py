"""Which sessions would run, and why not the others."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import NoSessionData, NoSessionInfo, NpcLimsError
from npc_lims.model.flags import compute_status
from npc_lims.model.record import Record
from npc_lims.processing.plan import CLAIM_LIFETIME, VERDICTS, Decision, count_running, make_claims
from npc_lims.processing.process import AssetRecipe, Limits, Process
from npc_lims.processing.runs import Run, RunAsset, apply_updates
from npc_lims.utils.timestamps import utc_text
from tests.builders import (
    RAW_NAME,
    SESSION,
    asset,
    by_id,
    listing,
    no_assets,
    nothing_on_s3,
    record,
    session_ids,
    tracked,
)
from tests.processing.rig import plan

RUN, RUNNING, WAITING, CAPTURED, DONE, NOT_READY, FAILED = VERDICTS
NOW = datetime.datetime(2024, 11, 22, 12, tzinfo=datetime.timezone.utc)
RECIPE = AssetRecipe(
    name="{recording}_dlc_eye_{created}",
    tags=["derived", "ephys"],
    metadata={"data level": "derived data"},
    share="everyone",
)
PROCESS = Process(
    name="dlc_eye",
    capsule="4cf0be83-2245-4bb1-a55c-a78201b14bfe",
    input="raw",
    done="is_dlc_eye",
    needs=["is_uploaded", "is_video"],
    limits=Limits(running=2, tries=2),
    asset=RECIPE,
    result="dlc_eye",
)
RAW = asset(RAW_NAME)
READY = {
    "codeocean": no_assets(raw=RAW),
    "s3": nothing_on_s3(raw=listing(ecephys=["ecephys_compressed"], videos=["eye.mp4"])),
}


def ready(session_id: str = SESSION, **more: Any) -> Record:
    """A session that can run."""
    return record(session_id, **{**READY, **more})


def run_of(session: str = SESSION, attempt: int = 1, **more: Any) -> Run:
    fields = {"session": session, "input": RAW.id, "attempt": attempt, "claim": "a", "claimed": utc_text(NOW)}
    return Run.model_validate({**fields, **more})


def errored(attempt: int = 1, reason: str = "Out of memory.", **more: Any) -> Run:
    return run_of(attempt=attempt, computation=f"c-{attempt}", outcome="errored", reason=reason, **more)


def succeeded(attempt: int = 1, **more: Any) -> Run:
    return run_of(attempt=attempt, computation=f"c-{attempt}", outcome="succeeded", **more)


def decide(one: Record, *runs: Run, **options: Any) -> Decision:
    (decision,) = plan(PROCESS, {one.id: one}, runs, **{"now": NOW, **options})
    return decision


AGES_AGO = utc_text(NOW - datetime.timedelta(days=2))
MADE = RunAsset(id="made", name="x")

DECISIONS = [
    pytest.param(ready(), [], RUN, "ready", 1, id="ready"),
    pytest.param(ready(codeocean=no_assets(raw=RAW, dlc_eye=asset("d"))), [], DONE, "is_dlc_eye is true", 1, id="done"),
    pytest.param(record(), [], NOT_READY, "the raw asset is not known", 1, id="never asked"),
    pytest.param(record(codeocean=False), [], NOT_READY, "there is no raw asset", 1, id="no assets at all"),
    pytest.param(record(codeocean=no_assets()), [], NOT_READY, "there is no raw asset", 1, id="no raw asset"),
    pytest.param(
        ready(codeocean=no_assets(raw=RAW, dlc_eye=None)), [], NOT_READY, "is_dlc_eye is not known", 1, id="done?"
    ),
    pytest.param(
        ready(tracked=tracked("behavior")), [], NOT_READY, "is_dlc_eye does not apply", 1, id="does not apply"
    ),
    pytest.param(ready(s3=None), [], NOT_READY, "is_uploaded is not known", 1, id="a need is not known"),
    pytest.param(
        ready(s3=nothing_on_s3(raw=listing(videos=["eye.mp4"]))),
        [],
        NOT_READY,
        "is_uploaded is false",
        1,
        id="a need is false",
    ),
    pytest.param(ready(), [run_of(computation="c")], RUNNING, "running", 1, id="running"),
    pytest.param(ready(), [run_of()], RUNNING, "claimed, not known to be started yet", 1, id="claimed"),
    pytest.param(ready(), [run_of(computation="c", claimed=AGES_AGO)], RUNNING, "running", 1, id="running for days"),
    pytest.param(ready(), [run_of(claimed=AGES_AGO)], RUN, "the claim expired", 1, id="an old claim"),
    pytest.param(
        ready(),
        [errored(), run_of(attempt=2, claimed=AGES_AGO)],
        RUN,
        "the claim expired",
        2,
        id="an old claim of the second try",
    ),
    pytest.param(
        ready(), [run_of(claimed=AGES_AGO, input="another")], RUN, "ready", 1, id="an old claim for another input"
    ),
    pytest.param(
        ready(), [run_of(computation="c", input="another")], RUNNING, "running", 1, id="running with another input"
    ),
    pytest.param(
        ready(codeocean=no_assets(raw=RAW, dlc_eye=asset("d"))),
        [run_of(computation="c")],
        RUNNING,
        "running",
        1,
        id="done while it is running",
    ),
    pytest.param(ready(), [errored()], RUN, "try 2, after: Out of memory.", 2, id="errored once"),
    pytest.param(ready(), [errored(2, "Stopped."), errored()], FAILED, "Stopped.", 2, id="tries are used up"),
    pytest.param(
        ready(), [errored(input="another"), errored(2, input="another")], RUN, "ready", 1, id="a new input starts anew"
    ),
    pytest.param(ready(), [succeeded()], CAPTURED, "it ran well; its result is to be captured", 1, id="succeeded"),
    pytest.param(ready(), [succeeded(asset=MADE)], CAPTURED, "its result is not in the state yet", 1, id="captured"),
    pytest.param(
        ready(), [errored(), succeeded(2, asset=MADE)], CAPTURED, "its result is not in the state yet", 2, id="at last"
    ),
    pytest.param(
        ready(codeocean=no_assets(raw=RAW, errored={"made": "only 3 files"})),
        [succeeded(asset=MADE)],
        RUN,
        "try 2, after: only 3 files",
        2,
        id="the sync found its asset errored",
    ),
]


@pytest.mark.parametrize(("one", "runs", "verdict", "reason", "attempt"), DECISIONS)
def test_a_decision(one: Record, runs: list[Run], verdict: str, reason: str, attempt: int) -> None:
    decision = decide(one, *runs)
    assert (decision.verdict, decision.reason, decision.attempt) == (verdict, reason, attempt)
    if verdict == RUN:
        assert decision.input == RAW


@pytest.mark.parametrize(
    ("one", "runs", "verdict", "attempt"),
    [
        (ready(codeocean=no_assets(raw=RAW, dlc_eye=asset("d"))), [succeeded(asset=MADE)], RUN, 2),
        (ready(), [errored(), errored(2)], RUN, 3),
        (ready(), [succeeded(asset=MADE)], RUN, 2),
        (ready(), [run_of(computation="c")], RUNNING, 1),
        (ready(), [run_of()], RUNNING, 1),
        (record(codeocean=no_assets()), [], NOT_READY, 1),
        (ready(s3=None), [], NOT_READY, 1),
    ],
)
def test_again_runs_what_was_run_but_not_what_is_running(
    one: Record, runs: list[Run], verdict: str, attempt: int
) -> None:
    decision = decide(one, *runs, sessions=[one.id], again=True)
    assert (decision.verdict, decision.attempt) == (verdict, attempt)


def test_again_is_never_for_all() -> None:
    with pytest.raises(NpcLimsError, match="never run again for all"):
        decide(ready(), again=True)


def test_sessions_that_are_not_there_are_reported() -> None:
    with pytest.raises(NoSessionInfo, match=r"the state has no session 700000_2024-01-01"):
        decide(ready(), sessions=[SESSION, "700000_2024-01-01"])


def test_newest_first_and_within_the_limits() -> None:
    records = by_id(
        *(ready(session_id) for session_id in ("626791_2022-08-15", "626791_2022-08-17", "626791_2022-08-16"))
    )
    decisions = plan(PROCESS, records, [], now=NOW)
    assert [(one.session[-2:], one.verdict) for one in decisions] == [("17", RUN), ("16", RUN), ("15", WAITING)]
    assert decisions[-1].reason == "at most 2 run at once"
    (first, *others) = plan(PROCESS, records, [], now=NOW, limit=1)
    assert first.verdict == RUN
    assert {(one.verdict, one.reason) for one in others} == {(WAITING, "1 were requested")}
    assert [one.verdict for one in plan(PROCESS, records, [], now=NOW, limit=0)] == [WAITING] * 3
    chosen = plan(PROCESS, records, [], now=NOW, sessions={"626791_2022-08-15"})
    assert [(one.session, one.verdict) for one in chosen] == [("626791_2022-08-15", RUN)]


def test_what_runs_for_sessions_that_are_gone_counts() -> None:
    gone = [run_of("700000_2024-01-01", computation="c"), run_of("700000_2024-01-02")]
    assert decide(ready(), *gone).verdict == WAITING
    assert count_running(gone, NOW) == 2
    assert count_running(gone, NOW + CLAIM_LIFETIME) == 1


def test_claims_are_made_of_what_would_run() -> None:
    records = by_id(ready(), ready("626791_2022-08-16", codeocean=no_assets()))
    decisions = plan(PROCESS, records, [errored()], now=NOW)
    (claim,) = make_claims(decisions, NOW, by="https://github.com/x")
    assert claim == run_of(attempt=2, claim=claim.claim, by="https://github.com/x")
    (other,) = make_claims(decisions, NOW)
    assert other.claim != claim.claim
    assert len(other.claim) == 12


def test_nothing_is_planned_twice() -> None:
    records = by_id(*(ready(session_id) for session_id in session_ids(3)))
    runs: tuple[Run, ...] = ()
    for _ in range(3):
        runs = apply_updates(runs, make_claims(plan(PROCESS, records, runs, now=NOW), NOW))
    assert len(runs) == PROCESS.limits.running


# --- whatever is recorded

_RAWS = (None, False, RAW, asset("other"))
_RESULTS = (None, False, asset("d"))
_S3 = (None, READY["s3"], nothing_on_s3(raw=listing(videos=["a.mp4"])))
IDS = session_ids(6)


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Record]:
    made = {}
    for session_id in draw(st.sets(st.sampled_from(IDS))):
        codeocean = no_assets(raw=draw(st.sampled_from(_RAWS)), dlc_eye=draw(st.sampled_from(_RESULTS)))
        one = Record(id=session_id, tracked=tracked(), codeocean=codeocean, s3=draw(st.sampled_from(_S3)))
        made[session_id] = one.model_copy(update={"status": compute_status(one.as_dict())})
    return made


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    kinds = {
        "claimed": {},
        "old claim": {"claimed": AGES_AGO},
        "running": {"computation": "c"},
        "errored": {"computation": "c", "outcome": "errored", "reason": "x"},
        "refused": {"outcome": "errored", "reason": "x"},
        "succeeded": {"computation": "c", "outcome": "succeeded"},
        "captured": {"computation": "c", "outcome": "succeeded", "asset": MADE},
    }
    keys = draw(st.sets(st.tuples(st.sampled_from(IDS), st.integers(1, 3)), max_size=8))
    return [
        run_of(session, attempt, **kinds[draw(st.sampled_from(sorted(kinds)))]) for session, attempt in sorted(keys)
    ]


@given(worlds(), histories(), st.integers(1, 4), st.none() | st.integers(0, 3), st.booleans())
def test_limits_hold_and_nothing_is_started_twice(
    records: dict[str, Record], runs: list[Run], running: int, limit: int | None, again: bool
) -> None:
    process = PROCESS.model_copy(update={"limits": Limits(running=running, tries=2)})
    sessions = set(records) if again else None
    decisions = plan(process, records, runs, now=NOW, limit=limit, again=again, sessions=sessions)
    assert [one.session for one in decisions] == sorted(
        records, key=lambda id_: (id_.split("_")[1], -int(id_.split("_")[0])), reverse=True
    )
    starting = [one for one in decisions if one.verdict == RUN]
    assert len(starting) <= max(0, running - count_running(runs, NOW))
    assert limit is None or len(starting) <= limit
    going = {run.session for run in runs if run.is_open and not (run.is_claim and run.claimed == AGES_AGO)}
    assert not going & {one.session for one in starting}
    for one in starting:
        assert one.input is not None
        # a try that is recorded is only taken up again if it is an expired claim
        recorded = [run for run in runs if run.key == (one.session, one.input.id, one.attempt)]
        assert all(run.is_claim for run in recorded)
        failed = [run for run in runs if run.session == one.session and run.input == one.input.id and run.reason]
        assert again or len(failed) < process.limits.tries or recorded


# --- what is filled in


def test_parameters_know_the_input_the_raw_asset_and_the_session() -> None:
    gamma = asset(f"{RAW_NAME}_GammaEncoding_2024-01-02_03-04-05")
    one = record(codeocean=no_assets(raw=RAW, GammaEncoding=gamma))
    names = ("input.id", "input.name", "raw.id", "raw.name", "session", "subject", "recording")
    process = PROCESS.model_copy(
        update={"input": "GammaEncoding", "parameters": {name: f"<{{{name}}}>" for name in names}}
    )
    assert one.asset(process.input) == gamma
    assert process.parameters_for(one, gamma) == {
        "input.id": f"<{gamma.id}>",
        "input.name": f"<{gamma.name}>",
        "raw.id": f"<{RAW.id}>",
        "raw.name": f"<{RAW_NAME}>",
        "session": f"<{SESSION}>",
        "subject": "<626791>",
        "recording": f"<{RAW_NAME}>",
    }


@pytest.mark.parametrize(("raw", "words"), [(False, "there is no raw asset"), (None, "the raw asset is not known")])
def test_parameters_that_name_the_raw_asset_need_one(raw: bool | None, words: str) -> None:
    gamma = asset(f"{RAW_NAME}_GammaEncoding_2024-01-02_03-04-05")
    one = ready(codeocean=no_assets(raw=raw, GammaEncoding=gamma), tracked=tracked(session_kwargs={"is_video": True}))
    changed = {"input": "GammaEncoding", "parameters": {"raw": "{raw.id}"}, "needs": ["is_video"]}
    process = PROCESS.model_copy(update=changed)
    (decision,) = plan(process, by_id(one), [], now=NOW)
    assert (decision.verdict, decision.reason) == (NOT_READY, words)
    with pytest.raises(NoSessionData, match="no raw asset, which the parameters of dlc_eye name"):
        process.parameters_for(one, gamma)


def test_the_asset_of_a_result_is_named_by_recording_and_start() -> None:
    name = RECIPE.asset_name(SESSION, f"{RAW_NAME}_GammaEncoding_2024-01-02_03-04-05", NOW)
    assert name == f"{RAW_NAME}_dlc_eye_2024-11-22_12-00-00"


def test_an_asset_of_no_recording_has_no_name_to_give() -> None:
    with pytest.raises(ValueError, match="does not begin with a recording"):
        RECIPE.asset_name(SESSION, "models", NOW)

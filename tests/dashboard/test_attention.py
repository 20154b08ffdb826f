"""What needs attention, and what does not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.dashboard.attention import Finding, find_issues
from npc_lims.errors import Problem
from npc_lims.history.transitions import Transition
from npc_lims.model.record import Record
from npc_lims.model.sections import SECTIONS
from npc_lims.processing.runs import Run
from npc_lims.state.sync_file import SourceSync, SyncFailure, SyncFile
from npc_lims.utils.urls import Links
from tests.builders import (
    RAW_NAME,
    SECOND,
    SESSION,
    SORTED_NAME,
    asset,
    listing,
    no_assets,
    nothing_on_s3,
    record,
    tracked,
    training,
)
from tests.dashboard.made import happened, past_of
from tests.strategies import recorded

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)
ANSWERED = SyncFile(sources={name: SourceSync(last_complete="2026-11-23T07:00:00Z") for name in SECTIONS})


LINKS = Links("lab/sessions")


def found(
    *records: Record,
    sync_file: SyncFile = ANSWERED,
    runs: dict[str, list[Run]] | None = None,
    problems: tuple[Problem, ...] = (),
    transitions: tuple[Transition, ...] = (),
    links: Links = Links(None),
    results: dict[str, str] | None = None,
) -> list[Finding]:
    plain = [one.as_dict() for one in records]
    return find_issues(
        plain, sync_file, runs or {}, problems, past_of(NOW, *transitions), NOW, links, (), results or {}
    )


def sessions_of(finding: Finding) -> list[str | None]:
    return [item.session for item in finding.items]


def run(session: str = SESSION, attempt: int = 1, **more: Any) -> Run:
    fields = {"input": "raw-1", "claim": f"c{attempt}", "claimed": f"2026-11-0{attempt}T10:00:00Z"}
    failed = {"computation": f"computation-{attempt}", "outcome": "errored", "reason": "exit code 137"}
    return Run.model_validate({"session": session, "attempt": attempt, **fields, **failed, **more})


def test_nothing_needs_attention() -> None:
    assert found(record(codeocean=no_assets(raw=asset()))) == []
    assert found() == []


# --- sources


def test_sources_that_fail_and_that_are_late() -> None:
    failure = SyncFailure(at="2026-11-22T07:00:00Z", reason="HTTP 401: set CODE_OCEAN_API_TOKEN")
    sources = {
        "tracked": SourceSync(last_complete="2026-11-23T07:00:00Z"),
        "training": SourceSync(last_complete="2026-11-20T07:00:00Z"),
        "codeocean": SourceSync(last_complete="2026-11-01T07:00:00Z", failure=failure),
    }
    failing, late = found(sync_file=SyncFile(sources=sources))
    assert (failing.kind, late.kind) == ("late", "late")
    assert failing.title == "1 source could not be queried by the last sync"
    assert [(item.text, item.since) for item in failing.items] == [
        ("codeocean: HTTP 401: set CODE_OCEAN_API_TOKEN", "2026-11-22T07:00:00Z")
    ]
    assert late.title == "2 sources not read for 48 hours"
    assert [(item.text, item.since) for item in late.items] == [
        ("training last answered", "2026-11-20T07:00:00Z"),
        ("s3 never answered", None),
    ]


# --- what disappeared


def test_losses_are_reported_with_commit_and_editors() -> None:
    transition = happened("2026-11-20T00:00:00Z", "no longer sorted", editors=("Ana",))
    (lost,) = found(record(), transitions=(transition,), links=LINKS)
    assert lost.title == "1 session lost facts in the last 30 days and did not regain them"
    (item,) = lost.items
    assert (item.session, item.since) == (SESSION, "2026-11-20T00:00:00Z")
    assert item.text == "no longer sorted; its entry was edited by Ana"
    assert item.link == f"https://github.com/lab/sessions/commit/{transition.commit.sha}"


# --- runs


def test_the_last_run_counts() -> None:
    runs = [run(attempt=1), run(attempt=2, reason="exit code 1", by="https://example.org/run/7")]
    (finding,) = found(record(codeocean=no_assets()), runs={"dlc_eye": runs}, links=LINKS)
    assert (finding.kind, finding.title) == ("runs", "1 session whose last run of dlc_eye failed")
    assert "npc-lims process run dlc_eye --sessions SESSION --again" in finding.remedy
    (item,) = finding.items
    assert (item.session, item.text, item.link) == (SESSION, "try 2: exit code 1", "https://example.org/run/7")


def test_a_failed_sorting_is_reported_once_until_it_is_sorted() -> None:
    sections = {"runs": {"sorting": [run()]}, "results": {"sorting": "sorted"}}
    errored = record(codeocean=no_assets(errored={"asset-1": "Out of memory."}))
    assert [one.kind for one in found(errored, **sections)] == ["runs"]
    assert [one.kind for one in found(record(codeocean=no_assets(sorted=asset("sorted"))), **sections)] == []
    assert [one.kind for one in found(errored)] == ["errored"]


def test_a_run_counts_from_when_it_started_else_from_its_claim() -> None:
    """The claim of the first is younger than that of the second, which waited less to be started."""
    first = run(attempt=1, claimed="2026-11-03T10:00:00Z", started="2026-11-03T11:00:00Z")
    second = run(attempt=2, claimed="2026-11-02T10:00:00Z", started="2026-11-05T11:00:00Z", reason="exit code 1")
    third = run(attempt=3, claimed="2026-11-04T10:00:00Z", reason="exit code 2")
    (finding,) = found(record(codeocean=None), runs={"dlc_eye": [second, first, third]})
    assert [(item.text, item.since) for item in finding.items] == [("try 2: exit code 1", "2026-11-05T11:00:00Z")]
    (finding,) = found(record(codeocean=None), runs={"dlc_eye": [third, first]})
    assert [(item.text, item.since) for item in finding.items] == [("try 3: exit code 2", "2026-11-04T10:00:00Z")]


@pytest.mark.parametrize(
    ("runs", "facts"),
    [
        ([run(attempt=1), run(attempt=2, outcome="succeeded", reason="")], {}),
        ([run(attempt=1), run(attempt=2, outcome=None, reason="")], {}),
        ([run(attempt=1)], {"dlc_eye": asset("dlc_eye")}),
        ([run(session=SECOND)], {}),
    ],
    ids=["a later one went well", "a later one is under way", "there is a result", "nobody lists the session any more"],
)
def test_runs_that_are_past(runs: list[Run], facts: dict[str, Any]) -> None:
    assert found(record(codeocean=no_assets(**facts)), runs={"dlc_eye": runs}) == []


# --- sorting that errored


def test_errored_sorting_without_a_good_one() -> None:
    errored = {"a": "Out of memory.", "b": "only 6 files", "c": "Out of memory."}
    (finding,) = found(record(codeocean=no_assets(raw=asset(), errored=errored)))
    assert (finding.kind, finding.title) == ("errored", "1 session whose sorting failed")
    assert finding.items[0].text == "3 results: Out of memory., only 6 files"
    assert found(record(codeocean=no_assets(raw=asset(), errored=errored, sorted=asset(SORTED_NAME)))) == []
    unwanted = tracked(session_kwargs={"is_production": False})
    assert found(record(tracked=unwanted, codeocean=no_assets(raw=asset(), errored=errored))) == []


# --- waiting


def lab(count: int, **facts: Any) -> list[Record]:
    """Sessions that were uploaded on a day and sorted the next, with results of their videos."""
    there = nothing_on_s3(raw=listing(ecephys=["ecephys_clipped"], videos=["Eye.mp4"]))
    raw = asset(RAW_NAME, created="2026-06-01T00:00:00Z")
    made = {name: asset(name, created="2026-06-02T00:00:00Z") for name in ("sorted", "dlc_eye", "facemap")}
    return [
        record(f"{700000 + number}_2026-05-31", codeocean=no_assets(raw=raw, **{**made, **facts}), s3=there)
        for number in range(count)
    ]


def waiting(**facts: Any) -> Record:
    return record(SESSION, codeocean=lab(1, **facts)[0].codeocean, s3=lab(1)[0].s3)


def test_a_stall_reports_the_usual_durations() -> None:
    (finding,) = found(*lab(9), waiting(sorted=False))
    assert finding.kind == "stalled"
    assert finding.title == "1 session uploaded but not sorted for longer than usual (median 24 h, 90 % within 24 h)"
    assert [(item.session, item.since) for item in finding.items] == [(SESSION, "2026-06-01T00:00:00Z")]


def test_results_of_videos_are_reported_together() -> None:
    (finding,) = found(*lab(9), waiting(dlc_eye=False, facemap=False))
    assert finding.title == (
        "1 session uploaded without video results for longer than usual (median 24 h, 90 % within 24 h)"
    )
    assert [item.text for item in finding.items] == ["without DLC eye, Facemap"]


def test_whose_sorting_errored_does_not_wait_for_it_too() -> None:
    kinds = [finding.kind for finding in found(*lab(9), waiting(sorted=False, errored={"a": "Out of memory."}))]
    assert kinds == ["errored"]


# --- not tracked


def untracked(session: str, rig: str = "B1", **more: Any) -> Record:
    row = training(rig_name=rig)
    return record(session, **{"tracked": False, "training": row, "codeocean": no_assets(), **more})


def test_training_in_a_box_is_not_tracked_and_need_not_be() -> None:
    assert found(*(untracked(f"626791_2022-08-{day:02d}") for day in range(1, 29))) == []


def test_what_was_uploaded_should_be_tracked_and_ephys_first() -> None:
    box = asset("behavior_626791_2022-08-17_10-00-00")
    (finding,) = found(
        untracked("626791_2022-08-17", codeocean=no_assets(raw=box)),
        untracked("626791_2022-08-16", codeocean=no_assets(raw=asset())),
    )
    assert finding.kind == "untracked"
    assert finding.title == "2 untracked sessions that look like recordings: 2 uploaded"
    assert sessions_of(finding) == ["626791_2022-08-16", "626791_2022-08-17"]


@pytest.mark.parametrize(
    ("session", "rig", "more", "is_found"),
    [
        ("626791_2022-08-16", "NP2", {}, True),
        ("626791_2022-08-15_1", "NP2", {}, True),
        ("626791_2022-08-14", "NP2", {}, False),
        ("626791_2022-08-16", "B2", {}, False),
        ("626792_2022-08-16", "NP2", {}, False),
        ("626791_2022-08-16", "NP2", {"tracked": None}, False),
    ],
    ids=["after", "same day", "habituation", "in a box", "no recordings yet", "never looked up"],
)
def test_on_an_ephys_rig_since_recordings_began(session: str, rig: str, more: dict[str, Any], is_found: bool) -> None:
    later = record(f"{SESSION.split('_')[0]}_2022-08-20")
    finding = found(record(SESSION), later, untracked(session, rig, **more))
    assert [sessions_of(one) for one in finding if one.kind == "untracked"] == ([[session]] if is_found else [])


# --- the tracked file


def test_problems_of_the_tracked_file() -> None:
    problems = (
        Problem("tracked_sessions.yaml", 17, 5, "warning", "day 3 is given twice"),
        Problem("tracked_sessions.yaml", 40, 1, "error", "not a session"),
    )
    (finding,) = found(problems=problems, links=LINKS)
    assert (finding.kind, finding.title) == ("warnings", "1 error and 1 warning in tracked_sessions.yaml")
    assert "No sync reads a file with errors" in finding.remedy
    assert [(item.text, item.link) for item in finding.items] == [
        ("line 40: error: not a session", "https://github.com/lab/sessions/blob/main/tracked_sessions.yaml#L40"),
        (
            "line 17: warning: day 3 is given twice",
            "https://github.com/lab/sessions/blob/main/tracked_sessions.yaml#L17",
        ),
    ]
    (finding,) = found(problems=problems[:1])
    assert finding.title == "1 warning in tracked_sessions.yaml"
    assert finding.items[0].link is None
    assert "No sync reads" not in finding.remedy, "warnings stop nobody"


# --- all of it


def test_the_most_important_comes_first() -> None:
    told = found(
        *lab(9),
        waiting(sorted=False),
        untracked("626791_2022-08-17", codeocean=no_assets(raw=asset())),
        record("626799_2022-08-17", codeocean=no_assets(errored={"a": "Out of memory."})),
        sync_file=SyncFile(),
        runs={"surface": [run()]},
        problems=(Problem("tracked_sessions.yaml", 1, 1, "warning", "twice"),),
        transitions=(happened("2026-11-20T00:00:00Z", "removed"),),
    )
    kinds = list(dict.fromkeys(finding.kind for finding in told))
    assert kinds == ["late", "lost", "runs", "errored", "stalled", "untracked", "warnings"]


@given(recorded(), st.randoms())
def test_the_order_of_records_does_not_matter(records: dict[str, Record], random: Any) -> None:
    ordered = list(records.values())
    shuffled = list(ordered)
    random.shuffle(shuffled)
    for finding, other in zip(found(*ordered), found(*shuffled)):
        assert (finding.kind, finding.title) == (other.kind, other.title)
        assert set(finding.items) == set(other.items)
        assert finding.items
        assert all(item.session is None or item.session in records for item in finding.items)

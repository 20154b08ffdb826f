"""pull-request.yml, run as it stands on the merge of pull requests of each kind."""

from __future__ import annotations

import html

import pytest

from tests.actions.conftest import TRACKED, Lab, tracked
from tests.actions.events import pull_request
from tests.actions.world import Run
from tests.integration.world import ADDED, UPLOADED

STATE_FILE = f"state/sessions/{UPLOADED.split('_')[0]}/{UPLOADED}.yaml"
LAST_ENTRY = b"DRpilot_901003_20241024:\n        day: 4\n"
TYPO = b"        session_kwargs:\n            probe_leters_to_skip: DE\n"


def propose(lab: Lab, files: dict[str, bytes], result: str, from_fork: bool = False) -> Run:
    """The checks of a pull request that changes these files."""
    lab.remote.commit(files, "Propose", "topic", base="main")
    event = pull_request(lab.remote, 7, "topic", from_fork=from_fork)
    run = lab.run("pull-request", event).expect(result)
    assert run.job("check").permissions == {"contents": "read"}
    return run


def told(run: Run) -> str:
    """The summary as people read it."""
    return html.unescape(run.summary)


def findings(run: Run) -> list[tuple[str, str, str]]:
    """Level, file and line of each annotation."""
    return [(each.level, each.place["file"], each.place.get("line", "")) for each in run.annotations]


@pytest.mark.parametrize("from_fork", [False, True])
def test_a_new_session_is_explained(from_fork: bool, synced_lab: Lab) -> None:
    run = propose(synced_lab, {TRACKED: tracked(2)}, "success", from_fork)
    assert run.annotations == []
    assert "+1 session" in told(run)
    assert told(run).count(f"`{ADDED}`") == 2, "once in the file, once in the effect on state"
    assert synced_lab.remote.head() == synced_lab.remote.head("topic~1"), "nothing is written"


def test_a_changed_field_is_told_with_both_values(synced_lab: Lab) -> None:
    text = tracked(1).replace(LAST_ENTRY, LAST_ENTRY.replace(b"day: 4", b"day: 5"))
    run = propose(synced_lab, {TRACKED: text}, "success")
    assert f"`{UPLOADED}`" in told(run)
    assert "day 4 -> 5" in told(run)


def test_a_removed_session_is_told(synced_lab: Lab) -> None:
    lines = tracked(1).decode().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if "901002_20240515" in line)
    text = "".join(lines[:first] + lines[first + 2 :]).encode()
    run = propose(synced_lab, {TRACKED: text}, "success")
    assert "-1 session" in told(run)
    assert "901002_2024-05-15" in told(run)


def test_an_error_is_annotated_on_its_line_and_the_rest_is_still_told(synced_lab: Lab) -> None:
    text = tracked(2).replace(LAST_ENTRY, LAST_ENTRY.replace(b"day: 4", b"day: four"))
    line = text[: text.index(b"day: four")].count(b"\n") + 1
    run = propose(synced_lab, {TRACKED: text}, "failure")
    assert findings(run)[0] == ("error", TRACKED, str(line))
    outcomes = {step.name: step.outcome for step in run.job("check").steps if step.name[:3] != "Run"}
    assert outcomes["tracked_sessions.yaml is valid"] == "failure"
    assert outcomes["state/ is as the sync wrote it"] == "success"


def test_a_warning_fails_when_it_is_new_and_not_when_the_base_has_it(synced_lab: Lab) -> None:
    odd = tracked(1).replace(LAST_ENTRY, LAST_ENTRY + TYPO)
    run = propose(synced_lab, {TRACKED: odd}, "failure")
    assert [finding[:2] for finding in findings(run)] == [("warning", TRACKED)]
    assert "probe_leters_to_skip" in run.annotations[0].message
    synced_lab.remote.commit({TRACKED: odd}, "Odd, but merged")
    synced_lab.remote.git("update-ref", "-d", "refs/heads/topic")
    more = tracked(2).replace(LAST_ENTRY, LAST_ENTRY + TYPO)
    run = propose(synced_lab, {TRACKED: more}, "success")
    assert "1 known" in run.log


def test_state_edited_by_hand_is_refused_with_the_reason(synced_lab: Lab) -> None:
    edited = synced_lab.remote.read(STATE_FILE).replace(b"is_uploaded: false", b"is_uploaded: true")
    run = propose(synced_lab, {STATE_FILE: edited}, "failure")
    assert findings(run)[0][:2] == ("error", STATE_FILE)
    assert "changed by hand: the next sync undoes it" in run.annotations[0].message


def test_main_that_went_on_is_no_edit_by_hand(synced_lab: Lab) -> None:
    synced_lab.remote.commit({TRACKED: tracked(2)}, "Propose", "topic", base="main")
    newer = synced_lab.remote.read(STATE_FILE).replace(b"day: 4", b"day: 9")
    synced_lab.remote.commit({"README.md": b"Meanwhile\n", "notes.txt": newer}, "Meanwhile")
    synced_lab.run("pull-request", pull_request(synced_lab.remote, 7, "topic")).expect()

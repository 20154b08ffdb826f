"""`npc-lims alert`: what the workflow's last job does with how the others ended."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.world import Done, run_cli
from tests.servers.github_hub import MEMBER, NAME, TOKENS, Hub

RUN = f"https://github.com/{NAME}/actions/runs/7"
FINE = ("--result", "observe=success", "--result", "commit=success")


def alert(*more: str) -> Done:
    return run_cli("alert", "--run", RUN, *more)


def test_a_failed_job_opens_the_issue_and_success_closes_it(hub: Hub) -> None:
    done = alert("--result", "observe=success", "--result", "commit=failure")
    assert done.code == 0, done
    (issue,) = hub.issues
    assert f"https://github.com/{NAME}/issues/1" in done.out
    assert "**job commit**" in (issue.body or "")
    assert RUN in (issue.body or "")
    done = alert(*FINE)
    assert (done.code, issue.state) == (0, "closed")
    assert "closed https://github.com/lab/state/issues/1" in done.out
    assert "all succeeded" in alert(*FINE).out


def test_sources_that_failed_are_reported_though_all_jobs_succeeded(hub: Hub, tmp_path: Path) -> None:
    outcome = tmp_path / "outcome.json"
    outcome.write_text(json.dumps({"answered": [], "failed": [{"source": "s3", "reason": "no answer within 30 s"}]}))
    done = alert(*FINE, "--failure", "codeocean: the token was refused: 401", "--outcome", str(outcome))
    assert done.code == 0, done
    (issue,) = hub.issues
    for words in ("**codeocean**", "the token was refused: 401", "**s3**", "no answer within 30 s"):
        assert words in (issue.body or "")
    assert done.out.startswith("codeocean, s3: reported in https://github.com/")
    # a run that asked only one of them does not close it, one that asked both does
    for answered, state in ((["s3", "tracked"], "open"), ([], "open"), (["s3", "codeocean"], "closed")):
        outcome.write_text(json.dumps({"answered": answered, "failed": []}))
        done = alert(*FINE, "--outcome", str(outcome))
        assert (done.code, issue.state) == (0, state)
        assert ("stays open until it is known of codeocean" in done.out) is (state == "open")


def test_a_file_that_a_dead_job_never_wrote_is_no_mistake(hub: Hub, tmp_path: Path) -> None:
    done = alert("--result", "observe=failure", "--outcome", str(tmp_path / "none.json"))
    assert (done.code, len(hub.issues)) == (0, 1)


def test_processing_has_an_issue_of_its_own(hub: Hub) -> None:
    alert("--result", "observe=failure")
    assert alert("--workflow", "process", "--result", "start and collect=failure").code == 0
    assert [issue.title for issue in hub.issues] == ["The sync fails", "Processing fails"]
    alert("--workflow", "process", "--result", "start and collect=success")
    assert [issue.state for issue in hub.issues] == ["open", "closed"]


@pytest.mark.parametrize(
    "results",
    [
        ("observe=skipped",),
        ("observe=success", "commit=skipped"),
        (),
    ],
)
@pytest.mark.parametrize("is_open", [True, False])
def test_what_was_skipped_changes_nothing(hub: Hub, results: tuple[str, ...], is_open: bool) -> None:
    if is_open:
        alert("--result", "observe=failure")
    before = [(issue.state, issue.body) for issue in hub.issues]
    hub.api.reset()
    done = alert(*(option for result in results for option in ("--result", result)))
    assert (done.code, hub.writes) == (0, [])
    assert "nothing is changed" in done.out
    assert [(issue.state, issue.body) for issue in hub.issues] == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--result", "observe"), "expected JOB=RESULT"),
        (("--workflow", "test", *FINE), "--workflow test: there is sync and process"),
        (("--result", "observe=fine"), "success, failure, cancelled, skipped"),
        (("--result", "=success"), "expected JOB=RESULT"),
        (("--failure", "codeocean"), "expected SOURCE: REASON"),
        (("--failure", ": why"), "expected SOURCE: REASON"),
    ],
)
def test_mistakes_are_reported(hub: Hub, options: tuple[str, ...], said: str) -> None:
    done = alert(*options)
    assert done.code == 2, done
    assert said in done.err
    assert hub.api.requests == []


def test_a_job_that_was_stopped_while_the_run_went_on_is_reported(hub: Hub) -> None:
    done = alert("--result", "observe=cancelled", "--result", "commit=success")
    assert done.code == 0, done
    (issue,) = hub.issues
    assert "most likely by its time limit" in (issue.body or "")


@pytest.mark.parametrize("content", ["{", "[1]", '{"failed": [{"source": "s3"}]}', "7", '{"failed": []}'])
def test_a_damaged_file_is_reported(hub: Hub, tmp_path: Path, content: str) -> None:
    outcome = tmp_path / "outcome.json"
    outcome.write_text(content)
    done = alert("--outcome", str(outcome))
    assert done.code == 2, done
    assert "outcome.json: not what npc-lims publish --outcome writes" in done.err


def test_a_token_is_needed_and_never_shown(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.api.revoke(TOKENS[MEMBER])
    done = alert("--result", "observe=failure")
    assert done.code == 2, done
    assert "GITHUB_TOKEN has expired or is wrong" in done.err
    assert TOKENS[MEMBER] not in done.out + done.err
    monkeypatch.delenv("GITHUB_TOKEN")
    done = alert("--result", "observe=failure")
    assert (done.code, "GITHUB_TOKEN is not set" in done.err) == (2, True)


def test_a_run_must_be_named(hub: Hub) -> None:
    assert run_cli("alert", *FINE).code == 2

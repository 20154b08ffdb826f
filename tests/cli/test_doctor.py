"""`npc-lims doctor`: every service, reachable or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from npc_lims.demo.files import write_world
from tests.integration.world import GITHUB_TOKEN, TOKEN, Cloud, Done, GitHub, down, run_cli
from tests.servers.faults import Status


def findings(done: Done) -> dict[str, bool]:
    return {finding["name"]: finding["ok"] for finding in json.loads(done.out)}


@pytest.mark.slow
def test_all_is_well_with_real_services(cloud: Cloud, github: GitHub, elsewhere: Path) -> None:
    done = run_cli("doctor", "--json")
    assert done.code == 0, done
    assert set(findings(done).values()) == {True}
    assert {"state", "code ocean", "training workbooks", "stimulus files"} <= set(findings(done))
    told = run_cli("doctor")
    assert told.code == 0
    assert "failed" not in told.out
    assert TOKEN not in done.out + told.out


def test_all_is_well_with_a_mirror(tmp_path: Path, demo_state: Path, elsewhere: Path) -> None:
    write_world(tmp_path / "world", 2)
    done = run_cli("doctor", "--state", str(demo_state), "--mirror", str(tmp_path / "world" / "mirror"))
    assert done.code == 0, done
    assert "29 sessions" in done.out


def test_without_anything_set_each_says_what_to_set(elsewhere: Path, github: GitHub) -> None:
    done = run_cli("doctor", "--json")
    assert done.code == 1, done
    told = {finding["name"]: finding for finding in json.loads(done.out)}
    assert told["state"]["ok"] is True
    assert "CODE_OCEAN_API_TOKEN" in told["code ocean"]["detail"]
    for name in ("training workbooks", "stimulus files", "NWB cache"):
        assert told[name]["ok"] is False
        assert "AWS_ACCESS_KEY_ID" in told[name]["detail"]
    printed = run_cli("doctor").out
    assert printed.count("AWS_ACCESS_KEY_ID") == 1, "what has one cause is one line"
    assert "(training workbooks, stimulus files, " in printed


def test_a_rejected_token_is_reported(cloud: Cloud, github: GitHub, elsewhere: Path) -> None:
    cloud.codeocean_proxy.rule = lambda request: Status(401)
    done = run_cli("doctor")
    assert done.code == 1, done
    (line,) = [line for line in done.out.splitlines() if "code ocean" in line]
    assert line.startswith("failed")
    assert "refused" in done.out


@pytest.mark.slow
def test_services_that_are_down_are_reported(
    cloud: Cloud, github: GitHub, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    with down(cloud.codeocean_proxy, cloud.s3_proxy, github.proxy):
        done = run_cli("doctor", "--json")
        _, *lines = run_cli("doctor").out.splitlines()
    assert done.code == 1, done
    assert [line.split()[0] for line in lines] == ["failed", "ok"]
    assert "no network    GitHub, Code Ocean and S3 could not be reached (10 checks): check the network" in lines[0]
    told = findings(done)
    assert told.pop("github token") is True, "none is set, and none is needed"
    assert set(told.values()) == {False}
    assert "Traceback" not in done.err


@pytest.mark.slow
def test_a_missing_workbook_is_reported(cloud: Cloud, github: GitHub, elsewhere: Path) -> None:
    cloud.change_workbook("DynamicRoutingTrainingNSB.xlsx", None)
    done = run_cli("doctor", "--json")
    assert done.code == 1
    assert [name for name, ok in findings(done).items() if not ok] == ["training workbooks"]


@pytest.mark.slow
def test_github_tokens_are_checked_and_never_shown(
    cloud: Cloud, github: GitHub, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.raw.token = GITHUB_TOKEN
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    monkeypatch.setenv("GITHUB_API_URL", cloud.codeocean_proxy.url)
    cloud.codeocean_proxy.rule = lambda request: Status(401, {}, b"{}") if "rate_limit" in request.path else None
    done = run_cli("doctor")
    assert done.code == 1, done
    assert "GitHub answered 401" in done.out
    assert "GITHUB_TOKEN has expired or is wrong" in done.out
    assert GITHUB_TOKEN not in done.out + done.err


def test_an_unknown_option_is_exit_2(elsewhere: Path) -> None:
    assert run_cli("doctor", "--fix").code == 2

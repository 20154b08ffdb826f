"""Answers that no server should give: each client makes an error of them, in one line and with what to do."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import npc_lims
from npc_lims.clients import github_actions as dispatch
from npc_lims.clients.codeocean import CodeOceanClient
from npc_lims.clients.codeocean_runs import RunRequest, RunsClient, RunTarget, parse_run
from npc_lims.clients.github_pull_requests import Proposal, propose
from npc_lims.clients.pypi import newest_release
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import NpcLimsError
from npc_lims.history.session_history import published_history
from tests.servers.web import Request, Response, Server

pytestmark = pytest.mark.usefixtures("services_parsed_once")

ID = "47afe35b-dc1e-5a9b-a1ad-0644c77379dd"
SESSION = "626791_2022-08-15"

BODIES = {
    "nothing": b"",
    "null": b"null",
    "list": b"[]",
    "object": b"{}",
    "number": b"1",
    "text": b'"x"',
    "NaN": b"NaN",
    "infinity": b'{"id": NaN, "created": Infinity, "results": [{"created": -Infinity}], "has_more": false}',
    "nested lists": b"[" * 5000 + b"]" * 5000,
    "nested objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "no boolean": b'{"results": [{"id": "x"}], "has_more": 1}',
    "results of null": b'{"results": [null], "has_more": false}',
    "results no list": b'{"results": {"a": 1}, "has_more": true}',
    "list of null": b"[null]",
    "list of nothing": b"[{}]",
    "surrogate": b'{"id": "\\ud800", "name": "\\udfff", "message": "\\ud800"}',
    "workflow command": b'{"message": "x\\n::error::y\\u001b[2J"}',
    "HTML": b"<html>",
    "no text": b"\xff\xfe",
    "items": b'{"items": [{}], "jobs": [{}], "workflow_runs": [{}], "tree": [{}]}',
    "names": b'{"items": [{"name": null}], "download_url": 1}',
    "commit": b'[{"sha": 1, "commit": null}]',
    "version": b'{"info": {"version": "\\ud800"}}',
    "endless number": b'{"created": 1' + b"0" * 5000 + b"}",
}


class Hostile(Server):
    """Answers every request with the same."""

    response = Response()

    def answer(self, request: Request) -> Response:
        return self.response


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        yield server


@pytest.fixture(autouse=True)
def no_garbage_collection() -> Iterator[None]:
    """In the middle of deeply nested JSON, finalizers of what earlier tests left would have no stack."""
    gc.disable()
    yield
    gc.enable()


def _proposed(settings: Settings) -> object:
    return propose(settings, Proposal(path="a", branch="b", base=None, title="t", change=_unchanged))


def _unchanged(text: str) -> object:
    return pytest.fail("nothing was read that could be changed")


CALLS: dict[str, Callable[[Settings], object]] = {
    "search": lambda settings: list(CodeOceanClient(settings).search()),
    "asset": lambda settings: CodeOceanClient(settings).get(ID),
    "runs": lambda settings: RunsClient(settings).list_runs(RunTarget("capsule", ID)),
    "run": lambda settings: RunsClient(settings).get_run(ID, parse_run),
    "result files": lambda settings: RunsClient(settings).list_results(ID),
    "output": lambda settings: RunsClient(settings).read_output(ID),
    "asset of a run": lambda settings: RunsClient(settings).find_asset_of(ID, "a", "626791"),
    "made asset": lambda settings: RunsClient(settings).get_made_asset(ID),
    "rename": lambda settings: RunsClient(settings).rename_run(ID, "x"),
    "start": lambda settings: RunsClient(settings).start(RunRequest(RunTarget("capsule", ID), ()), parse_run),
    "release": newest_release,
    "commits": lambda settings: list(published_history(settings, SESSION)),
    "running": dispatch.find_active_run,
    "look": lambda settings: dispatch.get_run(settings, 1),
    "run of a request": lambda settings: dispatch.find_run(settings, "x", interval=0, timeout=0),
    "proposal": _proposed,
    "past": lambda settings: npc_lims.get_session_info(at="2024-06-01"),
    "tag": lambda settings: npc_lims.get_session_info(at="v1"),
    "job": lambda settings: npc_lims.get_job_status(ID),
    "assets of a subject": lambda settings: npc_lims.get_subject_data_assets("626791"),
    "days of a subject": lambda settings: npc_lims.get_sessions_with_data_assets("626791"),
    "assets of a session": lambda settings: npc_lims.get_session_data_assets(SESSION),
    "raw asset": lambda settings: npc_lims.get_session_raw_data_asset(SESSION),
}


SLOW = ("assets of a session", "raw asset")
"""They make an S3 client for each answer."""


@pytest.mark.parametrize(
    "call", [pytest.param(call, id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name, call in CALLS.items()]
)
@pytest.mark.parametrize("status", [200, 400])
def test_no_answer_raises_anything_but_an_error_with_one_line(
    hostile: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[Settings], object], status: int
) -> None:
    environment = {
        "CODE_OCEAN_DOMAIN": hostile.url,
        "CODE_OCEAN_API_TOKEN": "cop_0123456789",
        "GITHUB_API_URL": hostile.url,
        "GITHUB_TOKEN": "ghp_0123456789",
        "NPC_LIMS_RAW_URL": hostile.url,
        "NPC_LIMS_PYPI_URL": f"{hostile.url}/json",
        "NPC_LIMS_REPO": "lab/state",
        "NPC_LIMS_ATTEMPTS": "1",
        "AWS_ENDPOINT_URL": hostile.url,
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "NPC_LIMS_CACHE_DIR": str(tmp_path / "cache"),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(environment, tmp_path)
    messages: list[str] = []
    for body in BODIES.values():
        npc_lims.clear_caches()
        hostile.response = Response(status, {"content-type": "application/json"}, body)
        try:
            call(settings)
        except NpcLimsError as error:
            messages.append(str(error))
    assert [message for message in messages if not message or not message.isprintable()] == []
    assert messages or (call, status) == (CALLS["rename"], 200), "its answer is not looked at"

"""Pages of Code Ocean's search, and single answers: complete and consistent, or not used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from npc_lims.clients.codeocean import CodeOceanClient, CodeOceanError
from npc_lims.clients.codeocean_runs import RunsClient, RunTarget
from npc_lims.config.settings import Settings
from npc_lims.errors import SourceError
from tests.servers.codeocean import make_asset
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server, json_response

ID = "47afe35b-dc1e-5a9b-a1ad-0644c77379dd"


class Answers(Server):
    """Answers with what `content` makes of the number of the request, from 0."""

    def __init__(self, content: Callable[[int], Any]) -> None:
        super().__init__()
        self._content = content

    def answer(self, request: Request) -> Response:
        return json_response(self._content(len(self.requests) - 1))


def settings_of(server: Server) -> Settings:
    return Settings(codeocean_domain=server.url, codeocean_token="cop_0123456789", attempts=1)


def page(*ids: object, token: object = None) -> dict[str, Any]:
    return {"results": [{"id": one} for one in ids], "has_more": token is not None, "next_token": token}


@pytest.mark.parametrize(
    ("content", "reason", "requests"),
    [
        (lambda number: page(token=str(number)), "holds nothing new", 1),
        (lambda number: page("a", token=str(number)), "repeats the one before", 2),
        (lambda number: page("a", token=None if number else "1"), "repeats the one before", 2),
        (lambda number: page(str(number % 3), token=str(number)), "holds nothing new", 4),
        (lambda number: page(None, token=str(number)), "holds nothing new", 1),
        (lambda number: page(str(number), token="same"), "gives no way to it", 2),
        (lambda number: page(str(number), token=7), "gives no way to it", 1),
        (lambda number: page(str(number), token=[]), "gives no way to it", 1),
        (lambda number: page(str(number), token=str(number)), "did not end within 2000 pages", 2000),
    ],
)
def test_a_search_ends(serve: Serve, content: Callable[[int], Any], reason: str, requests: int) -> None:
    server = serve(Answers(content))
    with pytest.raises(SourceError, match=reason):
        list(CodeOceanClient(settings_of(server)).search())
    assert len(server.requests) == requests


@pytest.mark.parametrize("found", [{"id": "other"}, {}, [], None, "x", {"id": None}])
def test_an_asset_that_was_not_requested_is_no_answer(serve: Serve, found: object) -> None:
    server = serve(Answers(lambda number: found))
    with pytest.raises(SourceError, match="not the data asset that was requested"):
        CodeOceanClient(settings_of(server)).get(ID)


def test_an_id_is_no_way_to_another_address(serve: Serve) -> None:
    server = serve(Answers(lambda number: {"id": "../../x?y"}))
    assert CodeOceanClient(settings_of(server)).get("../../x?y") == {"id": "../../x?y"}
    assert [request.path for request in server.requests] == ["/api/v1/data_assets/..%2F..%2Fx%3Fy"]


RUN = {"id": ID, "name": "Run 1", "created": 1_700_000_000, "state": "completed"}


@pytest.mark.parametrize(
    "runs",
    [
        [RUN, RUN],
        [RUN, None],
        [{**RUN, "created": None}],
        [{**RUN, "created": True}],
        [{**RUN, "created": "1700000000"}],
        [{**RUN, "created": -1}],
        [{**RUN, "created": 10**18}],
        [{**RUN, "created": float("inf")}],
        [{**RUN, "id": f"{ID}\n"}],
        [{**RUN, "id": 7}],
        {"results": [RUN], "has_more": True},
    ],
)
def test_a_list_of_runs_with_one_that_is_none_is_no_list(serve: Serve, runs: object) -> None:
    server = serve(Answers(lambda number: runs))
    with pytest.raises(CodeOceanError, match="cannot be read"):
        RunsClient(settings_of(server)).list_runs(RunTarget("capsule", ID))


@pytest.mark.parametrize("fields", [{"created": True}, {"created": 10**18}, {"name": "a\n::error::b"}, {"id": "a/b"}])
def test_an_asset_that_was_made_is_validated(serve: Serve, fields: dict[str, Any]) -> None:
    server = serve(Answers(lambda number: {**make_asset("a"), "id": ID, **fields}))
    with pytest.raises(CodeOceanError, match="cannot be read"):
        RunsClient(settings_of(server)).get_made_asset(ID)


def test_a_page_that_is_not_unicode_is_no_page(serve: Serve) -> None:
    """Read with replacement characters, a name would be that of no session, and its asset left out."""

    class Damaged(Server):
        def answer(self, request: Request) -> Response:
            content = b'{"results": [{"id": "a", "name": "ecephys_62\xff791_2022-08-15_13-07-32"}], "has_more": false}'
            return Response(body=content, headers={"Content-Type": "application/json"})

    with pytest.raises(SourceError, match="sent an answer that cannot be read"):
        list(CodeOceanClient(settings_of(serve(Damaged()))).search())

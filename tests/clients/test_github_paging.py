"""Lists of GitHub: each is complete, or an error; none goes on for ever, and none leads elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from npc_lims.clients.github import GitHubClient
from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.clients.http import RetryPolicy
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError
from npc_lims.history.session_history import published_history
from tests.servers.endless import Endless
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server, json_response

FULL = [{"id": number} for number in range(100)]
NEXT = {"Link": '<https://elsewhere.example.org/a?page=7>; rel="next", <https://x.example.org>; rel="last"'}


class Pages(Server):
    """A GitHub with a list of these pages; further ones are empty."""

    def __init__(self, *pages: tuple[Mapping[str, str], Any]) -> None:
        super().__init__()
        self.pages = pages

    def answer(self, request: Request) -> Response:
        number = int(request.path.rpartition("=")[2])
        headers, body = self.pages[number - 1] if number <= len(self.pages) else ({}, [])
        made = json_response(body)
        return Response(200, {**made.headers, **headers}, made.body)


def client_of(url: str, policy: RetryPolicy | None = None) -> PlainGitHubClient:
    return PlainGitHubClient(url, "lab/state", "ghp_x", policy or RetryPolicy(1, 5, 0))


def reading(url: str, policy: RetryPolicy | None = None) -> GitHubClient:
    settings = Settings(github_token="ghp_x", github_api_url=url, repo="lab/state")
    return GitHubClient(settings, policy or RetryPolicy(1, 5, 0))


def read(server: Server) -> list[Any]:
    return list(client_of(server.url).list_items("listing", "/issues", {"state": "open"}))


def test_pages_are_followed_while_the_header_names_a_next_one(serve: Serve) -> None:
    server = serve(Pages((NEXT, [{"id": 1}]), (NEXT, []), ({}, [{"id": 2}]), ({}, [{"id": 3}])))
    assert read(server) == [{"id": 1}, {"id": 2}], "also after a page that is not full, or empty"
    assert [request.path for request in server.requests] == [
        f"/repos/lab/state/issues?state=open&per_page=100&page={number}" for number in (1, 2, 3)
    ], "at this server: the token does not follow the header elsewhere"


def test_full_pages_without_a_header_are_followed(serve: Serve) -> None:
    assert len(read(serve(Pages(({}, FULL), ({}, [{"id": 100}]))))) == 101


BROKEN: dict[str, tuple[Any, str]] = {
    "the items before": ([{"id": 1}], "repeats the one before"),
    "an object": ({"message": "no"}, "a list was expected"),
    "nothing": (None, "a list was expected"),
    "texts": (["a"], "a list was expected"),
}


@pytest.mark.parametrize(("second", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_second_page_that_is_inconsistent_fails_the_list(serve: Serve, second: Any, reason: str) -> None:
    with pytest.raises(GitHubError, match=reason):
        read(serve(Pages((NEXT, [{"id": 1}]), (NEXT, second))))


def test_a_list_without_end_is_given_up(serve: Serve) -> None:
    with pytest.raises(GitHubError, match="does not end within 100 pages"):
        read(serve(Pages(*((NEXT, [{"id": number}]) for number in range(101)))))


class Stuck(Server):
    """A GitHub that answers every list with the same full page, whichever is asked for."""

    body: Any = FULL
    headers: Mapping[str, str] = {}

    def answer(self, request: Request) -> Response:
        if request.path == "/repos/lab/state":
            return json_response({"id": 1, "url": f"{self.url}/repos/lab/state"})
        made = json_response(self.body)
        return Response(200, {**made.headers, **self.headers}, made.body)


@pytest.mark.parametrize("of", ["issues", "history"])
@pytest.mark.parametrize("broken", ["repeats", "leads away", "nested", "no list"])
def test_no_list_goes_on_for_ever(serve: Serve, of: str, broken: str) -> None:
    server = serve(Stuck())
    settings = Settings(github_token="ghp_x", github_api_url=server.url, repo="lab/state", attempts=1)
    if broken == "leads away":
        server.headers = {"Link": '<https://evil.example.org/x>; rel="next"'}
    if of == "history":
        server.body = [_commit(number) for number in range(100)]
    if broken == "no list":
        server.body = {"message": "moved"}

    if broken == "nested":
        server.answer = lambda request: Response(200, {"content-type": "application/json"}, DEEP)  # type: ignore[method-assign]
    reasons = {
        "repeats": "repeats the one before",
        "leads away": "repeats the one before",
        "nested": "(cannot be read|a list was expected)",
        "no list": "(cannot be read|a list was expected)",
    }
    with pytest.raises(GitHubError, match=reasons[broken]):
        list(published_history(settings, "626791_2022-08-15") if of == "history" else read(server))
    assert len(server.requests) <= 3


class Renamed(Server):
    """A GitHub whose repository lab/state is lab/new now, and has no commits."""

    def answer(self, request: Request) -> Response:
        if request.path.startswith("/repos/lab/state"):
            query = request.path[len("/repos/lab/state") :]
            return Response(301, {"Location": f"{self.url}/repositories/7{query}"})
        if request.path == "/repositories/7":
            return json_response({"id": 7, "full_name": "lab/new", "url": f"{self.url}/repos/lab/new"})
        return json_response([])


def test_a_repository_that_was_renamed_is_found(serve: Serve) -> None:
    server = serve(Renamed())
    settings = Settings(github_api_url=server.url, repo="lab/state", attempts=1)
    assert list(published_history(settings, "626791_2022-08-15")) == []
    assert [request.path.partition("?")[0] for request in server.requests] == [
        "/repos/lab/state",
        "/repositories/7",
        "/repos/lab/new/commits",
    ]
    assert "path=state%2Fsessions" in server.requests[-1].path, "of this session alone"


DEEP = b"[" * 100_000 + b"]" * 100_000


def _commit(number: int) -> dict[str, Any]:
    who = {"name": "a", "date": "2024-11-04T10:00:00Z"}
    commit = {"message": "Sync", "committer": who, "author": who}
    return {"sha": f"{number:040x}", "commit": commit, "parents": []}


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize("head", [HEADERS, HEADERS + b"\r\n"], ids=["headers", "body"])
def test_a_response_that_drips_ends_at_the_deadline(head: bytes) -> None:
    policy = RetryPolicy(1, 5, 0, deadline=0.5)
    with Endless(head, piece=b"x") as server:
        with pytest.raises(GitHubError, match=r"gave no complete answer"):
            client_of(server.url, policy).request("looking", "GET", "")
        with pytest.raises(GitHubError, match=r"gave no complete answer"):
            reading(server.url, policy).repository()


@pytest.mark.parametrize("body", [{"jobs": [{"id": 1}], "total_count": 3}, {"jobs": None}, {}, [{"id": 1}], [1]])
def test_a_list_below_a_key_is_complete_or_an_error(serve: Serve, body: Any) -> None:
    server = serve(Stuck())
    address = f"{server.url}/repos/lab/state/actions/runs/1"
    server.body = {**body, "url": address, "jobs_url": f"{address}/jobs"} if isinstance(body, dict) else body
    client = reading(server.url)
    with pytest.raises(GitHubError, match=r"ends after 1 of 3 items|cannot be read"):
        run = client.call("looking", lambda: client.github.get_repo(client.repo).get_workflow_run(1))
        client.list_items("listing", run.jobs, lambda job: job.id, is_counted=True)


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
def test_a_response_of_a_job_that_floods_is_not_read_to_the_end(status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n".encode()
    with Endless(head, piece=b" " * 2**20, pause=0) as server:
        with pytest.raises(GitHubError, match="sent more than 64 MiB"):
            client_of(server.url).request("looking", "GET", "")
        assert server.sent < 100 * 2**20

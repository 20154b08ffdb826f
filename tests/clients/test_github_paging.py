"""Lists of GitHub: each is complete, or an error; none goes on for ever, and none leads elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Union

import pytest

from npc_lims.clients.github import GitHubClient
from npc_lims.clients.github_responses import iterate_items
from npc_lims.clients.github_rest import RestClient
from npc_lims.config.settings import Settings
from npc_lims.errors import GitHubError
from npc_lims.history.github_commits import published_history
from tests.servers.endless import Endless
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server, json_response

API = "https://api.example.org"
FULL = [{"id": number} for number in range(100)]
Page = tuple[str, Any]


def link(url: str, rel: str = "next") -> str:
    return f'<{API}/first?page=1>; rel="first", <{url}>; rel="{rel}"'


def read(pages: Mapping[str, Page], key: str | None = None) -> list[Any]:
    """The items of a list whose pages these are, by path; the first one is at `/list`."""
    asked: list[str] = []

    def fetch(target: str) -> Page:
        asked.append(target)
        return pages[target.replace("?state=open&per_page=100&page=1", "")]

    items = list(iterate_items("listing", API, "/list", {"state": "open"}, fetch, key))
    assert len(asked) == len(set(asked)) == len(pages)
    return items


def test_pages_are_followed_where_the_header_says() -> None:
    pages: dict[str, Page] = {
        "/list": (link(f"{API}/repositories/1/list?after=x,y&page=2"), [{"id": 1}]),
        "/repositories/1/list?after=x,y&page=2": (link(f"{API}/a?page=3"), []),
        "/a?page=3": (link(f"{API}/list?page=1", "prev"), [{"id": 2}]),
    }
    assert read(pages) == [{"id": 1}, {"id": 2}], "also after a page that is not full, or empty"


def test_full_pages_without_a_header_are_followed_by_number() -> None:
    pages: dict[str, Page] = {"/list": ("", FULL), "/list?state=open&per_page=100&page=2": ("", [{"id": 100}])}
    assert len(read(pages)) == 101


def test_items_may_be_below_a_key() -> None:
    assert read({"/list": ("", {"total_count": 1, "jobs": [{"id": 1}]})}, "jobs") == [{"id": 1}]


BROKEN: dict[str, tuple[Page, str]] = {
    "the first page": (
        (link(f"{API}/list?state=open&per_page=100&page=1"), [{"id": 2}]),
        "back to an earlier one",
    ),
    "itself": ((link(f"{API}/second"), [{"id": 2}]), "back to an earlier one"),
    "another host": ((link("https://evil.example.org/second"), [{"id": 2}]), "goes on at https://evil.example.org/sec"),
    "a host that begins like it": ((link(f"{API}.evil.org/x"), [{"id": 2}]), "goes on at"),
    "a host in front": ((link("https://api.example.org@evil.org/x"), [{"id": 2}]), "goes on at"),
    "another scheme": ((link("file:///etc/passwd"), [{"id": 2}]), "goes on at file:///etc/passwd, not at"),
    "a workflow command": ((link("x\n::error::y"), []), "goes on at x ::error::y, not at"),
    "the items before": (("", [{"id": 1}]), "repeats the one before"),
    "an object": (("", {"message": "no"}), "a list was expected"),
    "nothing": (("", None), "a list was expected"),
    "texts": (("", ["a"]), "a list was expected"),
}


@pytest.mark.parametrize(("second", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_second_page_that_is_inconsistent_fails_the_list(second: Page, reason: str) -> None:
    with pytest.raises(GitHubError, match=reason) as raised:
        read({"/list": (link(f"{API}/second"), [{"id": 1}]), "/second": second})
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"total_count": 3, "jobs": [{"id": 1}]}, "ends after 1 of 3 items"),
        ({"incomplete_results": True, "jobs": []}, "incomplete_results"),
        ({"jobs": None}, "a list was expected"),
        ({}, "a list was expected"),
        ([1], "a list was expected"),
    ],
)
def test_a_list_below_a_key_that_is_not_complete(body: Any, reason: str) -> None:
    with pytest.raises(GitHubError, match=reason):
        read({"/list": ("", body)}, "jobs")


def test_a_list_without_end_is_given_up() -> None:
    def fetch(target: str) -> Page:
        number = int(target.rpartition("=")[2])
        return link(f"{API}/list?page={number + 1}"), [{"id": number}]

    with pytest.raises(GitHubError, match="does not end within 100 pages"):
        list(iterate_items("listing", API, "/list", {}, fetch))


class Stuck(Server):
    """A GitHub that answers every list with the same full page, whichever is asked for."""

    body: Any = FULL
    headers: Mapping[str, str] = {}

    def answer(self, request: Request) -> Response:
        made = json_response(self.body)
        return Response(200, {**made.headers, **self.headers}, made.body)


Asked = Union[list[Any], Iterator[Any]]


@pytest.mark.parametrize("client", ["package", "plain", "history"])
@pytest.mark.parametrize("broken", ["repeats", "leads away", "nested", "no list"])
def test_no_client_goes_on_for_ever(serve: Serve, client: str, broken: str) -> None:
    server = serve(Stuck())
    settings = Settings(github_token="ghp_x", github_api_url=server.url, repo="lab/state", attempts=1)
    if broken == "leads away":
        server.headers = {"Link": '<https://evil.example.org/x>; rel="next"'}
    if client == "history":
        server.body = [_commit(number) for number in range(100)]
    if broken == "no list":
        server.body = {"message": "moved"}

    def ask() -> Asked:
        if client == "package":
            github = GitHubClient(settings, "contents: read")
            return github.list_items("listing", github.repository("lab/state").get_pulls, lambda item: item)
        if client == "plain":
            return RestClient(server.url, "ghp_x", "lab/state", attempts=1).list_items("listing", "/issues", {})
        return published_history(settings, "626791_2022-08-15")

    if broken == "nested":
        server.answer = lambda request: Response(200, {"content-type": "application/json"}, DEEP)  # type: ignore[method-assign]
    reasons = {
        "repeats": "repeats the one before",
        "leads away": "goes on at https://evil.example.org/x",
        "nested": "(cannot be read|a list was expected)",
        "no list": "a list was expected",
    }
    if client == "package":  # PyGithub counts pages, whatever the header says, and takes every body for an object
        reasons.update({"leads away": reasons["repeats"], "no list": "cannot be read"})
    with pytest.raises(GitHubError, match=reasons[broken]):
        list(ask())
    assert len(server.requests) <= 2


DEEP = b"[" * 100_000 + b"]" * 100_000


def _commit(number: int) -> dict[str, Any]:
    who = {"name": "a", "date": "2024-11-04T10:00:00Z"}
    commit = {"message": "Sync", "committer": who, "author": who}
    return {"sha": f"{number:040x}", "commit": commit, "parents": []}


HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n"


@pytest.mark.parametrize("client", ["package", "plain"])
@pytest.mark.parametrize("head", [HEADERS, HEADERS + b"\r\n"], ids=["headers", "body"])
def test_a_response_that_drips_ends_at_the_deadline(client: str, head: bytes) -> None:
    with Endless(head, piece=b"x") as server:
        settings = Settings(github_token="ghp_x", github_api_url=server.url, timeout=0.05, attempts=1)
        with pytest.raises(GitHubError, match=r"could not be reached|gave no complete answer"):
            if client == "package":
                GitHubClient(settings, "contents: read").login()
            else:
                RestClient(server.url, "ghp_x", "lab/state", attempts=1, deadline=0.5).request("looking", "GET", "")
        assert server.sent > 0


@pytest.mark.parametrize("status", ["200 OK", "403 Forbidden"])
def test_a_response_of_a_job_that_floods_is_not_read_to_the_end(status: str) -> None:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n".encode()
    with Endless(head, piece=b" " * 2**20, pause=0) as server:
        with pytest.raises(GitHubError, match=r"cannot be read|GitHub answered 403"):
            RestClient(server.url, "ghp_x", "lab/state", attempts=1).request("looking", "GET", "")
        assert server.sent < 100 * 2**20

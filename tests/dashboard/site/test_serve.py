"""The server on this machine: what it gives, as what, and what it keeps to itself."""

from __future__ import annotations

import gzip
import http.client
import threading
from collections.abc import Iterator

import pytest

from npc_lims.dashboard.site.serve import SiteServer

SCRIPT = b"export const answer = 42;\n" * 100


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteServer]:
    folder = tmp_path_factory.mktemp("served")
    files = {
        "index.html": b"<!doctype html><title>all</title>",
        "404.html": b"<!doctype html><title>nothing</title>",
        "sessions.jsonl": b"{}\n",
        "feed.atom": b"<feed/>",
        "static/a b.js": SCRIPT,
        "static/m.mjs": b"",
        "static/s.css": b"a{}",
        "static/i.svg": b"<svg/>",
        "static/p.png": b"\x89PNG" * 1000,
        "static/unknown": b"?",
        "data/overview.json": b"{}",
        "guide/index.html": b"<!doctype html><title>guide</title>",
    }
    for name, content in files.items():
        path = folder / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (folder / "secret.txt").write_bytes(b"secret")
    (folder / "site-too").mkdir()
    (folder / "site-too" / "secret.txt").write_bytes(b"secret")
    with SiteServer(folder / "site") as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(
    server: SiteServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html?id=626791", "text/html; charset=utf-8"),
        ("/sessions.jsonl", "application/x-ndjson; charset=utf-8"),
        ("/feed.atom", "application/atom+xml; charset=utf-8"),
        ("/static/a%20b.js", "text/javascript; charset=utf-8"),
        ("/static/m.mjs", "text/javascript; charset=utf-8"),
        ("/static/s.css", "text/css; charset=utf-8"),
        ("/static/i.svg", "image/svg+xml; charset=utf-8"),
        ("/static/p.png", "image/png"),
        ("/static/unknown", "application/octet-stream"),
        ("/data/overview.json", "application/json; charset=utf-8"),
    ],
)
def test_what_a_file_is(server: SiteServer, path: str, kind: str) -> None:
    status, headers, content = ask(server, path)
    assert (status, headers["Content-Type"]) == (200, kind)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert int(headers["Content-Length"]) == len(content)


@pytest.mark.parametrize(
    "path",
    [
        "/nothing.html",
        "/static",
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/..%5csecret.txt",
        "/static/../../secret.txt",
        "/../site-too/secret.txt",
        "//etc/passwd",
        "/%00",
        "/" + "a" * 5000,
    ],
)
def test_nothing_else_is_shown(server: SiteServer, path: str) -> None:
    status, _, content = ask(server, path)
    assert (status, content) == (404, b"<!doctype html><title>nothing</title>")


@pytest.mark.parametrize(
    ("path", "leads_to"),
    [("/guide", "/guide/"), ("/guide?a=b", "/guide/?a=b"), ("/%2Fguide", "/%2Fguide/"), ("/\\guide", "/guide/")],
)
def test_a_folder_is_shown_below_its_own_name(server: SiteServer, path: str, leads_to: str) -> None:
    status, headers, _ = ask(server, path)
    assert (status, headers["Location"]) == (301, leads_to)
    assert ask(server, "/guide/")[0] == ask(server, "/guide/index.html")[0] == ask(server, "/?a=b")[0] == 200


@pytest.mark.parametrize("path", ["//guide", "///guide", "/.//guide", "//example.org/guide", "//example.org/.."])
def test_redirects_stay_on_this_host(server: SiteServer, path: str) -> None:
    """Two slashes begin the name of one."""
    assert not (ask(server, path)[1]["Location"] or "/").startswith(("//", "/\\", "http"))


def test_no_link_leads_out(server: SiteServer) -> None:
    (server.folder / "docs").mkdir()
    try:
        for name in ("link.txt", "docs/index.html"):
            (server.folder / name).symlink_to(server.folder.parent / "secret.txt")
    except OSError:
        pytest.skip("this user may make no links")
    assert [ask(server, path)[0] for path in ("/link.txt", "/docs/index.html", "/docs/")] == [404] * 3


@pytest.mark.parametrize(
    ("accepted", "is_packed"),
    [("gzip", True), ("br, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_packed_if_that_is_accepted(server: SiteServer, accepted: str, is_packed: bool) -> None:
    _, headers, content = ask(server, "/static/a%20b.js", Accept_Encoding=accepted)
    assert (headers["Content-Encoding"] == "gzip") is is_packed
    assert (gzip.decompress(content) if is_packed else content) == SCRIPT
    _, headers, _ = ask(server, "/static/p.png", Accept_Encoding=accepted)
    assert headers["Content-Encoding"] is None, "it is packed already"


def test_head_has_no_content(server: SiteServer) -> None:
    status, headers, content = ask(server, "/static/a%20b.js", "HEAD", Accept_Encoding="identity")
    assert (status, content, headers["Content-Length"]) == (200, b"", str(len(SCRIPT)))
    assert ask(server, "/", "POST")[0] == 501


def test_another_name_for_this_machine_is_refused(server: SiteServer) -> None:
    """Else a page of another site could read along, by giving 127.0.0.1 a name of its own."""
    port = server.server_address[1]
    assert ask(server, "/", Host=f"evil.example:{port}")[0] == 403
    assert ask(server, "/", Host="localhost.evil.example")[0] == 403
    assert ask(server, "/", Host=f"localhost:{port}")[0] == 200
    assert ask(server, "/", Host="localhost")[0] == 200, "as browsers ask at port 80"
    assert server.address == f"http://127.0.0.1:{port}/"

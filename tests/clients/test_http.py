"""One request, tried again while that can help, against a server on loopback that answers from a list."""

from __future__ import annotations

import contextlib
import datetime
import gc
import gzip
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed, RetryPolicy, basic_auth, retry_after_seconds
from tests.servers.endless import Endless
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server, json_response

OK = json_response({"ok": True})


class Script(Server):
    """Gives one answer after the other, the last one for ever. None resets the connection."""

    def __init__(self, *answers: Response | None, delay: float = 0) -> None:
        super().__init__()
        self._answers = list(answers)
        self._delay = delay

    def answer(self, request: Request) -> Response | None:
        with self._lock:
            answer = self._answers[0] if len(self._answers) == 1 else self._answers.pop(0)
        if answer is not OK:
            self.pause(self._delay)
        return answer


def policy(attempts: int = 4, timeout: float = 5, backoff: float = 0.001, deadline: float = 300) -> RetryPolicy:
    return RetryPolicy(attempts, timeout, backoff, deadline=deadline)


def whole(response: HttpResponse) -> HttpResponse:
    return response


def ask(
    server: Server | Endless, retry: RetryPolicy | None = None, method: str = "GET", parse: Any = whole, **more: Any
) -> Any:
    return HttpClient(retry or policy()).request(method, server.url + "/x", parse, **more)


def as_json(response: HttpResponse) -> Any:
    return response.json()


def status(code: int, **headers: str) -> Response:
    return Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_not_now_is_retried(serve: Serve, code: int) -> None:
    server = serve(Script(status(code), status(code), OK))
    assert ask(server, parse=as_json) == {"ok": True}
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [200, 204, 301, 304, 400, 401, 403, 404, 501])
def test_any_other_status_is_an_answer(serve: Serve, code: int) -> None:
    server = serve(Script(status(code, Location="/elsewhere")))
    assert ask(server).status == code
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "broken",
    [
        None,
        Response(body=b'{"ok": true', declared=50, end="close"),
        Response(body=b'{"ok": true', declared=50, end="reset"),
        Response(body=b'{"ok": tr'),
        Response(body=b"<html>Sorry</html>"),
    ],
    ids=["reset", "short", "reset within", "half json", "html"],
)
def test_what_breaks_off_or_cannot_be_read_is_retried(serve: Serve, broken: Response | None) -> None:
    server = serve(Script(broken, OK))
    assert ask(server, parse=as_json) == {"ok": True}
    assert len(server.requests) == 2


def test_silence_is_retried(serve: Serve) -> None:
    server = serve(Script(status(404), OK, delay=2))
    assert ask(server, policy(timeout=0.5), parse=as_json) == {"ok": True}
    assert len(server.requests) == 2


def test_the_request_is_sent_again_as_it_was(serve: Serve) -> None:
    server = serve(Script(status(503), OK))
    ask(server, method="POST", json={"limit": 1000})
    assert [(one.method, one.json()) for one in server.requests] == [("POST", {"limit": 1000})] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (status(503), r"answered 503 Service Unavailable \(3 attempts\)"),
        (None, r"could not be reached or interrupted the response \(Connection\w+\) \(3 attempts\)"),
        (Response(body=b"<html>"), r"sent an answer that cannot be read \(.*\) \(3 attempts\)"),
    ],
)
def test_the_last_failure_is_reported(serve: Serve, answer: Response | None, why: str) -> None:
    server = serve(Script(answer))
    with pytest.raises(RequestFailed, match=f"^{why}$"):
        ask(server, policy(attempts=3), parse=as_json)
    assert len(server.requests) == 3


def test_a_timeout_states_how_long_was_waited(serve: Serve) -> None:
    with pytest.raises(RequestFailed, match=r"^gave no answer within 0\.05 s$"):
        ask(serve(Script(status(404), delay=0.5)), policy(attempts=1, timeout=0.05))


def test_nobody_there(serve: Serve) -> None:
    server = serve(Script(OK))
    server.stop()
    with pytest.raises(RequestFailed, match="could not be reached"):
        ask(server, policy(attempts=2))


def test_no_token_in_what_is_reported(serve: Serve) -> None:
    server = serve(Script(status(503)))
    with pytest.raises(RequestFailed) as caught:
        HttpClient(policy(), basic_auth("cop_secret")).request(
            "GET", server.url, whole, headers={"X-Token": "cop_secret"}
        )
    assert "cop_secret" not in str(caught.value)
    assert "cop_secret" not in repr(caught.value.__context__)


def test_an_error_of_the_parser_that_is_no_bad_answer_goes_through(serve: Serve) -> None:
    server = serve(Script(OK))

    def parse(response: HttpResponse) -> Any:
        raise LookupError("no such asset")

    with pytest.raises(LookupError, match="no such asset"):
        ask(server, parse=parse)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("method", "code"), [("HEAD", 200), ("GET", 304)])
def test_an_answer_without_a_body_may_declare_one(serve: Serve, method: str, code: int) -> None:
    server = serve(Script(Response(code, {"Content-Length": "10"}, b"0123456789")))
    answer = ask(server, method=method)
    assert (answer.status, answer.headers["Content-Length"]) == (code, "10")
    assert len(server.requests) == 1


# --- waits ---------------------------------------------------------------------------------------


def test_waits_double_and_are_spread_out() -> None:
    retry = RetryPolicy(attempts=9, timeout=1, backoff=2)
    for attempt, longest in ((2, 2), (3, 4), (4, 8), (9, 60)):
        waits = [retry.delay(attempt) for _ in range(50)]
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 10


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that this thread would have slept; others are servers that shared fixtures have started."""
    waited: list[float] = []
    sleep, me = time.sleep, threading.current_thread()

    def wait(seconds: float) -> None:
        (waited.append if threading.current_thread() is me else sleep)(seconds)

    monkeypatch.setattr(time, "sleep", wait)
    return waited


def test_a_requested_wait_is_observed(serve: Serve, waits: list[float]) -> None:
    server = serve(Script(status(429, Retry_After="40"), OK))
    ask(server)
    [wait] = waits
    assert 40 <= wait <= 41


@pytest.mark.parametrize("wait", ["0", "Mon, 01 Jan 2024 00:00:00 GMT", "soon", ""])
def test_no_wait_or_a_nonsensical_one_is_no_wait(serve: Serve, waits: list[float], wait: str) -> None:
    server = serve(Script(status(429, Retry_After=wait), OK))
    ask(server)
    assert len(waits) == 1
    assert waits[0] < 0.1, "that of the first time, whoever asks"
    assert len(server.requests) == 2


def test_a_wait_longer_than_a_minute_is_not_waited_for(serve: Serve) -> None:
    server = serve(Script(status(429, Retry_After="3600"), OK))
    why = "answered 429 Too Many Requests and asks to wait 3600 s; try again later"
    with pytest.raises(RequestFailed, match=why) as caught:
        ask(server)
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


NOW = datetime.datetime(2024, 1, 1, 12, 0, 0, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0),
        ("7", 7),
        (" 120 ", 120),
        ("Mon, 01 Jan 2024 12:00:30 GMT", 30),
        ("Mon, 01 Jan 2024 13:00:30 +0100", 30),
        ("Mon, 01 Jan 2024 12:00:30", 30),
        ("Mon, 01 Jan 2024 11:00:00 GMT", 0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text() | st.from_regex(r"Mon, [0-9]{1,9} Jan [0-9]{1,9} [0-9:]{1,20} [+-][0-9]{1,20}", fullmatch=True))
def test_any_retry_after_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize("url", ["http://a..b/", f"http://{'a' * 64}.org/", "http://[::1/", "http://127.0.0.1:99999/"])
def test_an_address_that_cannot_be_queried_is_one_line(url: str) -> None:
    with pytest.raises(RequestFailed) as caught:
        HttpClient(policy(attempts=2)).request("GET", url, whole)
    assert "answer" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_header_that_cannot_be_sent_is_not_quoted(serve: Serve) -> None:
    with pytest.raises(RequestFailed) as caught:
        ask(serve(Script(OK)), headers={"Authorization": "Bearer an-invented\rsecret"})
    assert "invented" not in str(caught.value)


# --- bounds --------------------------------------------------------------------------------------


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("beginning", "again"),
    [
        (b"", b"H"),
        (HEAD, b"X-Some: thing\r\n"[:1]),
        (HEAD + b"X-Long: ", b"a"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b"a"),
        (HEAD + b"\r\n", b"a"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"a" * 10), b""),
    ],
    ids=["status", "header", "long header", "body", "endless body", "chunks", "chunk size", "trailers", "gzip"],
)
def test_a_response_without_end_ends_at_the_deadline(beginning: bytes, again: bytes) -> None:
    retry = policy(attempts=3, timeout=1, deadline=0.4)
    begun = time.monotonic()
    with Endless(beginning, again) as server, pytest.raises(RequestFailed, match=r"no complete answer within 0\.4 s$"):
        ask(server, retry)
    assert time.monotonic() - begun < 60
    assert server.requests <= 1, "there is no time left to try again"


def test_a_handshake_without_end_ends_at_the_deadline() -> None:
    record = b"\x16\x03\x03\x40\x00"  # the head of a TLS record of 16 KB
    retry = policy(attempts=3, timeout=1, deadline=0.4)
    begun = time.monotonic()
    failure = pytest.raises(RequestFailed, match=r"no complete answer within 0\.4 s$")
    with Endless(record, b"a", request_end=b"") as server, failure:
        HttpClient(retry).request("GET", server.url.replace("http:", "https:"), whole)
    assert time.monotonic() - begun < 60
    assert server.requests <= 1


def test_attempts_share_one_deadline(serve: Serve) -> None:
    server = serve(Script(status(503)))
    with pytest.raises(RequestFailed, match=r"^answered 503 Service Unavailable \(\d attempts\)$"):
        ask(server, policy(attempts=1000, backoff=0.05, deadline=1.5))  # time enough for two on a busy machine
    assert 1 < len(server.requests) < 100


@pytest.mark.parametrize("framing", [b"\r\n", b"Transfer-Encoding: chunked\r\n\r\n"], ids=["plain", "chunks"])
def test_an_endless_body_is_too_large(framing: bytes) -> None:
    again = b"10000\r\n" + b"a" * 65536 + b"\r\n"
    with Endless(HEAD + framing, again, pause=0) as server, pytest.raises(RequestFailed) as caught:
        ask(server, max_bytes=2**21)
    assert str(caught.value) == "sent more than 2 MiB, which is not accepted"
    assert server.requests == 1, "it would not be shorter another time"


def test_a_declared_length_is_not_waited_for() -> None:
    beginning, why = HEAD + b"Content-Length: 99999999999\r\n\r\n", "sent more than 1 MiB"
    with Endless(beginning, b"a") as server, pytest.raises(RequestFailed, match=why):
        ask(server, policy(deadline=10), max_bytes=2**20)


@pytest.mark.parametrize(
    ("line", "why"), [(b"a", "LineTooLong"), (b"X: y\r\n", "no complete answer")], ids=["chunk size", "trailer"]
)
def test_endless_framing_ends(line: bytes, why: str) -> None:
    beginning = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"" if line == b"a" else b"0\r\n")
    with Endless(beginning, line * 100_000, pause=0) as server, pytest.raises(RequestFailed, match=why):
        ask(server, policy(attempts=1, deadline=1), max_bytes=2**20)


def gzipped(body: bytes) -> Response:
    return Response(headers={"Content-Encoding": "gzip"}, body=body)


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**16 + 1, 3 * 2**20])
def test_gzip_is_decoded(serve: Serve, size: int) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    server = serve(Script(gzipped(gzip.compress(body)), gzipped(gzip.compress(body) + gzip.compress(body))))
    assert ask(server, max_bytes=size).content == body
    assert ask(server).content == body + body
    assert server.requests[0].headers["accept-encoding"] == "gzip"


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (gzipped(gzip.compress(b"abcd" * 100)[:-9]), "is an incomplete gzip"),
        (gzipped(b"abcd"), "is no gzip"),
        (Response(headers={"Content-Encoding": "br"}, body=b"abcd"), "has the encoding br"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_requested_again(serve: Serve, broken: Response, why: str) -> None:
    assert ask(serve(Script(broken, OK)), parse=as_json) == {"ok": True}
    with pytest.raises(RequestFailed, match=why):
        ask(serve(Script(broken)))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no module resource")
def test_a_large_gzip_fails_within_bounded_memory(serve: Serve) -> None:
    compressor = zlib.compressobj(1, wbits=31)
    megabyte = b"[1234567]," * 100_000
    body = b"".join([*(compressor.compress(megabyte) for _ in range(200)), compressor.flush()])
    server = serve(Script(gzipped(body)))
    code = (
        "import pathlib, re, sys\n"
        "from npc_lims.clients.http import HttpClient, RequestFailed, RetryPolicy\n"
        "try:\n"
        "    HttpClient(RetryPolicy(5, 30, 0)).request('GET', sys.argv[1], lambda response: response.json())\n"
        "except RequestFailed as error:\n"
        # not ru_maxrss, which begins with the memory of the process that started this one
        "    print(error, re.search(r'VmHWM:\\s+(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])\n"
    )
    run = subprocess.run([sys.executable, "-c", code, server.url], capture_output=True, text=True, check=True)
    message, _, kilobytes = run.stdout.strip().rpartition(" ")
    assert message == "sent more than 64 MiB, which is not accepted"
    assert int(kilobytes) < 400 * 1024
    assert len(server.requests) == 1


@pytest.mark.parametrize("encoded", [False, True])
def test_the_tail_of_a_body(serve: Serve, encoded: bool) -> None:
    body = bytes(range(256)) * 5000
    server = serve(Script(gzipped(gzip.compress(body)) if encoded else Response(body=body)))
    assert ask(server, tail=1000).content == body[-1000:]
    assert ask(server, tail=len(body) + 1).content == body


def test_what_has_an_effect_is_sent_once(serve: Serve) -> None:
    for answer in (None, status(500), status(503), status(408), Response(body=b"<html>")):
        server = serve(Script(answer, OK))
        with pytest.raises(RequestFailed) as caught:
            ask(server, method="POST", parse=as_json, is_idempotent=False)
        assert (len(server.requests), caught.value.is_sent) == (1, True)


def test_what_has_an_effect_is_sent_again_if_nothing_was_done(serve: Serve) -> None:
    server = serve(Script(status(429), status(429), OK))
    assert ask(server, method="POST", parse=as_json, is_idempotent=False) == {"ok": True}
    assert len(server.requests) == 3


def test_requests_share_a_connection(serve: Serve) -> None:
    server = serve(Script(OK))
    client = HttpClient(policy())
    for _ in range(5):
        assert client.request("GET", server.url, as_json) == {"ok": True}
    assert (len(server.requests), server.connections) == (5, 1)


def test_no_netrc_is_read(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password invented\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server = serve(Script(OK))
    ask(server)
    assert "authorization" not in server.requests[0].headers


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_a_proxy_of_the_environment_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    server = serve(Script(OK))
    monkeypatch.setenv(variable, server.url)
    client = HttpClient(policy(attempts=1))
    assert client.request("GET", "http://lab.invalid/x", as_json) == {"ok": True}
    assert [one.path for one in server.requests] == ["http://lab.invalid/x"]
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    direct = serve(Script(OK))
    client.request("GET", f"{direct.url}/x", as_json)
    assert [one.path for one in direct.requests] == ["/x"]


def test_a_redirect_is_followed_where_that_is_allowed(serve: Serve) -> None:
    server = serve(Script(status(302, Location="/b?c"), OK))
    assert ask(server).location == f"{server.url}/b?c"
    server = serve(Script(status(302, Location="/b?c"), OK))
    assert ask(server, parse=as_json, may_follow=lambda url, target: target == f"{server.url}/b?c") == {"ok": True}
    assert [one.path for one in server.requests] == ["/x", "/b?c"]
    assert ask(serve(Script(status(301)))).location is None
    assert ask(serve(Script(status(200, Location="/b")))).location is None


def test_redirects_end(serve: Serve) -> None:
    server = serve(Script(status(302, Location="/a")))
    assert ask(server, may_follow=lambda url, target: True).status == 302
    assert len(server.requests) == 4


def test_a_redirect_to_no_address_cannot_be_read(serve: Serve) -> None:
    server = serve(Script(status(302, Location="http://[::1")))
    with pytest.raises(RequestFailed, match=r"cannot be (read|queried)"):
        ask(server, policy(attempts=1), may_follow=lambda url, target: True)


@pytest.mark.parametrize("is_idempotent", [True, False])
@pytest.mark.parametrize("answer", [Response(503), Response(200, body=b"{")])
def test_a_failed_request_leaves_no_connection_to_the_garbage_collector(
    serve: Serve, answer: Response, is_idempotent: bool
) -> None:
    """A collection in the middle of anything, such as deeply nested JSON, would otherwise have to close it."""
    server = serve(Script(answer, answer))
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(RequestFailed):
            ask(server, policy(attempts=2), parse=as_json, is_idempotent=is_idempotent)
        given_up = time.monotonic() + 10
        assert server._listener is not None
        while server._listener._open and time.monotonic() < given_up:
            time.sleep(0.01)
        assert not server._listener._open
    finally:
        gc.enable()

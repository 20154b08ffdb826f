"""One request, tried again while that can help, against a server on loopback that answers from a list."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.clients.http import GaveUp, Patience, request, retry_after_seconds
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


def patience(attempts: int = 4, timeout: float = 5, backoff: float = 0.001) -> Patience:
    return Patience(attempts, timeout, backoff)


def ask(server: Server, patient: Patience | None = None, method: str = "GET", **more: Any) -> Any:
    with requests.Session() as session:
        return request(session, method, server.url + "/x", patient or patience(), **more)


def as_json(response: requests.Response) -> Any:
    return response.json()


def status(code: int, **headers: str) -> Response:
    return Response(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504])
def test_not_now_is_asked_again(serve: Serve, code: int) -> None:
    server = serve(Script(status(code), status(code), OK))
    assert ask(server, parse=as_json) == {"ok": True}
    assert len(server.requests) == 3


@pytest.mark.parametrize("code", [200, 204, 301, 304, 400, 401, 403, 404, 501])
def test_any_other_status_is_an_answer(serve: Serve, code: int) -> None:
    server = serve(Script(status(code, Location="/elsewhere")))
    assert ask(server).status_code == code
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
def test_what_breaks_off_or_cannot_be_read_is_asked_again(serve: Serve, broken: Response | None) -> None:
    server = serve(Script(broken, OK))
    assert ask(server, parse=as_json) == {"ok": True}
    assert len(server.requests) == 2


def test_silence_is_asked_again(serve: Serve) -> None:
    server = serve(Script(status(404), OK, delay=0.5))
    assert ask(server, patience(timeout=0.1), parse=as_json) == {"ok": True}
    assert len(server.requests) == 2


def test_the_request_is_sent_again_as_it_was(serve: Serve) -> None:
    server = serve(Script(status(503), OK))
    ask(server, method="POST", json={"limit": 1000})
    assert [(one.method, one.json()) for one in server.requests] == [("POST", {"limit": 1000})] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (status(503), "answered 503 Service Unavailable, 3 times"),
        (None, r"could not be reached or broke off \(ConnectionError\), 3 times"),
        (Response(body=b"<html>"), r"sent an answer that cannot be read \(.*\), 3 times"),
    ],
)
def test_the_last_failure_is_told(serve: Serve, answer: Response | None, why: str) -> None:
    server = serve(Script(answer))
    with pytest.raises(GaveUp, match=f"^{why}$"):
        ask(server, patience(attempts=3), parse=as_json)
    assert len(server.requests) == 3


def test_a_timeout_tells_how_long_was_waited(serve: Serve) -> None:
    with pytest.raises(GaveUp, match=r"^gave no answer within 0\.05 s$"):
        ask(serve(Script(status(404), delay=0.5)), patience(attempts=1, timeout=0.05))


def test_nobody_there(serve: Serve) -> None:
    server = serve(Script(OK))
    server.stop()
    with pytest.raises(GaveUp, match="could not be reached"):
        ask(server, patience(attempts=2))


def test_no_token_in_what_is_told(serve: Serve) -> None:
    server = serve(Script(status(503)))
    with pytest.raises(GaveUp) as caught:
        ask(server, auth=("cop_secret", ""), headers={"X-Token": "cop_secret"})
    assert "cop_secret" not in str(caught.value)
    assert "cop_secret" not in repr(caught.value.__context__)


def test_an_error_of_the_parser_that_is_no_bad_answer_goes_through(serve: Serve) -> None:
    server = serve(Script(OK))

    def parse(response: requests.Response) -> Any:
        raise LookupError("no such asset")

    with pytest.raises(LookupError, match="no such asset"):
        ask(server, parse=parse)
    assert len(server.requests) == 1


@pytest.mark.parametrize(("method", "code"), [("HEAD", 200), ("GET", 304)])
def test_an_answer_without_a_body_may_declare_one(serve: Serve, method: str, code: int) -> None:
    server = serve(Script(Response(code, {"Content-Length": "10"}, b"0123456789")))
    answer = ask(server, method=method)
    assert (answer.status_code, answer.headers["Content-Length"]) == (code, "10")
    assert len(server.requests) == 1


# --- waits ---------------------------------------------------------------------------------------


def test_waits_double_and_are_spread_out() -> None:
    patient = Patience(attempts=9, timeout=1, backoff=2)
    for attempt, longest in ((2, 2), (3, 4), (4, 8), (9, 60)):
        waits = [patient.wait_before(attempt) for _ in range(50)]
        assert all(longest / 2 <= wait <= longest for wait in waits)
        assert len(set(waits)) > 10


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that this process would have slept."""
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


def test_a_wait_that_is_asked_for_is_kept(serve: Serve, waits: list[float]) -> None:
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
    with pytest.raises(GaveUp, match=r"answered 429 Too Many Requests and asks to wait 3600 s; try again later"):
        ask(server)
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
def test_an_address_that_cannot_be_asked_is_one_line(url: str) -> None:
    with requests.Session() as session, pytest.raises(GaveUp) as caught:
        request(session, "GET", url, patience(attempts=2))
    assert "answer" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_header_that_cannot_be_sent_is_not_quoted(serve: Serve) -> None:
    with requests.Session() as session, pytest.raises(GaveUp) as caught:
        request(
            session, "GET", serve(Script(OK)).url, patience(), headers={"Authorization": "Bearer an-invented\rsecret"}
        )
    assert "invented" not in str(caught.value)

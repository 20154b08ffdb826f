"""A reverse proxy that breaks on demand, to stand between a client and any of the servers here.

It forwards the path, the Host header and the body byte for byte, since an S3 signature covers them.
"""

from __future__ import annotations

import http.client
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from tests.servers.web import Request, Response, Server

# Headers that belong to one connection and not to the message (RFC 9110, 7.6.1); Expect was met by the proxy.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    }
)


class Fault:
    """What happens to one request in place of being forwarded untouched."""

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        """The answer to send, or None to reset the connection without one."""
        raise NotImplementedError


@dataclass(frozen=True)
class Refuse(Fault):
    """The connection is reset before any byte of an answer; nothing is forwarded.

    For a port where nobody listens, `stop()` the proxy: `start()` brings it back at the same address.
    """

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        return None


@dataclass(frozen=True)
class Reset(Fault):
    """The connection is reset (RST) after the headers and the first `after` bytes of the real body."""

    after: int = 0

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        real = proxy.forward(request)
        # One byte is always missing, or the client would be content before the reset reaches it.
        promised = max(len(real.body), self.after + 1)
        return replace(real, body=real.body[: self.after], declared=promised, end="reset")


@dataclass(frozen=True)
class Truncate(Fault):
    """The last `missing` bytes of the real body never come, though Content-Length promised them."""

    missing: int = 1

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        real = proxy.forward(request)
        kept = max(len(real.body) - self.missing, 0)
        return replace(real, body=real.body[:kept], declared=kept + self.missing, end="close")


@dataclass(frozen=True)
class Drip(Fault):
    """A 200 whose long body comes byte by byte, without end; nothing is forwarded."""

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        return Response(declared=10**7, end="drip")


@dataclass(frozen=True)
class Delay(Fault):
    """The request waits for `seconds`, then is forwarded, or suffers `then`."""

    seconds: float
    then: Fault | None = None

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        proxy.pause(self.seconds)
        return self.then.apply(proxy, request) if self.then else proxy.forward(request)


@dataclass(frozen=True)
class Status(Fault):
    """The proxy answers by itself, for example `Status(429, {"Retry-After": "1"})`; nothing is forwarded."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        return Response(self.status, self.headers, self.body)


@dataclass(frozen=True)
class Lose(Fault):
    """The request is forwarded and takes effect, but its answer is lost: after `seconds` comes `instead`.

    That is a reset without a byte, or say `Status(504)`; more `seconds` than the client's patience are a timeout.
    """

    seconds: float = 0
    instead: Refuse | Status = Refuse()

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        proxy.forward(request)
        proxy.pause(self.seconds)
        return self.instead.apply(proxy, request)


@dataclass(frozen=True)
class MalformedJson(Fault):
    """A 200 whose JSON breaks off in the middle, its Content-Length honest; nothing is forwarded."""

    body: bytes = b'{"has_more": false, "results": [{"id": '

    def apply(self, proxy: FaultyProxy, request: Request) -> Response | None:
        return Response(200, {"content-type": "application/json"}, self.body)


class FaultyProxy(Server):
    """Forwards to `upstream_url`, each request `latency` seconds late, except where a fault is planned.

    `plan` queues faults for the next requests; once the queue is empty, `rule` decides for each request.
    """

    def __init__(
        self,
        upstream_url: str,
        *,
        latency: float = 0,
        rule: Callable[[Request], Fault | None] | None = None,
        timeout: float = 30,
    ) -> None:
        super().__init__()
        upstream = urlsplit(upstream_url)
        self._upstream = (upstream.hostname or "127.0.0.1", upstream.port or 80)
        self._timeout = timeout
        self._planned: deque[Fault | None] = deque()
        self.latency = latency
        self.rule = rule

    @property
    def count(self) -> int:
        """How many requests came in since the start or the last `reset`."""
        return len(self.requests)

    def plan(self, *faults: Fault | None) -> None:
        """Let the next requests, in the order they come, suffer these; None lets one through."""
        with self._lock:
            self._planned.extend(faults)

    def reset(self) -> None:
        """Forget the requests, the plan and the rule."""
        super().reset()
        with self._lock:
            self._planned.clear()
        self.rule = None

    def answer(self, request: Request) -> Response | None:
        with self._lock:
            planned = bool(self._planned)
            fault = self._planned.popleft() if planned else None
        rule = self.rule
        if not planned and rule is not None:
            fault = rule(request)
        if self.latency:
            self.pause(self.latency)
        return fault.apply(self, request) if fault else self.forward(request)

    def forward(self, request: Request) -> Response:
        """The upstream's answer; 502 where it cannot be had."""
        connection = http.client.HTTPConnection(*self._upstream, timeout=self._timeout)
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in HOP_BY_HOP and name != "content-length":
                    connection.putheader(name, value)
            if request.body or request.method in {"POST", "PUT", "PATCH"}:
                connection.putheader("content-length", str(len(request.body)))
            connection.endheaders(request.body or None)
            real = connection.getresponse()
            headers = {name: value for name, value in real.getheaders() if name.lower() not in HOP_BY_HOP}
            length = next((headers.pop(name) for name in list(headers) if name.lower() == "content-length"), None)
            # The answer to HEAD tells the length of a body that it does not carry.
            declared = int(length) if length is not None and request.method == "HEAD" else None
            return Response(real.status, headers, real.read(), declared)
        except (OSError, http.client.HTTPException) as error:
            return Response(502, {"content-type": "text/plain"}, f"upstream failed: {error!r}".encode())
        finally:
            connection.close()

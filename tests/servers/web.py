"""The HTTP/1.1 plumbing that the servers here share: a class to subclass, records of requests, a clean stop."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Request:
    """What a client sent: the path with its query string as it came, header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        """The body as JSON; ValueError where it is not."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Response:
    """What a client gets.

    `declared` is the Content-Length to promise, the truth when None; `end` is what happens to the connection
    after the last byte ("drip": one byte more, again and again).
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    declared: int | None = None
    end: Literal["keep", "close", "reset", "drip"] = "keep"


def json_response(value: object, status: int = 200) -> Response:
    """`value` as a JSON answer."""
    return Response(status, {"content-type": "application/json"}, json.dumps(value).encode())


class Server:
    """A server on 127.0.0.1, for `with`: subclasses say in `answer` what it serves.

    Every request is in `requests` before its answer leaves, and
    `connections` counts what clients opened. `stop` hangs up on idle clients too, so nothing
    is answered after it; `start` brings the server back on the same port.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[Request] = []
        self.connections = 0
        self._stopping = threading.Event()
        self._listener: _Listener | None = None
        self._port = 0
        self._reservation: socket.socket | None = None

    def answer(self, request: Request) -> Response | None:
        """The answer to `request`; None resets the connection instead. Called from many threads at once."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """The base address, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def requests(self) -> list[Request]:
        """What was received since the start or the last `reset`, in order (a copy)."""
        with self._lock:
            return list(self._requests)

    def reset(self) -> None:
        """Forget the requests received so far."""
        with self._lock:
            self._requests.clear()

    def record(self, request: Request) -> None:
        """Called for every request, before `answer`."""
        with self._lock:
            self._requests.append(request)

    def pause(self, seconds: float) -> bool:
        """Wait, but never longer than the server lives; return whether it still does."""
        return not self._stopping.wait(seconds)

    def start(self) -> Self:
        """Listen. A port is chosen at the first start and kept for later ones."""
        self._stopping.clear()
        if self._reservation is None:
            # bound until the end, and never listening: else another program may get the port between stop and start
            self._reservation = socket.socket()
            self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._reservation.bind(("127.0.0.1", self._port))
            self._port = self._reservation.getsockname()[1]
        self._listener = _Listener(self, self._port)
        # The poll interval is what `stop` waits for at worst.
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Hang up and wait for the requests under way; harmless when already stopped."""
        if self._listener is None:
            return
        self._stopping.set()
        self._listener.shutdown()
        self._listener.server_close()
        self._listener.hang_up()
        self._listener = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if self._reservation is not None:
            self._reservation.close()
            self._reservation = None


class _Listener(ThreadingHTTPServer):
    """Knows its open connections: keep-alive clients would otherwise be served after the stop."""

    request_queue_size = 128

    def __init__(self, server: Server, port: int) -> None:
        self.owner = server
        self._open: set[socket.socket] = set()
        self._changed = threading.Condition()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        # As the base class does, without its look-up of this host's name, which may ask a DNS server.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._changed:
            self._open.add(request)
            self.owner.connections += 1
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()
        super().shutdown_request(request)

    def hang_up(self, patience: float = 5) -> None:
        """Close every connection and wait until its thread is through."""
        with self._changed:
            for connection in self._open:
                with suppress(OSError):  # the client was quicker
                    connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, patience)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that hangs up is everyday; any other error is a bug in a server and is shown.
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class _Handler(BaseHTTPRequestHandler):
    """Reads a request whole, asks the server, writes the answer in one piece."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Listener

    def exchange(self) -> None:
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        request = Request(self.command, self.path, headers, self._body())
        self.server.owner.record(request)
        response = self.server.owner.answer(request)
        if response is None:
            self._reset()
        else:
            self._send(response)

    def handle_expect_100(self) -> bool:
        go_on = super().handle_expect_100()
        self.wfile.flush()  # the client sends its body only after it has seen this
        return go_on

    def log_message(self, *args: object) -> None:
        """Nothing: `Server.requests` is the log."""

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", "").lower():
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(chunks)

    def _send(self, response: Response) -> None:
        bodiless = response.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
        headers = dict(response.headers)
        if "date" not in {name.lower() for name in headers}:
            headers["Date"] = self.date_time_string()
        if not bodiless:
            declared = len(response.body) if response.declared is None else response.declared
            headers["Content-Length"] = str(declared)
        if response.end != "keep":
            headers["Connection"] = "close"
            self.close_connection = True
        self.send_response_only(response.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if not bodiless and self.command != "HEAD":
            self.wfile.write(response.body)
        self.wfile.flush()
        while response.end == "drip" and self.server.owner.pause(0.02):
            self.wfile.write(b"a")
            self.wfile.flush()
        if response.end == "reset":
            time.sleep(0.01)  # let the client read what was sent: a reset may overtake it
            self._reset()

    def _reset(self) -> None:
        # Lingering for zero seconds makes close() send RST in place of FIN.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


for method in METHODS:  # http.server looks for a do_X for each method
    setattr(_Handler, f"do_{method}", _Handler.exchange)

"""A server whose answers do not end: they drip, or flood."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["OK", "Endless"]

OK = b'HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nETag: "1"\r\nConnection: close\r\n\r\n'
"""Headers of a body that ends where the connection does."""


class Endless:
    """Answers each request with *head*, then with *piece* every *pause* seconds until the client hangs up.

    Attributes:
        requests: How many came.
        sent: Bytes of pieces sent.
    """

    def __init__(
        self, head: bytes = OK, piece: bytes = b" ", pause: float = 0.02, request_end: bytes = b"\r\n\r\n"
    ) -> None:
        self._head, self._piece, self._pause, self._request_end = head, piece, pause, request_end
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests = 0
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        # wake the thread: were the listener closed while it waits, it might go on with a file that is opened next
        with contextlib.suppress(OSError):
            socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._stopping.is_set():
                connection.close()
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the client has hung up
            received = connection.recv(65536)
            while received and self._request_end not in received:
                received = connection.recv(65536)
            self.requests += 1
            connection.sendall(self._head)
            while not self._stopping.wait(self._pause):
                connection.sendall(self._piece)
                self.sent += len(self._piece)

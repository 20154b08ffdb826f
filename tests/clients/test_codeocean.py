"""Bounds of responses of Code Ocean, and what its errors say."""

from __future__ import annotations

import pickle
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from npc_lims.clients.codeocean import (
    CodeOceanClient,
    CodeOceanError,
    OutcomeUnknown,
    RateLimited,
    Rejected,
    Unauthorized,
)
from npc_lims.config.settings import Settings
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server, json_response

LARGE = """\
import sys
from npc_lims.clients.codeocean import CodeOceanClient
from npc_lims.config.settings import Settings
from npc_lims.errors import SourceError
try:
    list(CodeOceanClient(Settings(codeocean_domain=sys.argv[1], codeocean_token="cop_0123456789")).search())
except SourceError as error:
    # not ru_maxrss, which begins with the memory of the process that started this one
    print(error, next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


class Fixed(Server):
    """Answers every request with the same."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self._response = response

    def answer(self, request: Request) -> Response:
        return self._response


def client(server: Server) -> CodeOceanClient:
    return CodeOceanClient(Settings(codeocean_domain=server.url, codeocean_token="cop_0123456789", attempts=1))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks into /proc")
def test_a_page_of_200_mb_fails_the_source_within_bounded_memory(serve: Serve) -> None:
    compressor = zlib.compressobj(1, wbits=31)
    assets = b'{"id": "a", "name": "b", "tags": ["raw"]},' * 25_000
    parts = [compressor.compress(b'{"has_more": false, "results": [')]
    parts += [compressor.compress(assets) for _ in range(200)]
    server = serve(Fixed(Response(headers={"Content-Encoding": "gzip"}, body=b"".join([*parts, compressor.flush()]))))
    run = subprocess.run([sys.executable, "-c", LARGE, server.url], capture_output=True, text=True, check=True)
    message, _, kilobytes = run.stdout.strip().rpartition(" ")
    assert message.startswith("codeocean: searching data assets: http")
    assert message.endswith("sent more than 64 MiB, which is not accepted")
    assert int(kilobytes) < 400 * 1024
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind", "message"),
    [
        (400, Rejected, "codeocean: running it: Code Ocean answered 400: why"),
        (401, Unauthorized, "codeocean: the token was refused (401: why): it has expired, or lacks the scope"),
        (403, CodeOceanError, "codeocean: running it: not allowed with this token (403: why): it needs the scope"),
        (404, CodeOceanError, "codeocean: running it: Code Ocean answered 404: why"),
        (422, Rejected, "codeocean: running it: Code Ocean answered 422: why"),
        (429, RateLimited, "codeocean: running it: Code Ocean is too busy (why); nothing was started"),
        (500, OutcomeUnknown, "codeocean: running it: Code Ocean answered 500 Internal Server Error"),
    ],
)
def test_each_status_has_one_error(serve: Serve, status: int, kind: type[CodeOceanError], message: str) -> None:
    server = serve(Fixed(json_response({"message": "why"}, status)))
    with pytest.raises(CodeOceanError) as caught:
        client(server).send_once("running it", "computations", {}, dict, 1)
    assert type(caught.value) is kind
    assert str(caught.value).startswith(message)
    assert len(server.requests) == 1


def test_a_reason_with_braces_stays_as_it_is(serve: Serve) -> None:
    server = serve(Fixed(json_response({"message": "no {asset} {0}"}, 400)))
    with pytest.raises(Rejected, match=r"answered 400: no .asset. .0.$") as caught:
        client(server).query("looking", "GET", "x", dict)
    assert caught.value.detail == "no {asset} {0}"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)

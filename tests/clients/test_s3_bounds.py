"""Requests to S3 end: by a deadline, by a size, and for good after several time-outs in a row."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.s3 import ObjectStore, open_store
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import MissingCredentials, SourceError
from tests.servers.endless import OK, Endless
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server

pytestmark = pytest.mark.usefixtures("services_parsed_once")

CALLS = {
    "a listing": lambda store: store.list_folder("data", "a/"),
    "an object": lambda store: store.read("data", "a", 10**9),
    "a head": lambda store: store.head("data", "a"),
}


def store_at(url: str, **more: Any) -> ObjectStore:
    keys = {"aws_access_key_id": "id", "aws_secret_access_key": "key", "aws_default_region": "us-west-2"}
    return open_store(
        Settings(**{"aws_endpoint_url": url, "timeout": 0.1, "attempts": 1, "backoff": 0, **keys, **more})
    )


@pytest.mark.parametrize("call", ["a listing", "an object"])
def test_a_body_that_drips_ends_at_the_deadline(call: str) -> None:
    with Endless(OK.replace(b"Connection", b"Content-Length: 100000\r\nConnection")) as server:
        started = time.monotonic()
        with pytest.raises(SourceError, match="Read timeout"):
            CALLS[call](store_at(server.url))
        assert time.monotonic() - started < 60


@pytest.mark.parametrize("call", CALLS)
def test_headers_that_drip_end_at_the_deadline(call: str) -> None:
    with (
        Endless(b"HTTP/1.1 200 OK\r\nX: ") as server,
        pytest.raises(SourceError, match="Read timeout"),
    ):
        CALLS[call](store_at(server.url))


def test_a_listing_that_floods_is_not_read_to_the_end() -> None:
    with Endless(piece=b" " * 2**20, pause=0) as server:
        with pytest.raises(SourceError, match=r"/data: the answer has more than 16 MB; check AWS_ENDPOINT_URL"):
            store_at(server.url, timeout=60).list_folder("data", "a/")
        assert server.sent < 100 * 2**20


@pytest.mark.parametrize("status", [b"200 OK", b"403 Forbidden"])
def test_an_object_that_floods_is_not_read_to_the_end(status: bytes) -> None:
    with Endless(OK.replace(b"200 OK", status), piece=b" " * 2**20, pause=0) as server:
        with pytest.raises(SourceError, match=r"the answer has more than 16 MB|larger than the 1000 bytes|no Content"):
            store_at(server.url, timeout=60).read("data", "a", 1000)
        assert server.sent < 100 * 2**20


MEMORY = """
import sys
from npc_lims.errors import SourceError
from npc_lims.config.settings import load_settings
from npc_lims.clients.s3 import open_store
store = open_store(load_settings())
for call in (lambda: store.list_folder("data", "a/"), lambda: store.read("data", "a", 10_000_000)):
    try:
        call()
    except SourceError as error:
        print(error)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the memory of a process is in /proc")
@pytest.mark.parametrize("packed", [True, False], ids=["gzip", "plain"])
def test_a_body_of_200_mb_fails_in_little_memory(serve: Serve, packed: bool) -> None:
    body = b"<ListBucketResult>" + bytes(200_000_000)
    headers = {"ETag": '"1"'}
    if packed:
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"

    class Large(Server):
        def answer(self, request: Request) -> Response:
            return Response(200, headers, body)

    environ = {
        **os.environ,
        "AWS_ENDPOINT_URL": serve(Large()).url,
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "key",
        "AWS_DEFAULT_REGION": "us-west-2",
        "NPC_LIMS_ATTEMPTS": "1",
    }
    done = subprocess.run([sys.executable, "-c", MEMORY], env=environ, capture_output=True, text=True, check=True)
    *errors, memory = done.stdout.splitlines()
    assert errors[0].startswith("s3: ")
    assert len(errors) == (1 if packed else 2), "a packed object is given as it is stored"
    assert int(memory) < 400_000, "kB"


class Silent(Server):
    """Keeps each client waiting, until it speaks."""

    speaks = False

    def answer(self, request: Request) -> Response:
        if not self.speaks:
            self.pause(60)
        return Response(404, {}, b"")


def test_after_several_time_outs_in_a_row_nothing_more_is_sent(serve: Serve) -> None:
    server = serve(Silent())
    store = store_at(server.url, timeout=0.05)
    reasons = []
    for _ in range(1000):
        with pytest.raises(SourceError) as caught:
            store.head("data", "a")
        reasons.append(str(caught.value))
    assert len(server.requests) == 5
    assert "Read timeout" in reasons[4]
    refusal = "5 requests in a row timed out, so no more are sent for 60 s; check AWS_ENDPOINT_URL and the network"
    assert all(refusal in reason for reason in reasons[5:])


def test_an_answer_closes_the_circuit_again(serve: Serve) -> None:
    server = serve(Silent())
    store = store_at(server.url, timeout=0.3)
    for _ in range(2):
        server.speaks = False
        for _ in range(4):
            with pytest.raises(SourceError, match="Read timeout"):
                store.head("data", "a")
        server.speaks = True
        assert store.head("data", "a") is None
    assert len(server.requests) == 10


def test_time_outs_at_the_same_time_count_as_one(serve: Serve) -> None:
    """An outage of a moment strikes every thread of a pool: it is no reason to give up."""
    server = serve(Silent())
    store = store_at(server.url, timeout=0.3, s3_workers=16)

    def look(_: int) -> str:
        with pytest.raises(SourceError) as caught:
            store.head("data", "a")
        return str(caught.value)

    with ThreadPoolExecutor(16) as pool:
        assert all("Read timeout" in reason for reason in pool.map(look, range(16)))
    server.speaks = True
    assert store.head("data", "a") is None


def test_a_program_for_credentials_that_hangs_ends_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    sleep = f'{sys.executable} -c "import time; time.sleep(20)"'
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sleep}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    started = time.monotonic()
    with pytest.raises(MissingCredentials, match=r"could not be retrieved \(no answer within 0\.4 s\); check AWS_PROF"):
        open_store(load_settings({"NPC_LIMS_TIMEOUT": "0.1"}, tmp_path))
    assert time.monotonic() - started < 19


def test_a_program_for_credentials_that_hangs_later_ends_at_the_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    """Credentials that expire are asked for again while requests are made."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    program = tmp_path / "program.py"
    program.write_text(
        "import datetime, json, pathlib, time\n"
        f"mark = pathlib.Path({str(tmp_path / 'mark')!r})\n"
        "time.sleep(20) if mark.exists() else mark.touch()\n"
        "soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=60)\n"
        "keys = {'AccessKeyId': 'id', 'SecretAccessKey': 'key', 'Expiration': soon.isoformat()}\n"
        "print(json.dumps({'Version': 1, **keys}))\n"
    )
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    server = serve(Silent())
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    store = open_store(load_settings({"NPC_LIMS_TIMEOUT": "1"}, tmp_path))
    with pytest.raises(MissingCredentials, match=r"no answer within 4 s"):
        store.head("data", "a")
    assert server.requests == []

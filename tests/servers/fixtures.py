"""Fixtures that start the servers, for `pytest_plugins = ["tests.servers.fixtures"]` in the conftest."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.servers.github_api import GitHubApiServer
from tests.servers.github_hub import Hub, make_hub, make_repository
from tests.servers.github_schema import DESCRIPTION, assert_published_schema
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
def hub_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hub` begins with; to be copied, never changed."""
    return make_repository(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def hub(serve: Serve, hub_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A repository on GitHub, and the environment of a member; all answers are checked when the test is over."""
    made = make_hub(serve(GitHubApiServer()), hub_repository, tmp_path / "hub")
    for name, value in made.env().items():
        monkeypatch.setenv(name, value)
    yield made
    if DESCRIPTION.is_file():  # tests/servers/test_github_server.py says that it is not installed
        assert_published_schema(made.api.exchanges)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that empty the S3 service come last: filling it with the demo's world again takes a second."""
    items.sort(key=lambda item: "s3" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def services_parsed_once() -> Iterator[None]:
    """botocore parses megabytes of JSON for each session of boto3, which is most of what a client costs: here it
    does so once for each worker."""
    from botocore.loaders import JSONFileLoader

    load = JSONFileLoader.load_file

    @functools.lru_cache(maxsize=100)
    def load_once(path: str) -> object:
        return load(JSONFileLoader(), path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda loader, path: load_once(path))
        yield


@pytest.fixture(scope="session")
def s3_server(services_parsed_once: None) -> Iterator[SeaweedS3]:
    """One S3 service for all tests of a worker; they take `s3`, or `cloud`."""
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

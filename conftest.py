"""Fixtures for all tests and for the examples in README and docstrings."""

from __future__ import annotations

import itertools
import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import loopback_guard
from tests.git_environment import NO_SETTINGS

pytest_plugins = ["tests.sets", "tests.servers.fixtures", "tests.integration.fixtures", "tests.sync.fixtures"]

# Whatever the machine or the person who runs the tests has set must not reach them.
_OURS = ("NPC_LIMS_", "AWS_", "CODE_OCEAN_", "GITHUB_")


def pytest_configure(config: pytest.Config) -> None:
    # what a shell starts in the background ignores Ctrl-C, as does all that it starts, and tests send that to programs
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # for git of the code that is tested, too, and not of a test's own: fixtures of modules use it
    os.environ.update(NO_SETTINGS)


_numbers = itertools.count()


def _own_folder(factory: pytest.TempPathFactory, name: str) -> Path:
    """A new folder. pytest's own ways to number folders list all of them each time, which is most of a small test."""
    folder = factory.getbasetemp() / f"{next(_numbers)}-{name}"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the test's own, named after it."""
    return _own_folder(tmp_path_factory, re.sub(r"\W", "_", request.node.name)[:30])


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No settings of the machine, a home and a cache folder of the test's own, and no answers in memory."""
    from npc_lims.utils.memory_cache import clear_caches

    for name, value in list(os.environ.items()):
        if name.startswith(_OURS) or value.startswith("cop_"):
            monkeypatch.delenv(name)
    home = _own_folder(tmp_path_factory, "home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    # boto3 would ask the metadata service of a cloud machine for credentials, and wait for it
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(home / "cache"))
    monkeypatch.setenv("NPC_LIMS_BACKOFF", "0.01")
    clear_caches()
    yield
    clear_caches()
    _forget_s3_connections()


def _forget_s3_connections() -> None:
    """s3fs keeps its connections as long as the process lives, to whatever service the environment named at first."""
    if "s3fs" in sys.modules:
        import fsspec.config
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        fsspec.config.conf.pop("s3", None)


@pytest.fixture(autouse=True)
def nothing_reaches_outside() -> Iterator[None]:
    """Fails a test that tried another machine's address, also where the code under test made light of the error."""
    loopback_guard.attempts.clear()
    yield
    assert not loopback_guard.attempts, f"tried to reach outside: {loopback_guard.attempts}"


@pytest.fixture(scope="session")
def demo_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder that a sync of the demo's sample data makes."""
    from npc_lims.config.settings import Settings
    from npc_lims.demo.files import write_world
    from npc_lims.sync.run import SyncOptions, sync

    folder = tmp_path_factory.mktemp("demo")
    write_world(folder, stage=2)
    settings = Settings(mirror=folder / "mirror", cache_dir=folder / "cache")
    sync(settings, SyncOptions(state=folder / "state", tracked=folder / "tracked_sessions.yaml"))
    return folder / "state"


@pytest.fixture(autouse=True)
def examples_read_the_demo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples in README and docstrings answer from the sample state."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.setenv("NPC_LIMS_STATE", str(request.getfixturevalue("demo_state")))

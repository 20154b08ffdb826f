"""A remote with state, built once for each worker, and a checkout of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.sync.repositories import clone, make_remote


@pytest.fixture(scope="session")
def remote_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bare repository of `make_remote`; to be copied, never changed."""
    return make_remote(tmp_path_factory.mktemp("publish"))


@pytest.fixture
def remote(remote_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(remote_once, tmp_path / "remote.git"))


@pytest.fixture
def checkout(remote: Path, tmp_path: Path) -> Path:
    return clone(remote, tmp_path / "checkout")

"""The repository of `lives.py`, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from npc_lims.clients.git import Repository
from tests.history.lives import write_lives


@pytest.fixture(scope="session")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """To be read or cloned, never changed."""
    path: Path = tmp_path_factory.mktemp("lives") / "checkout"
    write_lives(path)
    return Repository(path)

"""The repository of `lives.py`, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from npc_lims.clients.git import Repository


@pytest.fixture(scope="session")
def lives(lives_once: Path) -> Repository:
    """To be read or cloned, never changed."""
    return Repository(lives_once)

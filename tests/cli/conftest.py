"""The demo's world in a folder, and a state made from it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def state(demo_state: Path, tmp_path: Path) -> Path:
    """A copy of the demo's state that a test may damage."""
    return Path(shutil.copytree(demo_state, tmp_path / "state"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, outside of any checkout."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder

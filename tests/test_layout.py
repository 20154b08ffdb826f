"""The package keeps its levels, and the script that says so finds what breaks them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from scripts import check_layout

ROOT = Path(__file__).resolve().parent.parent


def test_the_package_keeps_its_layout() -> None:
    assert list(check_layout.find_problems(ROOT)) == []


@pytest.mark.parametrize(
    ("module", "code", "found"),
    [
        ("state/store.py", "from npc_lims.cli import app", "npc_lims.state.store: imports cli, which is on a higher"),
        ("utils/text.py", "from npc_lims.errors import NpcLimsError", "errors, utils: import each other"),
        ("sync/run.py", "class SessionInfo: ...", "class SessionInfo: in npc_lims.sessions.info, npc_lims.sync.run"),
        ("history/walk.py", "import urllib.request", "npc_lims.history.walk: opens connections"),
        ("loose.py", "", "npc_lims/: 5 loose modules"),
    ],
)
def test_what_breaks_it_is_found(tmp_path: Path, module: str, code: str, found: str) -> None:
    shutil.copytree(ROOT / "npc_lims", tmp_path / "npc_lims", ignore=shutil.ignore_patterns("static", "__pycache__"))
    with (tmp_path / "npc_lims" / module).open("a", encoding="utf-8") as stream:
        stream.write(f"\n{code}\n")
    assert any(found in problem for problem in check_layout.find_problems(tmp_path))


def test_two_checkouts_are_measured_side_by_side() -> None:
    figures = check_layout.measure(ROOT)
    assert int(figures["units"]) <= 24
    assert int(figures["levels"]) <= 10
    assert figures["units in import cycles"] == "0"

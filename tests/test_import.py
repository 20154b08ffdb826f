"""Importing the package costs next to nothing, and loads what is public on first use."""

from __future__ import annotations

import ast
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import npc_lims

HEAVY = ("boto3", "botocore", "pydantic", "ruamel", "openpyxl", "github", "typer", "rich", "requests", "upath")

PROBE = """\
import json, socket, sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(event) if event.startswith("socket.") else None)
before = set(sys.modules)
import npc_lims
print(json.dumps([sorted({name.partition(".")[0] for name in set(sys.modules) - before}), opened]))
"""


def in_a_new_process(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_import_loads_nothing_heavy_and_opens_no_socket() -> None:
    loaded, opened = json.loads(in_a_new_process(PROBE))
    assert "npc_lims" in loaded
    assert [name for name in HEAVY if name in loaded] == []
    assert opened == []


def test_the_failure_issue_takes_the_standard_library_alone() -> None:
    """It is opened where nothing could be installed."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import npc_lims.state.watchdog, npc_lims.clients.github_plain"
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", code, str(Path(npc_lims.__file__).parent.parent)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_public_names_are_those_of_all() -> None:
    assert sorted(npc_lims.__all__) == npc_lims.__all__
    listed = {name for name in dir(npc_lims) if not name.startswith("_")}
    assert set(npc_lims.__all__) <= listed
    assert {"SessionInfo", "get_session_info", "get_session_issues", "get_session_kwargs"} <= set(npc_lims.__all__)


def test_public_names_load_first() -> None:
    """One of each home is the first to be asked for, in one process that forgets the others."""
    firsts = list({home: name for name, home in npc_lims._homes.items()}.values())  # type: ignore[attr-defined]
    code = (
        "import sys\n"
        f"for name in {firsts!r}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'npc_lims']:\n"
        "        del sys.modules[loaded]\n"
        "    import npc_lims\n"
        "    getattr(npc_lims, name)\n"
        "print('fine')\n"
    )
    assert in_a_new_process(code) == "fine\n"


def test_type_checkers_read_the_same_names() -> None:
    stub = ast.parse(Path(npc_lims.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    homes = {
        alias.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    assert homes == npc_lims._homes  # type: ignore[attr-defined]


def test_names_can_be_imported_all_at_once() -> None:
    code = "from npc_lims import *; import npc_lims; print(all(name in globals() for name in npc_lims.__all__))"
    assert in_a_new_process(code) == "True\n"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'npc_lims' has no attribute 'get_sessions'"):
        _ = npc_lims.get_sessions  # type: ignore[attr-defined]


MODULES = sorted(m.name for m in pkgutil.walk_packages(npc_lims.__path__, "npc_lims.") if m.name != "npc_lims.__main__")


@pytest.mark.slow
def test_no_module_needs_another_to_be_imported_first() -> None:
    """A cycle shows when a module is the first to be imported: each is, in one process that forgets the others."""
    code = (
        "import importlib, sys\n"
        f"for name in {MODULES!r}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'npc_lims']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
        "print('fine')\n"
    )
    assert in_a_new_process(code) == "fine\n"

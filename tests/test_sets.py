"""What a run says of tests that did not run, and when scripts/test.py installs."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.sets import group_of, missing_tools

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scripts_test", ROOT / "scripts" / "test.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_folders_of_the_complete_set() -> None:
    assert group_of("tests/browser/test_list.py::test_x") == "pages in a browser"
    assert group_of("tests/cli/test_browser.py::test_x") is None


def test_missing_tools_are_counted_by_reason() -> None:
    reasons = [
        "Skipped: Chromium or Chrome is not installed (apt install chromium)",
        "Skipped: Chromium or Chrome is not installed (apt install chromium)",
        "Skipped: could not import 'pyarrow': No module named 'pyarrow'",
        "Skipped: root may write",
    ]
    assert missing_tools(reasons) == {
        "Chromium or Chrome is not installed (apt install chromium)": 2,
        "could not import 'pyarrow': No module named 'pyarrow'": 1,
    }


@pytest.mark.slow
def test_a_quick_run_ends_with_what_it_left_out() -> None:
    """In processes of xdist, as in one."""
    files = ["tests/test_sets.py", "tests/actions/test_expressions.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files, "-k", "folders or literal"]
    for options in ([], ["-n1"]):
        done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=True)
        end = done.stdout.partition("left out of the quick set")[2]
        assert re.search(r"\n +\d+  rehearsals of whole workflows\n", end), done.stdout
        assert "Run everything: python scripts/test.py --all" in end


def write_package(folder: Path, *requirements: str) -> None:
    info = folder / "npc_lims_probe-1.0.dist-info"
    info.mkdir()
    lines = ["Metadata-Version: 2.1", "Name: npc_lims_probe", "Version: 1.0"]
    info.joinpath("METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {each}" for each in requirements), ""]))


@pytest.mark.parametrize(
    ("requirement", "is_met"),
    [
        ("pytest>=8", True),
        ("pytest<8", False),
        ("no_such_package; extra == 'docs'", True),
        ("no_such_package; python_version < '3'", True),
        ("npc_lims_probe[docs]; extra == 'test'", True),
    ],
)
def test_requirements_are_compared_with_what_is_installed(
    requirement: str, is_met: bool, script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path, requirement)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert script.has_all("npc_lims_probe", "test") is is_met


def test_an_extra_within_an_extra_is_looked_into(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(tmp_path, "npc_lims_probe[docs]; extra == 'test'", "pytest<8; extra == 'docs'")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not script.has_all("npc_lims_probe", "test")
    assert script.has_all("npc_lims_probe", "")


def test_a_package_of_another_folder_is_not_this_checkout(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "ROOT", tmp_path)
    assert not script.is_installed("test")


def test_bytecode_has_a_place_where_none_may_lie_beside_modules(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPYCACHEPREFIX", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    given = script.environment()
    assert "PYTHONDONTWRITEBYTECODE" not in given
    assert Path(given["PYTHONPYCACHEPREFIX"]).is_relative_to(ROOT / ".pytest_cache")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE")
    assert "PYTHONPYCACHEPREFIX" not in script.environment()


@pytest.mark.slow
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="that of Python 3.11 alone fails in threads")
def test_coverage_of_python_3_11_leaves_threads_alone(tmp_path: Path) -> None:
    """In every thread, as one in a thousand of them would fail."""
    code = "import threading\n\ndef test_it():\n    assert threading._trace_hook is None\n"
    (tmp_path / "test_it.py").write_text(code)
    options = ["-q", "-p", "tests.sets", "-p", "no:cacheprovider", f"--rootdir={tmp_path}"]
    for more in (["--cov"], ["--cov", "-n1"]):
        command = [sys.executable, "-m", "pytest", *options, *more, "--cov-report=", str(tmp_path)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

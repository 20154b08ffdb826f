"""Whatever 0.1.203 offered is here with the same parameters, or docs/migration.md says what to use instead.

names_0_1_203.json lists the names of that release that are its own, and the parameters of its functions.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_origin

import npc_session
import pytest
import upath

import npc_lims
from npc_lims.old_paths import RETIRED

PROBE = """\
import json, socket, sys
opened = []
sys.addaudithook(lambda event, arguments: opened.append(event) if event.startswith("socket.") else None)
import MODULES
print(json.dumps([sorted(sys.modules), opened]))
"""
HEAVY = {"boto3", "botocore", "codeocean", "openpyxl", "requests", "ruamel", "typer", "upath"}

NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("names_0_1_203.json").read_text(encoding="utf-8"))
ALL = sorted([*NAMES["functions"], *NAMES["classes"], *NAMES["constants"], *NAMES["aliases"]])
MODULES: dict[str, list[str]] = NAMES["modules"]
MIGRATION = Path(npc_lims.__file__).parent.parent / "docs" / "migration.md"


def written(parameter: inspect.Parameter) -> str:
    name = f"**{parameter.name}" if parameter.kind is parameter.VAR_KEYWORD else parameter.name
    return name if parameter.default is parameter.empty else f"{name}={parameter.default!r}"


def names_in_migration() -> dict[str, str]:
    """Name to what the table of retired names says of it."""
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", MIGRATION.read_text(encoding="utf-8"), re.MULTILINE)
    return dict(rows)


def test_every_name_is_here_or_retired() -> None:
    assert [name for name in ALL if name not in npc_lims.__all__ and name not in RETIRED] == []
    assert RETIRED.keys() <= set(ALL), "what never was cannot be retired"
    assert not RETIRED.keys() & set(npc_lims.__all__)


def test_the_migration_page_lists_what_is_retired() -> None:
    assert sorted(names_in_migration()) == sorted(RETIRED)


@pytest.mark.parametrize("name", sorted(RETIRED))
def test_a_retired_name_names_its_replacement(name: str) -> None:
    with pytest.raises(AttributeError, match=f"(?s){name}.*{re.escape(RETIRED[name])}.*migration"):
        getattr(npc_lims, name)
    assert not hasattr(npc_lims, name)


def kind_of(value: object) -> str:
    if inspect.isfunction(value):
        return "function"
    # Python 3.9 takes dict[...] for a class
    return "class" if inspect.isclass(value) and get_origin(value) is None else "value"


def test_names_load_and_are_what_they_were() -> None:
    kinds = {name: kind_of(getattr(npc_lims, name)) for name in set(ALL) - set(RETIRED)}
    classes = {"JobID", *NAMES["classes"]}
    assert kinds == {
        name: "class" if name in classes else "function" if name in NAMES["functions"] else "value" for name in kinds
    }


def test_functions_take_what_they_took() -> None:
    for name in set(NAMES["functions"]) - set(RETIRED):
        parameters = [written(p) for p in inspect.signature(getattr(npc_lims, name)).parameters.values()]
        before = NAMES["functions"][name]
        if name == "get_session_info":
            # seconds that an answer is kept: by default as the setting says (600 too); filters bear another name
            assert before == ["session=None", "ttl_seconds=600", "**session_filter_kwargs"]
            assert parameters == ["session=None", "ttl_seconds=None", "at=None", "**filters"]
            continue
        assert parameters[: len(before)] == before, name
        added = parameters[len(before) :]
        assert all("=" in parameter or parameter.startswith("**") for parameter in added), name


# --- modules


def test_the_lists_of_modules_and_of_names_agree() -> None:
    listed = {name for names in MODULES.values() for name in names}
    assert listed == {*ALL, *NAMES["sdk"]}


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_its_names_where_they_were(module: str) -> None:
    found = importlib.import_module(module)
    for name in MODULES[module]:
        if name in RETIRED:
            with pytest.raises(
                AttributeError, match=f"module '{module}'.*{name}.*{re.escape(RETIRED[name])}.*migration"
            ):
                getattr(found, name)
            with pytest.raises(ImportError, match=name):
                exec(f"from {module} import {name}", {})
        elif name in NAMES["sdk"]:
            assert getattr(found, name).__module__.startswith("codeocean.")
        else:
            assert same(getattr(found, name), getattr(npc_lims, name)), name
            exec(f"from {module} import {name}", {})


def same(one: object, other: object) -> bool:
    return one is other or (one == other and type(one) is type(other))


@pytest.mark.parametrize("package", sorted({module.rpartition(".")[0] for module in MODULES} - {"npc_lims"}))
def test_a_package_passes_on_the_names_of_its_modules(package: str) -> None:
    found = importlib.import_module(package)
    for module, names in MODULES.items():
        if module.startswith(f"{package}."):
            for name in set(names) - set(RETIRED):
                assert same(getattr(found, name), getattr(npc_lims, name)), name


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_modules_are_there_after_importing_the_package() -> None:
    """As 0.1.203 had them, also by the short name: `npc_lims.paths.s3`, `npc_lims.s3`."""
    paths = []
    for module, names in MODULES.items():
        name = next(name for name in names if name not in RETIRED)
        paths += [f"{module}.{name}", f"npc_lims.{module.rpartition('.')[2]}.{name}"]
    code = (
        f"for path in {paths!r}:\n"
        "    for loaded in [m for m in sys.modules if m.split('.')[0] == 'npc_lims']:\n"
        "        del sys.modules[loaded]\n"
        "    import npc_lims\n"
        "    eval(path)\n"
        "print('fine')\n"
    )
    assert run(f"import sys\n{code}") == "fine\n"


def test_to_import_modules_is_light() -> None:
    loaded, opened = json.loads(run(PROBE.replace("MODULES", ", ".join(MODULES))))
    assert set(MODULES) <= set(loaded)
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert opened == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_lists_its_names(module: str) -> None:
    found = importlib.import_module(module)
    assert set(MODULES[module]) - set(RETIRED) - set(NAMES["sdk"]) <= set(dir(found))
    names: dict[str, Any] = {}
    exec(f"from {module} import *", names)
    assert set(MODULES[module]) - set(RETIRED) - set(NAMES["sdk"]) <= set(names)
    for unknown in ("nosuch", "_private", "__path__"):
        if not hasattr(sys.modules[module], unknown):
            with pytest.raises(AttributeError, match=f"module '{module}' has no attribute '{unknown}'"):
                getattr(found, unknown)


def test_an_uploader_catches_an_unknown_session(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from npc_lims.exceptions import NoSessionInfo

    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    with pytest.raises(NoSessionInfo):
        npc_lims.get_session_info("900000_2020-01-01")


def test_a_pickle_of_0_1_203_loads() -> None:
    """Its class was `npc_lims.status.tracked_sessions.SessionInfo`, with the fields as attributes."""
    info = npc_lims.SessionInfo(
        id=npc_session.SessionRecord("901001_2024-03-12"),
        project="DynamicRouting",
        is_ephys=True,
        is_sync=True,
        allen_path=upath.UPath("//allen/x"),
        experiment_day=2,
    )
    here, there = (
        f"c{module}\nSessionInfo\n" for module in ("npc_lims.sessions.info", "npc_lims.status.tracked_sessions")
    )
    pickled = pickle.dumps(info, protocol=0)
    assert here.encode() in pickled
    old = pickle.loads(pickled.replace(here.encode(), there.encode()))
    assert type(old) is npc_lims.SessionInfo
    assert (old, old.experiment_day, old.allen_path) == (info, 2, upath.UPath("//allen/x"))


# --- what callers do with sessions


@pytest.fixture
def info(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> npc_lims.SessionInfo:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return npc_lims.get_session_info()[0]


def test_a_session_is_a_frozen_dataclass(info: npc_lims.SessionInfo) -> None:
    """Dashboards show `dataclasses.asdict(info)` as JSON."""
    plain = dataclasses.asdict(info)
    assert list(plain) == [
        "id",
        "project",
        "is_ephys",
        "is_sync",
        "allen_path",
        "experiment_day",
        "session_kwargs",
        "notes",
        "issues",
    ]
    assert json.loads(json.dumps(plain, default=str))["allen_path"] == info.allen_path.as_posix()
    assert npc_lims.SessionInfo(*dataclasses.astuple(info)) == info == npc_lims.SessionInfo(**plain)
    assert dataclasses.replace(info, notes="other").notes == "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        info.notes = "other"  # type: ignore[misc]


def test_a_folder_that_git_leaves_hides_no_old_path(tmp_path: Path) -> None:
    package = tmp_path / "npc_lims"
    shutil.copytree(Path(npc_lims.__file__).parent, package, ignore=shutil.ignore_patterns("static", "__pycache__"))
    (package / "status" / "__pycache__").mkdir(parents=True)
    code = "import npc_lims.status; from npc_lims.status.tracked_sessions import get_session_info as old; "
    code += "assert npc_lims.status.get_session_info is old is npc_lims.get_session_info; print(npc_lims.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.strip(), done.stderr) == (str(package / "__init__.py"), "")


def test_a_session_stands_for_its_id(info: npc_lims.SessionInfo) -> None:
    assert hash(info) == hash(info.id)
    assert {info, dataclasses.replace(info, project="other")} == {info}
    assert (info.id.with_idx(1).idx, info.subject.id, info.date.year) == (1, int(info.subject), int(info.date[:4]))
    assert info.id == f"{info.subject}_{info.date}"


def test_sessions_are_a_tuple_newest_first(info: npc_lims.SessionInfo) -> None:
    every = npc_lims.get_session_info()
    assert every[0] == info
    assert [str(one.date) for one in every] == sorted((str(one.date) for one in every), reverse=True)
    assert npc_lims.get_session_info(info) == npc_lims.get_session_info(session=info.id) == info
    issues, kwargs = npc_lims.get_session_issues(), npc_lims.get_session_kwargs()
    assert issues == {one.id: one.issues for one in every if one.issues}
    assert kwargs == {one.id: one.session_kwargs for one in every}
    unknown = "900000_2020-01-01"
    assert (npc_lims.get_session_issues(unknown), npc_lims.get_session_kwargs(unknown)) == ([], {})

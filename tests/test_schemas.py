"""The committed JSON Schemas are those of the models, and mean the same."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jsonschema
import pytest
import yaml

from npc_lims.demo.files import STAGES, world_files

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "docs" / "schemas"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "scripts" / "schemas.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((SCHEMAS / name).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def problems(name: str, content: Any) -> list[str]:
    return [error.message for error in validator(name).iter_errors(content)]


def test_committed_schemas_are_up_to_date(script: ModuleType) -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == set(script.SCHEMAS)
    for name in script.SCHEMAS:
        committed = (SCHEMAS / name).read_text(encoding="utf-8")
        assert committed == script.render(name), f"{name} is out of date: run scripts/generate.py"


def test_session_files_fit_their_schema(demo_state: Path) -> None:
    files = list((demo_state / "sessions").rglob("*.yaml"))
    assert len(files) > 20
    check = validator("session.schema.json")
    for path in files:
        # PyYAML reads YAML 1.1: what it and the schema accept, other readers will
        errors = list(check.iter_errors(yaml.safe_load(path.read_text(encoding="utf-8"))))
        assert errors == [], path.name


def without(*keys: str) -> Callable[[dict[str, Any]], object]:
    return lambda record: [record.pop(key) for key in keys]


def with_value(value: Any, *keys: str) -> Callable[[dict[str, Any]], object]:
    def change(record: dict[str, Any]) -> None:
        for key in keys[:-1]:
            record = record[key]
        record[keys[-1]] = value

    return change


BROKEN_SESSIONS = {
    "no id": without("id"),
    "another schema": with_value(2, "schema"),
    "an unknown section": with_value({}, "lims"),
    "an unknown key in a section": with_value(1, "codeocean", "raws"),
    "true where only false means nothing": with_value(True, "s3"),
    "a platform that is none": with_value("opto", "tracked", "platform"),
    "a day in words": with_value("first", "tracked", "experiment_day"),
    "an asset without a name": with_value({"id": "x", "created": "2024-01-01T00:00:00Z"}, "codeocean", "raw"),
    "a list where text belongs": with_value([], "tracked", "project"),
    "a flag that is a number": with_value(1.5, "status", "is_sorted"),
}


@pytest.mark.parametrize("change", BROKEN_SESSIONS.values(), ids=BROKEN_SESSIONS.keys())
def test_broken_session_files_do_not_fit(demo_state: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = demo_state / "sessions" / "901001" / "901001_2024-03-11.yaml"
    record = yaml.safe_load(path.read_text(encoding="utf-8"))
    broken = copy.deepcopy(record)
    change(broken)
    assert problems("session.schema.json", record) == []
    assert problems("session.schema.json", broken) != []


@pytest.mark.parametrize("stage", STAGES)
def test_tracked_files_fit_their_schema(stage: int) -> None:
    text = world_files(stage)["tracked_sessions.yaml"].decode()
    assert problems("tracked_sessions.schema.json", yaml.safe_load(text)) == []


def test_the_repositorys_own_tracked_file_fits() -> None:
    text = (ROOT / "tracked_sessions.yaml").read_text(encoding="utf-8")
    assert problems("tracked_sessions.schema.json", yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "ephis:\n  Project:\n    - //allen/DRpilot_626791_20220815\n",
        "ephys:\n  Project:\n    - //allen/DRpilot_626791_20220815:\n        days: 1\n",
        "ephys:\n  Project:\n    - //allen/DRpilot_626791_20220815:\n        day: one\n",
        "ephys:\n  Project:\n    - //allen/DRpilot_626791_20220815:\n        issues: 3\n",
        "ephys:\n  Project:\n    - 668759_20230711\n",
        "ephys:\n  - //allen/DRpilot_626791_20220815\n",
        "- ephys\n",
    ],
)
def test_broken_tracked_files_do_not_fit(text: str) -> None:
    assert problems("tracked_sessions.schema.json", yaml.safe_load(text)) != []

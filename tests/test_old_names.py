"""Whatever 0.1.203 offered is here with the same parameters, or docs/migration.md says what to use instead.

names_0_1_203.json lists the names of that release that are its own, and the parameters of its functions.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.retired import RETIRED

NAMES: dict[str, Any] = json.loads(Path(__file__).with_name("names_0_1_203.json").read_text(encoding="utf-8"))
ALL = sorted([*NAMES["functions"], *NAMES["classes"], *NAMES["constants"], *NAMES["aliases"]])
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
def test_a_retired_name_says_what_to_use(name: str) -> None:
    with pytest.raises(AttributeError, match=f"(?s){name}.*{re.escape(RETIRED[name])}.*migration"):
        getattr(npc_lims, name)
    assert not hasattr(npc_lims, name)


@pytest.mark.parametrize("name", sorted(set(ALL) - set(RETIRED)))
def test_a_name_loads(name: str) -> None:
    value = getattr(npc_lims, name)
    assert inspect.isclass(value) == (name in NAMES["classes"] or name == "JobID")
    assert inspect.isfunction(value) == (name in NAMES["functions"])


@pytest.mark.parametrize("name", sorted(set(NAMES["functions"]) - set(RETIRED)))
def test_a_function_takes_what_it_took(name: str) -> None:
    parameters = [written(p) for p in inspect.signature(getattr(npc_lims, name)).parameters.values()]
    before = NAMES["functions"][name]
    if name == "get_session_info":
        # seconds that an answer is kept: by default as the setting says (600 too); filters bear another name
        assert before == ["session=None", "ttl_seconds=600", "**session_filter_kwargs"]
        assert parameters == ["session=None", "ttl_seconds=None", "at=None", "**filters"]
        return
    assert parameters[: len(before)] == before
    assert all("=" in parameter or parameter.startswith("**") for parameter in parameters[len(before) :])

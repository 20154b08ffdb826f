"""Names that completion offers: all that a user may ask of a session, of past ones and of the package."""

from __future__ import annotations

import dataclasses
import inspect
import rlcompleter
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.config.settings import load_settings
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS
from npc_lims.sessions.filter_values import PUBLIC_ATTRIBUTES
from npc_lims.sessions.info import SessionInfo

FIELDS = {field.name for field in dataclasses.fields(SessionInfo)}


def completed(text: str, **names: Any) -> set[str]:
    completer = rlcompleter.Completer(names)
    found: set[str] = set()
    while (match := completer.complete(text, len(found))) is not None:
        found.add(match)
    return {match.rpartition(".")[2].rstrip("()") for match in found}


@pytest.fixture
def info(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> SessionInfo:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return npc_lims.get_session_info("901001_2024-03-12")


@pytest.mark.parametrize("source", ["one", "list", "record", "made by hand"])
def test_every_attribute_of_a_session_is_completed(source: str, info: SessionInfo) -> None:
    if source == "list":
        info = npc_lims.get_session_info()[0]
    elif source == "record":
        info = SessionInfo.from_record(info.record, load_settings())
    elif source == "made by hand":
        info = SessionInfo(**{name: getattr(info, name) for name in FIELDS})
    public = {name for name in dir(info) if not name.startswith("_")}
    assert FIELDS <= set(PUBLIC_ATTRIBUTES) <= public
    assert set(PUBLIC_ATTRIBUTES) <= completed("session.", session=info)
    assert public <= FIELDS | set(dir(SessionInfo)), "nothing is offered that is not there"


def test_a_session_of_the_past_offers_its_commit_too(published_once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(published_once / "state"))
    past = npc_lims.get_session_info("901001_2024-03-12", at="HEAD")
    assert {*PUBLIC_ATTRIBUTES, "commit"} <= completed("past.", past=past)
    assert {*PUBLIC_ATTRIBUTES, "commit"} <= set(dir(npc_lims.get_session_info(at="HEAD")[0]))


def test_the_package_and_lists_offer_what_is_public(info: SessionInfo) -> None:
    assert set(npc_lims.__all__) <= completed("npc_lims.", npc_lims=npc_lims)
    assert set(dir(tuple)) <= set(dir(npc_lims.get_session_info()))


def test_help_of_a_status_says_when_it_is_true() -> None:
    for name in BOOLEAN_FLAGS:
        assert len(inspect.getdoc(getattr(SessionInfo, name)) or "") > 20, name
    assert inspect.getdoc(SessionInfo.is_nwb_cached) == FLAGS["is_nwb_cached"].meaning

"""Sessions of the package aind_session, which is an extra of nobody here."""

from __future__ import annotations

import importlib.util

import pytest

import npc_lims
from npc_lims.codeocean.legacy import get_aind_session


def test_a_bad_id_is_told_first() -> None:
    with pytest.raises(npc_lims.NoSessionInfo, match="'nonsense' is not a session"):
        get_aind_session("nonsense")


@pytest.mark.skipif(importlib.util.find_spec("aind_session") is not None, reason="aind_session is installed")
def test_without_the_package() -> None:
    with pytest.raises(npc_lims.MissingDependency, match="pip install aind-session") as raised:
        get_aind_session("626791_2022-08-15")
    assert isinstance(raised.value, ImportError)

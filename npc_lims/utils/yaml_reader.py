"""Read YAML that a program wrote; `npc_lims.sources.yaml_nodes` reads that of people, with positions."""

from __future__ import annotations

from typing import Any

from npc_lims.utils.text import single_line

__all__ = ["load_yaml"]


def load_yaml(content: bytes) -> Any:
    """Return the value of the one document in *content*.

    Raises:
        ValueError: It is none; the message has the reason in one line of at most 200 characters.
    """
    from ruamel.yaml import YAML

    try:
        return YAML(typ="safe", pure=True).load(content)
    except Exception as error:  # a damaged file leaves the scanner as whatever broke there
        raise ValueError(single_line(error, 200) or type(error).__name__) from None

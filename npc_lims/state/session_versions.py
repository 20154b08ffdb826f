"""Versions of a session file, parsed section by section: what two versions have in common is not parsed twice.

A history has many versions of each file, and most of a version is in the one before it. Whatever does not look as this
package writes it is read as everywhere else (`npc_lims.state.compare.parse_facts`).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pydantic

from npc_lims.model.record import SECTIONS, Record
from npc_lims.model.rows import SCHEMA
from npc_lims.state.compare import Facts, parse_facts
from npc_lims.utils.yaml import read_rendered

_SECTION = re.compile(r"\n(?=\S)")
_NAMES = (*SECTIONS, "status")
_CACHED_SECTIONS = 20_000


class _OtherStyleError(Exception):
    """The text is not as this package writes it."""


@dataclasses.dataclass(frozen=True)
class SessionVersion:
    """A valid version of a session file.

    Attributes:
        texts: Name of each section to its text, of a file as this package writes it; else nothing.
        facts: All facts, of any other file.
    """

    texts: Mapping[str, str]
    facts: Facts


class VersionReader:
    """Parses versions, and caches sections, which occur again and again."""

    def __init__(self) -> None:
        self._section = functools.lru_cache(_CACHED_SECTIONS)(_read_section)

    def read(self, content: bytes, path: str, before: SessionVersion | None = None) -> SessionVersion:
        """Parse a version of the session file at *path*.

        Args:
            before: A valid version: what it has in common with this one is not checked again.

        Raises:
            StateError: It is damaged.
        """
        session_id = path[path.rfind("/") + 1 : -len(".yaml")]
        try:
            texts = _split_sections(content, session_id)
            known = {} if before is None else before.texts
            for name in _NAMES:
                if texts[name] != known.get(name):
                    self._section(name, texts[name])
        except _OtherStyleError:
            return SessionVersion({}, parse_facts(content, Path(path)))
        return SessionVersion(texts, {})

    def facts(self, version: SessionVersion) -> Facts:
        """Return all facts of a version."""
        if not version.texts:
            return version.facts
        return {"schema": SCHEMA, "id": version.texts["id"], **self._facts(version, _NAMES)}

    def differing(self, before: SessionVersion | None, after: SessionVersion) -> tuple[Facts | None, Facts]:
        """Return the facts of two versions, without the sections that they have in common."""
        if before is None or not (before.texts and after.texts):
            return None if before is None else self.facts(before), self.facts(after)
        names = [name for name in _NAMES if before.texts[name] != after.texts[name]]
        return self._facts(before, names), self._facts(after, names)

    def _facts(self, version: SessionVersion, names: Iterable[str]) -> Facts:
        return {name: self._section(name, version.texts[name]) for name in names}


def _split_sections(content: bytes, session_id: str) -> dict[str, str]:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise _OtherStyleError from None
    schema, *parts = _SECTION.split(text[:-1])
    texts = {part[: part.find(":")]: part for part in parts[1:]}
    is_ours = schema == f"schema: {SCHEMA}" and parts[:1] == [f"id: {session_id}"] and text.endswith("\n")
    if not is_ours or tuple(texts) != _NAMES or len(parts) != 1 + len(_NAMES):
        raise _OtherStyleError
    return {"id": session_id, **texts}


def _read_section(name: str, text: str) -> Any:
    data = read_rendered(text + "\n")
    if data is None or [*data] != [name]:
        raise _OtherStyleError
    try:
        record = Record.model_validate({"id": "", **data}, strict=True)
    except pydantic.ValidationError:
        raise _OtherStyleError from None
    return record.model_dump(include={name})[name]

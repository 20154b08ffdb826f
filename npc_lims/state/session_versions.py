"""Versions of a session file, parsed by their parts: what two versions have in common is not parsed twice.

A history has many versions of each file, and most of a version is in the one before it. So a version is cut
into its sections, a section into its fields, and each field that was not met lately is read and checked for itself.
Whatever does not look as this package writes it is read as everywhere else (`npc_lims.state.compare.parse_facts`).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

import pydantic

from npc_lims.model.record import SECTION_MODELS, Lean, Scalar
from npc_lims.model.rows import SCHEMA
from npc_lims.state.compare import Facts, parse_facts
from npc_lims.utils.yaml import read_rendered

_SECTION = re.compile(r"\n(?=\S)")
_FIELD = re.compile(r"\n  (?=[^ \-])")
_NAMES = (*SECTION_MODELS, "status")
_CACHED_FIELDS = 50_000
_CACHED_SECTIONS = 5_000

Field = tuple[str, Any]


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
    """Parses versions, and caches fields and sections, which occur again and again."""

    def __init__(self) -> None:
        self._field: Callable[[str, str], Field] = functools.lru_cache(_CACHED_FIELDS)(_read_field)
        self._section: Callable[[str, str], Any] = functools.lru_cache(_CACHED_SECTIONS)(self._read_section)

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
        session_id = version.texts["id"]
        return {"schema": SCHEMA, "id": session_id, **self._facts(version, _NAMES)}

    def differing(self, before: SessionVersion | None, after: SessionVersion) -> tuple[Facts | None, Facts]:
        """Return the facts of two versions, without the sections that they have in common."""
        if before is None or not (before.texts and after.texts):
            return None if before is None else self.facts(before), self.facts(after)
        names = [name for name in _NAMES if before.texts[name] != after.texts[name]]
        return self._facts(before, names), self._facts(after, names)

    def _facts(self, version: SessionVersion, names: Iterable[str]) -> Facts:
        return {name: self._section(name, version.texts[name]) for name in names}

    def _read_section(self, name: str, text: str) -> Any:
        head, *fields = _FIELD.split(text)
        if not fields:
            return _parse_empty(name, head)
        if head != f"{name}:":
            raise _OtherStyleError
        found = dict([self._field(name, field) for field in fields])
        if len(found) != len(fields):
            raise _OtherStyleError
        return found if name == "status" else _with_defaults(name, found)


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


def _parse_empty(name: str, text: str) -> Any:
    if name == "status":
        values: dict[str, Any] = {"status: {}": {}}
    else:
        values = {f"{name}: false": False, f"{name}: null": None}
    if text not in values:
        raise _OtherStyleError
    return values[text]


def _read_field(section: str, text: str) -> Field:
    """Return the name and value of a field of a section, checked by its model."""
    field = read_rendered(text.replace("\n  ", "\n") + "\n")
    if field is None or len(field) != 1:
        raise _OtherStyleError
    ((name, value),) = field.items()
    try:
        adapter = _adapter(section, name)
        return name, adapter.dump_python(adapter.validate_python(value, strict=True))
    except pydantic.ValidationError:
        raise _OtherStyleError from None


@functools.lru_cache(1024)
def _adapter(section: str, field: str) -> pydantic.TypeAdapter[Any]:
    if section == "status":
        return pydantic.TypeAdapter(Optional[str] if field == "raw_asset_id" else Optional[bool])
    known = SECTION_MODELS[section].model_fields.get(field)
    if known is not None:
        annotation: Any = known.annotation
        return pydantic.TypeAdapter(annotation)
    if SECTION_MODELS[section].model_config.get("extra") == "allow":
        return pydantic.TypeAdapter(Scalar)
    raise _OtherStyleError


def _with_defaults(section: str, found: dict[str, Any]) -> dict[str, Any]:
    """*found* with the fields of the model that it lacks; without the defaults that its files leave out."""
    facts = dict(found)
    for name, is_required, default in _fields(section):
        if name in found:
            if not is_required and issubclass(SECTION_MODELS[section], Lean) and found[name] == default:
                del facts[name]
        elif is_required:
            raise _OtherStyleError
        elif not issubclass(SECTION_MODELS[section], Lean):
            facts[name] = default
    return facts


@functools.lru_cache(1024)
def _fields(section: str) -> list[tuple[str, bool, Any]]:
    """Name of each field of a model, whether its files must have it, and what it is without."""
    fields = SECTION_MODELS[section].model_fields.items()
    return [(name, field.is_required(), field.get_default(call_default_factory=True)) for name, field in fields]

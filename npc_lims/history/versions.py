"""Versions of session files, and the transition from one to the next: what both have is parsed once, at most.

What does not look as this package writes it is read as everywhere else (`npc_lims.state.compare.parse_facts`).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from npc_lims.errors import StateError
from npc_lims.history.transitions import IN_TRACKED, IN_TRAINING, RECORDED, Transition
from npc_lims.model.record import SECTIONS, Record
from npc_lims.state.compare import Facts, parse_facts
from npc_lims.state.diff import compare_sessions
from npc_lims.state.revision import Commit
from npc_lims.state.snapshot import SCHEMA
from npc_lims.utils.yaml import read_rendered, render_yaml

_CHECKED = (*SECTIONS, "status")
_TOP = re.compile(r"\n(?=[^\s-])")
_FIELD = re.compile(r"\n  (?=[^ \-])")


Version = Mapping[str, str]
"""A valid version of a session file: the text of each of its fields, as this package writes it."""


def read_version(content: bytes, path: str, before: Version | None = None) -> Version:
    """Parse a version of the session file at *path*; StateError if it is damaged.

    Args:
        before: A valid version: what it has in common with this one is not checked again.
    """
    head = {"schema": f"schema: {SCHEMA}", "id": f"id: {path[path.rfind('/') + 1 : -len('.yaml')]}"}
    try:
        text = content.decode()
        version = _split(text)
        is_complete = [*version] == [*head, *_CHECKED] and "\n".join(version.values()) + "\n" == text
        if not is_complete or head.items() - version.items():
            raise ValueError("not as this package writes it")
        for name in _CHECKED:
            if before is None or version[name] != before.get(name):
                _read_section(name, version[name])
    except ValueError:
        try:
            version = _split(render_yaml(parse_facts(content, Path(path))))
        except ValueError as error:  # a number that no state holds, in a file of another schema
            raise StateError(f"{path}: {error}") from None
    return version


def facts_of(version: Version, names: Iterable[str] | None = None) -> Facts:
    """Return all facts of a version, or those of some fields."""
    is_ours = version.get("schema") == f"schema: {SCHEMA}"
    facts: dict[str, Any] = {}
    for name in version if names is None else names:
        if is_ours and name in _CHECKED:
            facts[name] = _read_section(name, version[name])
        else:
            facts.update(read_rendered(f"{version[name]}\n") or {})
    return facts


def compare_versions(
    session: str, commit: Commit, before: Version | None, after: Version | None, *, begins: bool
) -> Transition | None:
    """Return the transition between two versions of a session (None: there was or is none); None if nothing changed.

    Args:
        begins: The history begins with this commit: a new session may be older.
    """
    old, new = _differing_facts(before, after)
    changes = compare_sessions({} if old is None else {session: old}, {} if new is None else {session: new})
    if not changes:
        return None
    (change,) = changes
    if old is None and new is not None:
        known = ((IN_TRACKED, "tracked"), (IN_TRAINING, "training"))
        details = [words for words, section in known if new.get(section)]
        if begins:
            details += [f"already {word}" for word in change.what[1:]]
        change = dataclasses.replace(change, what=(RECORDED,) if begins else change.what, details=tuple(details))
    was, now = _assets(old), _assets(new)
    created = [(kind, asset["created"]) for kind, asset in now.items() if was.get(kind, {}).get("id") != asset["id"]]
    return Transition(session, commit, change, created=tuple(created))


def skipped_message(commit: Commit, error: Exception) -> str:
    """Return the warning of a damaged version, without the remedy, which its error names last."""
    return f"the version of commit {commit.sha[:10]} is skipped: {str(error).partition('; ')[0]}"


def _differing_facts(before: Version | None, after: Version | None) -> tuple[Facts | None, Facts | None]:
    """Return the facts of two versions, without the fields that they have in common."""
    if before is None or after is None:
        return None if before is None else facts_of(before), None if after is None else facts_of(after)
    old, new = (
        facts_of(one, [name for name, text in one.items() if other.get(name) != text])
        for one, other in ((before, after), (after, before))
    )
    return old, new


def _assets(facts: Facts | None) -> dict[str, Mapping[str, Any]]:
    section = (facts or {}).get("codeocean")
    assets = section.items() if isinstance(section, Mapping) else ()
    return {
        kind: asset
        for kind, asset in assets
        if isinstance(asset, Mapping) and isinstance(asset.get("created"), str) and "id" in asset
    }


def _split(text: str) -> dict[str, str]:
    return {part.partition(":")[0]: part for part in _TOP.split(text[:-1])}


@functools.lru_cache(5_000)
def _read_section(name: str, text: str) -> Any:
    head, *fields = _FIELD.split(text)
    if fields:
        value: Any = dict(map(_read_field, fields))
        if head != f"{name}:" or len(value) < len(fields):
            raise ValueError("not as this package writes it")
    else:
        _, value = _read_field(head)
    record = Record.model_validate({"id": "", name: value}, strict=True)
    return record.model_dump(include={name})[name]


@functools.lru_cache(50_000)
def _read_field(text: str) -> tuple[str, Any]:
    field = read_rendered(text.replace("\n  ", "\n") + "\n")
    if field is None or len(field) != 1:
        raise ValueError("not as this package writes it")
    return field.popitem()

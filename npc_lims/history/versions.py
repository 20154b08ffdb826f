"""Versions of session files, and the transition from one to the next: sections that both have are parsed once, at most.

What does not look as this package writes it is read as everywhere else (`npc_lims.state.compare.parse_facts`).
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from npc_lims.history.transitions import IN_TRACKED, IN_TRAINING, RECORDED, Transition
from npc_lims.model.record import SECTIONS, Record
from npc_lims.state.compare import Facts, parse_facts
from npc_lims.state.diff import compare_sessions
from npc_lims.state.revision import Commit
from npc_lims.state.snapshot import SCHEMA
from npc_lims.utils.yaml import read_rendered

_SECTION = re.compile(r"\n(?=\S)")
_FIELD = re.compile(r"\n  (?=[^ \-])")
_NAMES = (*SECTIONS, "status")


@dataclasses.dataclass(frozen=True)
class SessionVersion:
    """A valid version of a session file.

    Attributes:
        texts: Name of each section to its text, of a file as this package writes it; else nothing.
        whole: All facts, of any other file.
    """

    id: str
    texts: Mapping[str, str]
    whole: Facts = dataclasses.field(default_factory=dict)

    def facts(self, names: Iterable[str] = _NAMES) -> Facts:
        """Return all facts, or those of some sections."""
        if not self.texts:
            return self.whole
        return {"schema": SCHEMA, "id": self.id, **{name: _read_section(name, self.texts[name]) for name in names}}


def read_version(content: bytes, path: str, before: SessionVersion | None = None) -> SessionVersion:
    """Parse a version of the session file at *path*; StateError if it is damaged.

    Args:
        before: A valid version: what it has in common with this one is not checked again.
    """
    session_id = path[path.rfind("/") + 1 : -len(".yaml")]
    known = {} if before is None else before.texts
    try:
        texts = _split_sections(content.decode(), session_id)
        for name, text in texts.items():
            if text != known.get(name):
                _read_section(name, text)
    except ValueError:
        return SessionVersion(session_id, {}, parse_facts(content, Path(path)))
    return SessionVersion(session_id, texts)


def compare_versions(
    session: str, commit: Commit, before: SessionVersion | None, after: SessionVersion | None, *, begins: bool
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


def _differing_facts(before: SessionVersion | None, after: SessionVersion | None) -> tuple[Facts | None, Facts | None]:
    """Return the facts of two versions, without the sections that they have in common."""
    names = _NAMES
    if before is not None and after is not None and before.texts and after.texts:
        names = tuple(name for name in _NAMES if before.texts[name] != after.texts[name])
    return None if before is None else before.facts(names), None if after is None else after.facts(names)


def _assets(facts: Facts | None) -> dict[str, Mapping[str, Any]]:
    section = (facts or {}).get("codeocean")
    assets = section.items() if isinstance(section, Mapping) else ()
    return {
        kind: asset
        for kind, asset in assets
        if isinstance(asset, Mapping) and isinstance(asset.get("created"), str) and "id" in asset
    }


def _split_sections(text: str, session_id: str) -> dict[str, str]:
    head = f"schema: {SCHEMA}\nid: {session_id}\n"
    texts = {part.partition(":")[0]: part for part in _SECTION.split(text[len(head) : -1])}
    if not text.startswith(head) or not text.endswith("\n") or tuple(texts) != _NAMES:
        raise ValueError("not as this package writes it")
    return texts


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

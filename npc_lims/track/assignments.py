"""Keys and values that a user assigns to an entry: parsed, put at their level, and checked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npc_lims.errors import NpcLimsError
from npc_lims.sources.tracked.entries import ENTRY_KEYS, KNOWN_KWARGS, SessionKwargs, TrackedEntry
from npc_lims.sources.yaml_nodes import Report, compose, to_plain
from npc_lims.track.layout import KWARGS, EntrySpan, Layout, inline
from npc_lims.utils.text import suggestion

_TEXTS = frozenset(
    name
    for model in (TrackedEntry, SessionKwargs)
    for name, field in model.model_fields.items()
    if field.annotation is str
)
"""Keys whose value is any text: a value from the command line is taken literally, with its colons."""

KeyPath = tuple[str, ...]
"""`(key,)`, or `("session_kwargs", key)`."""

_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


# -------------------------------------------------------------------------- the command line


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Return the key and value of `KEY=VALUE`, the value parsed as YAML.

    >>> parse_assignment("concatenate_recordings=[a, b]"), parse_assignment("notes=stopped: see #5")
    (('concatenate_recordings', ['a', 'b']), ('notes', 'stopped: see #5'))
    """
    key, equals, text = assignment.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key:
        raise NpcLimsError(f"--set {assignment}: write KEY=VALUE, such as probe_letters_to_skip=DE")
    if not text:
        raise NpcLimsError(f"--set {assignment}: no value; write one after the =, or --unset {key} to remove the key")
    _key_path(key)
    report = Report("")
    node = compose(text, report)
    if key.rpartition(".")[2] in _TEXTS and not (text[0] in "\"'" and node is not None):
        return key, text
    quoted = shlex.quote(f"{key}={inline(text)}")  # for the shell, which takes quotes away
    if node is None and not report.problems:
        raise NpcLimsError(f"--set {assignment}: YAML reads {text!r} as a comment; quote the value: --set {quoted}")
    value = None if node is None else to_plain(node, report)
    if report.problems:
        raise NpcLimsError(
            f"--set {assignment}: no YAML value ({report.problems[0].message}); "
            f"for a text with such characters write --set {quoted}"
        )
    return key, value


def parse_path(text: str) -> str:
    """Return a path as entries have it, with slashes."""
    path = text.strip().replace("\\", "/").rstrip("/")
    if "/" not in path:
        raise NpcLimsError(f"{text!r} is not a path: give the full path of the session folder")
    return path


def assigned(assignments: Iterable[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys and values of assignments, and those of *given* that are not None; each key once."""
    values: dict[str, Any] = {}
    others = ((key, _given(key, value)) for key, value in given.items() if value is not None)
    for key, value in (*map(parse_assignment, assignments), *others):
        if key in values:
            raise NpcLimsError(f"{key} is given twice: give it once")
        values[key] = value
    return values


def _given(key: str, value: Any) -> Any:
    if key == "notes" and not value.strip():
        raise NpcLimsError("--note is empty: write what a reader should know; track edit --unset notes removes notes")
    for address in value if key == "issues" else ():
        if not _ADDRESS.fullmatch(address):
            raise NpcLimsError(
                f"--issue {address}: no address; give all of it, such as https://github.com/owner/name/issues/1"
            )
    return value


# ------------------------------------------------------------------------------------- keys


def _key_path(key: str) -> KeyPath:
    head, dot, name = key.partition(".")
    if head == KWARGS and dot and name:
        return KWARGS, name
    if key in ENTRY_KEYS:
        return (key,)
    if key in KNOWN_KWARGS:
        return KWARGS, key
    known = tuple(dict.fromkeys((*ENTRY_KEYS, *KNOWN_KWARGS)))
    raise NpcLimsError(
        f"unknown key {key!r}{suggestion(key, known)}: the keys are {', '.join(known)}; "
        f"for one of your own among the arguments of analysis code write {KWARGS}.{key}"
    )


def flat_keys(keys: Mapping[str, Any]) -> dict[KeyPath, Any]:
    """Return the keys of an entry and of its session_kwargs by their path."""
    flat: dict[KeyPath, Any] = {}
    for key, value in keys.items():
        if key == KWARGS and isinstance(value, Mapping) and value:
            flat.update({(KWARGS, name): item for name, item in value.items()})
        else:
            flat[(key,)] = value
    return flat


def edited_keys(
    keys: Mapping[str, Any],
    put: Mapping[str, Any],
    drop: Iterable[str] = (),
    append: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Return the new keys of an entry that has *keys*. A key at the wrong level, without effect, is moved when set."""
    flat = flat_keys(keys)
    for key in drop:
        name = key.removeprefix(f"{KWARGS}.")
        dropped = [path for path in flat if path == (KWARGS, name) or path[0] == key]
        if not dropped:
            _key_path(key)  # not there is fine, as long as it could be
        for path in dropped:
            del flat[path]
    for key, value in put.items():
        if key in drop:
            raise NpcLimsError(f"{key} is both to be set and to be removed: leave one out")
        _put(flat, key, value)
    for key, values in (append or {}).items():
        old = flat.get(_key_path(key), [])
        old = old if isinstance(old, list) else [old]
        _put(flat, key, [*old, *(value for value in values if value not in old)])
    new: dict[str, Any] = {}
    for path, value in flat.items():
        level = new if len(path) == 1 else new.setdefault(KWARGS, {})
        level[path[-1]] = value
    return new


def _put(flat: dict[KeyPath, Any], key: str, value: Any) -> None:
    path = _key_path(key)
    if key in ENTRY_KEYS and key in KNOWN_KWARGS and (key,) not in flat and (KWARGS, key) in flat:
        path = KWARGS, key  # perturbation_day may stand at either level: where it is, it stays
    name = path[-1]
    if path == (KWARGS,):
        for other in [other for other in flat if other[0] == KWARGS]:
            del flat[other]
    elif len(path) == 1 and name not in KNOWN_KWARGS:
        flat.pop((KWARGS, name), None)
    elif len(path) == 2:
        flat.pop((KWARGS,), None)
        if name not in ENTRY_KEYS:
            flat.pop((name,), None)
    flat.update({path: value} if len(path) == 2 else flat_keys({key: value}))


def checked_entry(path: str, keys: Mapping[str, Any], name: str) -> EntrySpan:
    """Return an entry in which validation finds no error; *name* is for messages."""
    try:
        entry = inline({path: keys} if keys else path, in_brackets=True)
    except ValueError:
        raise NpcLimsError(f"{name}: infinite or undefined numbers cannot be written") from None
    layout = Layout(f"ephys: {{x: [{entry}]}}\n", "")
    if layout.errors():
        raise NpcLimsError(f"{name}: {'; '.join(problem.message for problem in layout.errors())}")
    return layout.items[0]

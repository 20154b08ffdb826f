"""Keys and values that a user assigns to an entry: parsed, put at their level, and checked."""

from __future__ import annotations

import copy
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npc_lims.errors import NpcLimsError
from npc_lims.sources.tracked.entries import ENTRY_KEYS, KNOWN_KWARGS, SessionKwargs, TrackedEntry
from npc_lims.sources.yaml_nodes import Report, compose, to_plain
from npc_lims.track.layout import EntrySpan, read_layout
from npc_lims.track.style import KWARGS, inline
from npc_lims.utils.text import suggestion

_TEXTS = frozenset(
    name
    for model in (TrackedEntry, SessionKwargs)
    for name, field in model.model_fields.items()
    if field.annotation is str
)
"""Keys whose value is any text: a value from the command line is taken literally, with its colons."""

_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


# -------------------------------------------------------------------------- the command line


def parse_assignment(assignment: str) -> tuple[str, Any]:
    """Return the key and value of `KEY=VALUE`, the value parsed as YAML.

    >>> parse_assignment("probe_letters_to_skip=DE"), parse_assignment("concatenate_recordings=[a, b]")
    (('probe_letters_to_skip', 'DE'), ('concatenate_recordings', ['a', 'b']))
    >>> parse_assignment("notes=stopped: see #5")
    ('notes', 'stopped: see #5')
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
    """Return a path as entries have it.

    >>> parse_path("\\\\\\\\allen\\\\DRpilot_626791_20220815\\\\")
    '//allen/DRpilot_626791_20220815'
    """
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


def _key_path(key: str) -> tuple[str, ...]:
    """Return the path of a key: `(key,)`, or `("session_kwargs", key)`.

    >>> _key_path("notes"), _key_path("is_video"), _key_path("session_kwargs.mine")
    (('notes',), ('session_kwargs', 'is_video'), ('session_kwargs', 'mine'))
    """
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


def edited_keys(
    keys: Mapping[str, Any],
    put: Mapping[str, Any],
    drop: Iterable[str] = (),
    append: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Return the new keys of an entry that has *keys*. A key at the wrong level, without effect, is moved when set."""
    new = copy.deepcopy(dict(keys))
    for key in drop:
        _drop(new, key)
    for key, value in put.items():
        if key in drop:
            raise NpcLimsError(f"{key} is both to be set and to be removed: leave one out")
        _put(new, key, _json(value, key))
    for key, values in (append or {}).items():
        level, name = (_kwargs(new), key.rpartition(".")[2]) if len(_key_path(key)) == 2 else (new, key)
        old = level.get(name, [])
        old = old if isinstance(old, list) else [old]
        _put(new, key, [*old, *(value for value in _json(list(values), key) if value not in old)])
    return new


def _put(keys: dict[str, Any], key: str, value: Any) -> None:
    path = _key_path(key)
    if key in ENTRY_KEYS and key in KNOWN_KWARGS and key not in keys and key in _kwargs(keys):
        path = KWARGS, key  # perturbation_day may stand at either level: where it is, it stays
    if len(path) == 1:
        keys[key] = value
        if key not in KNOWN_KWARGS:
            _drop_from_kwargs(keys, key)
        return
    name = path[1]
    if not isinstance(keys.get(KWARGS), dict):
        keys[KWARGS] = {}
    keys[KWARGS][name] = value
    if name not in ENTRY_KEYS:
        keys.pop(name, None)


def _drop(keys: dict[str, Any], key: str) -> None:
    in_kwargs = key.startswith(f"{KWARGS}.")
    name = key.partition(".")[2] if in_kwargs else key
    if name not in keys and name not in _kwargs(keys):
        _key_path(key)  # not there is fine, as long as it could be
    if not in_kwargs:
        keys.pop(name, None)
    _drop_from_kwargs(keys, name)


def _drop_from_kwargs(keys: dict[str, Any], name: str) -> None:
    kwargs = _kwargs(keys)
    if name in kwargs:
        del kwargs[name]
        if not kwargs:
            del keys[KWARGS]


def _kwargs(keys: Mapping[str, Any]) -> dict[str, Any]:
    kwargs = keys.get(KWARGS)
    return kwargs if isinstance(kwargs, dict) else {}


def _json(value: Any, key: str) -> Any:
    """Return *value* as lists, dicts and scalars; raise an error if YAML has no plain form of it."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _json(item, key) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item, key) for item in value]
    raise NpcLimsError(f"{key} cannot be {value!r}: a value is text, a number, true, false, a list or a mapping")


# ----------------------------------------------------------------------------------- values


def checked_entry(path: str, keys: Mapping[str, Any], name: str) -> EntrySpan:
    """Return the entry as the only one of a file, in which validation finds no error.

    Args:
        name: Of the entry, for messages.

    Raises:
        NpcLimsError: Validation finds errors.
    """
    try:
        entry = inline({path: keys} if keys else path, in_brackets=True)
    except ValueError:
        raise NpcLimsError(f"{name}: infinite or undefined numbers cannot be written") from None
    layout = read_layout(f"ephys: {{x: [{entry}]}}\n", "")
    if layout.errors():
        raise NpcLimsError(f"{name}: {'; '.join(problem.message for problem in layout.errors())}")
    return layout.items[0]

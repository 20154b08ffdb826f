"""Validation of YAML that people edit: strict models of its keys, and every mistake at its line and column."""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar, Union

import pydantic

from npc_lims.errors import InputFileError, Problem
from npc_lims.sources.yaml_nodes import ListNode, MapNode, Node, Report, ScalarNode, is_null, kind, shorten
from npc_lims.utils.text import suggestion

ABSENT: Any = None
"""Default of an optional key. Its type does not allow null: a key without a value is a mistake."""

PathPart = Union[str, int]
Model = TypeVar("Model", bound=pydantic.BaseModel)


class CheckedModel(pydantic.BaseModel):
    # strict: "1" is no number and "False" is not false, which is what a typing mistake looks like
    model_config = pydantic.ConfigDict(strict=True, extra="forbid", use_attribute_docstrings=True)


def editor_schema(model: type[pydantic.BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema of *model*, in which an optional key has no default: left out, it is not null."""
    schema: dict[str, Any] = _without_null_defaults(model.model_json_schema(ref_template="#/$defs/{model}"))
    return schema


def _without_null_defaults(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {k: _without_null_defaults(v) for k, v in schema.items() if not (k == "default" and v is None)}
    return [_without_null_defaults(v) for v in schema] if isinstance(schema, list) else schema


def read_edited_text(
    path: Path | str,
    error: Callable[[list[Problem]], InputFileError],
    *,
    max_bytes: int,
    missing: str,
    content: str,
    data: bytes | None = None,
) -> str:
    """Return the text of a file, of which *data* is the content if that was read already.

    Else *error* is raised, with what to do if there is no such file (*missing*), and what it should hold (*content*).
    """

    def unreadable(message: str) -> InputFileError:
        return error([Problem(str(path), 0, 0, "error", message)])

    path = Path(path)
    try:
        if data is None:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise unreadable(f"there is no such file: {missing}") from None
    except OSError as reason:
        if path.is_dir():
            raise unreadable("a folder: give the path of the file in it") from None
        raise unreadable(f"cannot be read: {reason.strerror or reason}") from reason
    except ValueError as reason:  # a null byte in the path
        raise unreadable(f"cannot be read: {reason}") from reason
    if len(data) > max_bytes:
        raise unreadable(f"larger than {max_bytes // 10**6} MB: this cannot be {content}")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        raise error([encoding_problem(str(path), reason)]) from None


def encoding_problem(file: str, error: UnicodeDecodeError) -> Problem:
    """Return the problem of a file that is not UTF-8, at the byte that is not."""
    before, byte = error.object[: error.start], error.object[error.start]
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8-sig")) + 1
    message = f"the byte 0x{byte:02x} is not UTF-8: save the file as UTF-8"
    return Problem(file, before.count(b"\n") + 1, column, "error", message)


def validate(
    values: Mapping[str, Any],
    node: MapNode,
    model: type[Model],
    report: Report,
    *,
    owner: str,
    patterns: Mapping[str, str],
    also_suggest: Sequence[str] = (),
) -> tuple[Optional[Model], set[tuple[PathPart, ...]]]:
    """Check the *values* of *node*, and report what the model rejects, in the words of its own validators.

    Args:
        owner: Name of the mapping itself, for messages.
        patterns: Each pattern of the model, and its description.
        also_suggest: Names to suggest, besides the keys of the model, for an unknown key.

    Returns:
        The model, or None if something is wrong; and the path of keys and indexes to each wrong value.
    """
    try:
        return model.model_validate(values), set()
    except pydantic.ValidationError as error:
        found: dict[tuple[PathPart, ...], list[Any]] = {}
        for detail in error.errors(include_url=False):
            found.setdefault(_path_in(node, detail["loc"]), []).append(detail)
    for path, details in found.items():
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)[1:] or owner
        at = node_at(node, path)
        for detail in details:
            if detail["type"] == "missing":
                report.error(at, f"{name} lacks {detail['loc'][-1]!r}: add it")
            elif detail["type"] == "extra_forbidden":
                _report_unknown_key(node, path, _model_at(model, path[:-1]), also_suggest, report)
            elif detail["type"] == "value_error":
                report.error(at, str(detail["ctx"]["error"]))
        details = [one for one in details if one["type"] not in ("missing", "extra_forbidden", "value_error")]
        # of a union of a scalar and a collection with a wrong item, the collection was meant
        is_outer = any(len(other) > len(path) and other[: len(path)] == path for other in found)
        if is_null(at) and details:
            report.error(at, f"{name} has no value: write it, or remove the key")
        elif details and len(details) == len(found[path]) and not is_outer:
            expected = " or ".join(dict.fromkeys(_expected(detail, patterns) for detail in details))
            report.error(at, f"{name} must be {expected}, not {kind(at)}{_remedy(at, expected)}")
    return None, set(found)


def node_at(node: Node, path: Iterable[PathPart]) -> Node:
    """Return the node below *node* that *path* leads to, as far as it goes."""
    for step in path:
        child = _child(node, step)
        if child is None:
            break
        node = child
    return node


def _child(node: Node, step: PathPart) -> Node | None:
    if isinstance(node, MapNode):
        return next((value for key, value in node.pairs if key.text == step), None)
    if isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None


def _path_in(node: Node, location: Iterable[PathPart]) -> tuple[PathPart, ...]:
    """Return the path that a location of pydantic means, without the names of union branches."""
    path: list[PathPart] = []
    for step in location:
        child = _child(node, step)
        if child is not None:
            path.append(step)
            node = child
    return tuple(path)


def _model_at(model: type[pydantic.BaseModel], path: Iterable[PathPart]) -> type[pydantic.BaseModel]:
    for step in path:
        if isinstance(step, str):
            model = _model_in(model.model_fields[step].annotation) or model
    return model


def _model_in(annotation: Any) -> type[pydantic.BaseModel] | None:
    arguments = typing.get_args(annotation)
    if arguments:
        return next(filter(None, map(_model_in, arguments)), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel) else None


def _report_unknown_key(
    root: Node, path: tuple[PathPart, ...], model: type[pydantic.BaseModel], also: Sequence[str], report: Report
) -> None:
    parent = node_at(root, path[:-1])
    assert isinstance(parent, MapNode)
    key = next(key for key, _ in parent.pairs if key.text == path[-1])
    keys = list(model.model_fields)
    hint = suggestion(key.text, (*keys, *also))
    report.error(key, f"unknown key {shorten(key.text)!r}{hint}: the keys are {', '.join(keys)}")


def _expected(detail: Any, patterns: Mapping[str, str]) -> str:
    context = detail.get("ctx", {})
    words = {
        "int_type": "a whole number",
        "float_type": "a number",
        "bool_type": "true or false",
        "string_type": "text",
        "string_too_short": "a text that is not empty",
        "string_pattern_mismatch": patterns.get(context.get("pattern")),
        "list_type": "a list",
        "dict_type": "a mapping",
        "model_type": "a mapping",
        "literal_error": context.get("expected"),
        "greater_than_equal": f"{context.get('ge')} or more",
        "less_than_equal": f"{context.get('le')} or less",
    }
    return words.get(detail["type"]) or str(detail["msg"])


def _remedy(node: Node, expected: str) -> str:
    if not isinstance(node, ScalarNode):
        return ""
    if expected == "a list":
        return f": write [{shorten(node.text)}]"
    if not node.plain and "text" not in expected and not isinstance(node.unquoted.value, str):
        return ": remove the quotes"
    if expected == "true or false" and node.ambiguous_as in ("true", "false"):
        return f": write {node.ambiguous_as}"
    return ": quote it" if node.plain and "text" in expected and not isinstance(node.value, str) else ""

"""Whether answers have the shapes that GitHub publishes (npm's `@octokit/openapi`, see tests/node)."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import jsonschema
import referencing
import referencing.jsonschema

from tests.servers.github_api import Exchange
from tests.servers.github_records import Json

NODE = Path(__file__).resolve().parent.parent / "node"
DESCRIPTION = NODE / "node_modules" / "@octokit" / "openapi" / "generated" / "api.github.com.json"
# Answers that any call may get, and that the description therefore leaves out of most.
_ANYWHERE = frozenset({400, 401, 403, 404, 409, 422, 429})
_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time")
def _is_time(value: object) -> bool:
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"
    return not isinstance(value, str) or re.fullmatch(pattern, value) is not None


@_FORMATS.checks("uri")
def _is_address(value: object) -> bool:
    return not isinstance(value, str) or bool(urlsplit(value).scheme and urlsplit(value).netloc)


def assert_published_schema(exchanges: Iterable[Exchange]) -> None:
    """Every request that succeeded, and every answer, is as described; AssertionError says which is not, and where."""
    for exchange in exchanges:
        name = f"{exchange.request.method} {exchange.template} -> {exchange.response.status}"
        assert exchange.template is not None, f"{exchange.request.method} {exchange.request.path}: no such operation"
        operation = _description()["paths"][exchange.template][exchange.request.method.lower()]
        if exchange.response.status < 300 and exchange.request.body:
            pointer = _body_of(operation)
            assert pointer is not None, f"{name}: takes no body"
            _check(f"{name}, request", json.dumps(pointer), exchange.request.body)
        schema = _answer_of(operation, exchange, name)
        if schema is not None:
            _check(name, json.dumps(schema), exchange.response.body)


@functools.lru_cache(maxsize=1)
def _description() -> Json:
    read: Json = json.loads(DESCRIPTION.read_bytes())
    return read


@functools.lru_cache(maxsize=1)
def _registry() -> referencing.Registry[Any]:
    """The components, with OpenAPI 3.0's `nullable` said as JSON Schema says it."""
    components = {"components": {"schemas": _nullable(_description()["components"]["schemas"])}}
    resource = referencing.jsonschema.DRAFT202012.create_resource(components)
    return cast("referencing.Registry[Any]", referencing.Registry().with_resource("urn:github", resource))


def _nullable(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    # examples may hold anything, words of the schema language too
    kept = {name: _nullable(value) for name, value in schema.items() if name not in ("nullable", "example", "examples")}
    if isinstance(kept.get("$ref"), str):
        kept["$ref"] = f"urn:github{kept['$ref']}"
    return {"anyOf": [kept, {"type": "null"}]} if schema.get("nullable") is True else kept


def _body_of(operation: Json) -> Json | None:
    content = operation.get("requestBody", {}).get("content", {})
    schema: Json | None = content.get("application/json", {}).get("schema")
    return schema


def _answer_of(operation: Json, exchange: Exchange, name: str) -> Json | None:
    """The schema of an answer; None where it has no body that a schema describes."""
    status, responses = exchange.response.status, operation["responses"]
    kind = exchange.response.headers.get("content-type", "").partition(";")[0]
    if str(status) not in responses:
        if status == 304:
            return None
        assert status in _ANYWHERE, f"{name}: this operation has no such answer"
        return {"$ref": "#/components/schemas/basic-error"}
    described = responses[str(status)]
    if "$ref" in described:
        described = _description()["components"]["responses"][described["$ref"].rpartition("/")[2]]
    content = described.get("content", {})
    if not content:
        assert not exchange.response.body or status >= 400, f"{name}: has a body, and should have none"
        return None
    if kind != "application/json":
        return None
    schema: Json = content["application/json"]["schema"]
    # the kinds of errors are told apart by fields that none of them must have: most are of several kinds
    return {"anyOf": schema["oneOf"]} if status >= 400 and "oneOf" in schema else schema


@functools.lru_cache(maxsize=4096)
def _check(name: str, schema: str, body: bytes) -> None:
    validator = _validator(schema)
    errors = sorted(validator.iter_errors(json.loads(body)), key=lambda error: list(map(str, error.path)))
    assert not errors, f"{name}: {_told(errors[0])}"


@functools.lru_cache(maxsize=256)
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(_nullable(json.loads(schema)), registry=_registry(), format_checker=_FORMATS)


def _told(error: jsonschema.ValidationError) -> str:
    best = jsonschema.exceptions.best_match([error]) or error
    return f"{'.'.join(map(str, best.absolute_path))}: {best.message[:300]}"

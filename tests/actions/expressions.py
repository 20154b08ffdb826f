"""Expressions of GitHub Actions (`${{ ... }}`), with the rules that its documentation gives for them.

Values are what JSON has: None, bool, int or float, str, list and dict. A name that the place does not offer, an
unknown function and bad syntax are errors; a property that is not there is null, as on GitHub.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Function = Callable[..., Any]
STATUS_FUNCTIONS = frozenset({"success", "failure", "always", "cancelled"})


class ExpressionError(ValueError):
    """GitHub would not run this expression."""


@dataclass(frozen=True)
class Scope:
    """What an expression may name where it stands: contexts (`github`, `env` ...) and functions besides the usual."""

    contexts: Mapping[str, Any] = field(default_factory=dict)
    functions: Mapping[str, Function] = field(default_factory=dict)


# -- what is asked of an expression ------------------------------------------------------------------


def evaluate(source: str, scope: Scope) -> Any:
    """The value of an expression, given without its `${{ }}`."""
    parser = _Parser(source, scope)
    value = parser.alternatives()
    parser.expect("end")
    return value()


def is_true(condition: Any, scope: Scope) -> bool:
    """An `if:`, with or without `${{ }}`; `success() &&` stands before one that asks for no status itself."""
    source = condition.strip() if isinstance(condition, str) else json.dumps(condition)
    if "${{" in source:
        parts = list(_parts(source))
        if len(parts) != 1 or not parts[0][1]:
            raise ExpressionError(f"{condition!r} has text beside ${{{{ }}}}: as an `if:` GitHub takes that for true")
        source = parts[0][0]
    value = truth(evaluate(source, scope))
    named = {match[1].lower() for match in re.finditer(r"(\w+)\s*\(", re.sub(r"'(?:[^']|'')*'", "''", source))}
    return value if named & STATUS_FUNCTIONS else value and truth(scope.functions["success"]())


def fill(template: Any, scope: Scope) -> Any:
    """`template` with the values of its expressions, in lists and mappings too; a lone expression keeps its type."""
    if isinstance(template, Mapping):
        return {fill(key, scope): fill(value, scope) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(item, scope) for item in template]
    if not isinstance(template, str) or "${{" not in template:
        return template
    parts = list(_parts(template))
    if len(parts) == 1:
        return evaluate(parts[0][0], scope)
    return "".join(as_text(evaluate(text, scope)) if code else text for text, code in parts)


def fill_text(template: Any, scope: Scope) -> str:
    """`fill` as a string."""
    return as_text(fill(template, scope))


def _parts(template: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a template: texts, and the insides of `${{ }}` (True)."""
    position = 0
    while (start := template.find("${{", position)) >= 0:
        if start > position:
            yield template[position:start], False
        inside = re.compile(r"((?:[^'}]|'(?:[^']|'')*'|\}(?!\}))*)\}\}").match(template, start + 3)
        if inside is None:
            raise ExpressionError(f"${{{{ without its }}}} in {template!r}")
        yield inside[1], True
        position = inside.end()
    if position < len(template):
        yield template[position:], False


# -- values ------------------------------------------------------------------------------------------


def truth(value: Any) -> bool:
    """Whether a condition with this value holds."""
    if isinstance(value, float) and math.isnan(value):
        return False
    return value not in (None, False, 0, "") if not isinstance(value, (list, dict)) else True


def as_text(value: Any) -> str:
    """What stands in a text for `value`."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return (
            f"{value:.15g}"
            if math.isfinite(value)
            else {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
        )
    if isinstance(value, str):
        return value
    return "Array" if isinstance(value, list) else "Object"


def as_number(value: Any) -> float:
    """`value` where a number is compared with it; NaN where it is none."""
    if value is None:
        return 0.0
    if isinstance(value, (bool, int, float)):
        return float(value)
    if not isinstance(value, str):
        return math.nan
    text = value.strip()
    if re.fullmatch(r"0x[0-9a-fA-F]+|0o[0-7]+", text):
        return float(int(text, 0))
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return float(text)
    return math.nan if text else 0.0


def equal(left: Any, right: Any) -> bool:
    """`==`: texts without regard to case, different kinds as numbers, lists and objects only with themselves."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if isinstance(left, (list, dict)) or isinstance(right, (list, dict)):
        return left is right
    return as_number(left) == as_number(right)


def less(left: Any, right: Any) -> bool:
    """`<`, by the same conversions."""
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() < right.lower()
    return as_number(left) < as_number(right)


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": less,
    ">": lambda left, right: less(right, left),
    "<=": lambda left, right: less(left, right) or equal(left, right),
    ">=": lambda left, right: less(right, left) or equal(left, right),
}


def look_up(value: Any, key: Any) -> Any:
    """`value.key` or `value[key]`: names without regard to case; null where there is nothing."""
    if isinstance(value, _Filtered):
        found = [look_up(item, key) for item in value]
        return _Filtered(item for item in found if item is not None)
    if isinstance(value, Mapping):
        wanted = as_text(key).lower()
        return next((item for name, item in value.items() if name.lower() == wanted), None)
    if isinstance(value, list):
        index = as_number(key)
        return value[int(index)] if 0 <= index < len(value) else None
    return None


class _Filtered(list):  # type: ignore[type-arg]  # list[Any] cannot be subclassed on Python 3.9 by this name
    """What `.*` gives: a further property is taken of each item."""


# -- functions ---------------------------------------------------------------------------------------


def _contains(search: Any, item: Any) -> bool:
    if isinstance(search, list):
        return any(equal(each, item) for each in search)
    return as_text(item).lower() in as_text(search).lower()


def _format(template: Any, *values: Any) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] is None or int(match[1]) >= len(values):
            raise ExpressionError(f"format({template!r}, ...) has no value for {match[0]!r}")
        return as_text(values[int(match[1])])

    return re.sub(r"\{\{|\}\}|\{(\d+)\}|[{}]", replace, as_text(template))


def _join(values: Any, separator: Any = ",") -> str:
    return as_text(separator).join(map(as_text, values)) if isinstance(values, list) else as_text(values)


def _from_json(text: Any) -> Any:
    try:
        return json.loads(as_text(text))
    except json.JSONDecodeError as error:
        raise ExpressionError(f"fromJSON was given no JSON: {as_text(text)!r}") from error


FUNCTIONS: dict[str, Function] = {
    "contains": _contains,
    "startswith": lambda text, start: as_text(text).lower().startswith(as_text(start).lower()),
    "endswith": lambda text, end: as_text(text).lower().endswith(as_text(end).lower()),
    "format": _format,
    "join": _join,
    "tojson": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    "fromjson": _from_json,
}

# -- syntax ------------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:0x[0-9a-fA-F]+|0o[0-7]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.]))
    | (?P<text>'(?:[^']|'')*')
    | (?P<name>[A-Za-z_][\w-]*)
    | (?P<sign>==|!=|<=|>=|&&|\|\||[<>!().,*\[\]])
    | (?P<end>$))""",
    re.VERBOSE,
)
CONSTANTS: dict[str, Any] = {"null": None, "true": True, "false": False}
Node = Callable[[], Any]


class _Parser:
    """Recursive descent; each method gives a function that computes its part, so that && and || can stop early."""

    def __init__(self, source: str, scope: Scope) -> None:
        self.source = source
        self.scope = scope
        self.tokens = list(_tokens(source))
        self.position = 0

    def accept(self, *wanted: str) -> str | None:
        """The next token, taken, if it is one of these signs or kinds."""
        kind, text = self.tokens[self.position]
        if kind in wanted or (kind == "sign" and text in wanted):
            self.position = min(self.position + 1, len(self.tokens) - 1)
            return text
        return None

    def expect(self, *wanted: str) -> str:
        found = self.accept(*wanted)
        if found is None:
            here = self.tokens[self.position][1] or "its end"
            raise ExpressionError(f"expected {' or '.join(wanted)} at {here} in the expression {self.source.strip()!r}")
        return found

    def alternatives(self) -> Node:
        parts = [self.conjunction()]
        while self.accept("||"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else lambda: _first(parts, wanted=True)

    def conjunction(self) -> Node:
        parts = [self.comparison(("==", "!="))]
        while self.accept("&&"):
            parts.append(self.comparison(("==", "!=")))
        return parts[0] if len(parts) == 1 else lambda: _first(parts, wanted=False)

    def comparison(self, signs: tuple[str, ...]) -> Node:
        """`==` and `!=`, and tighter than these `<` and its kin."""
        operand = self.negation if "<" in signs else lambda: self.comparison(("<", "<=", ">", ">="))
        value = operand()
        while sign := self.accept(*signs):
            value = _compared(COMPARISONS[sign], value, operand())
        return value

    def negation(self) -> Node:
        if self.accept("!"):
            operand = self.negation()
            return lambda: not truth(operand())
        return self.access()

    def access(self) -> Node:
        value = self.primary()
        while sign := self.accept(".", "["):
            if self.accept("*"):
                value = _all_of(value)
            elif sign == ".":
                value = _property(value, _constant(self.expect("name")))
            else:
                value = _property(value, self.alternatives())
            if sign == "[":
                self.expect("]")
        return value

    def primary(self) -> Node:
        if self.accept("("):
            value = self.alternatives()
            self.expect(")")
            return value
        number = self.accept("number")
        if number is not None:
            whole = re.fullmatch(r"[+-]?\d+", number)
            return _constant(int(number) if whole else as_number(number))
        text = self.accept("text")
        if text is not None:
            return _constant(text[1:-1].replace("''", "'"))
        name = self.expect("name")
        if self.accept("("):
            return self.call(name)
        if name in CONSTANTS:
            return _constant(CONSTANTS[name])
        context = next((known for known in self.scope.contexts if known == name.lower()), None)
        if context is None:
            offered = ", ".join(sorted(self.scope.contexts))
            raise ExpressionError(f"unknown context {name!r} in {self.source.strip()!r}: here there are {offered}")
        return _constant(self.scope.contexts[context])

    def call(self, name: str) -> Node:
        arguments: list[Node] = []
        while not self.accept(")"):
            if arguments:
                self.expect(",")
            arguments.append(self.alternatives())
        offered = {**FUNCTIONS, **{known.lower(): function for known, function in self.scope.functions.items()}}
        function = offered.get(name.lower())
        if function is None:
            raise ExpressionError(
                f"unknown function {name!r} in {self.source.strip()!r}: here there are {', '.join(offered)}"
            )

        def value() -> Any:
            try:
                return function(*(argument() for argument in arguments))
            except TypeError as error:
                raise ExpressionError(f"{name}() with {len(arguments)} arguments: {error}") from error

        return value


def _tokens(source: str) -> Iterator[tuple[str, str]]:
    position = 0
    while True:
        match = TOKEN.match(source, position)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"cannot read {source[position:].strip()!r} in the expression {source.strip()!r}")
        yield match.lastgroup, match[match.lastgroup]
        if match.lastgroup == "end":
            return
        position = match.end()


def _constant(value: Any) -> Node:
    return lambda: value


def _property(value: Node, key: Node) -> Node:
    return lambda: look_up(value(), key())


def _all_of(value: Node) -> Node:
    def items() -> Any:
        found = value()
        return _Filtered(found.values() if isinstance(found, Mapping) else found if isinstance(found, list) else ())

    return items


def _compared(comparison: Callable[[Any, Any], bool], left: Node, right: Node) -> Node:
    return lambda: comparison(left(), right())


def _first(parts: Sequence[Node], wanted: bool) -> Any:
    """The first value whose truth is `wanted`, else the last: what || (True) and && (False) give."""
    value = None
    for part in parts:
        value = part()
        if truth(value) is wanted:
            break
    return value

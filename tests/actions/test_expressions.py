"""Expressions mean here what GitHub documents for them."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.actions.expressions import ExpressionError, Scope, as_text, evaluate, fill, is_true

CONTEXTS = {
    "github": {"event_name": "push", "event": {"Number": 3, "labels": [{"name": "bug"}, {"name": "data"}, {}]}},
    "vars": {"SHARDS": "2", "PAUSE": ""},
    "matrix": {"os": ["linux", "macos"], "one": {"v": 1}, "two": {"v": 2}},
}


def scope(succeeded: bool = True) -> Scope:
    status = {
        "success": lambda: succeeded,
        "failure": lambda: not succeeded,
        "always": lambda: True,
        "cancelled": lambda: False,
    }
    return Scope(CONTEXTS, status)


VALUES = [
    ("null", None),
    ("true", True),
    ("-2.5e2", -250.0),
    ("0xff", 255.0),
    ("711", 711),
    ("'It''s'", "It's"),
    ("''", ""),
    ("github.event_name", "push"),
    ("GITHUB.Event_Name", "push"),
    ("github['event_name']", "push"),
    ("github.event.number", 3),
    ("github.event.labels[1].name", "data"),
    ("github.event.labels.*.name", ["bug", "data"]),
    ("matrix.*.v", [1, 2]),
    ("github.nothing.at.all", None),
    ("matrix.os[9]", None),
    ("matrix.os[0]", "linux"),
    ("'A' == 'a'", True),
    ("1 == '1'", True),
    ("'' == 0", True),
    ("null == 0", True),
    ("true == 1", True),
    ("'true' == true", False),
    ("'nonsense' == 0", False),
    ("matrix.os == matrix.os", True),
    ("matrix.os == github", False),
    ("1 < 2 == true", True),
    ("'abc' < 'ABD'", True),
    ("3 >= '3'", True),
    ("2 > 'x' || 2 <= 'x'", False),
    ("1 != 2 && 'both'", "both"),
    ("vars.PAUSE || 'going'", "going"),
    ("'' && github.event_name", ""),
    ("false || null", None),
    ("!vars.PAUSE", True),
    ("!(1 == 1)", False),
    ("!!'x'", True),
    ("true || false && false", True),
    ("(true || false) && false", False),
    ("contains('Hello World', 'WORLD')", True),
    ("contains(github.event.labels.*.name, 'Data')", True),
    ("contains(matrix.os, 'windows')", False),
    ("startsWith('refs/tags/v1', 'REFS/TAGS/')", True),
    ("endsWith('a.yaml', '.YAML')", True),
    ("format('{0} of {1} {{x}}', 1, 'two')", "1 of two {x}"),
    ("join(matrix.os, '+')", "linux+macos"),
    ("join(matrix.os)", "linux,macos"),
    ("fromJSON('[1, {\"a\": null}]')[1].a", None),
    ("fromJSON(vars.SHARDS)", 2),
    ("toJSON(matrix.one)", '{\n  "v": 1\n}'),
    ("success() && always()", True),
]


def test_values() -> None:
    for source, value in VALUES:
        found = evaluate(source, scope())
        assert found == value, source
        assert isinstance(found, bool) is isinstance(value, bool), source


REFUSED = [
    ("secrets.TOKEN", "unknown context 'secrets'"),
    ("nothing()", "unknown function 'nothing'"),
    ("github.", "expected name"),
    ("(1", r"expected \)"),
    ("1 2", "expected end"),
    ('"double"', "cannot read"),
    ("'open", "cannot read"),
    ("", "expected name"),
    ("format('{1}', 1)", r"no value for '\{1\}'"),
    ("fromJSON('{')", "no JSON"),
    ("contains('a')", "arguments"),
    ("fromjson(vars.SHARDS) + 0", "cannot read"),
]


def test_what_github_would_not_run_is_refused() -> None:
    for source, message in REFUSED:
        with pytest.raises(ExpressionError, match=message):
            evaluate(source, scope())


def test_and_stops_before_what_would_fail() -> None:
    assert evaluate("vars.PAUSE && fromJSON(vars.PAUSE)", scope()) == ""


CONDITIONS = [
    ("github.event_name == 'push'", True, True),
    ("github.event_name == 'push'", False, False),
    ("${{ github.event_name == 'push' }}", True, True),
    ("always()", False, True),
    ("${{ !cancelled() }}", False, True),
    ("failure()", False, True),
    ("failure()", True, False),
    ("failure() && github.event_name == 'pull_request'", False, False),
    ("'always()' == 'x' || true", False, False),
    (True, True, True),
    (False, True, False),
]


def test_conditions() -> None:
    for condition, succeeded, runs in CONDITIONS:
        assert is_true(condition, scope(succeeded)) is runs, condition


def test_a_condition_with_text_beside_it_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="GitHub takes that for true"):
        is_true("${{ false }} == 'x'", scope())


def test_fill_keeps_types_of_lone_expressions_only() -> None:
    template = {"n": "${{ fromJSON('[1, 2]') }}", "t": "a ${{ 1 }}-${{ '}}' }} b", "l": ["${{ matrix.os[0] }}", 3]}
    assert fill(template, scope()) == {"n": [1, 2], "t": "a 1-}} b", "l": ["linux", 3]}
    assert fill("plain ${ text }", scope()) == "plain ${ text }"
    with pytest.raises(ExpressionError, match="without its"):
        fill("${{ 'open }}", scope())


def test_text_of_values() -> None:
    values: list[object] = [None, True, 3, 0.5, 2.0, math.nan, [], {}]
    assert [as_text(value) for value in values] == ["", "true", "3", "0.5", "2", "NaN", "Array", "Object"]


@given(st.text())
def test_any_text_can_be_written_as_a_literal(text: str) -> None:
    quoted = text.replace("'", "''")
    assert evaluate(f"'{quoted}'", Scope()) == text
    assert fill(f"x${{{{ '{quoted}' }}}}", Scope()) == "x" + text


@given(st.text(alphabet="'(){}[]!&|=<>., ab01*$\n", max_size=12))
def test_anything_is_read_or_refused(source: str) -> None:
    with contextlib.suppress(ExpressionError):
        assert isinstance(evaluate(source, scope()), (str, bool, int, float, list, dict, type(None)))

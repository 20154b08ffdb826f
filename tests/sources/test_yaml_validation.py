"""One validator for all YAML that people edit: the same mistake is reported in the same words, at its position."""

from __future__ import annotations

from pathlib import Path
from typing import Union

import pydantic
import pytest

from npc_lims.errors import InputFileError, PipelinesError, TrackedFileError
from npc_lims.processing.pipelines import read_pipelines
from npc_lims.sources.tracked.parser import read_tracked
from npc_lims.sources.yaml_nodes import MapNode, Report, compose, to_plain
from npc_lims.sources.yaml_validation import CheckedModel, validate


class Part(CheckedModel):
    name: str = pydantic.Field(pattern="^[a-z]+$")
    count: int = 1


class Whole(CheckedModel):
    parts: list[Part] = pydantic.Field(default_factory=list)
    either: Union[list[str], str] = ""
    open: bool = True


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("parts: [{name: a, count: 2}]\neither: b", []),
        ("parts:", ["1:1: error: parts has no value: write it, or remove the key"]),
        ("parts: a", ["1:8: error: parts must be a list, not the text 'a': write [a]"]),
        ("parts: [{name: A}]", ["1:16: error: parts[0].name must be letters, not the text 'A'"]),
        ("parts:\n- count: 2", ["2:3: error: parts[0] lacks 'name': add it"]),
        (
            "parts: [{nmae: a}]",
            [
                "1:9: error: parts[0] lacks 'name': add it",
                "1:10: error: unknown key 'nmae' (did you mean 'name'?): the keys are name, count",
            ],
        ),
        (
            "parts: [{name: a, count: '2'}]",
            ["1:26: error: parts[0].count must be a whole number, not the text '2': remove the quotes"],
        ),
        ("either: [a, 3]", ["1:13: error: either[1] must be text, not the integer 3: quote it"]),
        ("either: 3", ["1:9: error: either must be a list or text, not the integer 3: quote it"]),
        ("open: no", ["1:7: error: open must be true or false, not the text 'no': write false"]),
        ("opn: 1", ["1:1: error: unknown key 'opn' (did you mean 'open'?): the keys are parts, either, open"]),
    ],
)
def test_each_mistake_has_its_position_and_a_remedy(text: str, messages: list[str]) -> None:
    report = Report("f")
    node = compose(text, report)
    assert isinstance(node, MapNode)
    model, wrong = validate(
        to_plain(node, report), node, Whole, report, owner="the file", patterns={"^[a-z]+$": "letters"}
    )
    assert [str(problem) for problem in report.problems] == [f"f:{message}" for message in messages]
    assert (model is None) == bool(messages) == bool(wrong)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "f.yaml:0:0: error: there is no such file"),
        (b"a:\n  \xe9", "f.yaml:2:3: error: the byte 0xe9 is not UTF-8: save the file as UTF-8"),
        (b"\xef\xbb\xbf\xff", "f.yaml:1:1: error: the byte 0xff is not UTF-8"),
        (b"a: [", "f.yaml:1:5: error: YAML syntax"),
    ],
)
@pytest.mark.parametrize(("read", "error"), [(read_tracked, TrackedFileError), (read_pipelines, PipelinesError)])
def test_a_file_that_cannot_be_read(
    tmp_path: Path, content: bytes | None, message: str, read: type, error: type[InputFileError]
) -> None:
    path = tmp_path / "f.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error) as caught:
        read(path)
    assert message in str(caught.value)

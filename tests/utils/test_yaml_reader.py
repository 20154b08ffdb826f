"""A damaged file of state is a ValueError, whatever breaks in the parser."""

from __future__ import annotations

import pytest

from npc_lims.utils.yaml_reader import load_yaml


@pytest.mark.parametrize(
    "content",
    [
        b'a: "\\Uffffffff"',
        b'a: "\\U00110000"',
        b"[" * 100_000,
        b"a: \xff",
        b"a: \0",
        b"%YAML a.b\n---\n",
        b"*a",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_no_yaml(content: bytes) -> None:
    with pytest.raises(ValueError) as caught:
        load_yaml(content)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()
    assert 0 < len(str(caught.value)) <= 200


def test_what_is_yaml() -> None:
    assert load_yaml(b"a: [1, null]\n") == {"a": [1, None]}

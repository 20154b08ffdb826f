"""Recordings without a session: which stay, come and go, and their file."""

from __future__ import annotations

import pytest

from npc_lims.model.unlisted import Unlisted, UnlistedAsset, next_unlisted, parse_unlisted, render_unlisted
from npc_lims.sync.observation_file import EVERYTHING, Scope


def made(*names: str) -> Unlisted:
    return tuple(UnlistedAsset(f"id-{name}", name, "2024-06-02T08:00:00Z", f"s3://bucket/{name}") for name in names)


A, B, C = made(
    "ecephys_700003_2024-06-03_10-00-00", "ecephys_700002_2024-06-02_10-00-00", "behavior_700001_2024-06-01_10-00-00"
)


@pytest.mark.parametrize(
    ("recorded", "observed", "scope", "sessions", "expected"),
    [
        (None, None, EVERYTHING, [], None),
        (None, (), EVERYTHING, [], ()),
        (None, (A,), Scope(frozenset([A.session])), [], None),
        ((A, B), None, EVERYTHING, [], (A, B)),
        ((A, B), None, EVERYTHING, [f"{B.session}_1"], (A,)),
        ((A, B), (C, A), EVERYTHING, [], (A, C)),
        ((A, B), (C, A), EVERYTHING, [A.session], (C,)),
        ((A, B), (), Scope(frozenset([B.session, C.session])), [], (A,)),
        ((A,), (B, C), Scope(frozenset([C.session])), [], (A, C)),
    ],
    ids=[
        "never observed",
        "observed, and none",
        "a part says nothing of the rest",
        "not observed: they stay",
        "a listed day goes, also without a query",
        "the new ones replace the recorded ones, the newest first",
        "a listed day is not added",
        "of a part, only that part goes",
        "of a part, only that part is added",
    ],
)
def test_next(
    recorded: Unlisted | None, observed: Unlisted | None, scope: Scope, sessions: list[str], expected: Unlisted | None
) -> None:
    assert next_unlisted(recorded, observed, scope, scope.is_full, sessions) == expected


def test_of_several_assets_of_one_recording_the_newest_is_listed() -> None:
    newer = UnlistedAsset("id-2", A.name, "2024-06-09T08:00:00Z")
    assert next_unlisted((), (newer, A), EVERYTHING, True, []) == (newer,)


def test_a_file_has_what_was_written() -> None:
    assert parse_unlisted(render_unlisted((A, B, C))) == (A, B, C)
    assert parse_unlisted(render_unlisted(())) == ()
    assert parse_unlisted(render_unlisted((A,)).replace(b'"}\n', b'","later":1}\n')) == (A,), "of a newer version"


@pytest.mark.parametrize(
    "change",
    [
        (b'{"schema":1}', b'{"schema":2}'),
        (b"\n{", b"\n["),
        (b'"id":"id-', b'"id":1,"x":"'),
        (b"2024-06-03_10", b"2024-06-33_10"),
        (b"ecephys", b"SmartSPIM"),
        (b"s3://", b"s3://\\u001b"),
        (b'10-00-00"}\n', b'10-00-00"}'),
    ],
)
def test_a_damaged_file_is_refused(change: tuple[bytes, bytes]) -> None:
    content = render_unlisted((A,))
    assert content.replace(*change) != content
    with pytest.raises(ValueError, match=r"schema 1|data asset|Expecting"):
        parse_unlisted(content.replace(*change))

"""What disappeared and did not come back."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.dashboard.attention import Case, find_issues
from npc_lims.history.transitions import Transition
from npc_lims.state.sync_file import SyncFile
from tests.builders import SECOND, SESSION
from tests.dashboard.made import ABSENT, happened, past_of

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)


def losses(*transitions: Transition) -> list[Case]:
    """Return what is reported of sessions that lost facts."""
    found = find_issues([], SyncFile(), {}, (), past_of(NOW, *transitions), NOW)
    return [case for finding in found if finding.kind == "lost" for case in finding.items]


def first_seen(*transitions: Transition) -> dict[str, dict[str, datetime.datetime]]:
    return past_of(NOW, *transitions).first_seen


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        ([("2026-11-20", "no longer sorted")], ("no longer sorted",)),
        ([("2026-11-20", "no longer sorted"), ("2026-11-21", "sorted")], None),
        ([("2026-11-20", "no longer sorted"), ("2026-11-21", "edited")], ("no longer sorted",)),
        ([("2026-11-20", "removed")], ("removed",)),
        ([("2026-11-20", "removed"), ("2026-11-21", "new", "uploaded")], None),
        ([("2026-11-20", "training row gone")], ("training row gone",)),
        ([("2026-11-20", "training row gone"), ("2026-11-21", "training row added")], None),
        ([("2026-11-20", "s3 facts gone"), ("2026-11-21", "s3 facts changed")], None),
        ([("2026-11-20", "codeocean facts gone"), ("2026-11-21", "s3 first seen")], ("codeocean facts gone",)),
        ([("2026-11-20", "sorted", "no longer annotated")], ("no longer annotated",)),
        # no news
        ([("2026-10-01", "no longer sorted")], None),
        ([("2026-10-01", "no longer sorted"), ("2026-11-20", "no longer annotated")], ("no longer annotated",)),
        ([("2026-11-20", "sorted"), ("2026-11-21", "edited")], None),
        ([], None),
    ],
)
def test_what_is_missing(events: list[tuple[str, ...]], missing: tuple[str, ...] | None) -> None:
    found = losses(*(happened(f"{when}T00:00:00Z", *what) for when, *what in events))
    assert [case.text for case in found] == ([] if missing is None else [", ".join(missing)])


def test_the_last_loss_comes_first_with_its_commit_and_editors() -> None:
    removed = happened("2026-11-19T00:00:00Z", "removed", session=SECOND, editors=("Ana", "Ben", "Ana"))
    found = losses(removed, happened("2026-11-20T00:00:00Z", "no longer sorted"))
    assert [(case.session, case.text, case.since) for case in found] == [
        (SESSION, "no longer sorted", "2026-11-20T00:00:00Z"),
        (SECOND, "removed; its entry was edited by Ana, Ben", "2026-11-19T00:00:00Z"),
    ]


def test_only_a_no_that_became_a_yes_has_a_date() -> None:
    """When the history begins, or a source is queried for the first time, all may be much older."""
    assert first_seen(
        happened("2026-11-01T00:00:00Z", "already present at first sync", is_video=(ABSENT, True)),
        happened("2026-11-02T00:00:00Z", "sorted", is_sorted=(False, True), is_annotated=(None, True)),
        happened("2026-11-03T00:00:00Z", "no longer sorted", is_sorted=(True, False)),
        happened("2026-11-04T00:00:00Z", "sorted", is_sorted=(False, True)),
    ) == {SESSION: {"is_sorted": datetime.datetime(2026, 11, 2, tzinfo=datetime.timezone.utc)}}


def test_commits_of_the_future_give_no_dates_and_their_losses_are_reported() -> None:
    assert first_seen(happened("2099-01-01T00:00:00Z", "sorted", is_sorted=(False, True))) == {}
    found = losses(happened("2099-01-01T00:00:00Z", "no longer sorted", is_sorted=(True, False)))
    assert [case.text for case in found] == ["no longer sorted"]


def test_a_no_that_became_unknown_has_no_date() -> None:
    changes = {"is_sorted": (False, None), "is_video": (False, ABSENT)}
    assert first_seen(happened("2026-11-02T00:00:00Z", "edited", **changes)) == {}


def test_losses_have_the_commit_of_the_last_and_the_order_of_ids() -> None:
    found = losses(
        *(
            happened(when, word, session=session)
            for session in (SECOND, SESSION)
            for when, word in (("2026-11-19T00:00:00Z", "no longer sorted"), ("2026-11-20T00:00:00Z", "removed"))
        )
    )
    assert [(case.session, case.text, case.since) for case in found] == [
        (session, "no longer sorted, removed", "2026-11-20T00:00:00Z") for session in (SESSION, SECOND)
    ]


WORDS = ("sorted", "no longer sorted", "edited", "removed", "new", "s3 facts gone", "s3 first seen")


@given(st.lists(st.tuples(st.sampled_from((SESSION, SECOND)), st.sampled_from(WORDS)), max_size=12))
def test_the_last_word_counts(events: list[tuple[str, str]]) -> None:
    found = losses(
        *(
            happened(f"2026-11-20T00:00:{second:02d}Z", word, session=session)
            for second, (session, word) in enumerate(events)
        )
    )
    for session in (SESSION, SECOND):
        words = [word for of, word in events if of == session]
        reported = {word for case in found if case.session == session for word in case.text.split(", ")}
        last = next((word for word in reversed(words) if word in ("sorted", "no longer sorted", "new")), "")
        assert ("no longer sorted" in reported) == (last == "no longer sorted")
        last = next((word for word in reversed(words) if word in ("removed", "new")), "")
        assert ("removed" in reported) == (last == "removed")

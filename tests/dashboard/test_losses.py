"""What disappeared and did not come back."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.dashboard.attention import Loss, Past
from tests.builders import SECOND, SESSION
from tests.dashboard.made import ABSENT, happened

NOW = datetime.datetime(2026, 11, 23, 12, tzinfo=datetime.timezone.utc)


def losses(*events: tuple[str, ...]) -> list[Loss]:
    """After events of one session, each a date and words."""
    past = Past(NOW)
    for when, *what in events:
        past.add(happened(f"{when}T00:00:00Z", *what))
    return past.losses()


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
    assert [loss.what for loss in losses(*events)] == ([] if missing is None else [missing])


def test_the_last_loss_comes_first_with_its_commit_and_editors() -> None:
    past = Past(NOW)
    past.add(happened("2026-11-19T00:00:00Z", "removed", session=SECOND, editors=("Ana", "Ben", "Ana")))
    past.add(happened("2026-11-20T00:00:00Z", "no longer sorted"))
    first, second = past.losses()
    assert (first.session, first.commit.when, first.editors) == (SESSION, "2026-11-20T00:00:00Z", ())
    assert (second.session, second.editors) == (SECOND, ("Ana", "Ben"))


def test_only_a_no_that_became_a_yes_has_a_date() -> None:
    """When the history begins, or a source is asked for the first time, all may be much older."""
    past = Past(NOW)
    past.add(happened("2026-11-01T00:00:00Z", "already present at first sync", is_video=(ABSENT, True)))
    past.add(happened("2026-11-02T00:00:00Z", "sorted", is_sorted=(False, True), is_annotated=(None, True)))
    past.add(happened("2026-11-03T00:00:00Z", "no longer sorted", is_sorted=(True, False)))
    past.add(happened("2026-11-04T00:00:00Z", "sorted", is_sorted=(False, True)))
    assert past.first_seen == {SESSION: {"is_sorted": datetime.datetime(2026, 11, 2, tzinfo=datetime.timezone.utc)}}


def test_commits_of_the_future_give_no_dates_and_their_losses_are_reported() -> None:
    past = Past(NOW)
    past.add(happened("2099-01-01T00:00:00Z", "sorted", is_sorted=(False, True)))
    assert past.first_seen == {}
    past.add(happened("2099-01-01T00:00:00Z", "no longer sorted", is_sorted=(True, False)))
    assert [loss.what for loss in past.losses()] == [("no longer sorted",)]


def test_a_no_that_became_unknown_has_no_date() -> None:
    past = Past(NOW)
    past.add(happened("2026-11-02T00:00:00Z", "edited", is_sorted=(False, None), is_video=(False, ABSENT)))
    assert past.first_seen == {}


def test_losses_have_the_commit_of_the_last_and_the_order_of_ids() -> None:
    past = Past(NOW)
    for session in (SECOND, SESSION):
        past.add(happened("2026-11-19T00:00:00Z", "no longer sorted", session=session))
        past.add(happened("2026-11-20T00:00:00Z", "no longer annotated", session=session))
    assert [(loss.session, loss.what, loss.commit.when) for loss in past.losses()] == [
        (session, ("no longer sorted", "no longer annotated"), "2026-11-20T00:00:00Z") for session in (SESSION, SECOND)
    ]


WORDS = ("sorted", "no longer sorted", "edited", "removed", "new", "s3 facts gone", "s3 first seen")


@given(st.lists(st.tuples(st.sampled_from((SESSION, SECOND)), st.sampled_from(WORDS)), max_size=12))
def test_the_last_word_counts(events: list[tuple[str, str]]) -> None:
    past = Past(NOW)
    for second, (session, word) in enumerate(events):
        past.add(happened(f"2026-11-20T00:00:{second:02d}Z", word, session=session))
    for session in (SESSION, SECOND):
        words = [word for of, word in events if of == session]
        told = {what for loss in past.losses() if loss.session == session for what in loss.what}
        last = next((word for word in reversed(words) if word in ("sorted", "no longer sorted", "new")), "")
        assert ("no longer sorted" in told) == (last == "no longer sorted")
        last = next((word for word in reversed(words) if word in ("removed", "new")), "")
        assert ("removed" in told) == (last == "removed")

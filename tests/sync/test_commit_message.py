"""The message of a sync's commit: for people to scan, and for git to read its trailers."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.state.diff import SessionChange
from npc_lims.sync.publish import commit_message, commit_subject
from tests.builders import session_ids

NEW = SessionChange("728916_2024-06-25", ("new", "sorted"))
SORTED = [SessionChange(f"726088_2024-06-{day}", ("sorted",), ("sorted asset added: a",)) for day in (24, 25)]


def body_of(changes: list[SessionChange]) -> str:
    """The lists of sessions in the message."""
    return commit_message(changes, {}).partition("\n\n")[2].rstrip("\n")


words = st.sampled_from(["new", "removed", "sorted", "no longer sorted", "with surface channels sorted", "edited"])
changes = st.lists(
    st.builds(
        SessionChange,
        st.sampled_from(session_ids(200)),
        st.lists(words, min_size=1, max_size=5, unique=True).map(tuple),
        st.lists(st.text(st.characters(codec="utf-8", categories=("L", "P", "S", "Zs"))), max_size=9).map(tuple),
    ),
    max_size=60,
    unique_by=lambda change: change.id,
)


def trailers_in(message: str) -> list[str]:
    """What git itself finds."""
    command = ["git", "interpret-trailers", "--parse"]
    return subprocess.run(command, input=message.encode(), capture_output=True, check=True).stdout.decode().splitlines()


def test_a_message_as_people_see_it() -> None:
    assert commit_message([NEW, *SORTED], {"Sync-Run": "42", "Source": "s3 codeocean"}) == (
        "state: 3 sorted, 1 new (726088, 728916)\n"
        "\n"
        "1 new:\n"
        "- 728916_2024-06-25: new, sorted\n"
        "\n"
        "2 sorted:\n"
        "- 726088_2024-06-24: sorted; sorted asset added: a\n"
        "- 726088_2024-06-25: sorted; sorted asset added: a\n"
        "\n"
        "Sync-Run: 42\n"
        "Source: s3 codeocean\n"
    )


def test_a_commit_of_no_session() -> None:
    assert commit_message([], {}) == "state: no session changed\n"
    assert trailers_in(commit_message([], {"Sync-Run": "1"})) == ["Sync-Run: 1"]


def test_many_subjects_are_counted() -> None:
    many = [SessionChange(session_id, ("sorted",)) for session_id in session_ids(5000)]
    assert commit_subject(many) == "state: 5,000 sorted (500 subjects)"
    body = body_of(many).splitlines()
    assert len(body) == 22
    assert body[0] == "5,000 sorted:"
    assert body[-1] == "- ... and 4,980 more"


def test_what_does_not_fit_the_subject_is_the_least_important() -> None:
    what = ("with session metadata", "with rig metadata", "with video", "uploaded", "no longer sorted", "imaged")
    subject = commit_subject([SessionChange("726088_2024-06-24", what)])
    assert "1 no longer sorted" in subject
    assert "1 uploaded" in subject
    assert "session metadata" not in subject
    assert " ... (726088)" in subject


def test_many_fields_of_one_session_are_cut() -> None:
    change = SessionChange("726088_2024-06-24", ("edited",), tuple(f"field {n}" for n in range(100)))
    (_, line) = body_of([change]).splitlines()
    assert line.endswith("field 5; and 94 more")


@pytest.mark.parametrize(
    ("note", "escaped"),
    [
        ("notes (none) -> thanks @somebody", "@ somebody"),
        ("notes (none) -> fixes #12", "'fixes' #12"),
        ("notes (none) -> Closes: org/repo#3", "'Closes': org/repo#3"),
        ("notes (none) -> write to a@b.org", "a@b.org"),
    ],
)
def test_notes_notify_nobody_and_close_nothing(note: str, escaped: str) -> None:
    assert body_of([SessionChange("726088_2024-06-24", ("edited",), (note,))]).endswith(escaped)


def test_a_value_stays_in_its_line() -> None:
    message = commit_message([NEW], {"Why": "a\nSigned-off-by: somebody\x1b[2J\n"})
    assert trailers_in(message) == [r"Why: a Signed-off-by: somebody\x1b[2J"]


@given(changes)
def test_subjects_are_one_line_of_72(found: list[SessionChange]) -> None:
    subject = commit_subject(found)
    assert subject.startswith("state: ")
    assert "\n" not in subject
    assert len(subject) <= 72


@given(changes)
def test_bodies_name_each_session_or_count_it(found: list[SessionChange]) -> None:
    lines = body_of(found).splitlines()
    named = [line for line in lines if line.startswith("- ") and not line.startswith("- ... and ")]
    more = sum(int(line.split()[3]) for line in lines if line.startswith("- ... and "))
    assert len(named) + more == len(found)


def test_git_reads_the_trailers_whatever_the_body_says() -> None:
    nasty = ("Sync-Run: 7", "--- a", "---", "scissors # ------------------------ >8 ------------------------")
    message = commit_message(
        [SessionChange("726088_2024-06-24", ("edited",), nasty)], {"Sync-Run": "1", "Sources": "s3"}
    )
    assert trailers_in(message) == ["Sync-Run: 1", "Sources: s3"]


def test_a_sync_without_changes_names_what_failed() -> None:
    assert commit_subject([]) == "state: no session changed"
    assert commit_subject([], ["codeocean", "s3"]) == "state: no session changed; failed: codeocean, s3"

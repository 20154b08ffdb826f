"""What happened since some day: as a digest, and as a feed."""

from __future__ import annotations

import dataclasses
import html
import re
import uuid
import warnings
import xml.etree.ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from npc_lims.clients.git import Repository
from npc_lims.history.atom_feed import ALL_SESSIONS, RecentCommits, project_feed, render_feed, subject_feed
from npc_lims.history.transitions import Digest, Transition
from npc_lims.history.walk import read_history
from npc_lims.state.diff import SessionChange
from npc_lims.state.diff_format import Format, render_chapters
from npc_lims.state.revision import Commit
from tests.history.lives import NOTE, ONE, RUN, THREE, TWO

ATOM = "{http://www.w3.org/2005/Atom}"
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@pytest.fixture(scope="module")
def transitions(lives: Repository) -> list[Transition]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(read_history(lives))


def test_a_digest_has_all_changes_of_each_session(transitions: list[Transition]) -> None:
    changes = {change.id: change for change in Digest("7d", tuple(transitions)).changes}
    assert changes[ONE].what == ("edited", "sorted", "re-processed")
    assert changes[THREE].what == ("new", "edited")
    assert changes[TWO].what == ("removed", "new"), "lost, and found again"
    fields = {field.field: (field.before, field.after) for field in changes[ONE].fields}
    assert fields["tracked.notes"][1] == NOTE
    assert fields["status.is_sorted"] == (None, True)


def test_a_digest_as_text(transitions: list[Transition]) -> None:
    text = render_chapters([Digest("2024-01-01", tuple(transitions)).chapter()])
    assert text.startswith("state since 2024-01-01: 3 sessions changed: ")
    assert "  6 commits, 2024-01-02 to 2024-06-02\n" in text
    assert "  2 sessions recorded on 2024-01-02, when history begins\n" in text
    assert "  tracked_sessions.yaml edited by Bob Jones, Cleo\n" in text
    assert f"    {ONE}  edited, sorted, re-processed; notes (none) -> {NOTE}" in text
    text = render_chapters([Digest("2024-06-02", tuple(transitions[-1:])).chapter()])
    assert "  1 commit, 2024-06-02\n" in text


def test_a_digest_as_markdown(transitions: list[Transition]) -> None:
    text = render_chapters([Digest("7d", tuple(transitions), "2024-01-01").chapter()], Format.markdown)
    assert "<script>" not in text
    assert "a shallow clone, whose history begins 2024-01-01" in text


def test_a_digest_as_json(transitions: list[Transition]) -> None:
    told = Digest("7d", tuple(transitions)).as_dict(lambda sha: f"https://example.org/{sha}")
    assert [one["session"] for one in told["transitions"]] == [one.session for one in reversed(transitions)]
    assert {one["commit"] for one in told["transitions"]} == {commit["sha"] for commit in told["commits"]}
    assert told["commits"][0]["address"].startswith("https://example.org/")
    ids = [one["id"] for one in told["changes"]]
    assert ids == sorted({ONE, TWO, THREE})
    assert Digest("7d", tuple(reversed(transitions))).as_dict()["headline"] == told["headline"]
    assert [change.id for change in Digest("7d", tuple(reversed(transitions))).changes] == ids


def test_nothing_happened() -> None:
    assert render_chapters([Digest("7d", ()).chapter()]) == "state since 7d: no session changed\n\n"
    assert Digest("7d", ()).as_dict()["headline"] == "nothing changed"


# --- the feed


def parsed(content: bytes) -> ET.Element:
    """The feed, which must have what RFC 4287 asks for."""
    feed = ET.fromstring(content)
    assert feed.tag == f"{ATOM}feed"
    ids = [feed.findtext(f"{ATOM}id")]
    for element in (feed, *feed.iter(f"{ATOM}entry")):
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1, name
        assert _RFC3339.fullmatch(element.findtext(f"{ATOM}updated") or "")
        assert element.findtext(f"{ATOM}author/{ATOM}name")
    for entry in feed.iter(f"{ATOM}entry"):
        ids.append(entry.findtext(f"{ATOM}id"))
        assert entry.find(f"{ATOM}content") is not None
    assert len(set(ids)) == len(ids)
    assert all(uuid.UUID(id_) for id_ in ids)
    return feed


def test_an_entry_for_each_commit_the_newest_first(transitions: list[Transition]) -> None:
    feed = parsed(render_feed(transitions, "lab/state", address_of=lambda sha: f"https://example.org/{sha}"))
    entries = feed.findall(f"{ATOM}entry")
    assert [entry.findtext(f"{ATOM}title") for entry in entries] == [
        "1 new",
        "1 removed",
        "1 re-processed, 1 edited",
        "1 new, 1 sorted",
        "1 edited",
        "2 already present at first sync",
    ]
    assert feed.findtext(f"{ATOM}updated") == "2024-06-02T09:00:00Z"
    assert feed.find(f"{ATOM}link") is None, "nobody knows where it is"
    links = {link.get("rel"): link.get("href") for link in entries[4].iter(f"{ATOM}link")}
    assert links == {"alternate": f"https://example.org/{transitions[2].commit.sha}", "related": RUN}


def test_a_feed_beside_the_site(transitions: list[Transition]) -> None:
    feed = parsed(render_feed(transitions, "lab/state", base="https://lab.github.io/state/"))
    links = {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")}
    assert links == {"self": "https://lab.github.io/state/feed.atom", "alternate": "https://lab.github.io/state/"}
    assert f'<a href="https://lab.github.io/state/session.html?id={ONE}">{ONE}</a>' in contents(feed)[2]


def contents(feed: ET.Element) -> list[str]:
    return [content.text or "" for content in feed.iter(f"{ATOM}content")]


def test_what_people_typed_is_text(transitions: list[Transition]) -> None:
    told = contents(parsed(render_feed(transitions, "lab/state")))[4]
    assert "<script>" not in told
    assert html.escape(NOTE, quote=False) in told


def test_ids_stay_the_same_wherever_the_site_is(transitions: list[Transition]) -> None:
    one, other = (
        parsed(render_feed(transitions[:count], "lab/state", base=base))
        for count, base in ((4, None), (9, "https://example.org"))
    )
    ids = [entry.text for entry in one.iter(f"{ATOM}id")]
    assert set(ids) <= {entry.text for entry in other.iter(f"{ATOM}id")}


def test_only_the_last_commits(transitions: list[Transition]) -> None:
    last = dataclasses.replace(ALL_SESSIONS, entries=2)
    assert len(parsed(render_feed(iter(transitions), "lab/state", feed=last)).findall(f"{ATOM}entry")) == 2
    assert parsed(render_feed([], None)).findtext(f"{ATOM}updated") == "1970-01-01T00:00:00Z"


def test_each_project_and_subject_has_a_feed(transitions: list[Transition]) -> None:
    recent = RecentCommits()
    for transition in transitions:
        recent.add(transition)
    feeds = {feed.name: list(found) for feed, found in recent.items()}
    assert set(feeds) == {"", "Project DynamicRouting", "Subject 626791", "Subject 668755"}
    assert feeds[""] == transitions
    assert feeds["Subject 626791"] == [one for one in transitions if one.session in (ONE, TWO)]
    assert {one.change.group for one in feeds["Project DynamicRouting"]} >= {"removed", "new"}, "as it was last"
    subject = subject_feed("626791")
    rendered = parsed(render_feed(feeds[subject.name], "lab/state", feed=subject, base="https://example.org/x/"))
    assert rendered.findtext(f"{ATOM}title") == "Subject 626791: Sessions of lab/state"
    assert {link.get("rel"): link.get("href") for link in rendered.findall(f"{ATOM}link")} == {
        "self": "https://example.org/x/feeds/subject-626791.atom",
        "alternate": "https://example.org/x/subject.html?id=626791",
    }
    all_feeds = (ALL_SESSIONS, subject, project_feed("DynamicRouting"))
    rendered_feeds = [parsed(render_feed(transitions, "lab/state", feed=feed)) for feed in all_feeds]
    ids = [{entry.text for entry in one.iter(f"{ATOM}id")} for one in rendered_feeds]
    assert len(set.union(*ids)) == sum(map(len, ids)), "their entries differ, and so do the ids"


@given(st.lists(st.text(), min_size=2, max_size=8, unique=True))
@example(["", "e3b0c442", "x-e3b0c442", "a", "A", "a ", "\u0430", "con", "..", "/", "\ud800", "x" * 300])
def test_the_feed_of_a_project_has_a_path_of_its_own(projects: list[str]) -> None:
    paths = [project_feed(project).path for project in projects]
    digest = project_feed("Open Scope").path[len("feeds/project-") : -len(".atom")]
    assert len({path.lower() for path in [*paths, project_feed("Open Scope").path, project_feed(digest).path]}) == (
        len(projects) + 2
    )
    assert all(re.fullmatch(r"feeds/project-[a-z0-9-]{1,60}\.atom", path) for path in paths)


def test_many_sessions_of_a_commit_are_counted(transitions: list[Transition]) -> None:
    many = [dataclasses.replace(transitions[3], session=f"{n}") for n in range(80)]
    assert "<li>and 30 more sessions</li>" in contents(parsed(render_feed(many, None)))[0]


@given(st.text(), st.text(st.characters(blacklist_categories=("Cs",))))
def test_any_text_is_xml(text: str, name: str) -> None:
    commit = Commit("a" * 40, "2024-01-01T00:00:00Z", text, text, "https://example.org/&<\x08")
    change = SessionChange(ONE, ("sorted",), (text, "\x00\ufffe\ud800"))
    feed = parsed(render_feed([Transition(ONE, commit, change)], name, base="https://example.org/&"))
    assert "\x00" not in contents(feed)[0]

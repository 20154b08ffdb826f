"""`read_history`: real repositories, with what people and machines leave in them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc_lims.clients.git import Repository
from npc_lims.errors import GitError, HistoryWarning, NpcLimsError
from npc_lims.history.transitions import RECORDED, Transition
from npc_lims.history.walk import read_history
from npc_lims.model.record import Record
from npc_lims.state.diff import ABSENT
from tests import builders
from tests.history.lives import NOTE, ONE, RUN, THREE, TWO, one, two
from tests.history.past import Step, run_git, state_files, write_history
from tests.strategies import recorded


def read(repository: Repository, **how: Any) -> list[Transition]:
    """The history, and its warnings left alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HistoryWarning)
        return list(read_history(repository, **how))


def told(transitions: list[Transition]) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(one.commit.subject, one.session, one.change.what) for one in transitions]


def test_what_each_commit_did_to_each_session(lives: Repository) -> None:
    assert told(read(lives)) == [
        ("state: begin", ONE, (RECORDED,)),
        ("state: begin", TWO, (RECORDED,)),
        ("state: edited", ONE, ("edited",)),
        ("state: sorted", ONE, ("sorted",)),
        ("state: sorted", THREE, ("new",)),
        ("state: again", ONE, ("re-processed",)),
        ("state: again", THREE, ("edited",)),
        ("state: removed", TWO, ("removed",)),
        ("state: back", TWO, ("new",)),
    ]


def test_what_is_there_when_history_begins_is_not_new(lives: Repository) -> None:
    first, second, *others = read(lives)
    assert first.is_first
    assert second.is_first
    assert not any(one.is_first for one in others)
    assert second.change.details == ("in tracked_sessions.yaml",), "is_uploaded needs S3, which nobody asked"
    assert dict(second.created) == {"raw": "2022-08-15T13:07:32Z"}


def test_what_comes_after_all_sessions_went_is_new(tmp_path: Path) -> None:
    steps = [
        Step("begin", "2024-01-01T00:00:00", state_files(one)),
        Step("all went", "2024-01-02T00:00:00", {"x": b"x"}, ["begin"]),
        Step("another", "2024-01-03T00:00:00", state_files(two), ["all went"]),
    ]
    write_history(tmp_path / "r", steps)
    everything = read(Repository(tmp_path / "r"))
    assert [one.change.what for one in everything] == [(RECORDED,), ("removed",), ("new",)]
    assert read(Repository(tmp_path / "r"), session=TWO) == everything[-1:]


def test_commits_have_their_run(lives: Repository) -> None:
    found = next(one for one in read(lives) if one.commit.subject == "state: edited")
    assert found.commit.when == "2024-01-05T09:00:00Z"
    assert (found.commit.author, found.commit.run) == ("Sync", RUN)
    assert lives.line("log", "-1", "--format=%s", found.commit.sha) == "state: edited"
    assert found.change.details == (f"notes (none) -> {NOTE}",)


def test_who_edited_the_entry(lives: Repository) -> None:
    editors = {
        (one.commit.subject, one.session): [editor.author for editor in one.editors]
        for one in read(lives)
        if one.editors
    }
    assert editors == {
        ("state: begin", ONE): ["Ann Smith"],
        ("state: begin", TWO): ["Ann Smith"],
        ("state: edited", ONE): ["Bob Jones"],
        ("state: again", THREE): ["Cleo"],
    }, "a merge is not who edited; layout and comments are no edit"


def test_editors_are_those_of_each_session_of_the_day(tmp_path: Path) -> None:
    ids = [ONE, f"{ONE}_1"]
    listed = {"tracked_sessions.yaml": b"ephys:\n  A:\n  - DRpilot_626791_20220815\n  - DRpilot_626791_20220815_1\n"}
    recorded = {**listed, **state_files(*map(builders.record, ids))}
    listing = Step("listed", "2024-01-01T00:00:00", listed, author="Ann")
    write_history(tmp_path / "r", [listing, Step("state: both", "2024-01-02T00:00:00", recorded, ["listed"])])
    everything = read(Repository(tmp_path / "r"))
    assert [(one.session, [editor.author for editor in one.editors]) for one in everything] == [
        (session, ["Ann"]) for session in ids
    ]
    for session in ids:
        assert read(Repository(tmp_path / "r"), session=session) == [
            one for one in everything if one.session == session
        ]


def test_damaged_versions_are_passed_over(lives: Repository) -> None:
    with pytest.warns(HistoryWarning) as caught:
        found = list(read_history(lives))
    messages = sorted(str(warning.message) for warning in caught)
    assert len(messages) == 2
    for message, session in zip(messages, (ONE, THREE)):
        assert " is skipped: state/sessions/" in message
        assert f"{session}.yaml: not readable as YAML" in message
        assert "restore it" not in message
    again = next(one for one in found if one.session == ONE and one.commit.subject == "state: again")
    (field,) = again.change.fields
    assert field.field == "codeocean.sorted"
    assert (field.before["name"], field.after["name"]) == ("x_sorted", "x_sorted_again")
    assert dict(again.created) == {"sorted": "2024-05-01T10:00:00Z"}


def test_many_damaged_versions_are_counted(tmp_path: Path) -> None:
    ids = builders.session_ids(12)
    broken = {f"state/sessions/{name[:6]}/{name}.yaml": b"id: [" for name in ids}
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", broken)])
    with pytest.warns(HistoryWarning) as caught:
        assert list(read_history(Repository(tmp_path / "r"))) == []
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 11
    assert messages[-1] == "12 damaged versions of session files are skipped"


@pytest.mark.parametrize("session", [ONE, TWO, THREE])
def test_one_session_has_the_same_history_by_itself(lives: Repository, session: str) -> None:
    assert read(lives, session=session) == [one for one in read(lives) if one.session == session]
    assert read(lives, session=f"DRpilot_{session.replace('-', '')}") == read(lives, session=session)


@pytest.mark.parametrize(
    ("since", "first"),
    [
        ("2024-01-01", "state: begin"),
        ("2024-01-02T09:00:00Z", "state: begin"),
        ("2024-01-02T09:00:01", "state: edited"),
        ("2024-01-05", "state: edited"),
        ("2024-03-01", "state: again"),
        ("v1", "state: back"),
        ("HEAD~1", "state: back"),
        ("HEAD", None),
        ("2024-06-03", None),
        ("24h", None),
        ("9999w", "state: begin"),
    ],
)
def test_since(lives: Repository, since: str, first: str | None) -> None:
    everything = read(lives)
    found = read(lives, since=since)
    assert found == everything[len(everything) - len(found) :]
    assert (found[0].commit.subject if found else None) == first


def test_since_a_commit_that_was_merged_includes_the_merge(tmp_path: Path) -> None:
    begin = state_files(one)
    both = state_files(one, two)
    steps = [
        Step("begin", "2024-01-01T00:00:00", begin),
        Step("side", "2024-01-02T00:00:00", both, ["begin"], "side"),
        Step("merge", "2024-01-03T00:00:00", both, ["begin", "side"]),
        Step("removed", "2024-01-04T00:00:00", begin, ["merge"]),
    ]
    commits = write_history(tmp_path / "r", steps)
    found = read(Repository(tmp_path / "r"), since=commits["side"])
    assert told(found) == [("merge", TWO, ("new",)), ("removed", TWO, ("removed",))]
    assert read(Repository(tmp_path / "r"), since=commits["merge"]) == found[1:]


@pytest.mark.parametrize("since", ["2024-13-01", "yesterday", "7x", "", "-7d", "^HEAD", "--all"])
def test_since_what(lives: Repository, since: str) -> None:
    with pytest.raises(NpcLimsError, match=r"--since"):
        read_history(lives, since=since)


def test_no_such_ref(lives: Repository) -> None:
    with pytest.raises(GitError, match="nowhere: no such commit"):
        read_history(lives, ref="nowhere")


def test_an_earlier_ref(lives: Repository) -> None:
    everything = read(lives)
    assert read(lives, ref="HEAD~2") == everything[:-2]


def test_progress_counts_commits(lives: Repository) -> None:
    seen: list[tuple[int, int]] = []
    read(lives, progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (11, 11)


def test_a_reader_may_stop_early(lives: Repository) -> None:
    found = read_history(lives)
    assert next(found).session == ONE
    found.close()  # type: ignore[attr-defined]


def test_a_shallow_clone_begins_later_and_nobody_is_blamed(lives: Repository, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=3", lives.root.as_uri(), "shallow")
    found = read(Repository(tmp_path / "shallow"))
    assert told(found) == [
        ("state: again", ONE, (RECORDED,)),
        ("state: again", TWO, (RECORDED,)),
        ("state: again", THREE, (RECORDED,)),
        ("state: removed", TWO, ("removed",)),
        ("state: back", TWO, ("new",)),
    ]
    assert not any(one.editors for one in found)
    assert "already sorted" in found[0].change.details


def test_an_empty_repository_has_no_history(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet")
    assert read(Repository(tmp_path)) == []


def test_a_repository_without_state_has_none(tmp_path: Path) -> None:
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", {"README.md": b"x"})])
    assert read(Repository(tmp_path / "r")) == []


def test_state_may_be_anywhere_in_the_repository(tmp_path: Path) -> None:
    text = b"ephys:\n  A:\n  - x_626791_20220815\n"
    inner = {"lab/[x]/tracked_sessions.yaml": text, **state_files(one, folder="lab/[x]/state"), **state_files(two)}
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", inner, author="Ann")])
    (found,) = read(Repository(tmp_path / "r"), folder="lab/[x]/state")
    assert read(Repository(tmp_path / "r"), folder="lab/[x]/state", since="HEAD") == []
    assert (found.session, [editor.author for editor in found.editors]) == (ONE, ["Ann"])
    write_history(tmp_path / "s", [Step("a", "2024-01-01T00:00:00", state_files(one, folder="x"))])
    run_git(tmp_path / "s", "reset", "--quiet", "--hard")
    inside = {
        path.relative_to(tmp_path / "s" / "x").as_posix(): path.read_bytes()
        for path in (tmp_path / "s" / "x").rglob("*.*")
    }
    write_history(tmp_path / "t", [Step("a", "2024-01-01T00:00:00", inside)])
    assert [one.session for one in read(Repository(tmp_path / "t"), folder=".")] == [ONE]


def test_files_that_are_none_of_sessions_are_ignored(tmp_path: Path) -> None:
    others = {
        "state/sessions/626791/notes.txt": b"x",
        f"state/sessions/626792/{ONE}.yaml": b"x",
        "state/sessions/626791/626791_2022-08-15_0.yaml": b"x",
        "state/sessions/.tmp-1": b"x",
        "state/runs/a.yaml": b"x",
    }
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", {**others, **state_files(one)})])
    assert [one.session for one in read(Repository(tmp_path / "r"))] == [ONE]


def test_another_schema_is_reported_as_such(tmp_path: Path) -> None:
    first = state_files(one)
    second = {path: content.replace(b"schema: 1", b"schema: 2") for path, content in first.items()}
    by_hand = {path: content.replace(b"schema: 2", b"# new\nschema: 3") for path, content in second.items()}
    steps = [
        Step(str(n), f"2024-01-0{n}T00:00:00", all_, [str(n - 1)] if n > 1 else [])
        for n, all_ in enumerate((first, second, by_hand), 1)
    ]
    write_history(tmp_path / "r", steps)
    assert [one.change.what for one in read(Repository(tmp_path / "r"))] == [
        (RECORDED,),
        ("schema 1 -> 2",),
        ("schema 2 -> 3",),
    ]


def test_another_layout_is_no_change(tmp_path: Path) -> None:
    path = f"state/sessions/626791/{ONE}.yaml"
    first = state_files(one)
    by_hand = {**first, path: first[path].replace(b"\ntracked:", b"\n# by hand\ntracked:").replace(b"\n", b"\r\n")}
    edited = {**first, path: by_hand[path].replace(b"experiment_day: 1", b"experiment_day:  2")}
    steps = [
        Step("1", "2024-01-01T00:00:00", first),
        Step("2", "2024-01-02T00:00:00", by_hand, ["1"]),
        Step("3", "2024-01-03T00:00:00", edited, ["2"]),
    ]
    write_history(tmp_path / "r", steps)
    assert [(one.commit.subject, one.change.what) for one in read(Repository(tmp_path / "r"))] == [
        ("1", (RECORDED,)),
        ("3", ("edited",)),
    ]


def test_authors_and_subjects_may_hold_anything(tmp_path: Path) -> None:
    steps = [
        Step(
            "a\x1b[2Jb \u202e c",
            "2024-01-01T00:00:00",
            state_files(one),
            author="A \x07 B",
            trailer="Npc-Lims-Run: javascript:alert(1)",
        )
    ]
    write_history(tmp_path / "r", steps)
    (found,) = read(Repository(tmp_path / "r"))
    assert found.commit.subject == "a\\x1b[2Jb \\u202e c"
    assert found.commit.author == "A \\x07 B"
    assert found.commit.run is None


def test_a_date_that_no_calendar_has(tmp_path: Path) -> None:
    write_history(tmp_path / "r", [Step("a", "2024-01-01T00:00:00", state_files(one))])
    commit = run_git(tmp_path / "r", "cat-file", "commit", "HEAD")
    begin, _, rest = commit.partition("committer Sync <sync@example.org> ")
    late = f"{begin}committer Sync <sync@example.org> {10**14}{rest[rest.index(' ') :]}\n"
    sha = run_git(tmp_path / "r", "hash-object", "-t", "commit", "-w", "--literally", "--stdin", stdin=late.encode())
    (found,) = read(Repository(tmp_path / "r"), ref=sha)
    assert found.commit.when == "9999-12-31T23:59:59Z"


# --- random histories


def fold(state: dict[str, Any], transitions: list[Transition], firsts: Mapping[str, list[dict[str, Any]]]) -> None:
    """Apply what happened to *state*; *firsts* are the facts of sessions when they became new, in that order."""
    for transition in transitions:
        if transition.change.what[0] in ("new", RECORDED):
            state[transition.session] = firsts[transition.session].pop(0)
        elif transition.change.what == ("removed",):
            del state[transition.session]
        for field in transition.change.fields:
            *parents, name = field.field.split(".")
            place = state[transition.session]
            for parent in parents:
                place[parent] = place.get(parent) or {}
                place = place[parent]
            if field.after is ABSENT:
                place.pop(name, None)
            else:
                # one value may be that of several sessions, and only one of them changes later
                place[name] = copy.deepcopy(field.after)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("random")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=8)
@given(days=st.lists(recorded(), min_size=1, max_size=4))
def test_folding_transitions_gives_the_final_state(workplace: Path, days: list[dict[str, Record]]) -> None:
    path = workplace / str(len(list(workplace.iterdir())))
    steps = [
        Step(str(n), f"2024-01-0{n + 1}T00:00:00", {"x": b"x", **state_files(*day.values())}, [str(n - 1)] if n else [])
        for n, day in enumerate(days)
    ]
    write_history(path, steps)
    firsts: dict[str, list[dict[str, Any]]] = {}
    for before, after in zip([{}, *days], days):
        for session in after.keys() - before.keys():
            firsts.setdefault(session, []).append(after[session].as_dict())
    state: dict[str, Any] = {}
    fold(state, read(Repository(path)), firsts)
    # a mapping of which nothing is left is not told from one that is not there
    found = {session: Record.model_validate(facts) for session, facts in state.items()}
    assert found == days[-1]


@pytest.mark.parametrize("name", ["GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"])
def test_nor_does_how_others_write_paths(lives: Repository, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    assert [one.session for one in read(lives, session=ONE)] == [ONE] * 4


def test_settings_of_the_user_have_no_effect(lives: Repository, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", str(lives.root), "clone")
    said = {
        "log.showSignature": "true",
        "log.follow": "true",
        "log.showRoot": "false",
        "log.decorate": "full",
        "log.diffMerges": "off",
        "diff.relative": "true",
        "diff.renames": "copies",
        "color.ui": "always",
        "core.abbrev": "4",
        "core.quotePath": "true",
        "i18n.logOutputEncoding": "ISO-8859-1",
        "format.pretty": "oneline",
    }
    for name, value in said.items():
        run_git(tmp_path / "clone", "config", name, value)
    clone = Repository(tmp_path / "clone")
    assert read(clone) == read(lives)
    assert read(clone, session=ONE) == read(lives, session=ONE)

"""`npc-lims diff` and `npc-lims preview`, in real repositories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from npc_lims.demo.files import write_world
from npc_lims.state.store import read_state, session_path, write_state
from tests.builders import many_records
from tests.integration.world import ADDED, SORTED, UPLOADED, GitHub, commit_all, run_cli, run_git

TRACKED = "tracked_sessions.yaml"


@pytest.fixture
def clone(demo_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of two days of the demo, as the working directory."""
    run_git(tmp_path, "clone", "--quiet", str(demo_repository), "clone")
    monkeypatch.chdir(tmp_path / "clone")
    return tmp_path / "clone"


def edit_tracked(folder: Path, old: str, new: str) -> None:
    path = folder / TRACKED
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


# --- diff


def test_two_commits_are_compared_by_what_happened(clone: Path) -> None:
    done = run_cli("diff", "HEAD~1", "HEAD")
    assert done.code == 0, done
    lines = done.out.splitlines()
    assert lines[0].startswith("tracked_sessions.yaml, HEAD~1 (")
    assert lines[0].endswith(": +1 session")
    headings = [line.strip() for line in lines if line.startswith("  ") and not line.startswith("   ")]
    assert headings == ["1 new", "other files that differ: sync.yaml", "1 new", "1 uploaded", "1 sorted"]
    told = {line.split()[0]: line for line in lines if line.startswith("    ")}
    assert "uploaded, with session metadata" in told[UPLOADED]
    assert "sorted asset added: ecephys_" in told[SORTED]
    assert "new" in told[ADDED]


def test_a_version_may_be_named_by_a_date(clone: Path) -> None:
    sha, when = run_git(clone, "log", "-1", "--format=%H %cI").split()
    done = run_cli("diff", when)
    assert done.code == 0, done
    assert f"state, {when} ({sha[:10]}) -> working tree: no facts changed" in done.out
    done = run_cli("diff", "1999-12-31")
    assert done.code == 2, done
    assert "HEAD has no commit of 1999-12-31 or before" in done.err


def test_nothing_changed(clone: Path) -> None:
    done = run_cli("diff")
    assert done.code == 0, done
    assert "nothing changed" in done.out
    assert "no facts changed" in done.out


def test_without_refs_edits_on_disk_are_listed(clone: Path) -> None:
    edit_tracked(clone, "day: 3\n", "day: 7\n")
    done = run_cli("diff", "--what", "tracked")
    assert done.code == 0, done
    assert "working tree: 901001_2024-03-13: day 3 -> 7\n" in done.out
    assert "state" not in done.out.replace("working tree", "")


def test_only_state(clone: Path) -> None:
    (clone / TRACKED).write_text("ephys:\n")
    done = run_cli("diff", "HEAD~1", "--what", "state")
    assert "3 sessions changed" in done.out
    assert TRACKED not in done.out


def test_markdown(clone: Path) -> None:
    done = run_cli("diff", "HEAD~1", "HEAD", "--format", "markdown")
    assert done.code == 0, done
    assert "<code>+1 session</code>" in done.out
    assert f"| `{SORTED}` | sorted<br><code>sorted asset added: ecephys_" in done.out


def test_json(clone: Path) -> None:
    told = json.loads(run_cli("diff", "HEAD~1", "HEAD", "--format", "json").out)
    assert set(told) == {"state", "tracked"}
    assert {change["id"]: change["group"] for change in told["state"]["changes"]} == {
        UPLOADED: "uploaded",
        SORTED: "sorted",
        ADDED: "new",
    }
    assert told["tracked"]["summary"] == "+1 session"


def test_a_folder_within_a_repository(demo_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "outer" / "lab"
    write_world(home, 1)
    write_state(home / "state", read_state(home / "state"), many_records(2))
    commit_all(tmp_path / "outer")
    session_path(home / "state", next(iter(many_records(1)))).unlink()
    edit_tracked(home, "day: 3\n", "day: 7\n")
    (home / "mirror").mkdir(exist_ok=True)
    monkeypatch.chdir(home / "mirror")
    done = run_cli("diff")
    assert done.code == 0, done
    assert "1 session changed: 1 removed" in done.out
    assert "day 3 -> 7" in done.out


def test_lists_are_cut_and_limit_0_lists_all(clone: Path) -> None:
    write_state(clone / "state", read_state(clone / "state"), many_records(60))
    done = run_cli("diff", "--what", "state")
    assert "60 new" in done.out
    assert "... and 30 more (--limit 0 lists all)" in done.out
    assert "... and" not in run_cli("diff", "--what", "state", "--limit", "0").out
    assert "... and 58 more" in run_cli("diff", "--what", "state", "--limit", "2").out


def test_a_broken_tracked_file_is_compared_as_far_as_it_can_be(clone: Path) -> None:
    edit_tracked(clone, "day: 3\n", "dya: 3\n")
    done = run_cli("diff")
    assert done.code == 0, done
    assert "working tree: 1 error (see npc-lims validate)" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere: no such commit"),
        (["HEAD", "nowhere"], "nowhere: no such commit"),
        (["--format"], "requires an argument"),
        (["--format", "xml"], "xml"),
        (["--limit", "-1"], "--limit"),
        (["--what", "code"], "code"),
        (["--github"], "name one or two refs"),
        (["--", "--output=x"], "--output=x: no such commit"),
        ([""], "a ref without a name"),
        (["HEAD", ""], "a ref without a name"),
        (["", "--github"], "a ref without a name"),
    ],
)
def test_mistakes_are_one_message(clone: Path, arguments: list[str], words: str) -> None:
    done = run_cli("diff", *arguments)
    assert done.code == 2, done
    assert words in done.err
    assert "Traceback" not in done.err
    assert not (clone / "x").exists()


def test_damaged_state_is_one_message(clone: Path) -> None:
    session_path(clone / "state", SORTED).write_text("id: [")
    done = run_cli("diff")
    assert done.code == 2, done
    assert f"working tree: {session_path(clone / 'state', SORTED)}: not readable as YAML" in done.err


def test_outside_of_a_checkout_refs_are_those_on_github(github: GitHub, elsewhere: Path) -> None:
    done = run_cli("diff", "main", "main")
    assert done.code == 0, done
    assert "the refs are those on GitHub" in done.err
    assert "state, lab/state@main -> lab/state@main: no facts changed" in done.out
    done = run_cli("diff")
    assert done.code == 2, done
    assert "name one or two refs on GitHub" in done.err


def test_refs_on_github(github: GitHub, clone: Path, demo_repository: Path) -> None:
    github.raw.repo_dir = demo_repository
    first, second = run_git(demo_repository, "rev-list", "--reverse", "HEAD").split()
    done = run_cli("diff", first, second, "--github", "--what", "state")
    assert done.code == 0, done
    assert "3 sessions changed: 1 new, 1 uploaded, 1 sorted" in done.out
    assert len(github.proxy.requests) == 2
    assert run_cli("diff", first, "--github").out.count(f"lab/state@{first} -> lab/state@main: ") == 2


# --- preview


def test_an_edit_is_previewed(clone: Path) -> None:
    edit_tracked(clone, "day: 3\n", "day: 7\n")
    done = run_cli("preview")
    assert done.code == 0, done
    assert done.out.startswith("effect of tracked_sessions.yaml on state, compared with ")
    assert ": 1 will change\n" in done.out
    assert "901001_2024-03-13  edited; day 3 -> 7" in done.out


def test_the_default_base_is_where_the_branch_left_main(clone: Path) -> None:
    run_git(clone, "switch", "--quiet", "--create", "mine")
    edit_tracked(clone, "day: 3\n", "day: 7\n")
    commit_all(clone, "mine")
    done = run_cli("preview")
    assert "1 will change" in done.out, done
    run_git(clone, "remote", "remove", "origin")
    assert "no session changes" in run_cli("preview").out, "without a remote it is HEAD"
    assert "1 will change" in run_cli("preview", "main").out


def test_sessions_that_appear_and_go(clone: Path) -> None:
    lines = (clone / TRACKED).read_text().splitlines(keepends=True)
    first = next(number for number, line in enumerate(lines) if "DRpilot_901001_20240311" in line)
    lines[first : first + 2] = ["    - //allen/DRpilot_901009_20241201\n"]
    (clone / TRACKED).write_text("".join(lines))
    done = run_cli("preview", "HEAD", "--format", "json")
    assert done.code == 0, done
    told = json.loads(done.out)["preview"]
    assert [change["id"] for change in told["appear"]] == ["901009_2024-12-01"]
    left = [change["id"] for name in ("go", "stay", "may_go") for change in told[name]]
    assert left == ["901001_2024-03-11"]


def test_the_breaker_is_previewed(clone: Path) -> None:
    lines = (clone / TRACKED).read_text().splitlines(keepends=True)
    (clone / TRACKED).write_text("".join(lines[:6]))
    done = run_cli("preview", "--format", "markdown")
    assert done.code == 0, done
    assert "- The breaker would stop the next sync: refused" in done.out


def test_a_file_with_errors_is_exit_1(clone: Path) -> None:
    edit_tracked(clone, "day: 3\n", "dya: 3\n")
    done = run_cli("preview")
    assert done.code == 1, done
    assert "dya" in done.err
    assert "npc-lims validate" in done.err


def test_a_base_with_errors_is_compared_as_far_as_it_can_be(clone: Path) -> None:
    edit_tracked(clone, "day: 3\n", "dya: 3\n")
    commit_all(clone)
    edit_tracked(clone, "dya: 3\n", "day: 3\n")
    done = run_cli("preview", "HEAD")
    assert done.code == 0, done
    assert "has errors" in done.err
    assert "1 will " in done.out


def test_a_base_without_the_file(clone: Path) -> None:
    (clone / TRACKED).rename(clone / "kept")
    commit_all(clone)
    (clone / "kept").rename(clone / TRACKED)
    done = run_cli("preview", "HEAD")
    assert done.code == 0, done


@pytest.mark.parametrize("arguments", [["nowhere"], [""], ["--format", "xml"]])
def test_mistakes_of_preview(clone: Path, arguments: list[str]) -> None:
    done = run_cli("preview", *arguments)
    assert done.code == 2, done
    assert "Traceback" not in done.err


def test_preview_outside_of_a_checkout(elsewhere: Path) -> None:
    done = run_cli("preview")
    assert done.code == 2, done
    assert "not in a git checkout" in done.err

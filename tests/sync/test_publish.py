"""Commits and pushes that never lose: against real remotes, hooks and other publishers."""

from __future__ import annotations

import datetime
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from npc_lims.errors import GitError, NpcLimsError, StateError, SyncRefused
from npc_lims.model.record import CodeOcean, Observation, S3Facts
from npc_lims.state.store import read_state, session_path
from npc_lims.sync.observation_file import (
    EVERYTHING,
    ObservationSet,
    load_pending,
    remove_superseded,
    save_pending,
    write_observations,
)
from tests.builders import no_assets, training
from tests.integration.world import commit_all, run_git
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server
from tests.sync.repositories import (
    NOON,
    SESSIONS,
    clone,
    observation_set,
    push,
    state_of,
    subjects_of_commits,
    tracked_look,
    tracked_text,
    uploaded,
)

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND, THIRD = SESSIONS[0], SESSIONS[1], SESSIONS[10]
HOUR = datetime.timedelta(hours=1)
FILE = session_path(Path("state"), FIRST).as_posix()


def add_hook(repository: Path, name: str, script: str) -> None:
    folder = repository / ("hooks" if (repository / "HEAD").exists() else ".git/hooks")
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(f"#!/bin/sh\n{script}\n".encode())
    (folder / name).chmod(0o755)


def push_elsewhere(checkout: Path, other: Path) -> None:
    """Before the next push of *checkout*, what *other* has committed is pushed; the checkout comes second."""
    mark = checkout.parent / "pushed-elsewhere"
    add_hook(
        checkout,
        "pre-push",
        f'[ -e "{mark.as_posix()}" ] && exit 0\ntouch "{mark.as_posix()}"\n'
        # the variables of the push under way would make it a push of this repository
        f'unset $(git rev-parse --local-env-vars)\ncd "{other.as_posix()}" && git push --quiet origin HEAD:main',
    )


# --- one publisher --------------------------------------------------------------------------------


def test_an_observation_is_one_commit_of_state_alone(checkout: Path, remote: Path, tmp_path: Path) -> None:
    before = run_git(checkout, "rev-parse", "HEAD").strip()
    (checkout / "README.md").write_text("being edited\n")
    (checkout / "scratch.txt").write_text("mine\n")
    run_git(checkout, "add", "scratch.txt")

    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}), trailers={"Npc-Lims-Run": "https://example.org/1"})

    assert run_git(remote, "rev-parse", "main", "main^").split() == [done.commit, before]
    changed = run_git(remote, "diff", "--name-only", "main^", "main").split()
    assert changed == ["state/sessions.jsonl", f"state/sessions/{FIRST[:6]}/{FIRST}.yaml", "state/sync.yaml"]
    assert isinstance(state_of(remote, tmp_path / "after")[FIRST].codeocean, CodeOcean)
    # the user's own files, and what is staged of them, are as they were
    assert run_git(checkout, "status", "--porcelain").splitlines() == [" M README.md", "A  scratch.txt"]
    assert run_git(checkout, "rev-parse", "HEAD").strip() == done.commit
    assert done.attempts == 1


def test_the_message_can_be_scanned_and_parsed(checkout: Path, remote: Path) -> None:
    push(
        checkout,
        observation_set({FIRST: uploaded(FIRST), THIRD: uploaded(THIRD)}),
        trailers={"Npc-Lims-Run": "https://example.org/1"},
    )
    message = run_git(remote, "log", "-1", "--format=%B", "main")
    assert message.splitlines()[0] == f"state: 2 uploaded ({FIRST[:6]}, {THIRD[:6]})"
    assert FIRST in message
    trailers = run_git(remote, "log", "-1", "--format=%(trailers:only,unfold)", "main").split("\n")
    assert "Npc-Lims-Observed: 2024-10-01T12:00:00Z" in trailers
    assert "Npc-Lims-Sources: codeocean" in trailers
    assert "Npc-Lims-Sessions: 60" in trailers
    assert "Npc-Lims-Changed: 2" in trailers
    assert "Npc-Lims-Run: https://example.org/1" in trailers


def test_the_same_again_is_no_commit(checkout: Path, remote: Path) -> None:
    seen = observation_set({FIRST: uploaded(FIRST)})
    push(checkout, seen)
    before = run_git(remote, "rev-parse", "main")
    done = push(checkout, seen)
    assert (done.commit, done.messages) == (None, ())
    assert run_git(remote, "rev-parse", "main") == before


def test_a_dry_run_shows_the_commit_and_pushes_nothing(checkout: Path, remote: Path) -> None:
    before = run_git(remote, "rev-parse", "main")
    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}), dry_run=True)
    assert done.commit is None
    assert done.messages[0].startswith("state: 1 uploaded")
    assert run_git(remote, "rev-parse", "main") == before
    assert run_git(checkout, "status", "--porcelain") == ""


def test_commits_of_the_checkout_are_not_pushed_along(checkout: Path, remote: Path) -> None:
    (checkout / "README.md").write_text("not for others yet\n")
    mine = commit_all(checkout, "mine")
    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert "mine" not in subjects_of_commits(remote)
    assert run_git(checkout, "rev-parse", "HEAD").strip() == mine
    assert any("git pull" in note for note in done.notes)


@pytest.mark.slow
def test_a_branch_that_is_not_there_yet_is_made(checkout: Path, remote: Path, tmp_path: Path) -> None:
    push(checkout, observation_set({FIRST: uploaded(FIRST)}), branch="state")
    assert state_of(remote, tmp_path / "after", "state")[FIRST].codeocean
    assert not state_of(remote, tmp_path / "main")[FIRST].codeocean
    # and from then on it is added to
    push(checkout, observation_set({SECOND: uploaded(SECOND)}), branch="state")
    assert len(subjects_of_commits(remote, "state")) == 3


def test_the_first_state_of_a_repository(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    checkout = clone(tmp_path / "remote.git", tmp_path / "checkout")
    (checkout / "tracked_sessions.yaml").write_text(tracked_text([FIRST]))
    commit_all(checkout, "the tracked file")
    run_git(checkout, "push", "--quiet", "origin", "HEAD:main")
    push(checkout, tracked_look(), branch="main")
    assert state_of(tmp_path / "remote.git", tmp_path / "after").keys() == {FIRST}


def test_the_tracked_file_is_read_as_it_is_on_the_branch(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    (other / "tracked_sessions.yaml").write_text(tracked_text([*SESSIONS, "712345_2024-05-05"]))
    commit_all(other, "one more session")
    run_git(other, "push", "--quiet", "origin", "HEAD:main")
    # what was observed of it is older
    push(checkout, tracked_look())
    assert len(state_of(remote, tmp_path / "after")) == len(SESSIONS) + 1


@pytest.mark.slow
def test_a_tracked_file_with_errors_changes_nothing(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    (other / "tracked_sessions.yaml").write_text("ephys: [\n")
    commit_all(other, "oops")
    run_git(other, "push", "--quiet", "origin", "HEAD:main")
    done = push(
        checkout,
        ObservationSet(
            (*tracked_look().observations, *observation_set({FIRST: uploaded(FIRST)}).observations), EVERYTHING, NOON
        ),
    )
    assert [failure.source for failure in done.failures] == ["tracked"]
    assert done.failures[0].reason.startswith("line ")
    after = state_of(remote, tmp_path / "after")
    assert len(after) == len(SESSIONS)
    assert all(record.tracked for record in after.values())
    assert after[FIRST].codeocean


# --- others push, too -----------------------------------------------------------------------------


def test_after_a_rejected_push_it_is_applied_again_on_top(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    (other / "README.md").write_text("edited meanwhile\n")
    commit_all(other, "edited meanwhile")
    push_elsewhere(checkout, other)
    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert done.attempts == 2
    assert subjects_of_commits(remote)[:2] == [f"state: 1 uploaded ({FIRST[:6]})", "edited meanwhile"]
    assert run_git(remote, "log", "--merges", "--format=%H", "main") == ""
    assert run_git(checkout, "rev-parse", "HEAD").strip() == done.commit


@pytest.mark.slow
def test_facts_that_others_pushed_first_are_not_pushed(checkout: Path, remote: Path, tmp_path: Path) -> None:
    seen = observation_set({FIRST: uploaded(FIRST)})
    other = clone(remote, tmp_path / "other")
    push(other, seen, branch="elsewhere")
    run_git(other, "fetch", "--quiet", "origin", "elsewhere")
    run_git(other, "reset", "--quiet", "--hard", "FETCH_HEAD")
    push_elsewhere(checkout, other)
    done = push(checkout, seen)
    assert done.commit is None
    assert len(subjects_of_commits(remote)) == 2


def test_a_newer_observation_is_not_undone_by_an_older_one(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    push(other, observation_set({FIRST: uploaded(FIRST, "15-00-00")}, at=NOON + HOUR))
    # begun before, and done after it: it saw the upload of one session, but not yet that of the other
    push(checkout, observation_set({FIRST: no_assets(), SECOND: uploaded(SECOND)}, {FIRST: ["a.hdf5"]}))
    after = state_of(remote, tmp_path / "after")
    first, second = after[FIRST], after[SECOND]
    assert isinstance(first.codeocean, CodeOcean)
    assert first.codeocean.raw
    assert isinstance(first.s3, S3Facts)
    assert first.s3.stim == ["a.hdf5"]
    assert second.codeocean


@pytest.mark.slow
def test_a_newer_observation_replaces_an_older_one(checkout: Path, remote: Path, tmp_path: Path) -> None:
    push(clone(remote, tmp_path / "other"), observation_set({FIRST: uploaded(FIRST)}))
    push(checkout, observation_set({FIRST: no_assets()}, at=NOON + HOUR))
    after = state_of(remote, tmp_path / "after")[FIRST].codeocean
    assert isinstance(after, CodeOcean)
    assert after.raw is False


@pytest.mark.slow
def test_a_newer_observation_wins_in_a_shallow_clone_too(checkout: Path, remote: Path, tmp_path: Path) -> None:
    shallow = clone(remote, tmp_path / "shallow", "--depth=1")
    for number in range(3):
        push(checkout, observation_set({SESSIONS[number]: uploaded(SESSIONS[number])}, at=NOON + HOUR))
    done = push(shallow, observation_set({FIRST: no_assets(), SESSIONS[5]: uploaded(SESSIONS[5])}))
    assert done.commit
    after = state_of(remote, tmp_path / "after")
    assert after[FIRST].status["is_uploaded"] is True
    assert after[SESSIONS[5]].status["is_uploaded"] is True
    assert len(subjects_of_commits(remote)) == 5


@pytest.mark.slow
def test_eight_publishers_lose_nothing(remote: Path, tmp_path: Path) -> None:
    """Forty observations: each uploads a session of its own, and has one that several share."""
    publishers = []
    for number in range(8):
        checkout = clone(remote, tmp_path / f"publisher-{number}")
        files = []
        for turn in range(5):
            mine, shared = SESSIONS[number * 5 + turn], SESSIONS[50 + turn]
            # another field of it each: all of them must be there in the end
            seen = observation_set({mine: uploaded(mine), shared: uploaded(shared)}, {mine: [f"{number}.hdf5"]})
            files.append(tmp_path / f"{number}-{turn}.observed.json")
            write_observations(files[-1], seen)
        command = [sys.executable, "-m", "tests.sync.repositories", str(checkout), *map(str, files)]
        publishers.append(
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    attempts: list[int] = []
    for publisher in publishers:
        out, err = publisher.communicate(timeout=150)
        assert publisher.returncode == 0, err
        attempts += map(int, out.split())
    assert len(attempts) == 40
    assert sum(attempts) > 40, "nobody was ever overtaken: this has tested nothing"
    after = state_of(remote, tmp_path / "after")
    for number in range(40):
        record = after[SESSIONS[number]]
        assert record.status["is_uploaded"] is True
        assert isinstance(record.s3, S3Facts)
        assert record.s3.stim == [f"{number // 5}.hdf5"]
    assert all(after[SESSIONS[50 + turn]].status["is_uploaded"] is True for turn in range(5))
    # each change once, in a line
    assert len(subjects_of_commits(remote)) == 41
    assert run_git(remote, "log", "--merges", "--format=%H", "main") == ""
    run_git(remote, "fsck", "--strict")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_at_any_instant_the_remote_is_intact(remote: Path, tmp_path: Path) -> None:
    checkout = clone(remote, tmp_path / "checkout")
    killed, whole_run = 0, 60.0  # seconds; shortened by each publisher that ends by itself
    for number in range(12):
        session = SESSIONS[number]
        file = tmp_path / f"{number}.observed.json"
        write_observations(file, observation_set({session: uploaded(session)}))
        before = run_git(remote, "rev-parse", "main").strip()
        command = [sys.executable, "-m", "tests.sync.repositories", str(checkout), str(file)]
        began = time.monotonic()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as publisher:
            try:
                publisher.wait(random.uniform(0.3, 1.0) * whole_run if number else whole_run)
                whole_run = min(whole_run, time.monotonic() - began)
            except subprocess.TimeoutExpired:
                os.killpg(publisher.pid, signal.SIGKILL)
                killed += 1
        after = run_git(remote, "rev-parse", "main").strip()
        assert after == before or run_git(remote, "rev-parse", "main^").strip() == before
        run_git(remote, "fsck", "--strict")
        assert run_git(checkout, "diff", "--name-only", "--", "README.md", "tracked_sessions.yaml") == ""
    assert killed
    push(checkout, observation_set({session: uploaded(session) for session in SESSIONS[:12]}))
    records = state_of(remote, tmp_path / "after")
    assert all(records[session].status["is_uploaded"] is True for session in SESSIONS[:12])


@pytest.mark.parametrize("hook", [None, "pre-commit"])
def test_a_publisher_that_is_killed_before_it_pushes_leaves_objects_alone(
    hook: str | None, checkout: Path, tmp_path: Path
) -> None:
    """Neither worktrees nor refs, indexes or locks, which others would stumble over."""
    log = tmp_path / "log"
    list_files = "find . -path ./objects -prune -o -type f -print | sort"
    add_hook(checkout, "pre-push", f"cd '{checkout.as_posix()}/.git' && {list_files} > '{log.as_posix()}'")
    if hook is not None:
        add_hook(checkout, hook, "exit 0")
    git = checkout / ".git"
    before = [path for path in git.rglob("*") if path.is_file() and "objects" not in path.parts]
    assert push(checkout, observation_set({FIRST: uploaded(FIRST)})).commit
    assert sorted(log.read_text().split()) == sorted(f"./{path.relative_to(git).as_posix()}" for path in before)


@pytest.mark.parametrize(
    "lock",
    [
        "index.lock",
        "HEAD.lock",
        "ORIG_HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "refs/heads/main.lock",
        "refs/remotes/origin/main.lock",
        "objects/maintenance.lock",
    ],
)
def test_locks_that_a_killed_git_left_keep_nothing_back(
    lock: str, checkout: Path, remote: Path, tmp_path: Path
) -> None:
    (checkout / ".git" / lock).touch()
    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert done.commit == run_git(remote, "rev-parse", "main").strip()
    assert state_of(remote, tmp_path / "after")[FIRST].status["is_uploaded"] is True
    is_behind = run_git(checkout, "rev-parse", "HEAD").strip() != done.commit
    assert any("behind what was published" in note for note in done.notes) is is_behind
    if is_behind:
        assert ".lock" in done.notes[0]


def test_the_lock_of_a_killed_fetch_into_a_shallow_clone_is_named(remote: Path, tmp_path: Path) -> None:
    checkout = clone(remote, tmp_path / "shallow", "--depth=1")
    (checkout / ".git" / "shallow.lock").touch()
    with pytest.raises(GitError, match=r"shallow\.lock, or remove that file if it was killed; then publish again"):
        push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert len(subjects_of_commits(remote)) == 1


# --- what stands in the way -----------------------------------------------------------------------


def refusal(checkout: Path, **more: Any) -> str:
    """What publishing says when it cannot; the checkout and its remote stay as they are."""
    before = run_git(checkout, "status", "--porcelain"), run_git(checkout, "worktree", "list")
    with pytest.raises(GitError) as raised:
        push(checkout, observation_set({FIRST: uploaded(FIRST)}), **more)
    assert (run_git(checkout, "status", "--porcelain"), run_git(checkout, "worktree", "list")) == before
    return str(raised.value)


def test_a_hook_of_the_remote_that_refuses(checkout: Path, remote: Path) -> None:
    add_hook(remote, "pre-receive", "echo 'commits on Sundays are not taken' >&2; exit 1")
    said = refusal(checkout)
    assert "commits on Sundays are not taken" in said
    assert "a hook of the remote refused" in said


def test_a_hook_of_the_checkout_that_refuses(checkout: Path) -> None:
    add_hook(checkout, "pre-commit", "echo 'no ticket number' >&2; exit 1")
    said = refusal(checkout)
    assert "no ticket number" in said
    assert "Nothing was pushed" in said


def test_hooks_of_a_commit_see_what_is_committed_and_may_edit_the_message(checkout: Path, remote: Path) -> None:
    add_hook(checkout, "commit-msg", "echo 'no ticket' >&2; exit 1")
    assert "no ticket" in refusal(checkout)
    seen = "git diff --cached --name-only && git rev-parse HEAD && cat README.md"
    add_hook(checkout, "pre-commit", f"({seen}) > '{checkout.as_posix()}/../seen'")
    add_hook(checkout, "commit-msg", 'echo "Reviewed-by: nobody" >> "$1"')
    parent = run_git(remote, "rev-parse", "main").strip()
    (checkout / "README.md").write_text("being edited\n")
    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert (checkout.parent / "seen").read_text().splitlines() == [
        "state/sessions.jsonl",
        FILE,
        "state/sync.yaml",
        parent,
        "state of a lab",
    ]
    assert run_git(remote, "log", "-1", "--format=%(trailers:key=Reviewed-by)", "main").strip() == "Reviewed-by: nobody"
    assert run_git(remote, "rev-parse", "main").strip() == done.commit


@pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
def test_commits_are_signed_if_the_checkout_is_configured_to(checkout: Path, remote: Path, tmp_path: Path) -> None:
    program = tmp_path / "sign"
    program.write_text("#!/bin/sh\necho 'no key' >&2\nexit 1\n")
    program.chmod(0o755)
    run_git(checkout, "config", "commit.gpgSign", "yes")
    run_git(checkout, "config", "gpg.program", str(program))
    assert "failed to sign" in refusal(checkout)
    program.write_text("#!/bin/sh\ncat > /dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\necho a signature\n")
    push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert "gpgsig a signature" in run_git(remote, "cat-file", "commit", "main")


def test_a_pre_push_hook_that_refuses(checkout: Path) -> None:
    add_hook(checkout, "pre-push", "echo 'tests have not run' >&2; exit 1")
    said = refusal(checkout)
    assert "tests have not run" in said
    assert "hook" in said


def test_a_protected_branch(checkout: Path, remote: Path) -> None:
    # in GitHub's words
    add_hook(
        remote, "pre-receive", "echo 'error: GH006: Protected branch update failed for refs/heads/main.' >&2; exit 1"
    )
    said = refusal(checkout)
    assert "main is protected" in said
    assert "GitHub App" in said


class Refusing(Server):
    """A git host that takes no token."""

    def answer(self, request: Request) -> Response:
        if "authorization" in request.headers:
            return Response(403, {}, b"remote: Permission to lab/state.git denied to somebody.")
        return Response(401, {"www-authenticate": 'Basic realm="git"'}, b"Invalid username or token.")


def test_an_expired_token(checkout: Path, serve: Serve) -> None:
    server = serve(Refusing())
    secret = "ghp_5e0c1a77e5ec2e7"
    for user in ("", f"x-access-token:{secret}@"):
        address = server.url.replace("http://", f"http://{user}") + "/lab/state.git"
        run_git(checkout, "remote", "set-url", "origin", address)
        said = refusal(checkout)
        assert "it has expired, or may not write" in said
        assert secret not in said


def test_a_remote_that_is_a_path_from_the_checkout(checkout: Path, remote: Path) -> None:
    run_git(checkout, "remote", "set-url", "origin", "../remote.git")
    assert push(checkout, observation_set({FIRST: uploaded(FIRST)})).commit
    assert len(subjects_of_commits(remote)) == 2
    # nothing is left behind
    assert run_git(checkout, "for-each-ref", "--format=%(refname)", "refs/npc-lims") == ""
    assert len(run_git(checkout, "worktree", "list").splitlines()) == 1


def test_a_remote_that_is_gone(checkout: Path) -> None:
    run_git(checkout, "remote", "set-url", "origin", str(checkout / "nowhere"))
    assert "origin could not be read" in refusal(checkout)
    run_git(checkout, "remote", "remove", "origin")
    assert "git remote add origin" in refusal(checkout)


def test_a_detached_head_needs_a_branch(checkout: Path, remote: Path, tmp_path: Path) -> None:
    run_git(checkout, "checkout", "--quiet", "--detach")
    assert "--branch main" in refusal(checkout)
    # which is all that it needs: so it is in Actions
    assert push(checkout, observation_set({FIRST: uploaded(FIRST)}), branch="main").commit
    assert state_of(remote, tmp_path / "after")[FIRST].codeocean


@pytest.mark.slow
def test_a_shallow_clone_publishes(remote: Path, tmp_path: Path) -> None:
    shallow = clone(remote, tmp_path / "shallow", "--depth=1")
    assert push(shallow, observation_set({FIRST: uploaded(FIRST)})).commit
    assert len(subjects_of_commits(remote)) == 2
    assert state_of(remote, tmp_path / "after")[FIRST].codeocean


def test_a_tracked_file_that_is_not_committed(checkout: Path) -> None:
    (checkout / "tracked_sessions.yaml").write_text(tracked_text(SESSIONS[:-1]))
    said = refusal(checkout)
    assert "tracked_sessions.yaml has changes that are not committed" in said
    assert "then sync and publish" in said


def test_a_merge_that_is_under_way(checkout: Path) -> None:
    run_git(checkout, "checkout", "--quiet", "-b", "side")
    (checkout / "README.md").write_text("one\n")
    commit_all(checkout, "one")
    run_git(checkout, "checkout", "--quiet", "main")
    (checkout / "README.md").write_text("other\n")
    commit_all(checkout, "other")
    with pytest.raises(subprocess.CalledProcessError):
        run_git(checkout, "merge", "side")
    assert "a merge is under way" in refusal(checkout)


def test_a_repository_without_a_commit_and_no_repository(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "--quiet", "new")
    with pytest.raises(GitError, match="no commit yet"):
        push(tmp_path / "new", observation_set({FIRST: uploaded(FIRST)}), branch="main")
    (tmp_path / "plain").mkdir()
    with pytest.raises(GitError, match="not in a git checkout"):
        push(tmp_path / "plain", observation_set({FIRST: uploaded(FIRST)}), branch="main")


def test_a_user_whom_git_does_not_know(checkout: Path, monkeypatch: pytest.MonkeyPatch, remote: Path) -> None:
    run_git(checkout, "config", "--unset", "user.name")
    run_git(checkout, "config", "--unset", "user.email")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    assert "git config --global user.name" in refusal(checkout)
    # in Actions nobody has told it
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert run_git(remote, "log", "-1", "--format=%an %ae", "main").startswith("github-actions[bot] ")


def test_damaged_state_on_the_branch(checkout: Path, remote: Path) -> None:
    session_path(checkout / "state", FIRST).write_text("schema: [\n")
    commit_all(checkout, "damage")
    run_git(checkout, "push", "--quiet", "origin", "HEAD:main")
    with pytest.raises(StateError, match=f"^origin/main:{FILE}: not readable as YAML"):
        push(checkout, observation_set({SECOND: uploaded(SECOND)}))
    assert subjects_of_commits(remote)[0] == "damage"


@pytest.mark.slow
def test_the_breaker_stops_an_observation_that_blanks_everything(checkout: Path, remote: Path) -> None:
    push(checkout, observation_set({session: uploaded(session) for session in SESSIONS}))
    gone = ObservationSet((Observation("codeocean", {}, complete=True),), EVERYTHING, NOON + HOUR)
    with pytest.raises(SyncRefused, match="60"):
        push(checkout, gone)
    assert len(subjects_of_commits(remote)) == 2
    allowed = ObservationSet(gone.observations, EVERYTHING, gone.at, allow_removals=True)
    assert push(checkout, allowed).commit


@pytest.mark.slow
def test_others_who_always_push_first(checkout: Path, remote: Path, tmp_path: Path) -> None:
    other = clone(remote, tmp_path / "other")
    add_hook(
        checkout,
        "pre-push",
        f'unset $(git rev-parse --local-env-vars)\ncd "{other.as_posix()}"\n'
        "git commit --quiet --allow-empty --message=first && git push --quiet origin HEAD:main",
    )
    said = refusal(checkout, attempts=3)
    assert "others pushed first 3 times in a row" in said
    assert "publish again" in said
    assert subjects_of_commits(remote)[0] == "first"


@pytest.mark.slow
def test_a_lock_without_a_process(checkout: Path, remote: Path) -> None:
    (remote / "refs" / "heads" / "main.lock").write_text("")
    said = refusal(checkout)
    assert "main.lock" in said
    assert "nobody else has pushed" in said


def test_a_branch_that_the_remote_cannot_have(checkout: Path, remote: Path) -> None:
    # main is a branch, so it cannot be a folder of branches
    assert "cannot lock ref" in refusal(checkout, branch="main/state")
    for name in ("a..b", "-x", "ma in", ""):
        assert "not a name that a branch can have" in refusal(checkout, branch=name)


@pytest.mark.slow
def test_a_tag_of_the_same_name_is_another_thing(checkout: Path, remote: Path) -> None:
    run_git(checkout, "tag", "main")
    run_git(remote, "tag", "main")
    done = push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert done.branch == "main"
    assert run_git(remote, "rev-parse", "refs/heads/main").strip() == done.commit
    assert run_git(remote, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main", "refs/tags/main"]
    assert push(checkout, observation_set({SECOND: uploaded(SECOND)}), branch="refs/heads/main").branch == "main"


@pytest.mark.parametrize("branch", ["v1.2", "tags/v1.2", "refs/tags/v1.2", "refs/remotes/origin/main", "@{-1}"])
@pytest.mark.parametrize("where", ["remote", "checkout"])
def test_a_tag_is_not_published_to(where: str, branch: str, checkout: Path, remote: Path) -> None:
    run_git(remote if where == "remote" else checkout, "tag", "--annotate", "--message=a release", "v1.2", "HEAD")
    run_git(checkout, "checkout", "--quiet", "-b", "mine")
    run_git(checkout, "checkout", "--quiet", "main")
    before = run_git(remote, "for-each-ref")
    says = "not a name that a branch can have" if branch == "@{-1}" else "a tag, or another ref that is no branch"
    assert f"--branch {branch}: {says}" in refusal(checkout, branch=branch)
    assert run_git(remote, "for-each-ref") == before


def test_a_tag_that_is_like_a_branch_to_a_pattern_is_none(checkout: Path, remote: Path) -> None:
    run_git(remote, "tag", "x/refs/tags/v2")
    assert push(checkout, observation_set({FIRST: uploaded(FIRST)}), branch="v2").commit is not None


@pytest.mark.slow
def test_settings_of_the_users_git(checkout: Path, remote: Path) -> None:
    for name, value in {"push.followTags": "true", "merge.autoStash": "true", "color.ui": "always"}.items():
        run_git(checkout, "config", name, value)
    run_git(checkout, "tag", "--annotate", "mine", "--message=not for others")
    (checkout / "README.md").write_text("staged\n")
    run_git(checkout, "add", "README.md")
    push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert run_git(remote, "tag") == ""
    assert run_git(checkout, "status", "--porcelain").splitlines() == ["M  README.md"]


@pytest.mark.slow
def test_a_hook_that_adds_files_is_refused(checkout: Path, remote: Path) -> None:
    add_hook(checkout, "pre-commit", "echo mine > added.txt; git add added.txt")
    assert "added added.txt to the commit" in refusal(checkout)
    assert len(subjects_of_commits(remote)) == 1


# --- what is committed is verified ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (f"echo '# mine' >> {FILE}; git add {FILE}", f"{FILE}: does not say what the snapshot says"),
        (f"git rm --quiet --force {FILE}", f"{FILE}: in the snapshot, but there is no such file"),
        ("echo nonsense >> state/sync.yaml; git add state", "state/sync.yaml: damaged"),
        (
            f"sed -i.bak s/ecephys_/other_/ {FILE} && git add {FILE}",
            f"{FILE}: does not say what the snapshot says",
        ),
        ("printf '{}' >> state/sessions.jsonl; git add state", "state/sessions.jsonl"),
    ],
)
def test_a_commit_that_would_not_verify_is_not_pushed(script: str, says: str, checkout: Path, remote: Path) -> None:
    add_hook(checkout, "pre-commit", script)
    before = run_git(remote, "rev-parse", "main")
    for dry_run in (True, False):
        with pytest.raises(StateError) as raised:
            push(checkout, observation_set({FIRST: uploaded(FIRST)}), dry_run=dry_run)
        assert says in str(raised.value)
        assert "Nothing was pushed" in str(raised.value)
    assert run_git(remote, "rev-parse", "main") == before
    assert run_git(checkout, "worktree", "list").count("\n") == 1


def test_a_snapshot_that_was_edited_is_not_published_again(checkout: Path, remote: Path, tmp_path: Path) -> None:
    push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    other = clone(remote, tmp_path / "other")
    snapshot = other / "state" / "sessions.jsonl"
    lines = snapshot.read_bytes().splitlines(keepends=True)
    edited = [line.replace(b"DynamicRouting", b"Edited") if SECOND.encode() in line else line for line in lines]
    snapshot.write_bytes(b"".join(edited))
    commit_all(other, "edited")
    run_git(other, "push", "--quiet")
    with pytest.raises(StateError, match=r"would not verify: state/sessions.jsonl"):
        push(checkout, observation_set({THIRD: uploaded(THIRD)}))


def test_a_filter_of_git_changes_nothing_that_is_published(checkout: Path, remote: Path, tmp_path: Path) -> None:
    (checkout / ".git" / "info" / "attributes").write_text("state/sessions/** filter=rename\n")
    run_git(checkout, "config", "filter.rename.clean", "sed s/ecephys_/other_/")
    run_git(checkout, "config", "filter.rename.smudge", "sed s/other_/ecephys_/")
    assert push(checkout, observation_set({FIRST: uploaded(FIRST)})).commit
    assert state_of(remote, tmp_path / "after")[FIRST].codeocean == uploaded(FIRST)


def test_a_sparse_checkout_publishes_no_half_of_the_state(checkout: Path, remote: Path, tmp_path: Path) -> None:
    run_git(checkout, "sparse-checkout", "set", "--no-cone", "/*", f"!/state/sessions/{FIRST[:6]}")
    assert push(checkout, observation_set({SECOND: uploaded(SECOND)})).commit
    records = state_of(remote, tmp_path / "after")
    assert records.keys() == set(SESSIONS)
    assert records[SECOND].codeocean
    assert not (checkout / FILE).exists()


def test_rules_of_what_git_ignores_keep_nothing_back(checkout: Path, remote: Path, tmp_path: Path) -> None:
    new = session_path(Path("state"), "999999_2024-01-01").as_posix()
    (checkout / ".git" / "info" / "exclude").write_text("*.yaml\n*.jsonl\n")
    seen = Observation("training", {"999999_2024-01-01": training()})
    push(checkout, ObservationSet((seen,), EVERYTHING, NOON))
    assert new in run_git(remote, "ls-tree", "-r", "--name-only", "main").splitlines()
    assert state_of(remote, tmp_path / "after")["999999_2024-01-01"].training


# --- pending observations -------------------------------------------------------------------------


def test_observations_are_pending_in_the_checkout_until_they_are_published(checkout: Path) -> None:
    state = checkout / "state"
    later = observation_set({FIRST: uploaded(FIRST)}, at=NOON + HOUR)
    save_pending(state, later)
    save_pending(state, observation_set({SECOND: uploaded(SECOND)}))
    assert [one.observed.at for one in load_pending(state)] == [NOON, NOON + HOUR]
    assert run_git(checkout, "status", "--porcelain", "--ignored") == ""


@pytest.mark.slow
def test_a_complete_observation_replaces_pending_ones(checkout: Path) -> None:
    state = checkout / "state"
    save_pending(state, observation_set({FIRST: uploaded(FIRST)}))
    whole = ObservationSet(
        tuple(Observation(source) for source in ("tracked", "training", "codeocean", "s3")), EVERYTHING, NOON
    )
    remove_superseded(save_pending(state, whole))
    assert [one.observed.scope for one in load_pending(state)] == [EVERYTHING]


def test_an_unchanged_observation_leaves_those_with_the_change(checkout: Path) -> None:
    state = checkout / "state"
    save_pending(state, observation_set({FIRST: uploaded(FIRST)}))
    seen = (Observation("tracked", unchanged=True), *map(Observation, ("training", "codeocean", "s3")))
    remove_superseded(save_pending(state, ObservationSet(seen, EVERYTHING, NOON + HOUR)))
    assert [one.observed.at for one in load_pending(state)] == [NOON, NOON + HOUR]


def test_outside_of_git_nothing_is_pending(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="not in a git checkout"):
        save_pending(tmp_path / "state", observation_set({FIRST: uploaded(FIRST)}))
    with pytest.raises(NpcLimsError, match="not in a git checkout"):
        load_pending(tmp_path / "state")


@pytest.mark.slow
def test_the_checkout_has_the_state_as_published(checkout: Path) -> None:
    push(checkout, observation_set({FIRST: uploaded(FIRST)}))
    assert read_state(checkout / "state").records[FIRST].status["is_uploaded"] is True
    assert run_git(checkout, "status", "--porcelain") == ""

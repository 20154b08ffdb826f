"""`npc-lims sessions --watch`: news of a state folder, of what GitHub shows, and of the sync that makes them."""

from __future__ import annotations

import _thread
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from npc_lims.cli.watch import changes_between_lines, state_to_watch
from npc_lims.config.settings import RAW_URL, Settings, load_settings
from npc_lims.sessions.filters import SessionFilters
from npc_lims.state.reader import SessionLines
from tests.integration.world import UPLOADED, Done, GitHub, commit_all, down, run_cli
from tests.servers.fixtures import Serve
from tests.servers.github_hub import MEMBER, NAME, TOKENS, Hub
from tests.servers.raw_github import RawGitHubServer

QUICK = ("--watch", "--interval", "0.05")
SORTED = {"id": "6c7d", "name": "ecephys_901003_sorted", "location": None, "created": "2024-10-25T00:00:00Z"}


def sorted_now(snapshot: bytes, session_id: str = UPLOADED) -> bytes:
    """The snapshot after a sync that found a sorting result of one session."""
    lines = [json.loads(line) for line in snapshot.splitlines()]
    (line,) = [line for line in lines if line["id"] == session_id]
    line["codeocean"]["sorted"] = SORTED
    line["status"]["is_sorted"] = True
    return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)


class Meanwhile:
    """Does things in a thread while a command runs, and stops the command if it is asked to."""

    def __init__(self, act: Callable[[], object], *, stop: bool) -> None:
        self.error: Exception | None = None
        self._act, self._stop = act, stop
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            until(lambda: "Ctrl-C ends it" in said())
            self._act()
        except Exception as error:
            self.error = error
        while (self._stop or self.error is not None) and not self._over.is_set():
            _thread.interrupt_main()  # as Ctrl-C does
            # one that arrives while Python calls a finalizer or a callback of C code is lost there
            self._over.wait(10)

    def watch(self, *arguments: str) -> Done:
        self._thread.start()
        done = run_cli("sessions", *QUICK, *arguments)
        self._over.set()
        self._thread.join()
        assert self.error is None, self.error
        return done


def replace(path: Path, content: bytes) -> None:
    """As a sync does, so that nobody reads half of it."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "that never happened"
        time.sleep(0.01)


def said() -> str:
    """What the command that runs has printed to stderr so far."""
    return sys.stderr.getvalue() if isinstance(sys.stderr, io.StringIO) else ""


def told() -> str:
    """What it has printed to stdout."""
    return sys.stdout.getvalue() if isinstance(sys.stdout, io.StringIO) else ""


def events(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.out.splitlines()]


# --- what changed


def lines_of(snapshot: bytes) -> SessionLines:
    return SessionLines(snapshot.splitlines())


def test_a_change_is_reported_if_the_session_matches_before_or_after(demo_state: Path) -> None:
    before = (demo_state / "sessions.jsonl").read_bytes()
    after = sorted_now(before)
    for selection, is_told in (
        (SessionFilters({}), True),
        (SessionFilters({"subject": "901003"}), True),
        (SessionFilters({"subject": "901002"}), False),
        (SessionFilters({"missing": "sorted"}), True),
        (SessionFilters({"is": "sorted"}), True),
        (SessionFilters({"is": "annotated"}), False),
    ):
        found = changes_between_lines(lines_of(before), lines_of(after), selection)
        assert [change.id for change in found] == ([UPLOADED] if is_told else []), selection
    (change,) = changes_between_lines(lines_of(before), lines_of(after), SessionFilters({}))
    assert change.what == ("sorted",)
    assert not any("digest" in field.field for field in change.fields)


def test_sessions_that_come_and_go_are_reported(demo_state: Path) -> None:
    whole = (demo_state / "sessions.jsonl").read_bytes()
    less = whole.partition(b"\n")[2]
    (new,) = changes_between_lines(lines_of(less), lines_of(whole), SessionFilters({}))
    (gone,) = changes_between_lines(lines_of(whole), lines_of(less), SessionFilters({}))
    assert (new.what, gone.what) == (("new",), ("removed",))
    assert changes_between_lines(lines_of(whole), lines_of(whole), SessionFilters({})) == []


# --- a folder


def test_a_folder_is_watched_until_somebody_stops_it(state: Path, elsewhere: Path) -> None:
    snapshot = state / "sessions.jsonl"
    command = [sys.executable, "-m", "npc_lims", "sessions", "--state", str(state), *QUICK]
    if sys.platform == "win32":
        pytest.skip("Windows has no signal that is Ctrl-C for one process")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    assert "29 sessions in" in process.stderr.readline(), "it has looked for the first time"
    replace(snapshot, sorted_now(snapshot.read_bytes()))
    assert f"{UPLOADED}  sorted: sorted asset added: ecephys_901003_sorted" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    assert "1 change in" in err
    assert "1 sorted" in err
    assert "Traceback" not in err


def test_a_folder_that_is_damaged_for_a_while_is_reported_once(state: Path, elsewhere: Path) -> None:
    snapshot = state / "sessions.jsonl"
    good = snapshot.read_bytes()

    def act() -> None:
        snapshot.write_bytes(b"<<<<<<< HEAD\n")
        until(lambda: "looking on" in said())
        time.sleep(0.2)  # for some more looks
        replace(snapshot, sorted_now(good))
        until(lambda: "sorted" in told())

    done = Meanwhile(act, stop=True).watch("--state", str(state), "--json")
    assert done.code == 0, done
    assert done.err.count("looking on") == 1
    assert [event["event"] for event in events(done)] == ["change", "end"]


def test_a_folder_that_is_not_there_is_a_mistake(elsewhere: Path) -> None:
    done = run_cli("sessions", *QUICK, "--state", "nowhere")
    assert done.code == 2, done
    assert "there is no state folder nowhere" in done.err


# --- raw GitHub


def test_published_state_is_queried_for_changes(github: GitHub, elsewhere: Path, tmp_path: Path) -> None:
    repository = github.fork(tmp_path / "fork")
    snapshot = repository / "state" / "sessions.jsonl"

    def act() -> None:
        snapshot.write_bytes(sorted_now(snapshot.read_bytes()))
        commit_all(repository)
        until(lambda: "sorted" in told())

    done = Meanwhile(act, stop=True).watch("--json")
    assert done.code == 0, done
    change, end = events(done)
    assert (change["id"], change["what"]) == (UPLOADED, ["sorted"])
    assert (end["reason"], end["changes"]) == ("stopped", 1)
    assert "looking every 0.05 s" in done.err
    assert all("if-none-match" in request.headers for request in github.requests[1:])


@pytest.mark.filterwarnings("always::npc_lims.errors.StaleStateWarning")
def test_an_outage_is_waited_for(github: GitHub, elsewhere: Path) -> None:
    def act() -> None:
        with down(github.proxy):
            until(lambda: "could not be reached" in said())

    done = Meanwhile(act, stop=True).watch()
    assert done.code == 0, done
    assert "could not be reached" in done.err
    assert "0 changes in" in done.err


def test_raw_github_is_not_queried_more_often_than_it_answers() -> None:
    for token, url, least in ((None, RAW_URL, 60), (None, "http://127.0.0.1:9", 0), (TOKENS[MEMBER], RAW_URL, 0)):
        variables = {"NPC_LIMS_RAW_URL": url, **({"GITHUB_TOKEN": token} if token else {})}
        place = state_to_watch(load_settings(variables, Path(__file__).parent))
        assert place.min_interval >= least
        assert place.min_interval > 0 or not least
        assert place.interval >= place.min_interval
        assert place.has_runs == (token is not None)
    assert not state_to_watch(Settings(state=Path("state"))).has_runs


# --- a sync that runs on GitHub


@pytest.fixture
def synced_hub(hub: Hub, serve: Serve, demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A repository with the demo's state and a run of its sync that waits, and the environment of a member."""
    monkeypatch.setenv("NPC_LIMS_RAW_URL", serve(RawGitHubServer(Path(hub.git.path), repo_name=NAME)).url)
    hub.commit({"state/sessions.jsonl": (demo_state / "sessions.jsonl").read_text()})
    assert run_cli("dispatch").code == 0
    return hub


def sync_of(hub: Hub, conclusion: str) -> Callable[[], None]:
    """What the run does once it is watched: it begins, commits, and ends so."""

    def act() -> None:
        run = hub.runs[-1].id
        hub.api.set_run(run, status="in_progress", jobs=[{"name": "commit", "status": "in_progress"}])
        snapshot = hub.text("state/sessions.jsonl").encode()
        hub.commit({"state/sessions.jsonl": sorted_now(snapshot).decode()})
        until(lambda: UPLOADED in told())  # and with it, its run
        job = {"name": "commit", "status": "completed", "conclusion": conclusion}
        hub.api.set_run(run, status="completed", conclusion=conclusion, jobs=[job])

    return act


def test_it_ends_with_the_run_after_its_news(synced_hub: Hub) -> None:
    done = Meanwhile(sync_of(synced_hub, "success"), stop=False).watch()
    assert done.code == 0, done
    (line,) = done.out.splitlines()
    assert f"{UPLOADED}  sorted" in line
    url = f"https://github.com/{NAME}/actions/runs/{synced_hub.runs[-1].id}"
    assert f"following {url}" in done.err
    assert "commit: success" in done.err
    assert "1 change in" in done.err
    assert TOKENS[MEMBER] not in done.out + done.err


def test_as_json_each_line_is_an_object(synced_hub: Hub) -> None:
    found = events(Meanwhile(sync_of(synced_hub, "success"), stop=False).watch("--json"))
    assert found[0]["event"] == "run"
    assert found[0]["url"] == f"https://github.com/{NAME}/actions/runs/{synced_hub.runs[-1].id}"
    assert [event["conclusion"] for event in found if event["event"] == "run"][-1] == "success"
    assert [event["id"] for event in found if event["event"] == "change"] == [UPLOADED]
    assert (found[-1]["event"], found[-1]["reason"]) == ("end", "run over")
    assert all(event["seen"].endswith("Z") for event in found)


def test_a_run_that_fails_is_exit_3(synced_hub: Hub) -> None:
    done = Meanwhile(sync_of(synced_hub, "failure"), stop=False).watch()
    assert done.code == 3, done
    assert "the run ended with failure (commit); see its log: https://github.com/" in done.err


def test_what_a_run_made_at_its_end_is_seen(synced_hub: Hub) -> None:
    """The commit and the end of the run fall between two looks."""

    def act() -> None:
        until(lambda: "following" in said())
        snapshot = synced_hub.text("state/sessions.jsonl").encode()
        synced_hub.commit({"state/sessions.jsonl": sorted_now(snapshot).decode()})
        synced_hub.api.set_run(synced_hub.runs[-1].id, status="completed", conclusion="success")

    done = Meanwhile(act, stop=False).watch()
    assert done.code == 0, done
    assert UPLOADED in done.out


def test_without_a_run_it_goes_on_until_it_is_stopped(synced_hub: Hub) -> None:
    synced_hub.api.set_run(synced_hub.runs[-1].id, status="completed", conclusion="success")

    def act() -> None:
        looks = len(synced_hub.api.requests)
        until(lambda: len(synced_hub.api.requests) > looks + 4)

    done = Meanwhile(act, stop=True).watch()
    assert done.code == 0, done
    assert "following" not in done.err
    assert "0 changes in" in done.err

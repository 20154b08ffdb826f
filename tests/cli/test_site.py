"""`npc-lims site`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from npc_lims.dashboard.site.build import is_site
from tests.integration.world import commit_all, run_cli, run_git


def test_build(demo_state: Path, elsewhere: Path) -> None:
    done = run_cli("site", "build", "public", "--state", str(demo_state))
    assert done.code == 0, done
    made, told = done.err.split("\n", 1)
    assert re.fullmatch(r"public: 29 sessions; [0-9]+ files, [0-9.]+ MB", made), done.err
    assert "without timelines" in told
    assert "not a git repository" in told, "what git said: it may be wrong"
    assert done.out == ""
    assert is_site(elsewhere / "public")
    overview = json.loads((elsewhere / "public/data/overview.json").read_bytes())
    assert overview["repository"] is None, "the folder is in no checkout with a remote on GitHub"
    feed = (elsewhere / "public" / "feed.atom").read_text(encoding="utf-8")
    assert "<entry>" not in feed, "without history there is nothing to tell, and yet each page links to it"


def test_build_in_a_checkout(state: Path) -> None:
    folder = state.parent
    commit_all(folder)
    run_git(folder, "remote", "add", "origin", "https://github.com/our-lab/our_sessions")
    options = ("--repository", "our-lab/our_sessions", "--base-url", "https://example.org/sessions/")
    done = run_cli("site", "build", str(folder / "public"), "--state", str(state), *options)
    assert done.code == 0, done
    assert "29 sessions, 29 events" in done.err
    overview = json.loads((folder / "public/data/overview.json").read_bytes())
    assert overview["commit_url"].startswith("https://github.com/our-lab/our_sessions/commit/")
    assert "https://example.org/sessions/" in (folder / "public" / "feed.atom").read_text(encoding="utf-8")
    # once more over the first
    assert run_cli("site", "build", str(folder / "public"), "--state", str(state), "--no-history").code == 0
    assert "without timelines" not in done.err
    assert "<entry>" not in (folder / "public" / "feed.atom").read_text(encoding="utf-8")


def test_a_shallow_clone_is_reported(state: Path, tmp_path: Path) -> None:
    commit_all(state.parent)
    commit_all(state.parent, "another")
    run_git(tmp_path, "clone", "--quiet", "--depth=1", state.parent.as_uri(), "clone")
    done = run_cli("site", "build", str(tmp_path / "public"), "--state", str(tmp_path / "clone" / "state"))
    assert done.code == 0
    assert "shallow clone" in done.err
    assert "git fetch --unshallow" in done.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("build", "public"), ("there is no state folder", "npc-lims sync")),
        (("build", "public", "--repository", "npc_lims"), ("--repository npc_lims", "AllenInstitute/npc_lims")),
        (("build", "public", "--repository", "a/b?c"), ("--repository a/b?c",)),
        (("build", "public", "--base-url", "javascript:x"), ("--base-url javascript:x", "https://")),
        (("build", "mine"), ("mine is a folder with other things than a site", "name a new folder")),
        (("serve", "mine"), ("mine is no site", "build one with npc-lims site build public")),
        (("serve", "nothing"), ("nothing is no site", "build one with npc-lims site build nothing")),
        (("build",), ("Missing argument",)),
    ],
)
def test_mistakes(arguments: tuple[str, ...], words: tuple[str, ...], elsewhere: Path) -> None:
    (elsewhere / "mine").mkdir()
    (elsewhere / "mine" / "notes.txt").write_text("mine", encoding="utf-8")
    done = run_cli("site", *arguments)
    assert done.code == 2
    for word in words:
        assert word in done.err
    assert "Traceback" not in done.err
    assert sorted(path.name for path in elsewhere.iterdir()) == ["mine"]


def test_a_port_that_is_taken(demo_state: Path, elsewhere: Path) -> None:
    run_cli("site", "build", "public", "--state", str(demo_state))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run_cli("site", "serve", "public", "--port", str(port))
    assert done.code == 2
    assert f"port {port} of 127.0.0.1 cannot be used" in done.err
    assert "--port 0" in done.err


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent in another way there")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_serve_until_it_is_stopped(demo_state: Path, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """In a process of its own, since it goes on until it is stopped."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "npc_lims", "site", "serve", "--port", "0", "--state", str(demo_state)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}data/overview.json", timeout=60) as answer:
            assert json.load(answer)["totals"]["sessions"] == 29
        assert len(list(tmp_path.iterdir())) == 1
        process.send_signal(sent)
        try:
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == [], "what was made for it is gone"

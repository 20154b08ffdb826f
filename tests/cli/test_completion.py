"""What the shell is told when somebody presses the tab key: by the protocol of typer, as the shells speak it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from npc_lims.model.rows import COLUMNS
from tests.integration.world import GitHub, run_cli


def complete(monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What bash offers at the end of a command line; nothing may be said besides."""
    monkeypatch.setenv("_NPC_LIMS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
    done = run_cli()
    monkeypatch.delenv("_NPC_LIMS_COMPLETE")
    assert done.err == "", done
    return done.out.split()


@pytest.fixture
def here(demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return demo_state


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("npc-lims ses", ["sessions"]),
        ("npc-lims process pl", ["plan"]),
        ("npc-lims sessions --ep", ["--ephys"]),
        ("npc-lims show 901002_2024-05-1", [f"901002_2024-05-1{day}" for day in (6, 5, 4, 3, 0)]),
        ("npc-lims sessions --subject 90100", [f"90100{n}" for n in (5, 3, 6, 4, 2, 1)]),
        ("npc-lims sessions --project ", ["DynamicRouting", "TempletonPilotSession"]),
        ("npc-lims sessions --platform be", ["behavior_with_sync", "behavior"]),
        ("npc-lims sessions --where ri", ["rig=", "rig_json="]),
        ("npc-lims sessions --where is_so", ["is_sorted="]),
        ("npc-lims sessions --where rig=NP", ["rig=NP2", "rig=NP3"]),
        ("npc-lims sessions --where sorted!=u", ["sorted!=unknown"]),
        ("npc-lims sessions --where subject=901001", ["subject=901001"]),
        ("npc-lims sessions --where allen_path=", []),
        ("npc-lims sessions --terms pla", ["platform"]),
        ("npc-lims sessions --count-by project,ri", ["project,rig"]),
        ("npc-lims sessions --is so", ["sorted"]),
        ("npc-lims sessions --missing is_so", ["is_sorted"]),
        ("npc-lims sessions --unknown LP", ["LPFaceParts"]),
        ("npc-lims sessions --columns id,ri", ["id,rig"]),
        ("npc-lims sessions --sort da", ["date"]),
        ("npc-lims show 7", []),
    ],
)
def test_what_is_offered(here: Path, monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]) -> None:
    assert complete(monkeypatch, line) == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["--where", "rig", "=", "NP"], ["NP2", "NP3"]),
        (["--where", "sorted", "="], ["yes", "no", "unknown", "n.a."]),
        (["--where", "rig!", "=", "NP2", "--where", "platform", "=", "be"], ["behavior_with_sync", "behavior"]),
    ],
)
def test_bash_splits_conditions_and_completes_their_ends(
    here: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], offered: list[str]
) -> None:
    monkeypatch.setenv("_NPC_LIMS_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["npc-lims", "sessions", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words) + 1))
    done = run_cli()
    assert (done.err, done.out.split()) == ("", offered)


def test_a_column_is_offered_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = complete(monkeypatch, "npc-lims sessions --columns id,rig,")
    assert offered == [f"id,rig,{name}" for name in COLUMNS if name not in ("id", "rig")]


def test_the_state_that_the_line_names_is_meant(
    demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete(monkeypatch, "npc-lims show --state nowhere 9") == []
    assert len(complete(monkeypatch, f"npc-lims show --state {demo_state} 9")) == 29


def test_the_cached_snapshot_is_used_without_a_request(
    github: GitHub, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert complete(monkeypatch, "npc-lims show 901001_") == []
    assert github.paths == []
    run_cli("sessions", "--json")
    asked = len(github.paths)
    monkeypatch.setenv("NPC_LIMS_TTL", "0")
    assert len(complete(monkeypatch, "npc-lims show 901001_")) == 7
    assert len(github.paths) == asked


@pytest.mark.parametrize("damage", [b"", b"{}\n", b'{"id":"626791', b"\xff\n"])
def test_damaged_state_completes_nothing_without_a_message(
    state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(state))
    (state / "sessions.jsonl").write_bytes(damage)
    assert complete(monkeypatch, "npc-lims show 9") == []
    assert complete(monkeypatch, "npc-lims sessions --project D") == []


def test_unusable_settings_offer_nothing_and_say_nothing(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere / ".env").write_bytes(b"\xff\xfe")
    assert complete(monkeypatch, "npc-lims show 9") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_each_shell_gets_a_script(elsewhere: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    monkeypatch.setenv("_NPC_LIMS_COMPLETE", f"source_{shell}")
    done = run_cli()
    assert done.code == 0, done
    assert "_NPC_LIMS_COMPLETE" in done.out


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("zsh", {"_TYPER_COMPLETE_ARGS": "npc-lims show 901005_2024-11"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "npc-lims show 901005_2024-11", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
        (
            "powershell",
            {
                "_TYPER_COMPLETE_ARGS": "npc-lims show 901005_2024-11",
                "_TYPER_COMPLETE_WORD_TO_COMPLETE": "901005_2024-11",
            },
        ),
    ],
)
def test_other_shells_are_offered_the_same(
    here: Path, monkeypatch: pytest.MonkeyPatch, shell: str, variables: dict[str, str]
) -> None:
    monkeypatch.setenv("_NPC_LIMS_COMPLETE", f"complete_{shell}")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    done = run_cli()
    assert done.err == "", done
    assert "901005_2024-11-04" in done.out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="bash is not installed")
def test_a_real_bash_completes(demo_state: Path, tmp_path: Path) -> None:
    """The script that typer gives bash is loaded, and its function asked as bash does."""
    script = subprocess.run(
        [sys.executable, "-m", "npc_lims"],
        env={**os.environ, "_NPC_LIMS_COMPLETE": "source_bash"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = tmp_path / "npc-lims"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m npc_lims "$@"\n')
    command.chmod(0o755)
    function = next(line.split("(")[0] for line in script.splitlines() if line.endswith("() {"))
    ask = f"""{script}
COMP_WORDS=(npc-lims show 901005_2024-11); COMP_CWORD=2; COMP_LINE="npc-lims show 901005_2024-11"
{function} "{command}"; printf '%s\\n' "${{COMPREPLY[@]}}"
COMP_WORDS=(npc-lims sessions --where rig = NP); COMP_CWORD=5
{function} "{command}"; printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    environment = {**os.environ, "NPC_LIMS_STATE": str(demo_state), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", ask], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["901005_2024-11-04", "NP2", "NP3"], done

"""Every command is documented, has examples that can be typed, and says and prints what is stored here.

What a command prints changes only on purpose: run these tests with UPDATE_SNAPSHOTS=1, and look at the difference.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.cli.app import SECTIONS
from npc_lims.config.settings import Settings
from npc_lims.demo.files import world_files, write_world
from npc_lims.processing.runs import Run, write_runs, write_updates
from npc_lims.sync.run import SyncOptions, sync
from scripts import cli_reference as reference
from tests.git_environment import plain_environment
from tests.integration.world import Done, commit_all, run_cli, run_git
from tests.processing.rig import SESSIONS, TOKEN, make_rig, raw_name, write_sessions
from tests.servers.codeocean import asset_id
from tests.servers.fixtures import Serve
from tests.track.planning.books import plan_book, session_row, uploaded, write_batch

SNAPSHOTS = Path(__file__).resolve().parent / "snapshots"
IS_UPDATE = os.environ.get("UPDATE_SNAPSHOTS") == "1"

COMMANDS = {command.path: command for command in reference.walk()}
LEAVES = [path for path, command in COMMANDS.items() if not command.is_group]

RUNS = {
    "npc-lims": ["", "--version", "sessoins", "sessions --ephis"],
    "npc-lims alert": [
        "--run https://github.com/lab/state/actions/runs/7 --result observe=failure",
        "--run https://github.com/lab/state/actions/runs/8 --result observe=success",
    ],
    "npc-lims demo": ["."],
    "npc-lims diff": ["HEAD^ HEAD", "HEAD^ HEAD --what tracked --csv", "HEAD^ HEAD --what tracked --json", "HEAD~9"],
    "npc-lims dispatch": ["--only codeocean,s3", "--only moon"],
    "npc-lims doctor": ["--mirror mirror", "--mirror nowhere --csv", "--mirror mirror --json"],
    "npc-lims export": ["tables --format csv", "sessions.sqlite", "mirror --format csv"],
    "npc-lims history": [
        "901002_2024-05-15",
        "901002_2024-05-15 --csv",
        "--since 2024-11-05",
        "--since 2024-11-05 --csv",
        "--since yesterday",
    ],
    "npc-lims observe": ["--out observed --only tracked"],
    "npc-lims preview": ["HEAD^", "HEAD^ --csv"],
    "npc-lims process claim": ["--out claims.json", "--out claims.json --none"],
    "npc-lims process collect": ["", "--json"],
    "npc-lims process plan": ["", "--all --sessions 700000_2024-03-01", "--csv", "nobody"],
    "npc-lims process record": ["errored.json"],
    "npc-lims process run": ["--dry-run", "--limit 1 --csv", "--again"],
    "npc-lims process runs": ["", "--csv", "--json", "--json --csv"],
    "npc-lims process start": ["--claims claims.json --out started.json"],
    "npc-lims publish": ["", "--state nowhere"],
    "npc-lims sessions": [
        "--subject 901003",
        "--subject 901003 --csv",
        "--count-by project,rig",
        "--terms platform",
        "--since June",
    ],
    "npc-lims paths": ["901003_2024-10-22 --kind sorted", "901001_2024-03-07", "901001_2024-03-07 --kind sortd"],
    "npc-lims show": ["901001_2024-03-13", "901001_2024-03-07 --json", "901001_2024-03-31"],
    "npc-lims site build": ["public --repository lab/state", "state"],
    "npc-lims site serve": ["nowhere"],
    "npc-lims sync": ["--only tracked --tracked first.yaml --dry-run", "--only tracked --tracked first.yaml --csv"],
    "npc-lims track add": ["//allen/DRpilot_626791_20220815 --day 1 --dry-run", "//allen/nothing"],
    "npc-lims track dedupe": ["--tracked repeats.yaml --dry-run", "--tracked repeats.yaml --dry-run --csv"],
    "npc-lims track edit": ["901001_2024-03-13 --note surface --dry-run", "901001_2024-03-13"],
    "npc-lims track import": [
        "tracking.xlsx --batch upload.bat --dry-run",
        "tracking.xlsx --batch upload.bat --dry-run --csv",
    ],
    "npc-lims track remove": ["901001_2024-03-13 --dry-run", "626791_2022-08-15"],
    "npc-lims validate": [
        "",
        "broken.yaml",
        "broken.yaml --csv",
        "broken.yaml --format github",
        "--json --format github",
    ],
    "npc-lims verify": ["", "--state damaged", "--state damaged --json"],
}
"""What each command is tried with, in the folder that `lab` makes. Those of one command follow each other."""
LISTS = {
    *("npc-lims diff", "npc-lims doctor", "npc-lims history", "npc-lims paths", "npc-lims preview"),
    *(
        "npc-lims sessions",
        "npc-lims sync",
        "npc-lims process collect",
        "npc-lims process plan",
        "npc-lims process run",
        "npc-lims process runs",
    ),
    *("npc-lims process start", "npc-lims track dedupe", "npc-lims track import"),
    *("npc-lims validate", "npc-lims verify"),
}
"""Commands that print more than one thing of a kind."""
GITHUB = ("npc-lims alert", "npc-lims dispatch")
CODEOCEAN = ("npc-lims process",)

PIPELINES = """\
processes:
  dlc_eye:
    capsule: 4cf0be83-2245-4bb1-a55c-a78201b14bfe
    input: raw
    done: is_dlc_eye
    needs: [is_uploaded, is_video]
    asset:
      name: "{recording}_dlc_eye_{created}"
      tags: [derived]
"""
BROKEN = """\
ephys:
  DynamicRouting:
    - //allen/programs/DRpilot_626791_20220815
    - //allen/programs/DRpilot_626791
    - //allen/programs/DRpilot_626791_20220816:
        sesion_kwargs: {}
"""


REPEATS = """\
ephys:
  DynamicRouting:
    - //allen/programs/DRpilot_626791_20220815
    - //allen/programs/DRpilot_626791_20220816:
        ephys_day: 2
    - //allen/programs/DRpilot_626791_20220815
    - //allen/programs/DRpilot_626791_20220816:
        ephys_day: 3
"""

# --- the folder in which commands run


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout with two commits of the demo's state, and one with sessions to process; to be copied."""
    labs = tmp_path_factory.mktemp("labs")
    lab = labs / "lab"
    for stage in (1, 2):
        write_world(lab, stage)
        (lab / "pipelines.yaml").write_text(PIPELINES)
        options = SyncOptions(state=lab / "state", tracked=lab / "tracked_sessions.yaml")
        sync(Settings(mirror=lab / "mirror", cache_dir=labs / "cache"), options)
        (lab / ".gitignore").write_text("mirror\n")
        _commit(lab, f"state: day {stage}", f"2024-11-0{3 + stage}T12:00:00Z")
    (lab / "first.yaml").write_bytes(world_files(1)["tracked_sessions.yaml"])
    (lab / "broken.yaml").write_text(BROKEN)
    shutil.copytree(lab / "state", lab / "damaged")
    (lab / "damaged" / "sessions" / "901001" / "901001_2024-03-13.yaml").write_text("schema: 1\n")
    (lab / "repeats.yaml").write_text(REPEATS)
    _write_processing(labs / "processing")
    return labs


def _commit(folder: Path, message: str, when: str) -> None:
    """Commit everything as if it were some other day."""
    commit_all(folder, message)
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "commit.gpgsign=false")
    command = ["git", *identity, "commit", "--quiet", "--amend", "--no-edit", f"--date={when}"]
    subprocess.run(command, cwd=folder, env={**plain_environment(), "GIT_COMMITTER_DATE": when}, check=True)


def _write_processing(folder: Path) -> None:
    """Three sessions to process, of which one ran, and one is claimed."""
    write_sessions(folder)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    when = {"claim": "5f1c", "claimed": "2024-03-04T10:00:00Z"}
    errored = {
        "computation": "c0ffee",
        "started": "2024-03-04T10:01:00Z",
        "outcome": "errored",
        "reason": "=1, no video",
    }
    ran, claimed = (
        Run.model_validate({"session": session, "input": asset_id(raw_name(session)), "try": 1, **when, **more})
        for session, more in ((SESSIONS[2], errored), (SESSIONS[0], {}))
    )
    write_runs(folder / "state", "dlc_eye", [ran, claimed])
    write_updates(folder / "claims.json", {"dlc_eye": [claimed]})
    write_updates(folder / "errored.json", {"dlc_eye": [claimed.model_copy(update=errored)]})


@pytest.fixture
def folder(request: pytest.FixtureRequest, labs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a command, with the servers that it needs."""
    path: str = request.getfixturevalue("path")
    if path in GITHUB:
        request.getfixturevalue("hub")
    is_processing = path.startswith(CODEOCEAN)
    if is_processing:
        serve: Serve = request.getfixturevalue("serve")
        monkeypatch.setenv("CODE_OCEAN_DOMAIN", make_rig(serve).proxy.url)
        monkeypatch.setenv("CODE_OCEAN_API_TOKEN", TOKEN)
    made = labs / ("processing" if is_processing else "lab")
    folder = Path(shutil.copytree(made, tmp_path / "lab", ignore=shutil.ignore_patterns("mirror"))).resolve()
    if not is_processing:
        shutil.copytree(made / "mirror", folder / "mirror", copy_function=os.link)  # thousands of files, only read
    monkeypatch.chdir(folder)
    if path == "npc-lims track import":
        plan_book(folder, session_row(714748, "6/24/2024"), session_row(714748, "6/26/2024"))
        write_batch(folder, f"upload_dr_ecephys {uploaded(folder, '714748_2024-06-24')}")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


def shown(done: Done, folder: Path) -> str:
    """What was printed, with the same names for what differs from run to run and from machine to machine."""
    text = done.out + (f"--- stderr\n{done.err}" if done.err else "")
    for told in {json.dumps(str(folder))[1:-1], str(folder), folder.as_posix()}:
        text = text.replace(told, "/LAB")
    if os.sep == "\\":
        text = re.sub(r"\\\\|\\(?![\"nu])", "/", text)
    if (folder / ".git").exists():
        for number, commit in enumerate(run_git(folder, "log", "--format=%H").splitlines()):
            text = text.replace(commit, f"<HEAD~{number}>").replace(commit[:10], f"<HEAD~{number}>")
    text = text.replace(npc_lims.__version__, "<VERSION>")
    text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<ID>", text)
    # of a site, which a line more in its pages changes
    text = re.sub(r"(files, )[0-9.]+ MB", r"\1<SIZE>", text)
    text = re.sub(r"http://127\.0\.0\.1:[0-9]+", "<SERVER>", text)
    text = re.sub(r"\b[0-9]+ (?:s|min) ago", "<AGE> ago", text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines()) + f"[exit {done.code}]\n"


def help_of(path: str) -> str:
    """What `--help` says; arguments and options as the command has them: releases of typer show them differently."""
    done = run_cli(*shlex.split(path)[1:], "--help")
    assert done.code == 0, done
    _, _, text = done.out.partition("\n\n")
    said, _, _ = text.partition("\nOptions:\n")
    said, _, _ = said.partition("\nArguments:\n")
    lists = re.findall(r"^(?!Options:|Arguments:)\S[^\n]*:\n(?:  [^\n]*\n)+", text, re.MULTILINE)
    given = [
        f"  {' | '.join(filter(None, (one.name, one.help, one.note)))}" for one in reference.parameters(COMMANDS[path])
    ]
    return "\n".join([said.rstrip(), "", *given, "", *lists]).rstrip() + "\n"


def compare(name: str, text: str) -> None:
    file = SNAPSHOTS / f"{name}.txt"
    if IS_UPDATE:
        SNAPSHOTS.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    assert file.is_file(), f"no {file}: run these tests with UPDATE_SNAPSHOTS=1, and look at what it says"
    assert text == file.read_text(encoding="utf-8"), "if this is meant: UPDATE_SNAPSHOTS=1"


def name_of(path: str) -> str:
    return path.replace(" ", "-")


# --- the tests


@pytest.mark.parametrize("path", COMMANDS)
def test_help_says_what_is_stored(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    compare(f"{name_of(path)}-help", help_of(path))


@pytest.mark.parametrize("path", RUNS)
def test_a_run_prints_what_is_stored(path: str, folder: Path) -> None:
    printed = []
    for arguments in RUNS[path]:
        done = run_cli(*shlex.split(path)[1:], *shlex.split(arguments))
        assert "Traceback" not in done.err
        assert TOKEN not in done.out + done.err
        printed.append(f"$ {path} {arguments}".rstrip() + f"\n{shown(done, folder)}")
    compare(name_of(path), "\n".join(printed))


def test_every_command_is_run() -> None:
    assert sorted(set(LEAVES) - set(RUNS)) == [], "add them to RUNS"
    assert sorted(set(RUNS) - set(COMMANDS)) == []


def test_every_snapshot_is_of_a_command() -> None:
    wanted = {f"{name_of(path)}.txt" for path in RUNS} | {f"{name_of(path)}-help.txt" for path in COMMANDS}
    assert {file.name for file in SNAPSHOTS.iterdir()} == wanted


@pytest.mark.parametrize("path", COMMANDS)
def test_examples_can_be_typed(path: str) -> None:
    command = COMMANDS[path]
    assert command.examples, "its help needs a paragraph that begins with \\b and `Examples:`"
    for line in command.examples:
        for words in _commands_of(line):
            assert words[0] == "npc-lims", line
            _parse(COMMANDS["npc-lims"].found, words[1:])
        assert command.is_group or f"{line} ".startswith(f"{path} "), f"an example of another command: {line}"


def _commands_of(line: str) -> Iterator[list[str]]:
    """The commands of a line, which a shell may connect."""
    words: list[str] = []
    for word in shlex.split(line):
        if word in ("&&", "|", ">", ";"):
            yield words
            words = []
        else:
            words.append(word)
    if words and words[0] == "npc-lims":
        yield words


def _parse(command: Any, words: list[str]) -> None:
    """Parse a command line as typer does, without running it."""
    if hasattr(command, "commands") and words and not words[0].startswith("-"):
        _parse(command.commands[words[0]], words[1:])
        return
    with command.make_context("npc-lims", list(words)) as context:
        assert not context.args


@pytest.mark.parametrize("path", LEAVES)
def test_help_says_what_is_read_and_written_and_needed(path: str) -> None:
    text = COMMANDS[path].text
    for words in (r"\bReads\b", r"\b[Ww]rites\b", r"\bNeeds\b"):
        assert re.search(words, text), f"{path} --help does not say: {words}"


@pytest.mark.parametrize("path", [path for path, command in COMMANDS.items() if command.is_group])
def test_overviews_tell_each_purpose_in_one_line(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = run_cli(*shlex.split(path)[1:], "--help")
    assert "...\n" not in done.out.partition("\n\n")[2], "the first sentence of a help is to be shorter"


def test_every_command_has_its_place_in_the_overview() -> None:
    listed = [name for names in SECTIONS.values() for name in names]
    assert sorted(COMMANDS["npc-lims"].found.commands) == sorted(listed)


def test_the_reference_is_up_to_date() -> None:
    text = (SNAPSHOTS.parents[2] / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert text == reference.render(), "run scripts/generate.py"
    headings = re.findall(r"^##+ (npc-lims.*)$", text, re.MULTILINE)
    assert headings == list(COMMANDS)


@pytest.mark.parametrize("path", LEAVES)
def test_lists_have_both_styles(path: str) -> None:
    """A command that prints JSON prints CSV, too, but for those that print one thing."""
    options = {one.name for one in reference.parameters(COMMANDS[path])}
    assert ("--csv" in options) == (path in LISTS)
    assert ("--json" in options) == (path in LISTS or path == "npc-lims show")

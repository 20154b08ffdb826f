"""How errors and warnings look, and which exit code they are; what happens as a reader goes away, or on Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from npc_lims import errors
from npc_lims.cli import ExitCode
from npc_lims.cli.output import report_error, show_warning
from npc_lims.errors import Problem
from tests.integration.world import run_cli
from tests.servers.faults import Delay, FaultyProxy
from tests.servers.fixtures import Serve

COMMAND = [sys.executable, "-m", "npc_lims"]


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (errors.NpcLimsError("no x; give one"), 2, "npc-lims: error: no x; give one\n"),
        (errors.SourceError("s3", "timed out; try again"), 2, "npc-lims: error: s3: timed out; try again\n"),
        (errors.NpcLimsError("a\x1b[2J\u202eb, 日本 é\ntwo"), 2, "npc-lims: error: a\\x1b[2J\\u202eb, 日本 é two\n"),
        (errors.SyncRefused("it would remove 12; look first"), 4, "npc-lims: error: it would remove 12; look first\n"),
        (
            errors.TrackedFileError(
                [Problem("a.yaml", 3, 5, "warning", "odd"), Problem("a.yaml", 4, 7, "error", "bad")]
            ),
            2,
            """a.yaml:4:7: error: bad
npc-lims: error: a.yaml: 1 error, listed above; correct them and give the command again
""",
        ),
        (
            PermissionError(13, "Permission denied", "s/a"),
            2,
            """npc-lims: error: s/a: Permission denied; check that path, who may write there, and the space on its disk
""",
        ),
        (
            OSError(28, "No space left on device"),
            2,
            "npc-lims: error: No space left on device; check where the output goes, and the space on its disk\n",
        ),
        (KeyboardInterrupt(), 130, "npc-lims: error: stopped by Ctrl-C; to go on, give the command again\n"),
    ],
)
def test_an_error_is_a_line_that_ends_with_what_to_do(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report_error(error) == code
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", told)


def test_a_mistake_of_ours_names_the_file_with_its_details(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(ZeroDivisionError()) == ExitCode.UNEXPECTED
    shown = re.fullmatch(
        r"npc-lims: error: unexpected ZeroDivisionError; details in (.*); report it with that file: https://.*\n",
        capsys.readouterr().err,
    )
    assert shown is not None
    assert "ZeroDivisionError" in Path(shown[1]).read_text()


def test_the_network_is_not_taken_for_the_disk(capsys: pytest.CaptureFixture[str]) -> None:
    assert report_error(ConnectionResetError(104, "Connection reset by peer")) == ExitCode.UNEXPECTED
    assert report_error(OSError("Could not find a suitable TLS CA certificate bundle")) == ExitCode.UNEXPECTED
    assert "disk" not in capsys.readouterr().err


@pytest.mark.parametrize("passing", [SystemExit(3), GeneratorExit()])
def test_exits_pass(passing: BaseException) -> None:
    with pytest.raises(type(passing)):
        report_error(passing)


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (errors.NpcLimsError("50 % of\n::error::x"), ["::error title=npc-lims::50 %25 of ::error::x"]),
        (
            errors.TrackedFileError([Problem("t.yaml", n, 1, "error", "bad") for n in (3, 4)]),
            [
                "::error file=t.yaml,line=3,col=1::bad",
                "::error file=t.yaml,line=4,col=1::bad",
                "npc-lims: error: t.yaml: 2 errors, listed above; correct them and give the command again",
            ],
        ),
    ],
)
def test_in_github_actions_each_error_is_an_annotation(
    error: Exception, shown: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    report_error(error)
    assert capsys.readouterr().err.splitlines() == shown


def test_a_long_error_stays_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    report_error(errors.NpcLimsError("[bold]much[/bold] " * 40 + "; do :smile: this"))
    assert capsys.readouterr().err == f"npc-lims: error: {'[bold]much[/bold] ' * 40}; do :smile: this\n"


def test_a_warning_looks_alike(capsys: pytest.CaptureFixture[str]) -> None:
    show_warning("an old copy; try later", errors.StaleStateWarning, "x.py", 1)
    show_warning("gone soon", DeprecationWarning, "x.py", 1)
    told = "npc-lims: warning: an old copy; try later\nnpc-lims: warning: DeprecationWarning: gone soon\n"
    assert capsys.readouterr().err == told
    assert warnings.showwarning is not show_warning


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("sync --dry-rnu", "No such option: --dry-rnu. Did you mean --dry-run? See npc-lims sync --help"),
        ("process plna", "No such command 'plna'. Did you mean 'plan'? See npc-lims process --help"),
        ("process record", "Missing argument 'FILE'. See npc-lims process record --help"),
        ("alert", "Missing option '--run'. See npc-lims alert --help"),
        ("sync --state", "Option '--state' requires an argument. See npc-lims "),
        ("diff --limit -1", "Invalid value for '--limit'"),
        ("validate a b", "(b). See npc-lims validate --help"),
    ],
)
def test_mistakes_in_usage_look_alike(arguments: str, words: str, elsewhere: Path) -> None:
    done = run_cli(*arguments.split())
    assert (done.code, done.out) == (ExitCode.MISTAKE, "")
    assert done.err.startswith("npc-lims: error: ")
    assert done.err.count("\n") == 1
    assert words in done.err


def test_every_exit_code_has_its_meaning() -> None:
    assert all(code.meaning for code in ExitCode)
    told = run_cli("--help").out
    assert all(f"  {int(code)} " in told for code in ExitCode)


@pytest.mark.parametrize("command", [[], ["sessions"], ["track", "add"]])
def test_h_is_help(command: list[str]) -> None:
    done = run_cli(*command, "-h")
    assert done.code == 0, done
    assert done.out == run_cli(*command, "--help").out


@pytest.mark.parametrize("arguments", ["sessions", "validate --csv"])
def test_a_closed_pipe_is_no_error(arguments: str, demo_state: Path, elsewhere: Path) -> None:
    (elsewhere / "tracked_sessions.yaml").write_text("ephys: [1]\n")
    more = ["--state", str(demo_state)] if arguments.startswith("sessions") else []
    process = subprocess.Popen([*COMMAND, *arguments.split(), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    told = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == ExitCode.UNREAD
    assert "Traceback" not in told and "error:" not in told


@pytest.mark.skipif(os.name == "nt", reason="closed by a POSIX shell")
def test_closed_streams_are_no_traceback(demo_state: Path, elsewhere: Path) -> None:
    for closing, flag, code in ((">&-", "sorted", ExitCode.DONE), (">&- 2>&-", "none", ExitCode.MISTAKE)):
        command = [*COMMAND, "sessions", "--state", str(demo_state), "--is", flag]
        done = subprocess.run(["sh", "-c", f'"$@" {closing}', "sh", *command], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (code, "")
        assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for Ctrl-C to one process")
def test_ctrl_c_while_it_begins_is_no_traceback(elsewhere: Path) -> None:
    # a module of typer's that is imported early: what a slow disk takes seconds for
    waiting = "import os, signal\nclass Finder:\n    def find_spec(self, name, *_):\n"
    waiting += "        if name == 'typer.main': os.kill(os.getpid(), signal.SIGINT)\n"
    waiting += "import sys\nsys.meta_path.insert(0, Finder())\nfrom npc_lims.cli import main\nmain()"
    done = subprocess.run([sys.executable, "-c", waiting], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.STOPPED, "", "")


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal for Ctrl-C to one process")
@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (signal.SIGINT, ExitCode.STOPPED, b"stopped by Ctrl-C"),
        (signal.SIGTERM, ExitCode.ENDED, b"ended by SIGTERM"),
    ],
)
def test_being_stopped_is_one_line(
    serve: Serve, elsewhere: Path, sent: signal.Signals, code: ExitCode, words: bytes
) -> None:
    """While it waits for an answer of GitHub's."""
    proxy = serve(FaultyProxy("http://127.0.0.1:9"))
    proxy.plan(Delay(30))
    environment = {**os.environ, "NPC_LIMS_RAW_URL": proxy.url}
    process = subprocess.Popen([*COMMAND, "sessions"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    while not proxy.requests:
        assert process.poll() is None
    process.send_signal(sent)
    try:
        out, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (code, b"")
    assert told == b"npc-lims: error: " + words + b"; to go on, give the command again\n"

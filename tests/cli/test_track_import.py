"""`npc-lims track import`, from real workbooks and batch files to the changed file."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from npc_lims.sources.tracked.parser import read_tracked
from tests.integration.world import Done, run_cli
from tests.servers.github_hub import Hub
from tests.track.planning.books import MOUSE, ROOT, plan_book, session_row, uploaded, write_batch

DAY = datetime.datetime(2024, 6, 24)
SESSION = "714748_2024-06-24"
TRACKED = f"""\
# sessions of the lab
ephys:
  DynamicRouting:
    - {ROOT}/DRpilot_714748_20240624:
        ephys_day: 1
        session_kwargs:
            probe_letters_to_skip: DE # not inserted
"""


@pytest.fixture
def folder(elsewhere: Path) -> Path:
    """The working directory, with a tracked file in it."""
    (elsewhere / "tracked_sessions.yaml").write_bytes(TRACKED.encode())
    return elsewhere


@pytest.fixture
def book(folder: Path) -> Path:
    """A workbook of three sessions: one tracked, one to upload, one never uploaded."""
    return plan_book(
        folder,
        session_row(714748, DAY, probes_in_brain="ABCD", a_depth=3900),
        session_row(714748, DAY + datetime.timedelta(1), probes_in_brain="ABCDEF"),
        session_row(714748, "6/26/2024"),
    )


@pytest.fixture
def batch(folder: Path) -> Path:
    """A batch file of two uploads, whose folders and configs can be seen."""
    first = uploaded(folder, SESSION, {"probe_letters_to_skip": "F"})
    second = uploaded(folder, "714748_2024-06-25", {"is_split_recording": True})
    return write_batch(folder, "@rem uploads", f'upload_dr_ecephys "{first}"', f"upload_dr_ecephys {second} --force")


def run(*arguments: object) -> Done:
    return run_cli("track", "import", *map(str, arguments))


def test_sessions_are_added_and_edited_and_reported(folder: Path, book: Path, batch: Path) -> None:
    done = run(book, "--batch", batch)
    assert done.code == 0, done
    assert "tracking.xlsx, upload.bat: 1 added, 1 edited, 2 conflicts, 1 skipped" in done.out
    assert (
        "714748_2024-06-24  probe_letters_to_skip: workbook EF, session_config.json F, tracked DE: EF is taken"
        in done.out
    )
    assert "714748_2024-06-26  not uploaded: no path" in done.out
    sessions = read_tracked(folder / "tracked_sessions.yaml").sessions
    assert sessions[SESSION].session_kwargs == {"probe_letters_to_skip": "EF", "is_deep_insertion": True}
    assert sessions["714748_2024-06-25"].ephys_day == 2
    assert sessions["714748_2024-06-25"].session_kwargs == {"is_split_recording": True}
    assert "git commit" in done.out
    assert (folder / "tracked_sessions.yaml").read_text().startswith(TRACKED[: TRACKED.index("        session_kwargs")])


def test_a_second_import_changes_nothing(folder: Path, book: Path, batch: Path) -> None:
    run(book, "--batch", batch)
    before = (folder / "tracked_sessions.yaml").read_bytes()
    done = run(book, "--batch", batch)
    assert done.code == 0, done
    assert "2 unchanged" in done.out
    assert "git commit" not in done.out
    assert (folder / "tracked_sessions.yaml").read_bytes() == before


def test_a_dry_run_shows_the_difference_and_writes_nothing(folder: Path, book: Path, batch: Path) -> None:
    done = run(book, "--batch", batch, "--dry-run")
    assert done.code == 0, done
    assert "-            probe_letters_to_skip: DE # not inserted" in done.out
    assert "+            probe_letters_to_skip: EF # not inserted" in done.out
    assert (folder / "tracked_sessions.yaml").read_bytes() == TRACKED.encode()


def test_a_pull_request_without_token_changes_the_file_and_names_the_branch(folder: Path, book: Path) -> None:
    done = run(book, "--pr")
    assert done.code == 0, done
    assert "GITHUB_TOKEN is not set" in done.out
    assert "git switch -c track/import-tracking" in done.out
    assert "probe_letters_to_skip: EF" in (folder / "tracked_sessions.yaml").read_text()


def test_rows_that_cannot_be_read_are_exit_1_and_the_rest_is_imported(folder: Path) -> None:
    path = plan_book(folder, session_row("mouse", DAY), session_row(714748, DAY, probes_in_brain="A"), mice=[MOUSE])
    done = run(path)
    assert done.code == 1, done
    assert "tracking.xlsx[by_session_prod]:2:1: error: mouse: 'mouse' is no mouse" in done.err
    assert "probe_letters_to_skip: BCDEF" in (folder / "tracked_sessions.yaml").read_text()


def test_exported_sheets_another_tracked_file_and_a_project_of_ones_own(folder: Path) -> None:
    mice, sessions, tracked = folder / "mice.csv", folder / "sessions.csv", folder / "other.yaml"
    mice.write_text('mouse,week of,days recorded\n714748,6/24/2024,"6/24, 6/25"\n')
    sessions.write_text("mid,date,probes\n714748,6/25/2024,ABC\n")
    tracked.write_text("ephys:\n  Mine:\n")
    batch = write_batch(folder, f"upload_dr_ecephys {ROOT}/DRpilot_714748_20240625")
    done = run(mice, sessions, "--batch", batch, "--tracked", tracked, "--project", "Mine")
    assert done.code == 0, done
    assert "cannot be seen from this machine" in done.err
    session = read_tracked(tracked).sessions["714748_2024-06-25"]
    assert (session.project, session.ephys_day) == ("Mine", 2)
    assert session.session_kwargs == {"probe_letters_to_skip": "DEF"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("missing.xlsx",), "npc-lims: error: workbook: there is no file missing.xlsx"),
        (("tracking.xlsx", "--batch", "missing.bat"), "npc-lims: error: batch: there is no file missing.bat"),
        (("tracking.xlsx", "--tracked", "missing.yaml"), "missing.yaml: there is no such file"),
        (("tracked_sessions.yaml",), "tracked_sessions.yaml is neither .xlsx nor .csv"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_used_is_exit_2(book: Path, arguments: tuple[str, ...], words: str) -> None:
    done = run(*arguments)
    assert done.code == 2, done
    assert words in done.err


def test_a_tracked_file_with_errors_is_exit_2_and_stays(folder: Path, book: Path) -> None:
    broken = TRACKED.replace("ephys_day: 1", "ephys_day: one")
    (folder / "tracked_sessions.yaml").write_bytes(broken.encode())
    done = run(book)
    assert done.code == 2, done
    assert "tracked_sessions.yaml:5:20: error: ephys_day must be a whole number" in done.err
    assert (folder / "tracked_sessions.yaml").read_bytes() == broken.encode()


def test_a_pull_request_describes_the_newest_file_whatever_is_here(
    hub: Hub, folder: Path, book: Path, batch: Path
) -> None:
    """The file here has all of it already, or errors, or is not there."""
    tracked = folder / "tracked_sessions.yaml"
    assert run(book, "--batch", batch).code == 0
    done = run(book, "--batch", batch, "--pr")
    assert done.code == 0, done
    assert "tracking.xlsx, upload.bat: 2 added, 1 conflict, 1 skipped" in done.out
    assert done.out.endswith("pull request opened: https://github.com/lab/state/pull/1\n")
    (pull,) = hub.pulls
    assert "2 added, 1 conflict, 1 skipped" in (pull.body or "")
    at = hub.git.branch("track/import-tracking")
    for prepare in (lambda: tracked.write_text("ephys: 1\n"), tracked.unlink):
        prepare()
        done = run(book, "--batch", batch, "--pr")
        assert done.code == 0, done
        assert "pull request is up to date" in done.out
    assert hub.git.branch("track/import-tracking") == at


@pytest.mark.parametrize("name", ["a..b.xlsx", "track.lock.xlsx", "..xlsx", "-é~^:?.xlsx"])
def test_a_workbook_of_any_name_has_a_branch(hub: Hub, folder: Path, book: Path, batch: Path, name: str) -> None:
    done = run(book.rename(folder / name).resolve(), "--batch", batch, "--pr")
    assert done.code == 0, done
    assert "pull request opened" in done.out


def test_a_workbook_of_many_sessions_still_fits_into_a_body(hub: Hub, folder: Path, batch: Path) -> None:
    rows = [session_row(714748, DAY + datetime.timedelta(n), probes_in_brain="A") for n in range(200)]
    done = run(plan_book(folder, *rows), "--batch", batch, "--pr")
    assert done.code == 0, done
    assert len(hub.pulls[0].body or "") < 65_536


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "\ufeff"])
def test_a_file_that_nothing_is_in_yet(folder: Path, book: Path, batch: Path, text: str) -> None:
    tracked = folder / "tracked_sessions.yaml"
    tracked.write_text(text, encoding="utf-8")
    done = run(book, "--batch", batch, "--project", "DynamicRouting")
    assert done.code == 0, done
    assert tracked.read_text(encoding="utf-8").startswith(f"{text}ephys:\n  DynamicRouting:\n")
    assert len(read_tracked(tracked).sessions) == 2

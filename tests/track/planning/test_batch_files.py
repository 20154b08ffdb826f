"""Batch files of uploads, and the configs that lie beside the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from npc_lims.errors import SourceError
from npc_lims.track.planning.batch_files import Uploads, read_batches
from tests.track.planning.books import ROOT, uploaded, write_batch

PATH = f"{ROOT}/DRpilot_714748_20240624"
SESSION = "714748_2024-06-24"


def paths(folder: Path, *lines: str) -> list[str]:
    return [upload.path for upload in read_batches([write_batch(folder, *lines)]).uploads]


def read_config(folder: Path, config: Any) -> tuple[dict[str, Any], list[str]]:
    """The values of a config, and its problems."""
    read = read_batches([write_batch(folder, f"upload_dr_ecephys {uploaded(folder, SESSION, config)}")])
    (upload,) = read.uploads
    return dict(upload.config), [problem.message for problem in read.problems]


def messages(read: Uploads, severity: str) -> list[str]:
    return [
        f"{problem.file}:{problem.line}: {problem.message}" for problem in read.problems if problem.severity == severity
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"upload_dr_ecephys {PATH}",
        f'upload_dr_ecephys "{PATH}"',
        f"  Upload_DR_ecephys.exe   {PATH}/  ",
        f"@upload_dr_ecephys.bat {PATH} --force --regenerate-metadata",
        f'call upload_dr_ecephys "{PATH}" -f',
        f"uv run upload_dr_ecephys {PATH}",
        f"C:\\envs\\Scripts\\upload_dr_ecephys.exe {PATH}",
        f'"C:\\Program Files\\env\\upload_dr_ecephys.exe" {PATH} recording1 recording2',
        f"upload_dr_ecephys {PATH} && echo done",
        f"upload_dr_ecephys {PATH} > log.txt",
        f"upload_dr_ecephys {PATH} > {SESSION}.log 2>&1",
        f"upload_dr_ecephys {PATH}>>logs/714748_20240624.log",
        f"upload_dr_ecephys --chronic {PATH}",
        f'upload_dr_ecephys -f --config="a b" "{PATH}" --force',
        f"upload_dr_ecephys {PATH} & rem && upload_dr_ecephys {PATH}_later",
        "upload_dr_ecephys " + PATH.replace("/", "\\"),
        'upload_dr_ecephys "' + PATH.replace("/", "\\") + '\\"',
    ],
)
def test_a_path_is_found_however_the_command_is_written(tmp_path: Path, line: str) -> None:
    assert paths(tmp_path, line) == [PATH]


@pytest.mark.parametrize("comment", ["#", "# ", "rem ", "REM ", "@rem ", "::", ":: ", "  #", "@REM\t"])
def test_lines_that_are_commented_out_are_skipped(tmp_path: Path, comment: str) -> None:
    read = read_batches([write_batch(tmp_path, f"{comment}upload_dr_ecephys {PATH}", "", "rem")])
    assert read == Uploads()


def test_other_paths_than_the_labs_are_read_too(tmp_path: Path) -> None:
    assert paths(
        tmp_path, "upload_dr_ecephys /mnt/my data/714748_2024-06-24", r"upload_dr_ecephys D:\1_714748_20240624"
    ) == [
        "/mnt/my data/714748_2024-06-24",
        "D:/1_714748_20240624",
    ]


def test_lines_without_upload_are_noted_and_bad_paths_are_problems(tmp_path: Path) -> None:
    read = read_batches(
        [
            write_batch(
                tmp_path,
                "@echo off",
                "upload_dr_ecephys",
                "upload_dr_ecephys DRpilot_714748_20240624",
                f"upload_dr_ecephys {PATH} {PATH[:-1]}5",
                "upload_dr_ecephys //allen/DRpilot",
                "upload_dr_ecephys_all //allen/DRpilot_714748_20240624",
                f"upload_dr_ecephys {PATH}_surface_channels",
            )
        ]
    )
    assert read.uploads == []
    assert [text.split(":")[1] for text in messages(read, "warning")] == ["1", "6", "7"]
    assert "'@echo off' is skipped" in messages(read, "warning")[0]
    assert "surface channels" in messages(read, "warning")[2]
    wrong = messages(read, "error")
    assert "upload.bat:2: upload_dr_ecephys without a path" in wrong[0]
    assert "'DRpilot_714748_20240624' is not the full path" in wrong[1]
    assert "several sessions in one command" in wrong[2]
    assert "no subject and date in '//allen/DRpilot'" in wrong[3]


@pytest.mark.parametrize("joint", [" && ", "&&", " & ", ";", " || ", " | "])
@pytest.mark.parametrize("quote", ["", '"'])
def test_every_command_of_a_line_is_read(tmp_path: Path, joint: str, quote: str) -> None:
    both = [PATH, f"{PATH[:-1]}5"]
    line = joint.join(f"upload_dr_ecephys {quote}{path}{quote}" for path in both)
    assert paths(tmp_path, line, f"rem {line}", f"# {line}") == both


def test_what_joins_commands_may_be_part_of_a_path(tmp_path: Path) -> None:
    path = "//allen/this & that; too/714748_20240624"
    assert paths(tmp_path, f'upload_dr_ecephys "{path}" --force', f"upload_dr_ecephys '{path}_2'") == [
        path,
        f"{path}_2",
    ]


@pytest.mark.parametrize(
    "line",
    [
        f"upload_dr_ecephys {PATH} --force {PATH[:-1]}5",
        f"upload_dr_ecephys {PATH} > log.txt {PATH[:-1]}5",
        f'upload_dr_ecephys "{PATH} && upload_dr_ecephys "{PATH[:-1]}5"',
    ],
)
def test_a_second_session_does_not_vanish_behind_an_option(tmp_path: Path, line: str) -> None:
    read = read_batches([write_batch(tmp_path, line)])
    assert read.uploads == []
    (complaint,) = messages(read, "error")
    assert "several sessions in one command" in complaint


def test_an_option_with_a_value_of_its_own_stands_behind_the_path(tmp_path: Path) -> None:
    read = read_batches([write_batch(tmp_path, f"upload_dr_ecephys --jobs 4 {PATH}", "upload_dr_ecephys --chronic")])
    assert read.uploads == []
    first, second = messages(read, "error")
    assert "is not the full path of a folder; skipped: give it before options" in first
    assert "without a path" in second


def test_other_commands_of_a_line_are_noted(tmp_path: Path) -> None:
    read = read_batches([write_batch(tmp_path, f"net use z: && upload_dr_ecephys {PATH}")])
    assert len(read.uploads) == 1
    assert "'net use z:' is skipped" in messages(read, "warning")[0]


def test_a_folder_in_two_spellings_is_reported_once(tmp_path: Path) -> None:
    path = uploaded(tmp_path, SESSION, {"ephys_day": 0})
    other = path.replace("/", "\\").replace("DRpilot", "drPILOT")
    read = read_batches([write_batch(tmp_path, *(f"upload_dr_ecephys {said}" for said in (path, f"{path}/", other)))])
    assert len(read.uploads) == 1
    assert [problem.severity for problem in read.problems] == ["error"]


def test_several_batch_files_are_one_list_of_uploads(tmp_path: Path) -> None:
    first = write_batch(tmp_path, f"upload_dr_ecephys {PATH}", name="a.bat")
    second = write_batch(
        tmp_path, f"upload_dr_ecephys {PATH.upper()}", f"upload_dr_ecephys {PATH[:-1]}5", name="b.txt", ending="\n"
    )
    read = read_batches([first, second])
    assert [(upload.session, upload.file, upload.line) for upload in read.uploads] == [
        (SESSION, "a.bat", 1),
        ("714748_2024-06-25", "b.txt", 2),
    ]


def test_folders_that_cannot_be_seen_are_one_note(tmp_path: Path) -> None:
    read = read_batches([write_batch(tmp_path, *(f"upload_dr_ecephys {PATH[:-1]}{n}" for n in range(4, 8)))])
    assert len(read.uploads) == 4
    (note,) = messages(read, "warning")
    assert "4 folder(s) cannot be seen from this machine" in note


def test_a_config_is_read_flat_or_as_an_entry(tmp_path: Path) -> None:
    flat = {
        "folder": "DRpilot_714748_20240624",
        "project": "DynamicRouting",
        "session_type": "ephys",
        "ephys_day": 2,
        "perturbation_day": None,
        "is_production": False,
        "probe_letters_to_skip": "fe",
        "surface_recording_probe_letters_to_skip": "",
    }
    expected = {"project": "DynamicRouting", "ephys_day": 2, "is_production": False, "probe_letters_to_skip": "EF"}
    assert read_config(tmp_path, flat) == (expected, [])
    nested = {
        "project": "DynamicRouting",
        "ephys_day": 2,
        "session_kwargs": {"is_production": False, "probe_letters_to_skip": ["E", "F"]},
    }
    assert read_config(tmp_path, nested) == (expected, [])
    assert read_config(tmp_path, {"notes": "rig 3", "issues": "https://x/1"}) == (
        {"notes": "rig 3", "issues": ["https://x/1"]},
        [],
    )


def test_a_config_may_name_the_platform(tmp_path: Path) -> None:
    path = uploaded(tmp_path, SESSION, {"session_type": "behavior_with_sync"})
    (upload,) = read_batches([write_batch(tmp_path, f"upload_dr_ecephys {path}")]).uploads
    assert (upload.platform, upload.config) == ("behavior_with_sync", {})


def test_a_folder_without_config_has_no_values(tmp_path: Path) -> None:
    assert read_config(tmp_path, None) == ({}, [])
    assert read_config(tmp_path, {}) == ({}, [])


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (b'{"ephys_day": 1,\n}', "is broken JSON"),
        (b"\xff\xfe{", "is no JSON in UTF-8"),
        (b" " * 1_000_000 + b"{}", "has more than 1000000 bytes"),
        (b"[1]", "holds list, not an object"),
        (b"[" * 100_000, "is no JSON in UTF-8"),
        ({"probe_letter_to_skip": "A"}, "'probe_letter_to_skip' is no key of an entry"),
        ({"ephys_day": "1"}, "ephys_day cannot be '1'"),
        ({"ephys_day": 0}, "ephys_day cannot be 0"),
        ({"is_production": "no"}, "is_production cannot be 'no'"),
        ({"probe_letters_to_skip": "XYZ"}, "probe_letters_to_skip cannot be 'XYZ'"),
        ({"probe_letters_to_skip": [1]}, "probe_letters_to_skip cannot be [1]"),
        ({"session_kwargs": "A"}, "session_kwargs is 'A'"),
        ({"session_type": "mri"}, "session_type cannot be 'mri'"),
    ],
)
def test_invalid_values_of_a_config_are_reported_and_left_out(tmp_path: Path, config: Any, words: str) -> None:
    values, complaints = read_config(tmp_path, config)
    assert values == {}
    (complaint,) = complaints
    assert words in complaint


def test_broken_json_is_reported_by_file_line_and_column(tmp_path: Path) -> None:
    path = uploaded(tmp_path, SESSION, b'{"ephys_day": 1,\n}')
    (problem,) = read_batches([write_batch(tmp_path, f"upload_dr_ecephys {path}")]).problems
    assert (problem.file, problem.line, problem.column) == (f"{path}/session_config.json", 2, 1)


def test_a_config_that_cannot_be_opened_is_reported(tmp_path: Path) -> None:
    path = Path(uploaded(tmp_path, SESSION))
    (path / "session_config.json").mkdir()
    read = read_batches([write_batch(tmp_path, f"upload_dr_ecephys {path.as_posix()}")])
    assert len(read.uploads) == 1
    (complaint,) = messages(read, "error")
    assert "cannot be read" in complaint


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("upload_dr_ecephys //allen/Jörg".encode("latin-1"), "byte 0xf6 in line 1"),
        (f"upload_dr_ecephys {PATH}".encode("utf-16-le"), "is no text in UTF-8"),
        (b"x" * 1_000_001, "is no batch file"),
    ],
)
def test_batch_files_that_cannot_be_used_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "upload.bat"
    file.write_bytes(content)
    with pytest.raises(SourceError, match=words):
        read_batches([file])


def test_a_missing_batch_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        read_batches([tmp_path / "upload.bat"])
    with pytest.raises(SourceError, match="cannot be read"):
        read_batches([tmp_path])

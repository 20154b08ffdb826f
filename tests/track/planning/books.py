"""Real planning workbooks, exported sheets, batch files and session folders to import from."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import openpyxl

BY_MOUSE = ["mouse", "project", "exp type", "week of", "days recorded", "surgeon"]
BY_SESSION = [
    *("mouse", "date", "probes in brain", "a loc", "a depth", "b loc", "b depth", "c loc", "c depth", "d loc"),
    *("d depth", "e loc", "e depth", "f loc", "f depth", "injection substance", "surface channel recording", "notes"),
]
MOUSE = [714748, "DynamicRouting", "prod", datetime.datetime(2024, 6, 24), "6/24, 6/25, 6/26", "someone"]
ROOT = "//allen/programs/mindscope/workgroups/dynamicrouting/PilotEphys/Task 2 pilot"

TODAY = datetime.date(2026, 11, 22)

Row = Sequence[Any]


def session_row(mouse: Any, date: Any, **cells: Any) -> list[Any]:
    """A row below `BY_SESSION`; columns are named with underscores: `probes_in_brain="ABC"`."""
    said = {"mouse": mouse, "date": date, **{name.replace("_", " "): value for name, value in cells.items()}}
    assert set(said) <= set(BY_SESSION)
    return [said.get(column) for column in BY_SESSION]


def write_book(path: Path, sheets: dict[str, Sequence[Row]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    book.save(path)
    return path


def plan_book(folder: Path, *sessions: Row, mice: Sequence[Row] = (MOUSE,), title: str = "by_session_prod") -> Path:
    """A workbook of one sheet of sessions."""
    return write_book(
        folder / "tracking.xlsx",
        {"by_mouse": [BY_MOUSE, *mice], title: [BY_SESSION, *sessions], "todo": [["buy milk"]]},
    )


def write_batch(folder: Path, *lines: str, name: str = "upload.bat", ending: str = "\r\n") -> Path:
    file = folder / name
    file.write_bytes(ending.join([*lines, ""]).encode())
    return file


def uploaded(folder: Path, session: str, config: Any = None) -> str:
    """A folder of an upload that is there, with a config of its own, and the path to put into a batch file."""
    subject, date = session.split("_")
    path = folder / f"DRpilot_{subject}_{date.replace('-', '')}"
    path.mkdir(parents=True, exist_ok=True)
    if config is not None:
        content = config if isinstance(config, bytes) else json.dumps(config).encode()
        (path / "session_config.json").write_bytes(content)
    return path.as_posix()

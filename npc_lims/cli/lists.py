"""Lists as programs read them: `--json` and `--csv`, which mean the same everywhere."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import typer

from npc_lims.errors import NpcLimsError
from npc_lims.utils.text import visible

__all__ = ["csv_option", "json_option", "one_style", "print_csv", "print_json"]


def json_option(what: str) -> Any:
    """`--json` of a command; *what* it prints, such as `an array of all runs`."""
    return typer.Option(False, "--json", help=f"Print {what} as JSON, and nothing else.")


def csv_option(columns: Sequence[str]) -> Any:
    """`--csv` of a command. The help names the *columns*."""
    return typer.Option(False, "--csv", help=f"Print a table as CSV, and nothing else: {', '.join(columns)}.")


def one_style(**chosen: bool) -> None:
    """
    Args:
        chosen: Whether each of several options was given that exclude each other.

    Raises:
        NpcLimsError: More than one was.
    """
    given = [f"--{name}" for name, is_given in chosen.items() if is_given]
    if len(given) > 1:
        raise NpcLimsError(f"{' and '.join(given)} exclude each other; give one of them")


def print_json(data: object) -> None:
    """An array or an object. Characters beyond ASCII are escaped, so that it survives any pipe."""
    for part in json.JSONEncoder(indent=1).iterencode(data):
        # a command to the runner of GitHub Actions, wherever it stands; JSON has another way to write it
        sys.stdout.write(part.replace("##[", "##\\u005b"))
    sys.stdout.write("\n")


def print_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """A line of names, then a line for each row, in UTF-8, quoted as RFC 4180 says.

    Nothing is put in front of a cell that a spreadsheet could take for a formula: a program could not tell it from
    what is recorded. Whoever opens the file in a spreadsheet imports its columns as text.

    Args:
        columns: Names of cells. `input.id` is the `id` of the `input` of a row; what is not there is empty.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # in the code page of a Windows pipe a name could become another one
        sys.stdout.reconfigure(encoding="utf-8")
    # Python before 3.13 quotes a carriage return only where it is of the line's end
    writer = csv.writer(_Lines(), lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(_at(row, column)) for column in columns])


class _Lines:
    """Standard output, with lines that end as those of other commands do.

    A program gets what is recorded; a terminal gets control characters as escapes, as it would obey them.
    """

    def write(self, line: str) -> int:
        line = line[: -len("\r\n")]
        return sys.stdout.write((visible(line) if sys.stdout.isatty() else line) + "\n")


def _at(row: Mapping[str, Any], column: str) -> Any:
    value: Any = row
    for name in column.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _cell(value: Any) -> str:
    """
    >>> [_cell(value) for value in (None, True, 3, ["sorted", "annotated"], {"a": 1})]
    ['', 'true', '3', 'sorted; annotated', '{"a": 1}']
    """
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return "; ".join(map(_cell, value))
    return json.dumps(value) if isinstance(value, (bool, Mapping)) else str(value)

"""A problem found in hand-made input: where it is, what it is, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from npc_lims.utils.redaction import safe_text
from npc_lims.utils.text import single_line

__all__ = ["Problem", "Severity", "workflow_command"]

Severity = Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file that people edit.

    Attributes:
        file: The file as the user named it; for a workbook, `workbook.xlsx[sheet]`.
        line: 1-based line, or row of the sheet; 0 when the whole file is meant.
        column: 1-based column; 0 when the whole line is meant.
        severity: Errors stop whatever was asked for; warnings are only listed.
        message: What was found, what was expected and what to do.
    """

    file: str
    line: int
    column: int
    severity: Severity
    message: str

    def __post_init__(self) -> None:
        # both may quote the file
        object.__setattr__(self, "file", single_line(self.file))
        object.__setattr__(self, "message", safe_text(self.message))

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"

    def as_github_annotation(self) -> str:
        """The problem as a workflow command, which GitHub shows on the line of the file if it has that file."""
        file = _in_repository(self.file)
        if file is None:
            return workflow_command(self.severity, f"{self.file}:{self.line}:{self.column}: {self.message}")
        place = {"file": file, "line": str(self.line), "col": str(self.column)}
        return workflow_command(self.severity, self.message, place)


def workflow_command(name: str, message: str, properties: Mapping[str, str] | None = None) -> str:
    """Return the line that makes *message* an annotation of a run of GitHub Actions (`::error file=a.yaml::b`)."""
    given = ",".join(f"{key}={_escape_property(value)}" for key, value in (properties or {}).items())
    return f"::{name}{' ' if given else ''}{given}::{_escape_data(message)}"


def _in_repository(file: str) -> str | None:
    """*file* relative to the checkout that it lies in, as GitHub names it; None if it is no path."""
    if "://" in file:
        return None
    path = Path(file).resolve()
    root = next((parent for parent in path.parents if (parent / ".git").exists()), None)
    return file if root is None else path.relative_to(root).as_posix()


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")

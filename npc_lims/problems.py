"""A problem found in hand-made input: where it is, what it is, and what to do."""

from __future__ import annotations

import dataclasses
from typing import Literal

from npc_lims.utils.redaction import safe_text
from npc_lims.utils.text import single_line

__all__ = ["Problem", "Severity"]

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
        """The problem as a workflow command, which GitHub shows on the line of the pull request."""
        return (
            f"::{self.severity} file={_escape_property(self.file)},line={self.line},col={self.column}"
            f"::{_escape_data(self.message)}"
        )


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")

"""The source `training`: rows of the training workbooks. Here is what is needed without openpyxl, a slow import."""

from __future__ import annotations

MAX_FILE_SIZE = 32 * 2**20
"""Bytes. A thousand subjects with two hundred sessions each take 13 MiB."""
MAX_CELLS = 10_000_000
"""Cells of a workbook that hold anything: a thousand subjects with two hundred sessions each of fifty columns."""
MAX_ROWS = 20_000
"""Rows of a sheet for callers with one entry for every row, blank ones too: a stray cell may be far below."""


class PartError(ValueError):
    """A part of a workbook cannot be read: the reason in a few words, without content, which may not be public."""

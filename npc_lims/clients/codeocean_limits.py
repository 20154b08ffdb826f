"""Limits of what is read from Code Ocean."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

__all__ = ["OUTPUT_LIMIT"]

OUTPUT_LIMIT = 64 * 2**20
"""Bytes of an `output` file, the log of a run, that are read at most."""

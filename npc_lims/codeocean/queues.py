"""The files that runs used to be queued in: JSON, a record of a computation for each session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean_records import as_computation
from npc_lims.errors import InputFileError, Problem, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from codeocean.computation import Computation

__all__ = ["read_computation_queue", "serialize_computation"]


def read_computation_queue(source: Path) -> dict[str, Computation | None]:
    """The run of each session in a queue file; None for a session whose turn has not come.

    Raises:
        InputFileError: The file cannot be read, or is no such queue.
    """
    try:
        queue = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise _unusable(source, f"cannot be read: {error.strerror or error}") from None
    except (RecursionError, ValueError) as error:
        raise _unusable(source, f"is not JSON: {error}", getattr(error, "lineno", 0)) from None
    if not isinstance(queue, dict):
        raise _unusable(source, "is not a queue: an object with a computation, or null, for each session is")
    return {session: _read_entry(source, session, entry) for session, entry in queue.items()}


def _read_entry(source: Path, session: str, entry: Any) -> Computation | None:
    if entry is None:
        return None
    if not isinstance(entry, dict):
        raise _unusable(source, f"{session}: expected a computation or null, found {entry!r}")
    try:
        return as_computation(entry)
    except SourceError as error:
        raise _unusable(source, f"{session}: {error.reason}") from None


def _unusable(source: Path, message: str, line: int = 0) -> InputFileError:
    return InputFileError([Problem(str(source), line, 0, "error", message)])


def serialize_computation(computation: Computation | None) -> dict[str, Any] | None:
    """A run as such a file holds it; None for None.

    Raises:
        TypeError: It is no computation.
    """
    from codeocean.computation import Computation

    if computation is None:
        return None
    if not isinstance(computation, Computation):
        raise TypeError(f"expected a Computation of the Code Ocean SDK or None, not {type(computation).__name__}")
    fields: dict[str, Any] = json.loads(computation.to_json())
    return fields

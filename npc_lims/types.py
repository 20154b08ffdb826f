"""Types that callers name in their annotations, and protocols that other packages implement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Protocol, TypedDict, Union

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "FileContents",
    "JobID",
    "RecordDB",
    "SessionFilterKwargs",
    "SessionID",
    "SupportsDB",
    "SupportsFromDB",
    "SupportsNWB",
    "SupportsToNWB",
]

SessionID = Union[str, "npc_session.SessionRecord"]  # type: ignore[name-defined]  # noqa: F821
"""A session's id, as text or as a record."""
JobID = str
"""A Code Ocean computation's id."""
FileContents = dict[Literal["ephys", "behavior_with_sync", "behavior"], dict[str, list[Any]]]
"""tracked_sessions.yaml as plain data: platform, then project, then entries."""

Cell = Optional[Union[str, int, float]]
"""What a column of a database row holds."""


class SessionFilterKwargs(TypedDict, total=False):
    """Filters of `get_session_info` that type checkers know; it takes every status flag and column."""

    is_ephys: bool
    is_uploaded: bool
    is_sync: bool
    is_sorted: bool
    is_annotated: bool


class SupportsDB(Protocol):
    """Something that is a row of the table it names."""

    table: ClassVar[str]

    @property
    def db(self) -> dict[str, Cell]: ...


class SupportsFromDB(Protocol):
    """Something that is made from a row of the table it names."""

    table: ClassVar[str]

    @classmethod
    def from_db(cls, row: dict[str, Cell]) -> Self: ...


class RecordDB(Protocol):
    """A database of such rows."""

    def add_records(self, records: Iterable[SupportsDB], **kwargs: Cell) -> None: ...

    def get_records(self, cls: type[SupportsFromDB], **kwargs: Cell) -> tuple[SupportsFromDB, ...]: ...

    def delete_records(self, *rows: SupportsDB, **kwargs: Cell) -> None: ...


class SupportsNWB(Protocol):
    """Something with columns for a table of an NWB file."""

    @property
    def nwb(self) -> dict[str, Cell]: ...


class SupportsToNWB(Protocol):
    """Something that adds itself to an NWB file."""

    def to_nwb(self, nwb: Any) -> None: ...

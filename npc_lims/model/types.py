"""Types that callers name in their annotations, and protocols that other packages implement."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Optional, Protocol, TypedDict, Union

if TYPE_CHECKING:
    import npc_session
    from typing_extensions import Self

SessionID = Union[str, "npc_session.SessionRecord"]
"""A session's id, as text or as a record."""
JobID = str
"""A Code Ocean computation's id."""
FileContents = dict[Literal["ephys", "behavior_with_sync", "behavior"], dict[str, list[Any]]]
"""tracked_sessions.yaml as plain data: platform, then project, then entries."""


class HasSessionId(Protocol):
    """Something that knows which session it is of, such as a `SessionInfo`."""

    @property
    def id(self) -> Any: ...


Session = Union[SessionID, HasSessionId]
"""A session as functions accept it: any id, path or asset name that holds a subject and a date, or a `SessionInfo`."""
At = Union[str, datetime.date]
"""A point of the past as functions accept it: a date, a time, or the name of a tag, branch or commit."""
Values = Union[str, Collection[str]]
"""One text, or several of which one must match."""
Cell = Optional[Union[str, int, float]]
"""Value of a column of a database row."""


class SessionFilterKwargs(TypedDict, total=False):
    """Filters of `get_session_info` that type checkers know; it takes every public attribute and column."""

    is_ephys: bool
    is_uploaded: bool
    is_sync: bool
    is_sorted: bool
    is_annotated: bool
    project: Values
    platform: Values
    rig: Values
    task_version: Values
    subject: Union[int, str, Collection[Union[int, str]]]
    since: Union[str, datetime.date, None]
    until: Union[str, datetime.date, None]
    missing: Union[Values, None]
    unknown: Union[Values, None]
    where: Union[Values, None]


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

"""`to_records()`: sessions as plain dicts, from which pandas and polars make tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from npc_lims.model.rows import session_row
from npc_lims.sessions.info import SessionInfo
from npc_lims.sessions.queries import get_session_info

__all__ = ["to_records"]


def to_records(sessions: Iterable[SessionInfo] | SessionInfo | None = None, **filters: Any) -> list[dict[str, Any]]:
    """Sessions as one flat dict each, with the columns of `npc-lims sessions --json`.

        pandas.DataFrame(npc_lims.to_records()).astype({"date": "datetime64[ns]"})
        polars.DataFrame(npc_lims.to_records(), infer_schema_length=None).with_columns(polars.col("date").str.to_date())

    Values are text, numbers, true, false and None, as recorded: nothing is looked up. A date is text (`2024-06-01`),
    which sorts, and which every reader of tables parses. A status is None where it was never observed; where it does
    not apply it is false, and named in the list `not_applicable`.

    Args:
        sessions: Those to take; None for all that match the filters.
        **filters: As of `get_session_info`, with `at` and `ttl_seconds`.

    Raises:
        TypeError: Both sessions and filters, or a filter of another name. Other errors: as `get_session_info`.

    Examples:
        >>> [row["id"] for row in to_records(project="TempletonPilotSession", is_sorted=True)]
        ['901004_2024-06-04']
    """
    if sessions is None:
        return _records(get_session_info(None, **filters))
    if filters:
        raise TypeError(f"filters ({', '.join(filters)}) choose among all sessions: give either them or sessions")
    return _records([sessions] if isinstance(sessions, SessionInfo) else sessions)


def _records(sessions: Iterable[SessionInfo]) -> list[dict[str, Any]]:
    return [session_row(info.peek()) for info in sessions]

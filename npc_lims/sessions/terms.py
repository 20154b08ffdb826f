"""Counts of sessions by their values, and the values that occur."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from npc_lims.model.rows import flag_value
from npc_lims.sessions.filter_values import ANSWERS, TERMS, YES_OR_NO, find_name
from npc_lims.sessions.queries import to_records

Row = Mapping[str, Any]
_DATES = {"year": len("2024"), "month": len("2024-06"), "date": len("2024-06-01")}
COUNTED = (*TERMS, "month", "year")
"""Names of what sessions are counted by."""


def count_sessions(*columns: str, **filters: Any) -> list[dict[str, Any]]:
    """Return how many sessions have each combination of values of some columns, the most frequent first, dates by time.

        pandas.DataFrame(count_sessions("project", "rig")).pivot(index="project", columns="rig", values="sessions")

    Args:
        *columns: Names of columns or flags, or `month` and `year`; none for the number of all sessions that match.
        **filters: As of `get_session_info`, with `at` and `ttl_seconds`.

    Returns:
        One dict for each combination that occurs: a value of each column, and the number of `sessions`. Values are
        those of `search_terms`.

    Raises:
        SelectionError: There is no such column. Other errors: as `get_session_info`.

    Examples:
        >>> count_sessions("project", is_sorted=True)
        [{'project': 'DynamicRouting', 'sessions': 9}, {'project': 'TempletonPilotSession', 'sessions': 1}]
    """
    names = [find_name(name, COUNTED, "column") for name in columns]
    return count_rows(to_records(**filters), names)


@overload
def search_terms(column: None = None, **filters: Any) -> dict[str, dict[Any, int]]: ...


@overload
def search_terms(column: str, **filters: Any) -> dict[Any, int]: ...


def search_terms(column: str | None = None, **filters: Any) -> dict[Any, int] | dict[str, dict[Any, int]]:
    """Return the values that occur in a column, with the number of sessions that have each, the most frequent first.

    Without a column, return those of all columns and flags, by name. The filter `where` accepts each value: a flag is
    `yes`, `no`, `unknown` or `n.a.` (does not apply), and a value that is missing `none`.

    Args:
        column: Name of a column or flag.
        **filters: As of `get_session_info`, with `at` and `ttl_seconds`.

    Raises:
        SelectionError: There is no such column. Other errors: as `get_session_info`.

    Examples:
        >>> search_terms("is_sorted", platform="ephys")
        {'yes': 10, 'no': 7}
    """
    names = TERMS if column is None else (find_name(column, TERMS, "column"),)
    found = terms_of_rows(to_records(**filters), names)
    return found if column is None else found[names[0]]


def count_rows(rows: Iterable[Row], columns: Sequence[str]) -> list[dict[str, Any]]:
    counts = Counter(tuple(term_of(row, name) for name in columns) for row in rows)
    # groups of the first columns stay together, the largest first
    totals: Counter[tuple[Any, ...]] = Counter()
    for values, count in counts.items():
        for length in range(1, len(values) + 1):
            totals[values[:length]] += count

    def order(values: tuple[Any, ...]) -> list[tuple[int, str]]:
        return [sort_key(name, value, totals[values[: n + 1]]) for n, (name, value) in enumerate(zip(columns, values))]

    return [{**dict(zip(columns, values)), "sessions": counts[values]} for values in sorted(counts, key=order)]


def sort_key(column: str, value: Any, count: int) -> tuple[int, str]:
    """Return what values are sorted by: their frequency, or their date."""
    return (0 if column in _DATES else -count, str(value))


def terms_of_rows(rows: Sequence[Row], columns: Iterable[str]) -> dict[str, dict[Any, int]]:
    return {name: {one[name]: one["sessions"] for one in count_rows(rows, (name,))} for name in columns}


def term_of(row: Row, name: str) -> Any:
    """Return a value of a row as the filter `where` takes it."""
    if name in _DATES:
        return row["date"][: _DATES[name]]
    if name in YES_OR_NO:
        return ANSWERS[flag_value(row, name)]
    return "none" if row[name] is None else row[name]

"""`npc-lims sessions --count-by` and `--terms`: counts of sessions by their values, and the values that occur."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from npc_lims.cli.output import OutputStyle, out, print_columns
from npc_lims.sessions.filter_values import TERMS
from npc_lims.sessions.terms import Row, count_rows, sort_key, terms_of_rows
from npc_lims.utils.text import counted, one_line, single_line

_TERM_COLUMNS = ("column", "value", "sessions")
_TOTAL = "total"
_MOST_COLUMNS = 12  # of a table that has the values of the second column beside each other
_LISTED = 6
_LONGEST = 40


def print_counts(rows: Sequence[Row], columns: Sequence[str], style: OutputStyle) -> None:
    """Print how many sessions have each combination of values, with totals."""
    counts = count_rows(rows, columns)
    if style.print_rows([*columns, "sessions"], counts):
        return
    if not _print_cross_table(counts, columns):
        cells = [[*(_text(one[name]) for name in columns), f"{one['sessions']:,}"] for one in counts]
        total = [_TOTAL, *([""] * (len(columns) - 1)), f"{len(rows):,}"]
        _print_numbers([*map(_heading, columns), "sessions"], cells, total, len(columns))


def print_terms(rows: Sequence[Row], column: str | None, style: OutputStyle) -> None:
    """Print the values of a column, or the most frequent ones of all."""
    terms = terms_of_rows(rows, TERMS if column is None else (column,))
    lines = (
        dict(zip(_TERM_COLUMNS, (name, value, count)))
        for name, found in terms.items()
        for value, count in found.items()
    )
    if style.print_rows(_TERM_COLUMNS, lines, {name: list(_pairs(found)) for name, found in terms.items()}):
        return
    if column is not None:
        cells = [[_text(value), f"{count:,}"] for value, count in terms[column].items()]
        _print_numbers([column, "sessions"], cells, [_TOTAL, f"{len(rows):,}"], 1)
        return
    room = max(40, out().width - max(map(len, terms)) - 2)
    lines_of = [(name, single_line(_line(found), room)) for name, found in terms.items()]
    print_columns(["column", "values, with the number of sessions"], lines_of)
    note = "npc-lims sessions --terms COLUMN lists all of a column; --where COLUMN=VALUE selects by one"
    out().print(f"{counted(len(rows), 'session')}; {note}", style="dim", soft_wrap=True)


def _pairs(found: dict[Any, int]) -> Any:
    return ({"value": value, "sessions": count} for value, count in found.items())


def _line(found: dict[Any, int]) -> str:
    listed = [f"{single_line(value, _LONGEST)} ({count:,})" for value, count in found.items()]
    if len(found) > 2 * _LISTED:
        return f"{len(found):,} values, such as {listed[0]}"
    more = [f"{len(found) - _LISTED:,} more values"] if len(found) > _LISTED else []
    return ", ".join([*listed[:_LISTED], *more])


def _print_cross_table(counts: Sequence[dict[str, Any]], columns: Sequence[str]) -> bool:
    """Print a table with the values of the second of two columns beside each other; return False if they do not fit."""
    if len(columns) != 2 or not counts:
        return False
    first, second = columns
    by_pair = {(one[first], one[second]): one["sessions"] for one in counts}
    left = list(dict.fromkeys(value for value, _ in by_pair))
    totals = {value: sum(by_pair.get((row, value), 0) for row in left) for _, value in by_pair}
    top = sorted(totals, key=lambda value: sort_key(second, value, totals[value]))
    texts = [_text(value) for value in top]
    width = max(len(_text(value)) for value in [*left, first]) + sum(max(len(text), 5) + 2 for text in texts) + 9
    if len(top) > _MOST_COLUMNS or width > out().width:
        return False
    cells = []
    for row in left:
        numbers = [by_pair.get((row, value), 0) for value in top]
        cells.append([_text(row), *(f"{number:,}" if number else "" for number in numbers), f"{sum(numbers):,}"])
    total = [_TOTAL, *(f"{totals[value]:,}" for value in top), f"{sum(totals.values()):,}"]
    _print_numbers([_heading(first), *texts, _TOTAL], cells, total, 1)
    return True


def _print_numbers(head: Sequence[str], cells: Sequence[Sequence[str]], total: Sequence[str], texts: int) -> None:
    """Print a table whose columns after the first *texts* are numbers, with a line of totals below it."""
    widths = [max(map(len, column)) for column in zip(head, total, *cells)]

    def aligned(row: Sequence[str]) -> list[str]:
        return [cell if n < texts else cell.rjust(widths[n]) for n, cell in enumerate(row)]

    print_columns(aligned(head), [*map(aligned, cells), [(cell, "bold") for cell in aligned(total)]])


def _heading(column: str) -> str:
    return column.replace("is_", "", 1)


def _text(value: Any) -> str:
    return one_line(str(value))

"""Parsers of cells of hand-made workbooks: column names, values, start times, flags."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from npc_lims.model.record import Scalar

EARLIEST = datetime.date(2016, 1, 1)
"""No session of these workbooks is older; it also distinguishes serial dates from other numbers."""

EXCLUSION_COLUMNS = ("ignore", "nolicks", "no_licks")
"""Slugged names of the columns that exclude a row of a subject's sheet: one yes (`parse_flag`) is enough."""

UNSAVED = "#UNSAVED!"
"""Value of a formula that was saved without one, as by libraries that do not calculate."""

EXCEL_ERRORS = frozenset(
    (
        *("#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA"),
        *("#SPILL!", "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#BUSY!", "#UNKNOWN!"),
        *("Loading...", UNSAVED),  # Google Sheets exports the first for what it has not calculated yet
    )
)
"""Texts for a value that could not be calculated, or was not saved."""

# Excel itself allows no more characters in a cell, so no genuine value is cut.
_MAX_TEXT = 32_767
# Above it a float has no fraction left to lose and an int would only look more exact than it is.
_MAX_EXACT = 2**53

_TIME = (
    r"(?P<hour>\d{1,2})[:-](?P<minute>\d{2})(?:[:-](?P<second>\d{2})(?:[.,]\d+)?)?"
    r"(?:\s*(?P<half>[ap])\.?m\.?)?"
)
_START_FORMATS = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        # 2023-03-07 12:56:27, 2023/3/7T12:56, 2023-03-07_12-56-27, 2023-03-07
        rf"(?P<year>\d{{4}})[-/.](?P<month>\d{{1,2}})[-/.](?P<day>\d{{1,2}})(?:[\s_T,]+{_TIME})?",
        # 3/7/2023 12:56, 3/7/23 12:56 PM: Americans wrote these workbooks, the month comes first
        rf"(?P<month>\d{{1,2}})[-/](?P<day>\d{{1,2}})[-/](?P<year>\d{{4}}|\d{{2}})(?:[\s_T,]+{_TIME})?",
        # 20230307, 20230307 12:56
        rf"(?P<year>\d{{4}})(?P<month>\d{{2}})(?P<day>\d{{2}})(?:[\s_T,]+{_TIME})?",
        # 20230307_125627, 20230307125627
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})[\s_T-]*(?P<hour>\d{2})(?P<minute>\d{2})(?P<second>\d{2})?",
    )
)

_REMEDY = "write it as 2023-03-07 12:56:27"
# what may be repeated in a message, which can end in a public log: dates gone wrong, but no notes
_QUOTABLE = re.compile(r"[\d\s.,:;/_+TZAPM-]{0,40}", re.ASCII | re.IGNORECASE)
_YES = frozenset({"1", "1.0", "true", "t", "yes", "y", "x"})
_NO = frozenset({"", "0", "0.0", "false", "f", "no", "n"})


def slug(name: str) -> str:
    """Return the name of a column as facts have it.

    >>> slug(" d' same modality"), slug("Start Time"), slug("rig-name (old)")
    ('dprime_same_modality', 'start_time', 'rig_name_old')
    """
    # a spreadsheet turns the apostrophe into a typographic one while people type
    # and people break the line within a heading, or paste one with spaces that are none
    name = " ".join(name.split()).lower().replace("\u2019", "'").replace("d'", "dprime")
    return re.sub(r"[- ]+", "_", re.sub(r"[^\w _-]+", "", name))


def name_columns(
    header: Mapping[int, Any], name_of: Callable[[str], str] = slug
) -> tuple[dict[str, int], dict[int, str]]:
    """Return the columns of a header by name, and the later columns of the same names by index."""
    columns: dict[str, int] = {}
    duplicates: dict[int, str] = {}
    for index, cell in sorted(header.items()):
        name = name_of(str(cell))
        if name and columns.setdefault(name, index) != index:
            duplicates[index] = name
    return columns, duplicates


def is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def clean(value: Any) -> Scalar:
    """Return the canonical form of a value: integral floats as int, text stripped, dates as ISO text.

    Blank text, an Excel error, NaN and infinity are None.

    >>> clean(12.0), clean(" B2 "), clean("#N/A"), clean(datetime.datetime(2023, 3, 7, 12, 56, 27, 4))
    (12, 'B2', None, '2023-03-07 12:56:27')
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT else value
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    if isinstance(value, datetime.time):
        return value.isoformat(timespec="seconds")
    text = str(value)
    if not text.isprintable():
        # a line of a state file can have no line breaks, control characters and lone surrogates
        text = "".join(character if character.isprintable() else " " for character in text)
    text = text.strip()[:_MAX_TEXT]
    return None if not text or text in EXCEL_ERRORS else text


def parse_flag(value: Any) -> bool | None:
    """Return whether a cell is a yes; None if it is neither yes nor no.

    >>> parse_flag(1), parse_flag("x"), parse_flag(None), parse_flag("see notes")
    (True, True, False, None)
    """
    if value is None or isinstance(value, bool):
        return bool(value)
    text = str(value).strip().lower()
    return True if text in _YES else False if text in _NO else None


def parse_start(value: Any, today: datetime.date, epoch: datetime.datetime) -> datetime.datetime:
    """Return the start of a session from a cell, to the second; ValueError, with the reason, if it is none.

    Accepts date cells, text in the formats above, and bare numbers that can only be dates: a serial
    day count from *epoch* between `EARLIEST` and *today*, or the digits of `YYYYMMDD[HHMMSS]`.
    A day without a time starts at 00:00:00: the day is what names a session.
    """
    if isinstance(value, datetime.timedelta) and value >= EARLIEST - epoch.date():
        value /= datetime.timedelta(days=1)  # a date, shown as hours
    if isinstance(value, datetime.datetime):
        start = value.replace(tzinfo=None)
    elif isinstance(value, datetime.date):
        start = datetime.datetime(value.year, value.month, value.day)
    elif isinstance(value, str):
        start = _start_from_text(value.strip())
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        start = _start_from_number(value, today, epoch)
    elif isinstance(value, (datetime.time, datetime.timedelta)):
        raise ValueError(f"start time {value} has no day: give the date too")
    else:
        raise ValueError(f"{value!r} is no start time: {_REMEDY}")
    start = start.replace(microsecond=0)
    if start.date() < EARLIEST:
        raise ValueError(f"start time {start} is before {EARLIEST}: correct the year")
    if start.date() > today:
        raise ValueError(f"start time {start} is in the future: correct it")
    return start


def _start_from_number(value: float, today: datetime.date, epoch: datetime.datetime) -> datetime.datetime:
    if math.isfinite(value):
        first, last = ((day - epoch.date()).days for day in (EARLIEST, today))
        if first <= value < last + 1:
            # whole milliseconds: a day count is not exact, and 12:56:26.9999997 is 12:56:27
            return epoch + datetime.timedelta(milliseconds=round(value * 86_400_000))
        if float(value).is_integer() and len(str(int(value))) in (8, 14):
            return _start_from_text(str(int(value)))
    raise ValueError(f"{_quote(repr(value))} is no start time: {_REMEDY}")


def _start_from_text(text: str) -> datetime.datetime:
    match = next(filter(None, (pattern.fullmatch(text) for pattern in _START_FORMATS)), None)
    if match is None:
        raise ValueError(f"{_quote(text)} is no start time: {_REMEDY}")
    part = match.groupdict()
    half = (part.pop("half", None) or "").lower()
    number = {name: int(digits or 0) for name, digits in part.items()}
    if number["year"] < 100:
        number["year"] += 2000
    if half == "p" and number["hour"] < 12:
        number["hour"] += 12
    elif half == "a" and number["hour"] == 12:
        number["hour"] = 0
    try:
        return datetime.datetime(**number)  # type: ignore[arg-type]
    except ValueError as error:
        raise ValueError(f"{_quote(text)} is no start time: {error} (write the year or the month first)") from None


def _quote(text: str) -> str:
    return repr(text) if _QUOTABLE.fullmatch(text) else "the content"

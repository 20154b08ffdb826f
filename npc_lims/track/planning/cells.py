"""Parsers of the cells of the lab's ephys tracking workbook.

Each returns None for a cell without information, and raises a ValueError with the reason for an invalid one.
"""

from __future__ import annotations

import contextlib
import datetime
import re
from typing import Any

from npc_lims.sources.training.cells import EXCEL_ERRORS, clean, parse_start

PROBES = "ABCDEF"

_EMPTY = "(of merged cells only the first counts, and a formula must be saved with its value)"

_PLANNED_AHEAD = datetime.timedelta(days=366)
_LONGEST_RANGE = datetime.timedelta(days=31)

# exported numbers may have a decimal
_SUBJECT = re.compile(r"([0-9]{6,7})(?:\.0)?")
_NOTHING = frozenset({"", "-", "–", "x", "n/a", "na", "none", "nan", "no"})
_EVERY = frozenset({"all", "all probes", "all 6", "a-f"})
_LETTERS = re.compile(r"[a-f](?:[\s,;/&+]*[a-f])*", re.IGNORECASE)
_DEPTH = re.compile(r"(?P<number>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)\s*(?P<unit>um|µm|μm|microns?|mm)?", re.I)
_DEEPEST = 20_000
"""Micrometres: more than the length of any probe."""
_SHALLOWEST = 100
"""A bare number below it was most likely meant as millimetres."""

_DATE = r"(?:\d{4}-\d{1,2}-\d{1,2}|\d{1,2}/\d{1,2}(?:/(?:\d{4}|\d{2}))?)(?![\d/])"
_DATES = re.compile(
    rf"(?P<span>(?P<first>{_DATE})(?:\s*(?:-|–|—|to)\s*(?P<last>{_DATE}|\d{{1,2}}(?![\d/])))?)(?:[\s,;&+]|and\b)*",
    re.ASCII,
)

_NOT_DONE = re.compile(
    r"n|0|false|uninjected|(?:no|not|non|none|nothing|without)"
    r"(?:[ -](?:any )?(?:inject\w*|infus\w*|substances?|drugs?|probes?|insert\w*|record\w*))?"
)
_UNCLEAR = re.compile(
    r"\?|\b(?:tb[acd]|to be \w+|todo|unknown|unsure|unclear|maybe|perhaps|possibly|probably|pending|later|see notes?)\b"
)
_DENIED = re.compile(r"\b(?:no|not|none|nothing|never|without|cancel\w*|abort\w*|fail\w*|skipped)\b|\bw/o\b")

_WORD = re.compile(r"[^\W\d_]{3,}")
_CONTROL = re.compile(r"\bcontrols?\b")
_ACSF = re.compile(r"\bacsf\b")
_SOLVENT = re.compile(r"\b(?:dissolved )?in (?:[\w.%]+ )?acsf\b")
# words that name no substance
_BESIDE = re.compile(r"\b(?:only|alone|just|sterile|fresh|inject\w*|infus\w*|yes|true)\b")
_TOGETHER = re.compile(r"[+&,;/]|\b(?:and|or|then|with|vs)\b")

_PILOT = re.compile(r"\b(?:pilots?|tests?|testing|practice|dev|development)\b")
_PRODUCTION = re.compile(r"\b(?:prod|production|standard)\b")
_NAIVE = re.compile(r"naive")
# every session ends with optotagging, which perturbs nothing
_OPTO = re.compile(r"opto(?!.?tag)")
_NOT_BEFORE = re.compile(r"(?:\b(?:no|not|non|without)|\bw/o)[\s-]*(?:(?:a|an|any|for|context)[\s-]+)*$")
_NOT_AFTER = re.compile(r"\s*[:=]\s*(?:no|n|false|0)\b")


def parse_text(value: Any) -> str | None:
    """Return the text of a cell; None for a blank one."""
    if isinstance(value, str) and value.strip() in EXCEL_ERRORS:
        raise ValueError(f"{value.strip()} is an Excel error: correct the formula")
    text = clean(value)
    return None if text is None else str(text)


def parse_subject(value: Any) -> str:
    text = parse_text(value)
    if text is None:
        raise ValueError(f"no mouse {_EMPTY}")
    match = _SUBJECT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no mouse: write its id of 6 or 7 digits")
    return match[1]


def parse_day(value: Any, today: datetime.date, epoch: datetime.datetime) -> datetime.date:
    """Return the date of a cell, which may lie ahead: sessions are planned in the workbook."""
    if parse_text(value) is None:
        raise ValueError(f"no date {_EMPTY}")
    try:
        return parse_start(value, today + _PLANNED_AHEAD, epoch).date()
    except ValueError:
        raise ValueError(f"{str(value).strip()!r} is no date of a session: write it as 2024-06-24") from None


def parse_days(
    value: Any, week_of: datetime.date | None, today: datetime.date, epoch: datetime.datetime
) -> tuple[datetime.date, ...] | None:
    """Return the days that a cell lists, in order. Where it names no year, the nearest to *week_of* is meant."""
    text = parse_text(value)
    if text is None or text.casefold() in _NOTHING:
        return None
    if not isinstance(value, str):
        return (parse_day(value, today, epoch),)
    days = _listed_days(text, week_of)
    if days is not None:
        return tuple(sorted(set(days)))
    try:
        # one date, as an exported sheet has it: with a time, perhaps
        return (parse_day(value, today, epoch),)
    except ValueError:
        raise ValueError(f"{text!r} are no days: list them as '6/24, 6/25, 6/26'") from None


def _listed_days(text: str, week_of: datetime.date | None) -> list[datetime.date] | None:
    """Return the days of a list of dates and ranges; None if it is none."""
    found: list[datetime.date] = []
    while text:
        match = _DATES.match(text)
        if match is None:
            return None
        first, last = _day(match["first"], week_of), match["last"]
        if last is None:
            found.append(first)
        else:
            found += _range(first, _day(f"{first.month}/{last}" if last.isdigit() else last, week_of), match["span"])
        text = text[match.end() :]
    return found


def _range(first: datetime.date, last: datetime.date, text: str) -> list[datetime.date]:
    if not first < last <= first + _LONGEST_RANGE:
        raise ValueError(f"{text!r} is no range of days: list them as '6/24, 6/25, 6/26'")
    days = [first + datetime.timedelta(days=n) for n in range((last - first).days + 1)]
    if any(day.weekday() > 4 for day in days):
        raise ValueError(f"{text!r} spans a weekend, and may or may not mean it: list each day")
    return days


def _day(text: str, week_of: datetime.date | None) -> datetime.date:
    if "-" in text:
        year, month, day = map(int, text.split("-"))
        years = [year]
    else:
        month, day, *rest = map(int, text.split("/"))
        if rest:
            years = [rest[0] + 2000 if rest[0] < 100 else rest[0]]
        elif week_of is None:
            raise ValueError(f"{text!r} has no year, and 'week of' is empty: fill it in")
        else:
            years = [week_of.year - 1, week_of.year, week_of.year + 1]
    days = []
    for year in years:
        with contextlib.suppress(ValueError):
            days.append(datetime.date(year, month, day))
    if not days:
        raise ValueError(f"{text!r} is no day in the calendar: correct it (the month comes first)")
    return days[0] if week_of is None else min(days, key=lambda found: abs(found - week_of))


def parse_probes(value: Any) -> frozenset[str] | None:
    text = parse_text(value)
    if text is None:
        return None
    if text.casefold() in _EVERY:
        return frozenset(PROBES)
    if text.casefold() in _NOTHING or text.casefold() == "no probes":
        return frozenset()
    if not _LETTERS.fullmatch(text):
        raise ValueError(f"{text!r} are no probes: write letters such as ABF, all or none")
    return frozenset(text.upper()) & frozenset(PROBES)


def parse_surface(value: Any) -> frozenset[str] | bool | None:
    """Return the probes whose surface channels were recorded, or whether any were."""
    text = parse_text(value)
    if text is None:
        return None
    folded = text.casefold()
    if folded in ("true", "yes", "y", "1"):
        return True
    if folded in ("false", "n", "0"):
        return False
    try:
        # a lone F is a probe, not false
        return parse_probes(text) or False
    except ValueError:
        raise ValueError(f"{text!r} is no surface recording: write letters such as ABF, yes or no") from None


def parse_depth(value: Any, scale: float = 1) -> float | None:
    """Return a depth in micrometres; *scale* is the unit of a bare number."""
    text = parse_text(value)
    if text is None or text.casefold() in _NOTHING:
        return None
    match = None if isinstance(value, bool) else _DEPTH.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no depth: write micrometres, such as 3200")
    unit = (match["unit"] or "").casefold()
    depth = float(match["number"].replace(",", "")) * (1000 if unit == "mm" else 1 if unit else scale)
    if not unit and 0 < depth < _SHALLOWEST:
        raise ValueError(f"{text!r} may be millimetres or micrometres: write its unit, as in '3.9 mm' or '3900 um'")
    if depth > _DEEPEST:
        raise ValueError(f"{text!r} is deeper than any probe reaches: write micrometres, such as 3200")
    return depth


def parse_injection(value: Any) -> bool | None:
    """Return whether a substance perturbs: not if it is a control or aCSF, or was not injected."""
    text = parse_text(value)
    if text is None:
        return None
    folded = " ".join(text.casefold().split()).rstrip(".!")
    if _is_nothing(folded):
        return False
    dissolved = _SOLVENT.sub("", folded)
    if _UNCLEAR.search(folded) or _DENIED.search(folded) or not _WORD.search(_BESIDE.sub("", dissolved)):
        raise ValueError(f"{text!r} leaves open what was injected: write a substance, aCSF, control or none")
    if not _CONTROL.search(dissolved) and not _ACSF.search(dissolved):
        return True
    parts = (part for part in _TOGETHER.split(dissolved) if not _CONTROL.search(part))
    if any(_WORD.search(_BESIDE.sub("", _ACSF.sub("", part))) for part in parts):
        raise ValueError(
            f"{text!r} names a control beside something else: write one, or 'muscimol in aCSF' of a solution"
        )
    return False


def parse_experiment(value: Any) -> str | None:
    """Return the type of an experiment, if it is settled."""
    text = parse_text(value)
    if text is not None and _UNCLEAR.search(text.casefold()):
        raise ValueError(f"{text!r} leaves the experiment open: write what is certain, such as prod or pilot")
    return text


def is_naive(exp_type: str) -> bool:
    return bool(_mentions(_NAIVE, exp_type))


def is_opto(exp_type: str) -> bool:
    return bool(_mentions(_OPTO, exp_type))


def is_production(exp_type: str) -> bool | None:
    """Return whether a type is production or pilot; None for perturbations and the like, which may be either."""
    # the name of a project, pilot though it was
    text = re.sub("templetonpilotsession|templeton[ _]pilot", "", exp_type.casefold())
    return False if _mentions(_PILOT, text) else _mentions(_PRODUCTION, text)


def _mentions(word: re.Pattern[str], text: str) -> bool | None:
    """Return whether a text has a word; False if it is only negated, None if it is missing."""
    text = text.casefold().replace("ï", "i").replace("_", " ")
    affirmed = [
        not _NOT_BEFORE.search(text, 0, match.start()) and not _NOT_AFTER.match(text, match.end())
        for match in word.finditer(text)
    ]
    return any(affirmed) if affirmed else None


def is_filled(value: Any) -> bool:
    """Return whether a cell names something, such as a place in the brain, rather than a dash."""
    text = parse_text(value)
    folded = " ".join((text or "").casefold().split()).rstrip(".!")
    if _is_nothing(folded):
        return False
    # a place may be doubtful ('VISp?'), though a probe was there
    if _DENIED.search(folded) or not re.search(r"\w", _UNCLEAR.sub("", folded)):
        raise ValueError(f"{text!r} leaves open whether anything was there: write a place or none")
    return True


def _is_nothing(folded: str) -> bool:
    return folded in _NOTHING or _NOT_DONE.fullmatch(folded) is not None

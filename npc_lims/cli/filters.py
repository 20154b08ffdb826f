"""Filters of `npc-lims sessions`: the options that choose among rows."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import Any, Optional

from npc_lims.errors import NpcLimsError
from npc_lims.model.flags import FLAGS
from npc_lims.model.rows import COLUMNS

HEADINGS = {
    "id": "session",
    "project": "project",
    "platform": "platform",
    "experiment_day": "day",
    "rig": "rig",
    "is_uploaded": "up",
    "is_sorted": "sort",
    "is_annotated": "annot",
    "is_video": "video",
    "is_dlc_eye": "eye",
    "is_dlc_side": "side",
    "is_dlc_face": "face",
    "is_facemap": "fmap",
    "is_gamma_encoding": "gamma",
    "is_LPFaceParts": "lp",
    "is_surface_channels": "surf",
    "is_nwb_cached": "nwb",
}
"""Default columns of the table, in their order; most of their names are too long for a heading."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Conditions of a session to be listed.

    Attributes:
        since: First date, YYYY-MM-DD.
        until: Last date.
        true: Flags that must be true.
        false: Flags that must apply and be false.
        unknown: Flags that must apply and never have been observed.
    """

    ephys: bool = False
    project: Optional[str] = None
    subject: Optional[str] = None
    since: Optional[str] = None
    until: Optional[str] = None
    true: tuple[str, ...] = ()
    false: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def filters(self) -> dict[str, Any]:
        """The filters of `get_session_info` among them, which need no row of each session."""
        found: dict[str, Any] = {"is_ephys": True} if self.ephys else {}
        found.update({"project": self.project} if self.project else {})
        found.update({"subject": self.subject} if self.subject else {})
        return found

    def matches(self, row: dict[str, Any]) -> Optional[bool]:
        """Return whether a session matches; None where that depends on a flag that was never observed."""
        if not self._has_facts(row):
            return False
        if not all(row[flag] is None and applies(row, flag) for flag in self.unknown):
            return False
        found = [_is_true(row, flag) for flag in self.true] + [_is_false(row, flag) for flag in self.false]
        return False if False in found else None if None in found else True

    def _has_facts(self, row: dict[str, Any]) -> bool:
        return (
            (row["is_ephys"] or not self.ephys)
            and self.project in (None, row["project"])
            and self.subject in (None, str(row["subject"]))
            and (self.since is None or row["date"] >= self.since)
            and (self.until is None or row["date"] <= self.until)
        )


def select(
    ephys: bool = False,
    project: Optional[str] = None,
    subject: Optional[str] = None,
    since: Optional[str] = None,
    until: Optional[str] = None,
    is_: Optional[Sequence[str]] = None,
    missing: Optional[Sequence[str]] = None,
    unknown: Optional[Sequence[str]] = None,
) -> Selection:
    """Return the selection of these options.

    Raises:
        NpcLimsError: One of them is no flag or no date, or names nothing.
    """
    for option, value in (("--project", project), ("--subject", subject)):
        if value == "":  # of a variable that a script did not set: no reason to list all
            raise NpcLimsError(f"{option} is empty: name one, or leave {option} out")
    flags = [tuple(flag_named(name) for name in names or ()) for names in (is_, missing, unknown)]
    first, last = _date("--since", since), _date("--until", until)
    return Selection(ephys, project, subject, first, last, *flags)


def applies(row: dict[str, Any], flag: str) -> bool:
    return flag not in row["not_applicable"]


def flag_named(name: str) -> str:
    """Return the flag that a user means by `sorted`, `is_sorted` or `lpfaceparts`."""
    known = {_plain(flag): flag for flag in FLAGS}
    if _plain(name) not in known:
        raise NpcLimsError(f"no such flag: {name}; there are {', '.join(FLAGS)}")
    return known[_plain(name)]


def columns_named(names: str) -> tuple[str, ...]:
    """Return the columns that a user means by `id,rig,sorted`."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if not wanted:
        raise NpcLimsError(f"--columns names no column; there are {', '.join(COLUMNS)}")
    return tuple(dict.fromkeys(column_named("--columns", name) for name in wanted))


def column_named(option: str, name: str) -> str:
    """Return the column that a user means by its name, its heading in the table, or a flag in any spelling."""
    known = {**{heading: column for column, heading in HEADINGS.items()}, **{_plain(one): one for one in COLUMNS}}
    if _plain(name) not in known:
        raise NpcLimsError(f"{option} {name}: no such column; there are {', '.join(COLUMNS)}")
    return known[_plain(name)]


def sorted_rows(rows: Iterable[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Return rows by a column, or in the opposite order by `-column`; those without a value come last either way."""
    column, descending = column_named("--sort", by), by.startswith("-")
    rows = list(rows)
    known = [row for row in rows if row[column] is not None]
    known.sort(key=lambda row: row[column], reverse=descending)
    return known + [row for row in rows if row[column] is None]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace("is_", "", 1).replace("_", "")


def _is_true(row: dict[str, Any], flag: str) -> Optional[bool]:
    return None if row[flag] is None and applies(row, flag) else bool(row[flag])


def _is_false(row: dict[str, Any], flag: str) -> Optional[bool]:
    if not applies(row, flag):
        return False
    return None if row[flag] is None else row[flag] is False


def _date(option: str, value: Optional[str]) -> Optional[str]:
    if value is None:
        return None
    try:
        return datetime.date.fromisoformat(value).isoformat()
    except ValueError:
        raise NpcLimsError(f"{option} {value}: not a date such as 2024-06-01") from None

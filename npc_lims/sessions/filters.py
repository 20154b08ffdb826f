"""Selection of sessions: the filters of `get_session_info()`, which are also the options of commands.

docs/how-to/python.md has the rules. Nothing is looked up to decide: values are those recorded, and only
`raw_data_paths` lists folders on S3, of the sessions that match all other filters.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Callable

from npc_lims.errors import SelectionError, UnknownStatusWarning, UnknownValueWarning, warn
from npc_lims.model.flags import FLAGS, NOT_APPLICABLE, Facts
from npc_lims.sessions.filter_values import (
    COMPOUND,
    FEW_VALUES,
    FILTERS,
    FROM_ID,
    LISTS,
    OF_FLAGS,
    PLATFORMS,
    QUERIED,
    YES_OR_NO,
    Get,
    answer_getter,
    converter,
    find_name,
    getter,
    is_collection,
    show,
    values_of,
    without_nan,
    words,
)
from npc_lims.sessions.info import SessionInfo
from npc_lims.utils.text import counted, suggestion
from npc_lims.utils.timestamps import parse_day

CONDITIONS = ("since", "until", "is", "missing", "unknown", "where")
"""Names of the other filters."""
_WHERE = re.compile(r"\s*(\w+)\s*(!=|==?|~)(.*)", re.DOTALL)
_LISTED = 5


@dataclasses.dataclass
class _ColumnFilter:
    """What is wanted of the values of one column or attribute."""

    name: str
    get: Get
    accepted: Any = None
    """Values of which it must have one; None for any."""
    refused: Any = ()
    contained: list[str] = dataclasses.field(default_factory=list)
    """Texts of which it may contain one, instead of having an accepted value."""
    given: dict[Any, str] = dataclasses.field(default_factory=dict)
    """Filters as they were given, by value."""

    def accept(self, values: Iterable[Any]) -> None:
        self.accepted = [*(self.accepted or ()), *values]

    def matches(self, value: Any) -> bool | None:
        """Return whether a session with *value* matches; None if that depends on a flag that was never observed."""
        if value is None and self.name in FLAGS:
            if None in (self.accepted or ()) or None in self.refused:
                return None not in self.refused
            return None if self.accepted or self.refused else False
        if value in self.refused:
            return False
        if self.accepted is None or value in self.accepted:
            return True
        return bool(self.contained) and any(text in words(value) for text in self.contained)


class SessionFilters:
    """Checked filters, by which sessions are selected: all of them must match.

    Args:
        filters: Values of columns and attributes, of which a session must have one, by name; and of `CONDITIONS`:
            days `since` and `until` which it was recorded, both included; flags that are true (`is`), that apply and
            are false (`missing`), or were never observed (`unknown`); and texts such as `rig=NP2`, `rig!=NP2` and
            `task_version~AMN` (contains), where those of one column are alternatives.
        strict: As the command line is: a value that no session has is an error, and messages name options.

    Raises:
        TypeError: There is no such filter; the message suggests the nearest ones.
        SelectionError: No session can have such a value (`date="June"`), or a condition names no column or flag.
    """

    def __init__(self, filters: Mapping[str, Any], *, strict: bool = False) -> None:
        unknown = [name for name in filters if name not in FILTERS and name not in CONDITIONS]
        if unknown:
            raise TypeError(_unknown_filters(unknown))
        self._strict = strict
        self._of_id: list[tuple[Callable[[str], Any], Callable[[Any], bool]]] = []
        self._flags: list[_ColumnFilter] = []
        columns: dict[str, _ColumnFilter] = {}
        for name, value in filters.items():
            try:
                if name not in CONDITIONS:
                    self._add_values(columns, name, value)
                elif value is not None:
                    self._add_condition(columns, name, value)
            except ValueError as error:
                raise SelectionError(f"{f'--{name}' if strict else f'filter {name}'}: {error}") from None
        days = [parse_day(str(filters[name])) for name in ("since", "until") if filters.get(name) is not None]
        if strict and days != sorted(days):
            raise SelectionError(f"--since {filters['since']} is after --until {filters['until']}: no day is selected")
        self._columns = [*self._flags]
        for column in sorted(columns.values(), key=lambda column: FILTERS.index(column.name)):
            # sets, so that thousands of values cost no more than one
            if column.accepted is not None and column.name not in COMPOUND:
                column.accepted = frozenset(column.accepted)
            part = FROM_ID.get(column.name)
            if part is not None and not (column.refused or column.contained):
                self._of_id.append((part, column.accepted.__contains__))
            elif column.name in FEW_VALUES:
                self._columns.insert(0, column)
            else:
                self._columns.append(column)

    def _add_values(self, columns: dict[str, _ColumnFilter], name: str, value: Any) -> None:
        values = tuple(value) if is_collection(value) and name not in LISTS else (value,)
        column = columns.setdefault(name, _ColumnFilter(name, getter(name)))
        accepted = [converter(name)(without_nan(one)) for one in values]
        if name in FEW_VALUES:
            shown = (f"--{name} {one}" if self._strict else f"{name}={show(one)}" for one in values)
            column.given.update((text, one) for text, one in zip(accepted, shown) if text is not None)
        absent = None if name == "raw_asset_id" else False  # where a flag does not apply
        column.accept([*accepted, *([NOT_APPLICABLE] if name in FLAGS and absent in accepted else ())])

    def _add_condition(self, columns: dict[str, _ColumnFilter], name: str, value: Any) -> None:
        if name in ("since", "until"):
            day = parse_day(str(value))
            self._of_id.append((FROM_ID["date"], day.__le__ if name == "since" else day.__ge__))
            return
        for one in value if is_collection(value) else (value,):
            if name == "where":
                self._add_where(columns, one)
            else:
                flag = find_name(one, (*YES_OR_NO, "raw_asset_id"), "flag")
                wanted = {"is": True, "missing": False, "unknown": None}[name]
                self._flags.append(_ColumnFilter(flag, answer_getter(flag), accepted=(wanted,)))

    def _add_where(self, columns: dict[str, _ColumnFilter], condition: Any) -> None:
        match = _WHERE.fullmatch(condition) if isinstance(condition, str) else None
        if match is None:
            raise ValueError(f"{show(condition)} is no condition such as rig=NP2, rig!=NP2 or task_version~AMN")
        name, operator, text = find_name(match[1], QUERIED, "column"), match[2], match[3].strip()
        column = columns.setdefault(name, _ColumnFilter(name, getter(name)))
        if operator == "~":
            if name in YES_OR_NO or not text:
                raise ValueError(f"{show(condition)}: after ~ comes a part of a text; flags are written sorted=yes")
            found: list[Any] = [text.casefold()]
            column.accept(())
            column.contained += found
        else:
            found = values_of(name, text)
            if operator == "!=":
                column.refused = (*column.refused, *found)
            else:
                column.accept(found)
        shown = f"--where {condition}" if self._strict else f"where={show(condition)}"
        column.given.update(dict.fromkeys(found, shown) if name in FEW_VALUES else {})

    @property
    def is_empty(self) -> bool:
        """Return True if every session matches."""
        return not (self._of_id or self._columns)

    @property
    def has_id_filters(self) -> bool:
        return bool(self._of_id)

    @property
    def need_flags(self) -> bool:
        """Return whether any of them depends on a status flag."""
        return any(column.name in OF_FLAGS for column in self._columns)

    def select_ids(self, ids: Iterable[str]) -> Iterable[str]:
        """Return the ids that match the filters on parts of it: most sessions need not be looked at for these."""
        for part, accepts in self._of_id:
            ids = [session_id for session_id in ids if accepts(part(session_id))]
        return ids

    def matches(self, record: Facts, info: SessionInfo | None = None) -> bool | None:
        """Return whether a session matches; None if that depends on a flag that was never observed."""
        return bool(self.select_ids([record["id"]])) and self._matches(record, info, {})

    def _matches(self, record: Facts, info: SessionInfo | None, seen: dict[str, set[Any]]) -> bool | None:
        found: bool | None = True
        for column in self._columns:
            value = column.get(record, info)
            if column.name in seen:
                seen[column.name].add(value)
            matches = column.matches(value)
            if matches is False:
                return False
            found = found and matches
        return found

    def select(self, sessions: Iterable[SessionInfo], everyone: Callable[[], Iterable[Facts]]) -> Iterable[SessionInfo]:
        """Return those that match the filters on records.

        Warn of those left out for a flag that was never observed, and of values that no session of *everyone* has:
        if strict, these are a SelectionError.
        """
        return self._select(sessions, everyone) if self._columns else sessions

    def _select(
        self, sessions: Iterable[SessionInfo], everyone: Callable[[], Iterable[Facts]]
    ) -> Iterator[SessionInfo]:
        undecided = 0
        seen: dict[str, set[Any]] = {column.name: set() for column in self._columns if column.given}
        for info in sessions:
            matches = self._matches(info.parse_without_caching(), info, seen)
            if matches:
                yield info
            undecided += matches is None
        if undecided:
            flags = ", ".join(dict.fromkeys(column.name for column in self._columns if column.name in FLAGS))
            reason = f"{flags} was never observed; the filter unknown selects such"
            warn(f"{counted(undecided, 'session')} left out: {reason}", UnknownStatusWarning)
        if any(_unseen(column, seen[column.name]) for column in self._columns if column.given):
            self.check_values(everyone())

    def check_values(self, records: Iterable[Facts]) -> None:
        """Warn of a project, platform, rig or task version that none of *records* has; if strict, SelectionError."""
        checked = [column for column in self._columns if column.given]
        counts: dict[str, Counter[str]] = {column.name: Counter() for column in checked}
        for record in records:
            for name, found in counts.items():
                found[FEW_VALUES[name](record)] += 1
        for column in checked:
            known = counts[column.name]
            unseen = _unseen(column, set(map(str.casefold, known))) if known else []
            for value in unseen[:_LISTED]:
                self._report(column, value, known)

    def _report(self, column: _ColumnFilter, value: str, known: Counter[str]) -> None:
        name = column.name
        near = suggestion(value, known, most=3)
        if not near:
            listed = [text for text, _ in known.most_common(_LISTED)]
            near = f"; there are {', '.join(listed)}{' ...' if len(known) > _LISTED else ''}"
        problem = "has this text in its" if value in column.contained else "has this"
        message = f"{column.given[value]}: no session {problem} {name.replace('_', ' ')}{near}"
        if self._strict:
            raise SelectionError(message)
        warn(message, UnknownValueWarning)


def _unseen(column: _ColumnFilter, values: set[Any]) -> list[str]:
    """Return what was given of a column of few values, and is not among *values*."""
    known = {*values, *PLATFORMS} if column.name == "platform" else values
    return [
        text
        for text in column.given
        if text not in known and not (text in column.contained and any(text in value for value in known))
    ]


def _unknown_filters(names: list[str]) -> str:
    near = [suggestion(name, (*FILTERS, *CONDITIONS)) for name in names]
    unknown = ", ".join(f"{name}{words}" for name, words in zip(names, near))
    return f"unknown filter {unknown}" + ("" if all(near) else "; npc_lims.search_terms() lists columns and flags")

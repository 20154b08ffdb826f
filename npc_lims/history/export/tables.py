"""Tables of an export: names, columns and rows. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from npc_lims.history.transitions import Transition
from npc_lims.model.flags import FLAGS
from npc_lims.model.record import SECTIONS
from npc_lims.model.rows import COLUMNS, session_row
from npc_lims.model.session_id import split_session_id
from npc_lims.state.diff import ABSENT
from npc_lims.state.revision import Commit


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        kind: `text` (a time is `2024-06-01T12:00:00Z`), `integer`, `boolean`, or `json`: any plain data, or
            `ABSENT`, which is null where None is a JSON null.
        refers: The table and column that hold what it names.
    """

    name: str
    kind: str = "text"
    refers: tuple[str, str] | None = None
    is_indexed: bool = False


class Table(NamedTuple):
    """A table.

    Attributes:
        key: Columns that tell its rows apart, if any do.
    """

    key: tuple[str, ...]
    columns: tuple[Column, ...]


TableRow = tuple[str, tuple[Any, ...]]
"""Name of a table and a row of it, in the order of its columns."""

_KINDS = {
    **dict.fromkeys(FLAGS, "boolean"),
    **dict.fromkeys(("is_ephys", "is_sync"), "boolean"),
    **dict.fromkeys(("subject", "idx", "experiment_day"), "integer"),
    "raw_asset_id": "text",
    "not_applicable": "json",
}
_INDEXED = ("subject", "date", "project", "platform")
_SESSION = Column("session", refers=("sessions", "id"), is_indexed=True)
_TRANSITION = Column("transition", "integer", ("transitions", "id"))
_COMMIT = Column("commit_sha", refers=("commits", "sha"), is_indexed=True)

TABLES: Mapping[str, Table] = {
    "sessions": Table(
        ("id",),
        (
            *(Column(name, _KINDS.get(name, "text"), is_indexed=name in _INDEXED) for name in COLUMNS),
            Column("is_recorded", "boolean"),
            Column("notes"),
            Column("issues", "json"),
            *(Column(name, "json") for name in SECTIONS),
        ),
    ),
    "commits": Table(
        ("sha",),
        (
            Column("sha"),
            Column("place", "integer"),
            Column("committed_at", is_indexed=True),
            Column("author"),
            Column("subject"),
            Column("run"),
        ),
    ),
    "transitions": Table(
        ("id",),
        (
            Column("id", "integer"),
            _SESSION,
            _COMMIT,
            Column("committed_at", is_indexed=True),
            Column("kind", is_indexed=True),
            Column("what", "json"),
            Column("details", "json"),
        ),
    ),
    "fields": Table(
        (),
        (
            _TRANSITION._replace(is_indexed=True),
            _SESSION,
            Column("field", is_indexed=True),
            Column("before", "json"),
            Column("after", "json"),
        ),
    ),
    "assets": Table(("transition", "kind"), (_TRANSITION, _SESSION, Column("kind"), Column("created_at"))),
    "edits": Table(("transition", "commit_sha"), (_TRANSITION, _SESSION, _COMMIT)),
    "about": Table(("name",), (Column("name"), Column("value"))),
}
"""The tables, by name:

sessions      every session; a flag is true, false or null; null is unknown, unless `not_applicable` names the flag.
              `is_recorded` is false for one that state has no more, of which nothing else is known.
commits       those that changed sessions, by `place` from the oldest (1); and, without one, those that edited entries.
transitions   what a commit did to a session: `kind` as the reports group it, `what` in words, `details`.
fields        each value that differs, as JSON; null where there was or is no such field. A new session has none.
assets        data assets that appeared in a session, and when Code Ocean says that they were made.
edits         the commits that edited the session's entry in tracked_sessions.yaml before the transition.
about         where the tables come from.
"""


def cells(columns: Sequence[Column], rows: Iterable[tuple[Any, ...]]) -> Iterator[list[Any]]:
    """TableRows for what knows no plain data: JSON as text, null as None."""
    are_json = [column.kind == "json" for column in columns]
    for row in rows:
        yield [_cell(value, is_json) for value, is_json in zip(row, are_json)]


def _cell(value: Any, is_json: bool) -> Any:
    if is_json:
        return None if value is ABSENT else _storable(json.dumps(value, ensure_ascii=False))
    return _storable(value) if isinstance(value, str) else value


def _storable(text: str) -> str:
    """Return *text* without lone surrogates, which YAML and JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class TableRows:
    """Rows of one transition after the other, and at the end of the sessions.

    Attributes:
        counts: TableRows of each table so far.
    """

    def __init__(self) -> None:
        self.counts = dict.fromkeys(TABLES, 0)
        self._commits: set[str] = set()
        self._sessions: set[str] = set()
        self._place = 0

    def of_transition(self, transition: Transition) -> Iterator[TableRow]:
        commit, change, session = transition.commit, transition.change, transition.session
        if commit.sha not in self._commits:
            self._place += 1
            yield self._of_commit(commit, self._place)
        self._sessions.add(session)
        number = self.counts["transitions"] + 1
        fields = (number, session, commit.sha, commit.when, change.group, list(change.what), list(change.details))
        yield self._row("transitions", fields)
        for field in change.fields:
            yield self._row("fields", (number, session, field.field, field.before, field.after))
        for kind, created in transition.created:
            yield self._row("assets", (number, session, kind, created))
        for editor in dict.fromkeys(transition.editors):
            if editor.sha not in self._commits:
                yield self._of_commit(editor, None)
            yield self._row("edits", (number, session, editor.sha))

    def of_sessions(self, recorded: Iterable[Mapping[str, Any]]) -> Iterator[TableRow]:
        """Yield the sessions of state, from their facts; then those that it has no more."""
        gone = set(self._sessions)
        for facts in recorded:
            gone.discard(facts["id"])
            yield self._row("sessions", _session(facts))
        for session in sorted(gone):
            yield self._row("sessions", _removed_session(session))

    def about(self, facts: Mapping[str, str | None]) -> Iterator[TableRow]:
        yield from (self._row("about", item) for item in facts.items())

    def _of_commit(self, commit: Commit, place: int | None) -> TableRow:
        self._commits.add(commit.sha)
        return self._row("commits", (commit.sha, place, commit.when, commit.author, commit.subject, commit.run))

    def _row(self, table: str, row: tuple[Any, ...]) -> TableRow:
        self.counts[table] += 1
        return table, row


def _session(facts: Mapping[str, Any]) -> tuple[Any, ...]:
    row = session_row(facts)
    row.update(dict.fromkeys(row["not_applicable"]))
    tracked = facts["tracked"] or {}
    sections = (ABSENT if facts[name] is None else facts[name] for name in SECTIONS)
    return (*(row[name] for name in COLUMNS), True, tracked.get("notes", ""), tracked.get("issues", []), *sections)


def _removed_session(session: str) -> tuple[Any, ...]:
    subject, date, idx = split_session_id(session)
    known = {"id": session, "subject": int(subject), "date": date, "idx": idx, "is_recorded": False}
    empty = {"json": ABSENT}
    return tuple(known.get(name, empty.get(kind)) for name, kind, *_ in TABLES["sessions"].columns)

"""`get_session_info()`: one session, or all that match, from wherever state is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, overload

from npc_lims.config.settings import OFFLINE, Settings, settings_for_reading
from npc_lims.errors import NoRemoteState, NoSessionInfo, NpcLimsError, RemoteStateError, SessionUnavailable
from npc_lims.model.rows import session_row
from npc_lims.model.session_id import suggest_ids
from npc_lims.sessions.filters import SessionFilters
from npc_lims.sessions.info import PastSessionInfo, SessionInfo
from npc_lims.sessions.resolve import resolve_session
from npc_lims.state.reader import Origin, SessionLines, origin_of_state, read_one, read_snapshot
from npc_lims.state.snapshot import newest_first, parse_line

if TYPE_CHECKING:
    from typing import SupportsIndex

    import npc_session
    import pandas
    import polars

    from npc_lims.model.types import At, Session

# Seconds: a snapshot that a session was not found in is new enough to suggest similar ids.
_JUST_READ = 60.0
_SHOWN = 20

S_co = TypeVar("S_co", bound="SessionInfo", covariant=True)


class Sessions(tuple[S_co, ...]):
    """A tuple of sessions. A notebook shows the first ones, and those of a part (`sessions[20:40]`) likewise."""

    __slots__ = ()

    @overload
    def __getitem__(self, index: SupportsIndex) -> S_co: ...

    @overload
    def __getitem__(self, index: slice) -> Sessions[S_co]: ...

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found

    def to_pandas(self) -> pandas.DataFrame:
        """Return a DataFrame of pandas with a row for each session, and the columns of `npc-lims sessions --csv`.

        Values are those of `to_records`, as recorded. Flags are nullable booleans: `<NA>` where they were never
        observed. Where they do not apply they are false, and the list in `not_applicable` names them. `date` is a
        datetime, other texts are of the type `string`, numbers `Int64`.

        Raises:
            MissingDependency: pandas is not installed: `pip install "npc_lims[pandas]"`.
        """
        from npc_lims.sessions.tables import to_pandas

        return to_pandas(to_records(self))

    def to_polars(self) -> polars.DataFrame:
        """Return a DataFrame of polars, with the columns and values of `to_pandas`: unknown ones are null.

        Raises:
            MissingDependency: polars is not installed: `pip install "npc_lims[polars]"`.
        """
        from npc_lims.sessions.tables import to_polars

        return to_polars(to_records(self))

    def _repr_html_(self) -> str:
        from npc_lims.sessions.html import render_sessions, session_links
        from npc_lims.utils.urls import Links

        # as recorded: showing a list queries nothing
        return render_sessions(
            [info.parse_without_caching() for info in self[:_SHOWN]],
            more=max(0, len(self) - _SHOWN),
            links=session_links(self[0]._own_settings) if self else Links(None),
        )


@overload
def get_session_info(
    session: None = None, ttl_seconds: float | None = None, *, at: None = None, **filters: Any
) -> Sessions[SessionInfo]: ...


@overload
def get_session_info(
    session: Session, ttl_seconds: float | None = None, *, at: None = None, **filters: Any
) -> SessionInfo: ...


@overload
def get_session_info(
    session: None = None, ttl_seconds: float | None = None, *, at: At, **filters: Any
) -> Sessions[PastSessionInfo]: ...


@overload
def get_session_info(
    session: Session, ttl_seconds: float | None = None, *, at: At, **filters: Any
) -> PastSessionInfo: ...


def get_session_info(
    session: Session | None = None, ttl_seconds: float | None = None, *, at: At | None = None, **filters: Any
) -> Sessions[SessionInfo] | SessionInfo:
    """Return one session, or all that match the filters, the newest first.

    Args:
        session: Any id, path or record of a session, or the id or name of a data asset of it. None for all sessions.
        ttl_seconds: Lifetime of the cached snapshot; by default NPC_LIMS_TTL. 0 bypasses it.
        at: State as it was then, see `npc_lims.state.as_of`: a date (the end of that day, UTC), a time, a tag, a
            branch or a commit. Nothing of the past is looked up live: a status that was unknown is None.
        **filters: Values that attributes of a session must have, of any public attribute or column:
            `is_ephys=True`, `rig=["NP2", "NP3"]` (any of them), `issues=[]` (without issues); and conditions:
            `since="7d"`, `until="2024-06-01"`, `missing="sorted"` (it applies and is false), `unknown="sorted"`,
            `where=["task_version~AMN", "rig!=NP2"]`. The rules are in docs/how-to/python.md. A warning reports how
            many sessions are left out as a flag is unknown. Ignored when `session` is given.

    Raises:
        NoSessionInfo: No such session, neither in state nor in the sources that could be queried.
        SessionUnavailable: State could not be read, nor every source queried for the session; also a ValueError.
        TypeError: A filter of another name; the message suggests the nearest ones.
        SelectionError: A filter's value that no session can have, such as `date="June"`; also a ValueError.
        RemoteStateError: There is no state to read and no source to query.
        HistoryError: There is no state at *at*. Other errors of reading the past: as `snapshot_at`.
    """
    settings = settings_for_reading()
    if session is not None:
        return select_session(settings, session, ttl_seconds, at)
    return select_sessions(settings, filters, ttl_seconds, at)


def select_sessions(
    settings: Settings,
    filters: SessionFilters | Mapping[str, Any] | None = None,
    ttl: float | None = None,
    at: At | None = None,
) -> Sessions[SessionInfo]:
    """Return all sessions that match, under the given settings. Raises as `get_session_info`."""
    chosen = filters if isinstance(filters, SessionFilters) else SessionFilters(filters or {})
    if at is not None:
        from npc_lims.state.as_of import snapshot_at

        past = snapshot_at(settings, at)
        infos = (PastSessionInfo.of_commit(line, settings, past.origin) for line in _matching(past.lines, chosen))
        return Sessions(chosen.select(infos, partial(map, parse_line, past.lines.all)))
    try:
        lines = read_snapshot(settings, ttl).lines
    except RemoteStateError as error:
        if settings.offline:
            raise
        return Sessions(_live_sessions(settings, error, chosen))
    found = [SessionInfo.from_record(line, settings) for line in _matching(lines, chosen)]
    return Sessions(chosen.select(found, partial(map, parse_line, lines.all)))


def _matching(lines: SessionLines, chosen: SessionFilters) -> Iterable[bytes]:
    """Return the lines of sessions whose ids match."""
    if not chosen.has_id_filters:
        return lines.all
    return [line for session_id in chosen.select_ids(lines.ids()) if (line := lines.find(session_id)) is not None]


def _live_sessions(settings: Settings, why: NpcLimsError, chosen: SessionFilters) -> Iterable[SessionInfo]:
    from npc_lims.sessions.live import all_sessions, flags_of_all

    records = all_sessions(settings, why)
    if chosen.need_flags:
        records = flags_of_all(settings, records)
    found = chosen.select_ids(newest_first(records))
    infos = [SessionInfo.from_record(records[session_id].as_dict(), settings) for session_id in found]
    return chosen.select(infos, lambda: (record.as_dict() for record in records.values()))


def select_session(settings: Settings, session: Session, ttl: float | None = None, at: At | None = None) -> SessionInfo:
    """Return one session, under the given settings. Raises as `get_session_info`."""
    if at is not None:
        return _past_session(settings, session, at)
    session_id = resolve_session(settings, session)
    unread: NpcLimsError | None = None
    try:
        record = read_one(settings, session_id, ttl)
    except RemoteStateError as error:
        if settings.offline:
            raise
        record, unread = None, error
    if record is not None:
        return SessionInfo.from_record(record, settings)
    if settings.offline:
        raise NoSessionInfo(f"{_not_found(session_id, read_snapshot(settings).lines.ids(), [])}; {OFFLINE}")
    from npc_lims.sessions.live import find_session, warn_live

    found, reasons = find_session(settings, session_id)
    if found is not None:
        left_out = f"; left out: {'; '.join(reasons)}" if reasons else ""
        if unread is not None:
            warn_live(settings, f"{unread}; querying the sources instead, which is slow{left_out}")
        elif reasons:
            warn_live(
                settings, f"{session_id} is not in state yet, and was looked up in the sources{left_out}", session_id
            )
        return SessionInfo.from_record(found.as_dict(), settings)
    if unread is not None and (reasons or not isinstance(unread, NoRemoteState)):
        causes = ", ".join([str(unread).partition("; ")[0], *reasons])
        raise SessionUnavailable(
            f"it is unknown whether {session_id} exists: {causes}; see npc-lims doctor"
        ) from unread
    known = [] if unread is not None else read_snapshot(settings, max(ttl or 0.0, _JUST_READ)).lines.ids()
    raise NoSessionInfo(_not_found(session_id, known, reasons))


def _past_session(settings: Settings, session: Session, at: At) -> SessionInfo:
    from npc_lims.state.as_of import snapshot_at

    past = snapshot_at(settings, at)
    session_id = resolve_session(settings, session, lambda: past.lines)
    line = past.lines.find(session_id)
    if line is None:
        raise NoSessionInfo(f"{past.origin}: {_not_found(session_id, past.lines.ids(), [])}")
    return PastSessionInfo.of_commit(line, settings, past.origin)


def _not_found(session_id: str, ids: list[str], reasons: list[str]) -> str:
    message = f"no session {session_id}{suggest_ids(session_id, ids)}"
    if reasons:
        message += f"; it could not be looked up live ({', '.join(reasons)}): see npc-lims doctor"
    return message


@overload
def get_session_issues(session: None = None) -> dict[npc_session.SessionRecord, list[str]]: ...


@overload
def get_session_issues(session: Session) -> list[str]: ...


def get_session_issues(session: Session | None = None) -> list[str] | dict[npc_session.SessionRecord, list[str]]:
    """Issue addresses of one session (empty if it has none or is unknown), or of all that have some, by id.

    Raises:
        NoSessionInfo: *session* is not an id. Other errors: as `get_session_info`.
    """
    if session is None:
        return {info.id: info.issues for info in get_session_info() if info.issues}
    found = _known_session(session)
    return [] if found is None else found.issues


@overload
def get_session_kwargs(session: None = None) -> dict[npc_session.SessionRecord, dict[str, Any]]: ...


@overload
def get_session_kwargs(session: Session) -> dict[str, Any]: ...


def get_session_kwargs(
    session: Session | None = None,
) -> dict[str, Any] | dict[npc_session.SessionRecord, dict[str, Any]]:
    """Configuration of one session (empty if it has none or is unknown), or of all sessions, by id.

    Raises:
        NoSessionInfo: *session* is not an id. Other errors: as `get_session_info`.
    """
    if session is None:
        return {info.id: info.session_kwargs for info in get_session_info()}
    found = _known_session(session)
    return {} if found is None else found.session_kwargs


def _known_session(session: Session) -> SessionInfo | None:
    session_id = resolve_session(settings_for_reading(), session)
    try:
        return get_session_info(session_id)
    except NoSessionInfo:
        return None


def to_records(sessions: Iterable[SessionInfo] | SessionInfo | None = None, **filters: Any) -> list[dict[str, Any]]:
    """Return sessions as one flat dict each, with the columns of `npc-lims sessions --json`.

    `get_session_info().to_pandas()` and `.to_polars()` give them as tables. Values are text, numbers, true,
    false and None, as recorded: nothing is looked up. A date is text (`2024-06-01`),
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
        sessions = get_session_info(None, **filters)
    elif filters:
        raise TypeError(f"filters ({', '.join(filters)}) choose among all sessions: give either them or sessions")
    chosen: Iterable[SessionInfo] = [sessions] if isinstance(sessions, SessionInfo) else sessions
    return [session_row(info.parse_without_caching()) for info in chosen]


def state_origin() -> Origin:
    """Return the origin of answers: folder or repository, its commit or the age of the copy, and how long ago each
    source was last read completely."""
    settings = settings_for_reading()
    try:
        return origin_of_state(settings)
    except RemoteStateError as error:
        return Origin("live", f"the sources themselves ({error})")

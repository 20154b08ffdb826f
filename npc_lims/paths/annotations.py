"""Coordinates of the channels of probes in the brain: files of the IBL alignment GUI, or from tissuecyte."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from npc_lims.clients.s3_cached import S3Folder
from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import NoSessionData
from npc_lims.model.session_id import day_of, resolve_session_id, subject_of
from npc_lims.sessions.find_asset import recorded_section
from npc_lims.sessions.info import SessionInfo

if TYPE_CHECKING:
    import upath

    from npc_lims.config.settings import Settings
    from npc_lims.model.types import Session

__all__ = ["get_ibl_annotation_files_from_s3", "get_tissuecyte_annotation_files_from_s3"]


def get_tissuecyte_annotation_files_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return the files (.csv) with CCF coordinates of the channels of each probe of the session, made from tissuecyte.

    The experiment day is that of a `SessionInfo`, else that of the recorded session.

    Raises:
        NoSessionInfo: No such session.
        NoSessionData: There are no such files of the subject, or none of that day.
        MissingCredentials: There are no AWS credentials.
        SourceError: The listing failed.
        MissingDependency: s3fs is not installed.
    """
    settings = settings_for_reading()
    session_id = resolve_session_id(session)
    folder = S3Folder.at(settings, settings.tissuecyte_root, subject_of(session_id))
    return folder.paths(_recorded_names(settings, session, session_id) or _listed_names(session, session_id, folder))


def _recorded_names(settings: Settings, session: Session, session_id: str) -> list[str]:
    names = (recorded_section(settings, session_id, "s3") or {}).get("tissuecyte_annotations") or []
    return _of_day(names, session.experiment_day) if isinstance(session, SessionInfo) else names


def _listed_names(session: Session, session_id: str, folder: S3Folder) -> list[str]:
    day = _experiment_day(session, session_id)
    files = folder.listing().files
    if not files:
        found = f"there is nothing in {folder.uri}"
        raise NoSessionData(f"{session_id}: no tissuecyte annotations have been uploaded: {found}")
    names = _of_day(files, day)
    if not names:
        raise NoSessionData(
            f"{session_id}: there are tissuecyte annotations in {folder.uri}, but none of experiment day {day}: check "
            "the day in tracked_sessions.yaml"
        )
    return names


def _experiment_day(session: Session, session_id: str) -> int | None:
    if isinstance(session, SessionInfo):
        return session.experiment_day
    from npc_lims.sessions.queries import get_session_info

    return get_session_info(session_id).experiment_day


def _of_day(names: Any, day: int | None) -> list[str]:
    from npc_lims.sources.s3.query import tissuecyte_files_of_day

    return [] if day is None else tissuecyte_files_of_day(names, day)


def get_ibl_annotation_files_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return, for each probe annotated in the IBL alignment GUI, the file (.json) with CCF coordinates of its channels.

    Empty if there are none.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        MissingCredentials: There are no AWS credentials.
        SourceError: The listing failed.
        MissingDependency: s3fs is not installed.
    """
    settings = settings_for_reading()
    session_id = resolve_session_id(session)
    folder = S3Folder.at(settings, settings.ibl_root, subject_of(session_id))
    wanted = re.compile(rf"[^/]*{re.escape(day_of(session_id))}[^/]*/[^/]+/ccf_channel_results\.json")
    return folder.paths(_of_session(settings, session_id, [name for name in folder.files() if wanted.fullmatch(name)]))


def _of_session(settings: Settings, session_id: str, names: list[str]) -> list[str]:
    """Return those files of a day that stand in a folder of the session."""
    if not names:
        return []
    from npc_lims.model.record import Record
    from npc_lims.model.recording_days import is_folder_of
    from npc_lims.sessions.live import find_session, records_of_day

    record = records_of_day(settings, session_id).get(session_id)
    if record is None or record.codeocean is None:
        # the session's own recording is not recorded: Code Ocean has it
        record = find_session(settings, session_id)[0] or record
    record = record or Record(id=session_id)
    return [name for name in names if is_folder_of(name.split("/")[0], record)]

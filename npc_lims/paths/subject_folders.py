"""Folders of subjects, and the files of a session in them: stimulus files, annotations of probes.

Functions raise NoSessionInfo for a *session* without subject and date, MissingCredentials or SourceError if S3 cannot
be queried, for what state does not record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, overload

from npc_lims.clients.s3_cached import S3Folder, named_path
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import MissingCredentials, NoSessionData, SourceError
from npc_lims.model.session_id import day_of, split_session_id, subject_of
from npc_lims.sessions.cached_assets import listing_of
from npc_lims.sessions.find_asset import recorded_section
from npc_lims.sessions.info import SessionInfo
from npc_lims.sessions.queries import get_session_info
from npc_lims.sessions.resolve import resolve_session
from npc_lims.utils.mappings import grouped

if TYPE_CHECKING:
    import npc_session
    import upath

    from npc_lims.model.types import Session

_TASK = "DynamicRouting"

INVALID_SUBJECT_KEYS = ("test", "366122", "000000", "555555", "retired", "sound")
"""A folder with one of these in its name is no subject's."""

# --- stimulus files -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class StimFile:
    """A file that a stimulus script wrote.

    Attributes:
        path: `<script>_<subject>_<yyyymmdd>_<hhmmss>.hdf5`
        session: The session that it is of.
        listed_size: Its size in bytes, if it is known from a listing.
    """

    path: upath.UPath
    session: npc_session.SessionRecord
    listed_size: int | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The script, such as `DynamicRouting1`."""
        return self.path.stem.split("_")[0]

    @property
    def date(self) -> npc_session.DateRecord:
        """YYYY-MM-DD"""
        return self.session.date

    @property
    def time(self) -> str | None:
        """HH:MM:SS, when the script was started; None if the name of the file does not say."""
        import npc_session

        return npc_session.extract_isoformat_time(self.path.stem)

    @functools.cached_property
    def size(self) -> int:
        """Size in bytes: of a listing, else of the file."""
        return int(self.path.stat().st_size) if self.listed_size is None else self.listed_size


def get_hdf5_stim_files_from_s3(session: Session) -> tuple[StimFile, ...]:
    """Return the stimulus files of a session's day, without empty ones, and of several of the task only the largest.

    Where S3 cannot be listed, those that state records, unless several are of the task.
    Of a day with several sessions, those of the session: from its start on, until the next one starts.

    Raises:
        NoSessionData: There are no files of the subject at all.
    """
    import npc_session

    settings = settings_for_reading()
    session_id = resolve_session(settings, session)
    folder = S3Folder.at(settings, settings.stim_root, subject_of(session_id))
    record = npc_session.SessionRecord(session_id)
    try:
        with listing_of(folder.uri):
            sizes = folder.files()
    except (MissingCredentials, SourceError):
        recorded = _recorded_stim_files(settings, session_id)
        if not recorded or sum(_TASK in name.split("_")[0] for name in recorded) > 1:  # of several the size decides
            raise
        return tuple(StimFile(path, record) for path in folder.paths(recorded))
    if not sizes:
        raise NoSessionData(
            f"{session_id}: there are no stimulus files of its subject in {folder.uri}; those of sessions that were "
            "run by NSB may be on lims2"
        )
    names = _stim_files_of_session(settings, session_id, [name for name, size in sizes.items() if size > 0])
    found = [StimFile(path, record, sizes[name]) for path, name in zip(folder.paths(names), names)]
    of_task = [file for file in found if _TASK in file.name]
    largest = max(of_task, key=lambda file: file.size, default=None)
    return tuple(file for file in found if file is largest or file not in of_task)


def _recorded_stim_files(settings: Settings, session_id: str) -> list[str]:
    names = (recorded_section(settings, session_id, "s3") or {}).get("stim") or []
    return [name for pattern in _stim_patterns(session_id) for name in names if pattern.fullmatch(name)]


def _stim_patterns(session_id: str) -> list[re.Pattern[str]]:
    subject, date, _ = split_session_id(session_id)
    return [re.compile(rf"[^/]*_{name}_{date.replace('-', '')}_[^/]{{6}}\.hdf5") for name in (subject, "test")]


def _stim_files_of_session(settings: Settings, session_id: str, names: list[str]) -> list[str]:
    """Return those of a subject's files; those of a script that was tried without naming the mouse come last."""
    of_day = [name for pattern in _stim_patterns(session_id) for name in names if pattern.fullmatch(name)]
    if len(of_day) < 2:
        return of_day
    from npc_lims.model.recording_days import files_of_session
    from npc_lims.sessions.live import listed_day, records_of_day

    day = records_of_day(settings, session_id)
    if session_id not in day and sum(name.startswith(_TASK) for name in of_day) > 1:
        day = listed_day(settings, session_id)  # it may be newer than state
    return files_of_session(of_day, session_id, day)


# --- coordinates of the channels of probes in the brain -------------------------------------------


def get_tissuecyte_annotation_files_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return the files (.csv) with CCF coordinates of the channels of each probe of the session, made from tissuecyte.

    The experiment day is that of a `SessionInfo`, else that of the recorded session.

    Raises:
        NoSessionInfo: No such session.
        NoSessionData: There are no such files of the subject, or none of that day.
    """
    from npc_lims.sources.s3.query import tissuecyte_files_of_day

    settings = settings_for_reading()
    session_id = resolve_session(settings, session)
    folder = S3Folder.at(settings, settings.tissuecyte_root, subject_of(session_id))
    names = (recorded_section(settings, session_id, "s3") or {}).get("tissuecyte_annotations") or []
    if isinstance(session, SessionInfo):
        names = tissuecyte_files_of_day(names, session.experiment_day)
    if names:
        return folder.paths(names)
    info = session if isinstance(session, SessionInfo) else get_session_info(session_id)
    with listing_of(folder.uri):
        files = folder.listing().files
    if not files:
        found = f"there is nothing in {folder.uri}"
        raise NoSessionData(f"{session_id}: no tissuecyte annotations have been uploaded: {found}")
    names = tissuecyte_files_of_day(files, info.experiment_day)
    if not names:
        raise NoSessionData(
            f"{session_id}: there are tissuecyte annotations in {folder.uri}, but none of experiment day "
            f"{info.experiment_day}: check the day in tracked_sessions.yaml"
        )
    return folder.paths(names)


def get_ibl_annotation_files_from_s3(session: Session) -> tuple[upath.UPath, ...]:
    """Return, for each probe annotated in the IBL alignment GUI, the file (.json) with CCF coordinates of its channels.

    Empty if there are none.
    """
    settings = settings_for_reading()
    session_id = resolve_session(settings, session)
    folder = S3Folder.at(settings, settings.ibl_root, subject_of(session_id))
    wanted = re.compile(rf"[^/]*{re.escape(day_of(session_id))}[^/]*/[^/]+/ccf_channel_results\.json")
    with listing_of(folder.uri):
        names = [name for name in folder.files() if wanted.fullmatch(name)]
    if not names:
        return ()
    from npc_lims.model.record import Record
    from npc_lims.model.recording_days import is_folder_of
    from npc_lims.sessions.live import find_session, records_of_day

    record = records_of_day(settings, session_id).get(session_id)
    if record is None or record.codeocean is None:
        # the session's own recording is not recorded: Code Ocean has it
        record = find_session(settings, session_id)[0] or record or Record(id=session_id)
    return folder.paths(name for name in names if is_folder_of(name.split("/")[0], record))


# --- the repository of behavior files: a folder for each subject ----------------------------------


@overload
def get_subject_folders_from_data_repo(subject: int | str) -> upath.UPath: ...


@overload
def get_subject_folders_from_data_repo(subject: None = None) -> dict[npc_session.SubjectRecord, upath.UPath]: ...


def get_subject_folders_from_data_repo(
    subject: int | str | None = None,
) -> dict[npc_session.SubjectRecord, upath.UPath] | upath.UPath:
    """Return the folder of one subject, or those of all, by subject.

    Raises:
        NoSessionData: There is no folder of that subject.
        SourceError: The folder cannot be listed.
        MissingCredentials: There are no credentials for S3.
    """
    settings = settings_for_reading()
    if subject is None:
        names = S3Folder.at(settings, settings.stim_root).listing().folders
        return {one: named_path(settings, f"{settings.stim_root}/{name}") for name, one in _subjects(names).items()}
    folder, _ = _folder_of(subject)
    return named_path(settings, folder.uri)


@overload
def get_sessions_from_data_repo(
    subject: None = None,
) -> dict[npc_session.SubjectRecord, tuple[npc_session.SessionRecord, ...]]: ...


@overload
def get_sessions_from_data_repo(subject: int | str) -> tuple[npc_session.SessionRecord, ...]: ...


def get_sessions_from_data_repo(
    subject: int | str | None = None,
) -> tuple[npc_session.SessionRecord, ...] | dict[npc_session.SubjectRecord, tuple[npc_session.SessionRecord, ...]]:
    """Return the sessions that have a file, in order: of one subject, or of all, by subject.

    Raises:
        NoSessionData, SourceError, MissingCredentials: As `get_subject_folders_from_data_repo`.
    """
    if subject is not None:
        folder, names = _folder_of(subject)
        return _sessions(PurePosixPath(folder.prefix).name, names)
    settings = settings_for_reading()
    # all pages take fewer requests than a listing of each subject's folder
    paths = (path.split("/") for path in S3Folder.at(settings, settings.stim_root).files())
    folders = grouped((path[0], path[1]) for path in paths if len(path) > 1 and path[1])
    return {one: _sessions(name, folders[name]) for name, one in _subjects(folders).items()}


def _folder_of(subject: int | str) -> tuple[S3Folder, tuple[str, ...]]:
    """Return the folder of a subject, and the names in it."""
    import npc_session

    try:
        name = str(npc_session.SubjectRecord(subject))
    except ValueError:
        raise NoSessionData(f"{subject!r} is no subject, and has no folder: a number such as 626791 is one") from None
    settings = settings_for_reading()
    folder = S3Folder.at(settings, settings.stim_root, name)
    names = folder.listing().names
    if not names:
        raise NoSessionData(f"there is no folder of subject {name} in {settings.stim_root}")
    return folder, names


def _subjects(names: Iterable[str]) -> dict[str, npc_session.SubjectRecord]:
    """The names that are subjects."""
    import npc_session

    return {
        name: npc_session.SubjectRecord(name)
        for name in names
        if name.isdecimal() and name.isascii() and not any(key in name for key in INVALID_SUBJECT_KEYS)
    }


def _sessions(folder: str, names: Iterable[str]) -> tuple[npc_session.SessionRecord, ...]:
    import npc_session

    found = set()
    for name in names:
        with contextlib.suppress(ValueError):  # no date in it: not the file of a session
            found.add(npc_session.SessionRecord(f"{folder}/{name}"))
    return tuple(sorted(found))

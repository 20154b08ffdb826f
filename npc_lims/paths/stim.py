"""Stimulus files of a session, from the copy of the rigs' data on S3."""

from __future__ import annotations

import dataclasses
import functools
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from npc_lims.clients.s3_cached import S3Folder
from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import NoSessionData
from npc_lims.model.session_id import resolve_session_id, split_session_id

if TYPE_CHECKING:
    import npc_session
    import upath

    from npc_lims.config.settings import Settings
    from npc_lims.model.types import Session

__all__ = ["StimFile", "get_hdf5_stim_files_from_s3"]

_TASK = "DynamicRouting"


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

    Of a day with several sessions, those of the session: from its start on, until the next one starts.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        NoSessionData: There are no files of the subject at all.
        MissingCredentials: There are no AWS credentials.
        SourceError: The listing failed.
        MissingDependency: s3fs is not installed.
    """
    import npc_session

    settings = settings_for_reading()
    session_id = resolve_session_id(session)
    subject, date, _ = split_session_id(session_id)
    folder = S3Folder.at(settings, settings.stim_root, subject)
    sizes = folder.files()
    if not sizes:
        raise NoSessionData(
            f"{session_id}: there are no stimulus files of its subject in {folder.uri}; those of sessions that were "
            "run by NSB may be on lims2"
        )
    record = npc_session.SessionRecord(session_id)
    names = _of_day([name for name, size in sizes.items() if size > 0], subject, date)
    names = _of_session(settings, session_id, names)
    found = [StimFile(path, record, sizes[name]) for path, name in zip(folder.paths(names), names)]
    of_task = [file for file in found if _TASK in file.name]
    largest = max(of_task, key=lambda file: file.size, default=None)
    return tuple(file for file in found if file is largest or file not in of_task)


def _of_session(settings: Settings, session_id: str, names: list[str]) -> list[str]:
    """Return those files of a day that are of one of its sessions."""
    if len(names) < 2:
        return names
    from npc_lims.model.recording_days import files_of_session
    from npc_lims.sessions.live import listed_day, records_of_day

    day = records_of_day(settings, session_id)
    if session_id not in day and sum(name.startswith(_TASK) for name in names) > 1:
        day = listed_day(settings, session_id)  # it may be newer than state
    return files_of_session(names, session_id, day)


def _of_day(names: list[str], subject: str, date: str) -> list[str]:
    """Return names of that day; those of a script that was tried without naming the mouse come last."""
    day = date.replace("-", "")
    patterns = (f"*_{subject}_{day}_??????.hdf5", f"*_test_{day}_??????.hdf5")
    top = [name for name in names if "/" not in name]
    return [name for pattern in patterns for name in top if fnmatchcase(name, pattern)]

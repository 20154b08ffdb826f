"""The repository of behavior files: a folder for each subject, with the files of its sessions."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, overload

from npc_lims.clients.s3_cached import S3Folder, s3_path
from npc_lims.config.settings import load_settings
from npc_lims.errors import NoSessionData

if TYPE_CHECKING:
    from collections.abc import Iterable

    import npc_session
    import upath

__all__ = ["INVALID_SUBJECT_KEYS", "get_sessions_from_data_repo", "get_subject_folders_from_data_repo"]

INVALID_SUBJECT_KEYS = ("test", "366122", "000000", "555555", "retired", "sound")
"""A folder with one of these in its name is no subject's."""


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
        MissingDependency: s3fs, which opens such paths, is not installed.
    """
    settings = load_settings()
    if subject is None:
        names = S3Folder.at(settings, settings.stim_root).listing().folders
        return {one: s3_path(settings, f"{settings.stim_root}/{name}") for name, one in _subjects(names).items()}
    folder, _ = _folder_of(subject)
    return s3_path(settings, folder.uri)


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
    settings = load_settings()
    # all pages take fewer requests than a listing of each subject's folder
    folders: dict[str, list[str]] = {}
    for path in S3Folder.at(settings, settings.stim_root).files():
        name, *below = path.split("/")
        if below and below[0]:
            folders.setdefault(name, []).append(below[0])
    return {one: _sessions(name, folders[name]) for name, one in _subjects(folders).items()}


def _folder_of(subject: int | str) -> tuple[S3Folder, tuple[str, ...]]:
    """Return the folder of a subject, and the names in it."""
    import npc_session

    try:
        name = str(npc_session.SubjectRecord(subject))
    except ValueError:
        raise NoSessionData(f"{subject!r} is no subject, and has no folder: a number such as 626791 is one") from None
    settings = load_settings()
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
        try:
            found.add(npc_session.SessionRecord(f"{folder}/{name}"))
        except ValueError:
            continue  # no date in it: not the file of a session
    return tuple(sorted(found))

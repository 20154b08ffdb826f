"""The repository of behavior files: a folder for each subject, with the files of its sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from npc_lims.clients.s3 import split_s3_uri
from npc_lims.clients.s3_cached import s3_path, store_of
from npc_lims.config.settings import load_settings
from npc_lims.errors import NoSessionData
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from collections.abc import Iterable

    import npc_session
    import upath

    from npc_lims.config.settings import Settings

__all__ = ["INVALID_SUBJECT_KEYS", "get_sessions_from_data_repo", "get_subject_folders_from_data_repo"]

INVALID_SUBJECT_KEYS = ("test", "366122", "000000", "555555", "retired", "sound")
"""A folder with one of these in its name is no subject's."""

_names: TTLCache[tuple[str, ...]] = TTLCache(maxsize=1024, ttl=600)
_folders: TTLCache[dict[str, list[str]]] = TTLCache(maxsize=2, ttl=600)


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
        names = _names.get_or_load(_cache_key(settings), lambda: _list(settings, ""))
        return {one: s3_path(settings, f"{settings.stim_root}/{name}") for name, one in _subjects(names).items()}
    name = _subject_name(subject)
    _files_of(settings, name)
    return s3_path(settings, f"{settings.stim_root}/{name}")


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
    settings = load_settings()
    if subject is not None:
        name = _subject_name(subject)
        return _sessions(name, _files_of(settings, name))
    folders = _folders.get_or_load(_cache_key(settings), lambda: _list_whole(settings))
    return {one: _sessions(name, folders[name]) for name, one in _subjects(folders).items()}


def _cache_key(settings: Settings, *more: str) -> tuple[str | None, ...]:
    return (settings.stim_root, settings.aws_endpoint_url, str(settings.mirror), *more)


def _list(settings: Settings, folder: str) -> tuple[str, ...]:
    bucket, root = split_s3_uri(settings.stim_root)
    found = store_of(settings).list_folder(bucket, f"{root}/{folder}")
    return found.names if folder else found.folders


def _list_whole(settings: Settings) -> dict[str, list[str]]:
    """List the names in each folder: all pages take fewer requests than a listing of each subject's folder."""
    bucket, root = split_s3_uri(settings.stim_root)
    folders: dict[str, list[str]] = {}
    for item in store_of(settings).list_all(bucket, f"{root}/"):
        folder, _, rest = item.key[len(root) + 1 :].partition("/")
        name = rest.partition("/")[0]
        if name:
            folders.setdefault(folder, []).append(name)
    return folders


def _files_of(settings: Settings, name: str) -> tuple[str, ...]:
    names = _names.get_or_load(_cache_key(settings, name), lambda: _list(settings, f"{name}/"))
    if not names:
        raise NoSessionData(f"there is no folder of subject {name} in {settings.stim_root}")
    return names


def _subject_name(subject: int | str) -> str:
    import npc_session

    try:
        return str(npc_session.SubjectRecord(subject))
    except ValueError:
        raise NoSessionData(f"{subject!r} is no subject, and has no folder: a number such as 626791 is one") from None


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

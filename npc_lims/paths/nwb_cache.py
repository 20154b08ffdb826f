"""NWB files, and tables of their components, which npc_sessions writes to S3, in a folder for each of its versions.

Functions that return paths raise NoSessionInfo for a *session_id* without subject and date, MissingCredentials or
SourceError if PyPI or S3 cannot be queried. Versions that hold a session are among `get_session_locations()`.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal, get_args

from npc_lims.clients.s3_cached import S3Folder, named_path, store_of
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import NoSessionData, SourceError
from npc_lims.sessions.resolve import resolve_session
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    import packaging.version
    import upath

    from npc_lims.model.types import Session

NWBComponentStr = Literal[
    "session",
    "subject",
    "epochs",
    "trials",
    "performance",
    "vis_rf_mapping",
    "aud_rf_mapping",
    "optotagging",
    "invalid_times",
    "devices",
    "electrode_groups",
    "electrodes",
    "units",
    "spike_amplitudes",
    "spike_times",
    "licks",
    "running_speed",
]
"""Components of an NWB file that are cached."""

_ZARR: tuple[NWBComponentStr, ...] = ("spike_times", "licks", "running_speed")
CACHED_FILE_EXTENSIONS: dict[str, str] = {
    component: ".zarr" if component in _ZARR else ".parquet" for component in get_args(NWBComponentStr)
}
"""The suffix that the file of each component has."""

_ANY = "any"

_current: TTLCache[str] = TTLCache(maxsize=4, ttl=600)


def get_cache_file_suffix(nwb_component: NWBComponentStr) -> str:
    """Return the suffix of the file of a component.

    Examples:
        >>> get_cache_file_suffix("units"), get_cache_file_suffix("spike_times")
        ('.parquet', '.zarr')

    Raises:
        ValueError: There is no such component; the message lists them.
    """
    suffix = CACHED_FILE_EXTENSIONS.get(nwb_component)
    if suffix is None:
        raise ValueError(f"nwb_component must be one of {', '.join(CACHED_FILE_EXTENSIONS)}; not {nwb_component!r}")
    return suffix


def get_current_cache_version() -> str:
    """Return the version of the newest release of npc_sessions, such as `v0.0.300`: its caches are named after it.

    Raises:
        SourceError: PyPI cannot be queried.
    """
    from npc_lims.clients.pypi import newest_release

    settings = settings_for_reading()
    try:
        return _current.get_or_load(settings.pypi_url, lambda: _version_name(newest_release(settings)))
    except SourceError as error:
        raise SourceError(
            error.source,
            f"{error.reason}; the version of the cache is unknown without it: give `version`, such as "
            f"version='v0.0.300' or version='{_ANY}'",
        ) from None


def get_cache_path(
    nwb_component: NWBComponentStr,
    session_id: Session | None = None,
    version: str | None = None,
    consolidated: bool = True,
) -> upath.UPath:
    """Return the path under which a component is cached. Only for version `any` is it sure to exist.

    Args:
        session_id: Session of the file; None for the file of all sessions.
        version: Of npc_sessions, such as `v0.0.300`; None for its newest release; `any` for the newest version that
            has the file.
        consolidated: Without a session: the one file of all sessions, or the folder with a file of each.

    Raises:
        ValueError: There is no such component, or no file of it for each session.
        NoSessionData: No version has the file.
    """
    suffix = get_cache_file_suffix(nwb_component)
    settings = settings_for_reading()
    is_folder = suffix == ".zarr"
    if session_id is not None:
        # each session has a store of its own, beside the one of all sessions, of spike times alone
        if is_folder and nwb_component != "spike_times":
            raise ValueError(f"{nwb_component} is not cached for each session; leave out session_id")
        below = f"{nwb_component}/{resolve_session(settings, session_id)}{suffix}"
    elif consolidated:
        below = f"consolidated/{nwb_component}{suffix}"
    else:
        below, is_folder = nwb_component, True
    return _version_path(settings, settings.parquet_root, version, below, is_folder)


def get_all_cache_paths(nwb_component: NWBComponentStr, version: str | None = None) -> tuple[upath.UPath, ...]:
    """Return the files of a component for each session that has one.

    Args:
        version: As of `get_cache_path`.

    Raises:
        ValueError: There is no such component.
        NoSessionData: That version has no folder of it.
    """
    folder = get_cache_path(nwb_component, version=version, consolidated=False)
    settings = settings_for_reading()
    names = S3Folder.at(settings, str(folder)).listing().names
    if not names:
        raise NoSessionData(f"{nwb_component} is not cached in that version: there is nothing in {folder}")
    suffix = get_cache_file_suffix(nwb_component)
    return tuple(folder / name for name in sorted(names) if name.endswith(suffix))


def get_nwb_path(session_id: Session, version: str | None = None, zarr: bool = True) -> upath.UPath:
    """Return the path under which the NWB file of a session is cached. Only for version `any` is it sure to exist.

    Args:
        version: As of `get_cache_path`.
        zarr: In the format of zarr, or in that of HDF5.

    Raises as `get_cache_path`.
    """
    settings = settings_for_reading()
    name = f"{resolve_session(settings, session_id)}.nwb{'.zarr' if zarr else ''}"
    return _version_path(settings, settings.nwb_root, version, name, is_folder=zarr)


# --- versions


def _version_path(settings: Settings, root: str, version: str | None, below: str, is_folder: bool) -> upath.UPath:
    """Return `<root>/<version>/<below>`."""
    if version is None:
        version = get_current_cache_version()
    elif version.lower() == _ANY:
        version = _newest_version(settings, root, below, is_folder)
    else:
        version = _version_name(version)
    return named_path(settings, f"{root}/{version}/{below}")


def _newest_version(settings: Settings, root: str, below: str, is_folder: bool) -> str:
    folder, store = S3Folder.at(settings, root), store_of(settings)

    def has_it(version: str) -> bool:
        key = f"{folder.prefix}{version}/{below}"
        return store.has_any(folder.bucket, f"{key}/") if is_folder else store.head(folder.bucket, key) is not None

    versions = sorted(folder.listing().folders, key=_version_order, reverse=True)
    # mostly it is the newest, which is queried alone; the others side by side
    size = settings.s3_workers
    for batch in (versions[:1], *(versions[start : start + size] for start in range(1, len(versions), size))):
        with ThreadPoolExecutor(size) as pool:
            for version, is_there in zip(batch, pool.map(has_it, batch)):
                if is_there:
                    return version
    raise NoSessionData(f"no version of the cache has {below}: looked in the {len(versions)} folders of {root}")


def _version_name(name: str) -> str:
    """Return the name of the folder of a version, such as `v0.0.300` of 0.0.300; any other name stands for itself."""
    version = _parse_version(name)
    return name if version is None else f"v{version}"


def _version_order(name: str) -> tuple[bool, Any, str]:
    """Return a sort key: versions by age, after all folders that are no versions, by name."""
    version = _parse_version(name)
    return version is not None, version or 0, name


def _parse_version(name: str) -> packaging.version.Version | None:
    import packaging.version

    try:
        return packaging.version.Version(name)
    except packaging.version.InvalidVersion:
        return None

"""Data assets as Code Ocean has them now, and their folders as S3 lists them, cached in memory."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple

from npc_lims.clients.codeocean import open_client
from npc_lims.clients.s3_cached import S3Folder, named_path
from npc_lims.config.settings import Settings
from npc_lims.errors import MissingCredentials, NoAssetLocation, NoSessionData, SourceError
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    import upath

    from npc_lims.model.record import Asset

_searches: TTLCache[list[list[dict[str, Any]]]] = TTLCache(maxsize=256, ttl=600)
# an asset that is not ready will change, and somebody may be waiting for that
_records: TTLCache[dict[str, Any]] = TTLCache(maxsize=4096, ttl=lambda raw: 600 if raw.get("state") == "ready" else 0)


class CachedAssetClient:
    """An `AssetClient` that makes a search once: sessions of one subject cost one. *ttl_hash* is a part of the key."""

    def __init__(self, settings: Settings, ttl_hash: int | None = None) -> None:
        self._settings = settings
        self._ttl_hash = ttl_hash

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        key = (codeocean_url(self._settings), self._ttl_hash, json.dumps(params, sort_keys=True))
        return iter(_searches.get_or_load(key, lambda: self._search(params)))

    def _search(self, params: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        pages = list(open_client(self._settings).search(**params))
        for page in pages:
            for raw in page:
                _records.put((codeocean_url(self._settings), raw.get("id")), raw)
        return pages

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return open_client(self._settings).get(asset_id)


def codeocean_url(settings: Settings) -> str:
    """Return the address that data assets are read from."""
    return str(settings.mirror or settings.codeocean_domain)


def asset_record(settings: Settings, asset_id: str) -> dict[str, Any]:
    """Return one data asset by one request, or none if a search has fetched it; NoSessionData if there is none."""
    domain = codeocean_url(settings)

    def load() -> dict[str, Any]:
        raw = open_client(settings).get(asset_id)
        if raw is None:
            raise NoSessionData(f"there is no data asset {asset_id} in {domain}, or the token may not see it")
        return raw

    return _records.get_or_load((domain, asset_id), load)


def records_of_subject(
    settings: Settings, subject: str, *, archived: bool = False, ttl_hash: int | None = None
) -> list[dict[str, Any]]:
    """Return the data assets that name a subject, in whatever state, the oldest first."""
    from npc_lims.model.data_asset import asset_texts, read_asset
    from npc_lims.sources.codeocean.query import subject_searches

    client = CachedAssetClient(settings, ttl_hash)
    only: dict[str, bool] = {"archived": True} if archived else {}
    named = re.compile(rf"(?<![0-9]){subject}(?![0-9])")  # a mirror has the assets of all subjects
    found: dict[str, dict[str, Any]] = {}
    for query in subject_searches([subject]):
        for page in client.search(**query, **only):
            found.update((str(raw.get("id")), raw) for raw in page if any(map(named.search, asset_texts(raw))))
    return sorted(found.values(), key=lambda raw: (read_asset(raw).created, str(raw["id"])))


# --- files


def asset_path(settings: Settings, asset: Asset) -> upath.UPath:
    """Return the path of the folder with the files of an asset."""
    from npc_lims.sources.s3.query import asset_uri

    return named_path(settings, asset_uri(asset, settings.codeocean_bucket))


def asset_folder(settings: Settings, asset: Asset) -> S3Folder:
    """Return the folder with the files of an asset, to be listed; NoAssetLocation if they are not on S3."""
    from npc_lims.sources.s3.query import asset_root

    try:
        return S3Folder(settings, *asset_root(asset, settings.codeocean_bucket))
    except SourceError as error:
        raise NoAssetLocation(f"{error.reason}: npc_lims reads S3 only") from None


@contextlib.contextmanager
def listing_of(uri: str) -> Iterator[None]:
    """Name the folder in the error by which it cannot be listed."""
    try:
        yield
    except MissingCredentials as error:
        what = "npc_lims.get_session_locations() returns what is recorded, without credentials"
        raise MissingCredentials(f"{uri} cannot be listed: {error}; {what}") from None


class RawEntry(NamedTuple):
    """A file or folder of the raw data, by its path below their folder."""

    name: str
    is_folder: bool


class RawFolder:
    """The raw data folder of a session."""

    def __init__(self, settings: Settings, session_id: str, asset: Asset) -> None:
        self.session_id = session_id
        self.asset = asset
        self.folder = asset_folder(settings, asset)

    def below(self, folders: Iterable[str]) -> list[RawEntry]:
        """Return the entries of these folders, folder by folder, each sorted by name."""
        wanted = list(folders)
        return [
            RawEntry(f"{folder}/{name}", is_folder)
            for folder, listed in zip(wanted, self.folder.list_each(wanted))
            for name, is_folder in sorted([*((n, True) for n in listed.folders), *((n, False) for n in listed.files)])
        ]

    def entries(self) -> list[RawEntry]:
        """Return the content of the folders at the top, the files at the top, and the content of `ecephys*` folders."""
        top = self.folder.listing()
        inside = self.below(top.folders)
        recordings = [entry.name for entry in inside if entry.is_folder and holds_recordings(entry.name)]
        entries = [*inside, *(RawEntry(name, is_folder=False) for name in top.files), *self.below(recordings)]
        if not entries:
            raise NoSessionData(
                f"{self.session_id}: an upload was started ({self.asset.name} is registered), but no files have "
                f"arrived: there is nothing in {self.folder.uri}"
            )
        return entries

    def entry_paths(self) -> tuple[upath.UPath, ...]:
        return self.folder.paths(entry.name for entry in self.entries())


def holds_recordings(name: str) -> bool:
    return "ecephys" in PurePosixPath(name).stem and not is_zarr(name)


def is_zarr(name: str) -> bool:
    """Return True for a folder that holds one object for each chunk: it is never listed."""
    return ".zarr" in PurePosixPath(name).suffix

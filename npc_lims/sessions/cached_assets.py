"""Data assets as Code Ocean has them now, cached in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean import open_client
from npc_lims.errors import NoSessionData
from npc_lims.model.data_asset import asset_texts, read_asset
from npc_lims.sources.codeocean.query import subject_searches
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

_searches: TTLCache[list[list[dict[str, Any]]]] = TTLCache(maxsize=256, ttl=600)
# an asset that is not ready will change, and somebody may be waiting for that
_records: TTLCache[dict[str, Any]] = TTLCache(maxsize=4096, ttl=lambda raw: 600 if raw.get("state") == "ready" else 0)


class CachedAssetClient:
    """An `AssetClient` that makes a search once: sessions of one subject cost one.

    Args:
        settings: Those of the domain. The first request raises MissingCredentials if there is no token.
        ttl_hash: Part of the cache key.
    """

    def __init__(self, settings: Settings, ttl_hash: int | None = None) -> None:
        self._settings = settings
        self._ttl_hash = ttl_hash

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        key = (_domain(self._settings), self._ttl_hash, json.dumps(params, sort_keys=True))
        return iter(_searches.get_or_load(key, lambda: self._search(params)))

    def _search(self, params: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        pages = list(open_client(self._settings).search(**params))
        for page in pages:
            for raw in page:
                _records.put((_domain(self._settings), raw.get("id")), raw)
        return pages

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return open_client(self._settings).get(asset_id)


def _domain(settings: Settings) -> str:
    """The address of the data assets."""
    return str(settings.mirror or settings.codeocean_domain)


def asset_record(settings: Settings, asset_id: str) -> dict[str, Any]:
    """Return one data asset as Code Ocean has it: one request, or none if a search has fetched it.

    Raises:
        NoSessionData: There is none of that id.
        MissingCredentials, SourceError: Code Ocean cannot be queried.
    """

    def load() -> dict[str, Any]:
        raw = open_client(settings).get(asset_id)
        if raw is None:
            raise NoSessionData(
                f"there is no data asset {asset_id} in {_domain(settings)}, or the token may not see it"
            )
        return raw

    return _records.get_or_load((_domain(settings), asset_id), load)


def records_of_subject(
    settings: Settings, subject: str, *, archived: bool = False, ttl_hash: int | None = None
) -> list[dict[str, Any]]:
    """Return the data assets that name a subject, in whatever state, the oldest first.

    Raises:
        MissingCredentials, SourceError: Code Ocean cannot be queried.
    """
    client = CachedAssetClient(settings, ttl_hash)
    only: dict[str, bool] = {"archived": True} if archived else {}
    found: dict[str, dict[str, Any]] = {}
    for query in subject_searches([subject]):
        for page in client.search(**query, **only):
            found.update((str(raw.get("id")), raw) for raw in page if _names(raw, subject))
    return sorted(found.values(), key=lambda raw: (read_asset(raw).created, str(raw["id"])))


def _names(raw: Mapping[str, Any], subject: str) -> bool:
    """Return whether an asset names the subject: a mirror gives those of all."""
    word = re.compile(rf"(?<![0-9]){subject}(?![0-9])")
    return any(word.search(text) for text in asset_texts(raw))

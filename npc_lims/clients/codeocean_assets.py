"""Data assets as Code Ocean, or a mirror of it in files, lists them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Protocol

from npc_lims.clients.codeocean import READ_SCOPE, api_address, open_session, reason_of
from npc_lims.clients.http import HttpResponse, RequestFailed, parse_json
from npc_lims.errors import SourceError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["PAGE", "SOURCE", "AssetClient", "CodeOceanClient", "MirrorClient", "open_client"]

SOURCE = "codeocean"


PAGE = 1000


# Of 1,000 assets each, and none without a new one: no domain comes near two million.
_MAX_PAGES = 2_000


class AssetClient(Protocol):
    """Read access to data assets, as plain data."""

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Pages of assets that match the search parameters of the API."""

    def get(self, asset_id: str) -> dict[str, Any] | None:
        """One asset, or None when there is none of that id."""


def open_client(settings: Settings) -> AssetClient:
    """The mirror if one is set, else the REST API.

    Raises:
        MissingCredentials: No token is set.
    """
    if settings.mirror is not None:
        return MirrorClient(settings.mirror / SOURCE / "data_assets.json")
    return CodeOceanClient(settings)


class CodeOceanClient:
    """The REST API of a Code Ocean domain, as far as it only reads."""

    def __init__(self, settings: Settings) -> None:
        self._session = open_session(settings, READ_SCOPE)
        self._base = api_address(settings)

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        tokens: set[str] = set()
        seen: set[str] = set()
        previous: list[dict[str, Any]] = []
        body = {"limit": PAGE, "sort_field": "created", "sort_order": "asc", "archived": False, **params}
        for _ in range(_MAX_PAGES):
            page = self._ask("POST", "data_assets/search", parse=_parse_page, json=body)
            if page["results"] and page["results"] == previous:
                raise SourceError(SOURCE, "a page of the search repeats the one before; nothing was used; try again")
            before, previous = len(seen), page["results"]
            seen.update(asset_id for item in page["results"] if isinstance(asset_id := item.get("id"), str))
            yield page["results"]
            if not page["has_more"]:
                return
            token = page.get("next_token")
            if not token or not isinstance(token, str) or token in tokens:
                raise SourceError(SOURCE, "the search says there is more but gives no way to it; nothing was used")
            if len(seen) == before:
                raise SourceError(SOURCE, "a page of the search holds nothing new and is not the last; not used")
            tokens.add(token)
            body["next_token"] = token
        raise SourceError(SOURCE, f"the search did not end within {_MAX_PAGES} pages; nothing was used")

    def get(self, asset_id: str) -> dict[str, Any] | None:
        def parse(content: Any) -> dict[str, Any]:
            if not isinstance(content, dict) or content.get("id") != asset_id:
                raise ValueError("it is not the data asset that was asked for")
            return content

        path = f"data_assets/{urllib.parse.quote(asset_id, safe='')}"
        found: dict[str, Any] | None = self._ask("GET", path, parse=parse)
        return found

    def _ask(self, method: str, path: str, *, parse: Callable[[Any], Any], **more: Any) -> Any:
        def read(response: HttpResponse) -> Any:
            if response.status == 404 and method == "GET":
                return None
            if response.status in (401, 403):
                raise SourceError(
                    SOURCE,
                    f"the token was refused ({response.status}): it has expired or lacks the scope "
                    "'data assets: read'; make a new one and set CODE_OCEAN_API_TOKEN",
                )
            if response.status != 200:
                raise SourceError(SOURCE, f"{path} answered {response.status}: {reason_of(response)}")
            return parse(response.json())

        try:
            return self._session.request(method, self._base + path, read, **more)
        except RequestFailed as error:
            raise SourceError(SOURCE, f"{self._base}{path} {error}") from None


class MirrorClient:
    """A JSON file with the list of all assets, in place of the API."""

    def __init__(self, path: Path) -> None:
        try:
            assets = parse_json(path.read_bytes())
        except (OSError, RecursionError, ValueError) as error:
            raise SourceError(SOURCE, f"cannot read {path}: {error}") from None
        if isinstance(assets, dict):
            # a saved answer of the API is as good as its list, if it is the whole answer
            assets = None if assets.get("has_more") else assets.get("results")
        if not isinstance(assets, list):
            raise SourceError(SOURCE, f"{path} is not a list of all data assets")
        self._assets = _as_objects(assets)

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        archived = bool(params.get("archived", False))
        # what is neither true nor false is left to whoever validates the asset
        yield [asset for asset in self._assets if (asset.get("archived") is True) == archived]

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return next((asset for asset in self._assets if asset.get("id") == asset_id), None)


def _parse_page(content: Any) -> Any:
    if not isinstance(content, dict) or not isinstance(content.get("has_more"), bool):
        raise ValueError("no results and has_more in the page")
    if not isinstance(content.get("results"), list):
        raise ValueError("the results of the page are no list")
    return {**content, "results": _as_objects(content["results"])}


def _as_objects(items: list[Any]) -> list[dict[str, Any]]:
    """Return the items of a page; what is no object stands there as one without fields, an invalid asset."""
    return [item if isinstance(item, dict) else {} for item in items]

"""Code Ocean: the data assets of all sessions, fetched by pages.

Here is how they are asked for. What they mean for a session is decided in `npc_lims.sources.assets`, and whether one
counts, by its files, in `npc_lims.sources.judge`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Protocol

import pydantic

from npc_lims.errors import SourceError
from npc_lims.model import Asset, CodeOcean, Record
from npc_lims.problems import Problem
from npc_lims.session_id import subject_of
from npc_lims.sources.assets import SEARCHED_NAMES, DataAsset, equal_rivals, select_facts
from npc_lims.sources.codeocean_http import READ_SCOPE, api_address, open_session, reason_of
from npc_lims.sources.judge import Judge
from npc_lims.sources.objects import ObjectStore
from npc_lims.sources.observation import Found, Observation

if TYPE_CHECKING:
    from npc_lims.settings import Settings

__all__ = [
    "AssetClient",
    "CodeOceanClient",
    "MirrorClient",
    "fetch_assets",
    "observe_codeocean",
    "open_client",
    "read_asset",
    "subject_searches",
]

SOURCE = "codeocean"
PAGE = 1000
_MOST_PAGES = 10_000
# Assets that vanished since the last sync and are asked for by id before their loss is believed.
_ASKED_AGAIN = 20

Progress = Callable[[int], None]


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
        from npc_lims.sources.http import Patience

        self._session = open_session(settings, READ_SCOPE)
        self._base = api_address(settings)
        self._patience = Patience.of(settings)

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        seen: set[str] = set()
        body = {"limit": PAGE, "sort_field": "created", "sort_order": "asc", "archived": False, **params}
        for _ in range(_MOST_PAGES):
            page = self._ask("POST", "data_assets/search", json=body)
            yield page["results"]
            if not page["has_more"]:
                return
            token = page.get("next_token")
            if not token or token in seen:
                raise SourceError(SOURCE, "the search says there is more but gives no way to it; nothing was used")
            seen.add(token)
            body["next_token"] = token
        raise SourceError(SOURCE, f"the search did not end within {_MOST_PAGES} pages")

    def get(self, asset_id: str) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._ask("GET", f"data_assets/{asset_id}")
        return found

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        from npc_lims.sources.http import GaveUp, request

        def parse(response: Any) -> Any:
            if response.status_code == 404 and method == "GET":
                return None
            if response.status_code in (401, 403):
                raise SourceError(
                    SOURCE,
                    f"the token was refused ({response.status_code}): it has expired or lacks the scope "
                    "'data assets: read'; make a new one and set CODE_OCEAN_API_TOKEN",
                )
            if response.status_code != 200:
                raise SourceError(SOURCE, f"{path} answered {response.status_code}: {reason_of(response)}")
            content = response.json()
            if method == "POST" and not _is_page(content):
                raise ValueError("no results and has_more in the page")
            return content

        try:
            return request(self._session, method, self._base + path, self._patience, parse=parse, **more)
        except GaveUp as error:
            raise SourceError(SOURCE, f"{self._base}{path} {error}") from None


class MirrorClient:
    """A JSON file with the list of all assets, in place of the API."""

    def __init__(self, path: Path) -> None:
        try:
            assets = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise SourceError(SOURCE, f"cannot read {path}: {error}") from None
        if isinstance(assets, dict):
            # a saved answer of the API is as good as its list, if it is the whole answer
            assets = None if assets.get("has_more") else assets.get("results")
        if not (isinstance(assets, list) and all(isinstance(asset, dict) for asset in assets)):
            raise SourceError(SOURCE, f"{path} is not a list of all data assets")
        self._assets: list[dict[str, Any]] = assets

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        archived = bool(params.get("archived", False))
        yield [asset for asset in self._assets if bool(asset.get("archived", False)) == archived]

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return next((asset for asset in self._assets if asset.get("id") == asset_id), None)


def observe_codeocean(
    settings: Settings,
    client: AssetClient,
    store: Callable[[], ObjectStore],
    records: Mapping[str, Record],
    only: Container[str] | None = None,
    progress: Progress = lambda done: None,
    *,
    by_subject: bool = False,
    full: bool = False,
) -> Observation:
    """Facts for every session of *records*, or for those of *only*.

    Args:
        by_subject: Search for the subjects of these sessions instead of paging through all assets: quick, but it
            finds only assets that name their subject in metadata, tags or description. Not for what is recorded.
        full: Look also into raw data in which the main recording was found before.
        store: Opens the buckets: called only if there is a new asset to judge by its files.
        progress: Told how many assets have been seen, after each page.

    Raises:
        SourceError: A page could not be had for good: there is no half result.
    """
    wanted = sorted(records if only is None else [session_id for session_id in records if session_id in only])
    subjects = sorted({subject_of(session_id) for session_id in wanted})
    assets = fetch_assets(client, subjects, by_subject=by_subject, progress=progress)
    _check_vanished(client, assets, [records[session_id] for session_id in wanted])
    judge = Judge(settings, store)
    facts: dict[str, Found] = select_facts(wanted, records, assets, judge, settings.s3_workers, full=full)
    counts = {"assets": sum(map(len, assets.values()))}
    passed_over = judge.passed_over()
    rivals = equal_rivals(facts.values(), itertools.chain(*assets.values()), passed_over)
    problems = (*map(_undecided, rivals), *passed_over.values())
    return Observation(source=SOURCE, facts=facts, problems=problems, counts=counts, failure=judge.failure)


def _undecided(rivals: Sequence[DataAsset]) -> Problem:
    named = ", ".join(f"{asset.name} ({asset.id})" for asset in rivals)
    message = f"raw data assets made in the same second: {named}; the first is used; archive those that are not meant"
    return Problem(rivals[0].day, 0, 0, "warning", message)


def fetch_assets(
    client: AssetClient,
    subjects: Collection[str],
    *,
    by_subject: bool = False,
    progress: Progress = lambda done: None,
) -> dict[str, list[DataAsset]]:
    """Usable assets (ready, not archived) by subject.

    One search by pages of 1000, or two for each subject.
    """
    wanted = set(subjects)
    found: dict[str, dict[str, DataAsset]] = {}
    seen = 0
    for params in subject_searches(subjects) if by_subject else [{}]:
        for page in client.search(**params):
            seen += len(page)
            for raw in page:
                match = SEARCHED_NAMES.match(str(raw.get("name")))
                if match is None or match["subject"] not in wanted:
                    continue
                asset = read_asset(raw)
                if asset.is_usable:
                    # pages may overlap while assets are being added: an id counts once
                    found.setdefault(match["subject"], {})[asset.id] = asset
            progress(seen)
    return {subject: list(assets.values()) for subject, assets in found.items()}


def subject_searches(subjects: Collection[str]) -> Iterator[dict[str, str]]:
    """By metadata, and by any word: old assets have no metadata, and their subject stands in a tag."""
    for subject in subjects:
        yield {"query": f"subject id: {subject}"}
        yield {"query": subject}


def read_asset(raw: dict[str, Any]) -> DataAsset:
    """What the API sent, as an asset. SourceError if it is none."""
    try:
        return DataAsset.model_validate(raw)
    except pydantic.ValidationError as error:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SourceError(SOURCE, f"data asset {raw.get('id')} is not as the API describes it: {details}") from None


def _check_vanished(client: AssetClient, assets: Mapping[str, list[DataAsset]], records: Collection[Record]) -> None:
    """Believe that a recorded asset is gone only when asking for it says so.

    A search that leaves assets out looks just like assets that were deleted.
    """
    present = {asset.id for group in assets.values() for asset in group}
    vanished: dict[str, str] = {}
    for record in records:
        if isinstance(record.codeocean, CodeOcean):
            for name in CodeOcean.model_fields:
                fact = getattr(record.codeocean, name)
                if isinstance(fact, Asset) and fact.id not in present:
                    vanished[fact.id] = fact.name
    # spread over all of them: an answer that broke off lacks what comes late in it
    step = -(-len(vanished) // _ASKED_AGAIN) or 1
    for asset_id, name in list(vanished.items())[::step]:
        raw = client.get(asset_id)
        if raw is None or not read_asset(raw).is_usable or raw.get("name") != name:
            continue
        archived = client.search(query=f'name:"{name}"', archived=True)
        if not any(item.get("id") == asset_id for page in archived for item in page):
            raise SourceError(
                SOURCE, f"the search left out {name} ({asset_id}), which is there: its answer is not whole; not used"
            )


def _is_page(content: Any) -> bool:
    return (
        isinstance(content, dict)
        and isinstance(content.get("results"), list)
        and isinstance(content.get("has_more"), bool)
        and all(isinstance(item, dict) for item in content["results"])
    )

"""Data assets as Code Ocean has them now: asked for once, and kept in memory for a while."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from npc_lims.clients.codeocean_assets import open_client
from npc_lims.clients.s3_cached import RememberingStore
from npc_lims.errors import NoSessionData, SourceError
from npc_lims.model.data_asset import SEARCHED_NAMES, DataAsset, asset_texts, read_asset
from npc_lims.model.record import Asset, CodeOcean
from npc_lims.model.session_id import split_session_id, subject_of
from npc_lims.sources.codeocean.assets import recordings_of_day, select_facts
from npc_lims.sources.codeocean.query import fetch_assets, subject_searches
from npc_lims.sources.codeocean.validity import Judge
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.model.record import Record

__all__ = [
    "RememberingClient",
    "SessionAssets",
    "asset_record",
    "assets_of_session",
    "records_of_subject",
    "unusable_assets",
]

Judged = Literal["raw", "sorted"]

_searches: TTLCache[list[list[dict[str, Any]]]] = TTLCache(maxsize=256, ttl=600)
_records: TTLCache[dict[str, Any]] = TTLCache(maxsize=4096, ttl=600)
_sessions: TTLCache[SessionAssets] = TTLCache(maxsize=1024, ttl=600)


class RememberingClient:
    """Searches that were made already are answered from memory: sessions of one subject cost one search.

    Args:
        settings: Where to ask. Asking for the first time raises MissingCredentials if there is no token.
        ttl_hash: Answers given to another one do not count.
    """

    def __init__(self, settings: Settings, ttl_hash: int | None = None) -> None:
        self._settings = settings
        self._ttl_hash = ttl_hash

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        question = (_place(self._settings), self._ttl_hash, json.dumps(params, sort_keys=True))
        return iter(_searches.get_or_load(question, lambda: self._search(params)))

    def _search(self, params: Mapping[str, Any]) -> list[list[dict[str, Any]]]:
        pages = list(open_client(self._settings).search(**params))
        for page in pages:
            for raw in page:
                _keep_record(self._settings, raw)
        return pages

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return open_client(self._settings).get(asset_id)


def _place(settings: Settings) -> str:
    """Where data assets are asked for."""
    return str(settings.mirror or settings.codeocean_domain)


def _keep_record(settings: Settings, raw: dict[str, Any]) -> None:
    if _holds(raw):
        _records.put((_place(settings), raw.get("id")), raw)


def _holds(raw: dict[str, Any]) -> bool:
    """Until an asset is ready it will change, and somebody may be waiting for that."""
    return raw.get("state") == "ready"


def asset_record(settings: Settings, asset_id: str) -> dict[str, Any]:
    """What Code Ocean says of one data asset: one request, or none if a search has brought it already.

    Raises:
        NoSessionData: There is none of that id.
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """

    def ask() -> dict[str, Any]:
        raw = open_client(settings).get(asset_id)
        if raw is None:
            raise NoSessionData(f"there is no data asset {asset_id} in {_place(settings)}, or the token may not see it")
        return raw

    return _records.get_or_load((_place(settings), asset_id), ask, keep=_holds)


def records_of_subject(
    settings: Settings, subject: str, *, archived: bool = False, ttl_hash: int | None = None
) -> list[dict[str, Any]]:
    """What Code Ocean says of each data asset that names a subject, in whatever state, the oldest first.

    Raises:
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """
    client = RememberingClient(settings, ttl_hash)
    only: dict[str, bool] = {"archived": True} if archived else {}
    found: dict[str, dict[str, Any]] = {}
    for query in subject_searches([subject]):
        for page in client.search(**query, **only):
            found.update((str(raw.get("id")), raw) for raw in page if _names(raw, subject))
    return sorted(found.values(), key=lambda raw: (read_asset(raw).created, str(raw["id"])))


def _names(raw: Mapping[str, Any], subject: str) -> bool:
    """Whether an asset is about the subject: a mirror gives those of all."""
    word = re.compile(rf"(?<![0-9]){subject}(?![0-9])")
    return any(word.search(text) for text in asset_texts(raw))


@dataclasses.dataclass(frozen=True)
class SessionAssets:
    """The usable data assets of one session, as Code Ocean has them now.

    Attributes:
        facts: Those that count, as state would record them; None if there is none.
        recordings: Those of each recording of its day, by start time.
        passed_over: Raw data that are not the session's own: asset id to the reason.
    """

    facts: CodeOcean | None
    recordings: Sequence[Sequence[DataAsset]]
    passed_over: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def is_main_lost(self) -> bool:
        """The first recording of the day is one of surface channels alone."""
        raw = self.facts.raw if self.facts is not None else None
        return bool(self.passed_over) and not (isinstance(raw, Asset) and raw.name.startswith("ecephys"))

    def of_recording(self, index: int) -> Sequence[DataAsset]:
        """The assets of a recording of the day; none if it has fewer."""
        return self.recordings[index] if index < len(self.recordings) else ()


def assets_of_session(
    settings: Settings, session_id: str, records: Mapping[str, Record], *, judged: tuple[Judged, ...]
) -> SessionAssets:
    """Data assets of a session, by searching for its subject.

    Args:
        records: What is known of the session, and of the others of its day.
        judged: Which assets it matters of whether they count, by their files on S3. `facts` leave the others open,
            unless that is recorded.

    Raises:
        MissingCredentials: There is no token, or files have to be looked at and there are no AWS credentials.
        SourceError: Code Ocean could not be asked, or files could not be looked at.
    """
    question = (_place(settings), session_id, judged)
    return _sessions.get_or_load(question, lambda: _assets_of_session(settings, session_id, records, judged))


def _assets_of_session(
    settings: Settings, session_id: str, records: Mapping[str, Record], judged: tuple[Judged, ...]
) -> SessionAssets:
    subject, date, _ = split_session_id(session_id)
    found = fetch_assets(RememberingClient(settings), [subject], by_subject=True)
    for invalid in found.invalid:
        if invalid.may_belong_to(session_id):
            raise SourceError("codeocean", f"{invalid}; correct it in Code Ocean, or archive it")
    assets = found.assets
    judge = Judge(settings, lambda: RememberingStore(settings))

    def verdict(asset: DataAsset) -> str | None:
        return judge(asset) if ("sorted" if asset.is_sorted else "raw") in judged else None

    fact = select_facts([session_id], records, assets, verdict)[session_id]
    if judge.failure is not None:
        raise judge.lacking or judge.failure
    day = [one for one in assets.get(subject, ()) if one.platform != "SmartSPIM" and one.start[0] == date]
    facts = fact if isinstance(fact, CodeOcean) else None
    passed_over = {asset_id: problem.message for asset_id, problem in judge.passed_over().items()}
    return SessionAssets(facts, recordings_of_day(session_id, records, day), passed_over)


def unusable_assets(settings: Settings, session_id: str) -> list[DataAsset]:
    """Assets of the session's subject that are there and not usable: archived, failed, or still being made."""
    subject = subject_of(session_id)
    found: list[DataAsset] = []
    for archived in (False, True):
        for raw in records_of_subject(settings, subject, archived=archived):
            match = SEARCHED_NAMES.match(str(raw.get("name")))
            if match is not None and match["subject"] == subject:
                asset = read_asset({**raw, "archived": archived})
                found += [] if asset.is_usable else [asset]
    return found

"""Code Ocean: the data assets of all sessions, fetched by pages.

Which of them are a session's is decided in `npc_lims.sources.codeocean.assets`.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from typing import Any, Callable, Optional

from npc_lims.clients.codeocean import OUTPUT_LIMIT, SOURCE, AssetClient
from npc_lims.clients.codeocean_runs import find_error_mark
from npc_lims.clients.s3 import ObjectStore
from npc_lims.config.settings import Settings
from npc_lims.errors import MissingCredentials, Problem, SourceError
from npc_lims.model.data_asset import DataAsset, InvalidAsset, invalid_asset, read_recording, read_session_asset
from npc_lims.model.record import Asset, CodeOcean, Found, Observation, Record
from npc_lims.model.session_id import day_of, subject_of
from npc_lims.model.unlisted import Unlisted, UnlistedAsset, in_order
from npc_lims.sources.codeocean.assets import ambiguous_assets, select_facts
from npc_lims.sources.context import SourceContext, ignore_progress
from npc_lims.sources.s3.query import asset_root, asset_uri

# Maximum number of assets that vanished since the last sync and are fetched by id.
_MAX_CHECKED = 20
_MAX_REPORTED = 50


def observe(context: SourceContext) -> Observation:
    """Return facts for each session of the context, from its data assets and, where these are new, their files.

    An invalid asset is skipped and reported, and there are no facts for the sessions that it may belong to: what is
    recorded of them stays. If that is unknown, the others' facts hold, but nothing is taken for absent. SourceError if
    a page could not be fetched, or the search is incomplete.
    """
    client, records, wanted = context.assets(), context.records, context.wanted
    subjects = sorted({subject_of(session_id) for session_id in wanted})
    recorded = {id_ for session_id in wanted for id_ in _recorded_ids(records[session_id])}
    found = fetch_assets(client, subjects, recorded, by_subject=context.by_subject, progress=context.progress)
    certain = _certain(wanted, records, found.invalid)
    of_certain = {one.id: one.name for session_id in certain for one in _recorded_assets(records[session_id])}
    vanished = _check_vanished(client, found, of_certain, {subject_of(session_id) for session_id in certain})
    certain = _certain(certain, records, vanished)
    invalid = [*found.invalid, *vanished]
    validator = AssetValidator(context.settings, context.store)
    facts: Mapping[str, Found] = select_facts(
        certain, records, found.assets, validator, context.settings.s3_workers, full=context.full
    )
    rejected = validator.rejected()
    ambiguous = ambiguous_assets(facts.values(), itertools.chain(*found.assets.values()), rejected)
    if any(not one.days and not one.subjects and one.id not in recorded for one in invalid):
        facts = {one: _without_absences(fact) for one, fact in facts.items() if isinstance(fact, CodeOcean)}
    return Observation(
        source=SOURCE,
        facts=facts,
        problems=(*map(_ambiguity, ambiguous), *rejected.values(), *map(_as_problem, invalid[:_MAX_REPORTED])),
        counts={"assets": sum(map(len, found.assets.values()))},
        failure=_failure_of(invalid, validator.failure),
        unlisted=None if context.by_subject or invalid else _unlisted(context, client, found),
    )


def _unlisted(context: SourceContext, client: AssetClient, found: FoundAssets) -> Unlisted:
    """Return the recordings of days for which no session is known, from a complete search."""
    recorded = {one.id: one.name for one in context.unlisted}
    # that one of them cannot be read does not concern the sessions
    _check_vanished(client, found, recorded, {one.session.split("_")[0] for one in context.unlisted})
    days = set(map(day_of, context.records))
    every = itertools.chain(*found.assets.values(), found.others.usable.values())
    assets = (one for one in every if one.is_recording)
    recordings = [UnlistedAsset(**one.as_fact().model_dump()) for one in assets if one.day not in days]
    unread = [one for one in context.unlisted if one.id in found.others.invalid]
    return in_order(one for one in (*recordings, *unread) if context.scope is None or one.session in context.scope)


def _certain(wanted: Collection[str], records: Mapping[str, Record], invalid: Collection[InvalidAsset]) -> list[str]:
    """Return *wanted* without the sessions that an invalid asset may belong to, as far as it shows."""
    days = frozenset[str]().union(*(one.days for one in invalid))
    subjects = frozenset[str]().union(*(one.subjects for one in invalid))
    ids = {one.id for one in invalid if one.id}
    return [
        session_id
        for session_id in wanted
        if day_of(session_id) not in days
        and subject_of(session_id) not in subjects
        and not (ids and any(id_ in ids for id_ in _recorded_ids(records[session_id])))
    ]


def _without_absences(fact: CodeOcean) -> CodeOcean:
    """Return what was found, with null (not observed) in place of every false."""
    return fact.model_copy(update={name: None for name in CodeOcean.model_fields if getattr(fact, name) is False})


def _as_problem(invalid: InvalidAsset) -> Problem:
    about = next(iter(sorted(invalid.days or invalid.subjects)), "Code Ocean")
    return Problem(about, 0, 0, "warning", f"{invalid}; it is skipped: correct it in Code Ocean, or archive it")


def _failure_of(invalid: Sequence[InvalidAsset], other: SourceError | None) -> SourceError | None:
    if not invalid:
        return other
    more = f" (and {len(invalid) - 1} more are invalid)" if len(invalid) > 1 else ""
    reason = f"{invalid[0]}{more}; what is recorded of the sessions that it may belong to stays"
    return SourceError(SOURCE, f"{reason}; {other.reason}" if other is not None else reason)


def _ambiguity(assets: Sequence[DataAsset]) -> Problem:
    named = ", ".join(f"{asset.name} ({asset.id})" for asset in assets)
    message = f"raw data assets made in the same second: {named}; the first is used; archive those that are not meant"
    return Problem(assets[0].day, 0, 0, "warning", message)


@dataclasses.dataclass(frozen=True)
class FoundAssets:
    """Usable data assets (ready, not archived) by subject, and those that are not as the API describes them."""

    assets: Mapping[str, Sequence[DataAsset]]
    invalid: Sequence[InvalidAsset]
    others: _Others

    @property
    def ids(self) -> set[str]:
        ids = {asset.id for group in self.assets.values() for asset in group}
        return ids.union((one.id for one in self.invalid), self.others.usable, self.others.invalid)


@dataclasses.dataclass
class _Others:
    """Raw data assets of recordings of other subjects, by their ids, and the ids of invalid ones."""

    usable: dict[str, DataAsset] = dataclasses.field(default_factory=dict)
    invalid: set[str] = dataclasses.field(default_factory=set)

    def add(self, raw: Mapping[str, Any]) -> None:
        asset = read_recording(raw)
        if isinstance(asset, InvalidAsset):
            self.invalid.add(asset.id)
        elif asset is not None:
            self.usable[asset.id] = asset


def fetch_assets(
    client: AssetClient,
    subjects: Collection[str],
    recorded: Container[str] = (),
    *,
    by_subject: bool = False,
    progress: Callable[[int, Optional[int]], None] = ignore_progress,
) -> FoundAssets:
    """Search for the assets of subjects, the *recorded* ids among them: by pages of 1000, or twice a subject."""
    wanted = set(subjects)
    found: dict[str, DataAsset] = {}
    invalid: dict[InvalidAsset, None] = {}
    others = _Others()
    seen = 0
    for params in subject_searches(subjects) if by_subject else [{}]:
        for page in client.search(**params):
            seen += len(page)
            for raw in page:
                asset = read_session_asset(raw, wanted, recorded)
                if asset is None:
                    others.add(raw)
                elif isinstance(asset, InvalidAsset):
                    invalid[asset] = None
                # pages may overlap while assets are being added: an id counts once
                elif found.setdefault(asset.id, asset) != asset:
                    invalid[_contradicted(asset)] = None
            progress(seen, None)
    invalid_ids = {one.id for one in invalid}
    by_subjects: dict[str, list[DataAsset]] = {}
    for asset in found.values():
        if asset.id in invalid_ids:
            invalid[_contradicted(asset)] = None
        elif asset.is_usable:
            by_subjects.setdefault(asset.match["subject"], []).append(asset)
    in_order = sorted(invalid, key=lambda one: (one.label, one.reason))
    return FoundAssets(by_subjects, in_order, others)


def _contradicted(asset: DataAsset) -> InvalidAsset:
    raw = {"name": asset.name, "id": asset.id}
    return invalid_asset(raw, asset.match, "id: the search gives different assets of this id")


def subject_searches(subjects: Collection[str]) -> Iterator[dict[str, str]]:
    """Yield searches by metadata, and by any word: old assets have no metadata, and their subject is a tag."""
    for subject in subjects:
        yield {"query": f"subject id: {subject}"}
        yield {"query": subject}


def _recorded_assets(record: Record) -> Iterator[Asset]:
    if isinstance(record.codeocean, CodeOcean):
        facts = (getattr(record.codeocean, name) for name in CodeOcean.model_fields)
        yield from (fact for fact in facts if isinstance(fact, Asset))


def _recorded_ids(record: Record) -> Iterator[str]:
    """Yield the ids of a session's assets, errored results included."""
    yield from (asset.id for asset in _recorded_assets(record))
    if isinstance(record.codeocean, CodeOcean):
        yield from record.codeocean.errored


def _check_vanished(
    client: AssetClient, found: FoundAssets, recorded: Mapping[str, str], subjects: Container[str]
) -> list[InvalidAsset]:
    """Fetch *recorded* assets that the search lacks, and return the invalid ones. If one exists it was incomplete.

    Args:
        recorded: Ids and names of assets of these subjects.
    """
    present = found.ids
    vanished = {asset_id: name for asset_id, name in recorded.items() if asset_id not in present}
    invalid: list[InvalidAsset] = []
    # spread over all of them: a search that broke off lacks what comes late in it
    step = -(-len(vanished) // _MAX_CHECKED) or 1
    for asset_id, name in list(vanished.items())[::step]:
        raw = client.get(asset_id)
        asset = None if raw is None else read_session_asset(raw, subjects, vanished)
        if isinstance(asset, InvalidAsset):
            invalid.append(asset)
        if not isinstance(asset, DataAsset) or not asset.is_usable or asset.name != name:
            continue
        archived = client.search(query=f'name:"{name}"', archived=True)
        if not any(item.get("id") == asset_id for page in archived for item in page):
            raise SourceError(
                SOURCE, f"the search left out {name} ({asset_id}), which exists: it is incomplete and not used"
            )
    return invalid


class AssetValidator:
    """A `Validate` of sorting results and recordings, safe to call from several threads."""

    def __init__(self, settings: Settings, store: Callable[[], ObjectStore]) -> None:
        self._settings = settings
        self._store = store
        self._rejected: dict[str, Problem] = {}
        self._failures: dict[tuple[str, str], SourceError] = {}
        self.missing_credentials: MissingCredentials | None = None

    def __call__(self, asset: DataAsset) -> str | None:
        """Return why *asset* is not used, empty if it is, None while that is unknown."""
        try:
            if not asset.is_sorted:
                return self._validate_recording(asset)
            bucket, root = asset_root(asset.as_fact(), self._settings.codeocean_bucket)
            return find_error_mark(self._store().read(bucket, f"{root}output", OUTPUT_LIMIT))
        except (SourceError, MissingCredentials) as error:
            reason = error.reason if isinstance(error, SourceError) else str(error)
            if isinstance(error, MissingCredentials):
                self.missing_credentials = error
            what = "validate the sorting result" if asset.is_sorted else "look into the raw data"
            self._failures[asset.name, asset.id] = SourceError("codeocean", f"cannot {what} {asset.name}: {reason}")
            return None

    @property
    def failure(self) -> SourceError | None:
        """Return why an asset could not be validated: of several the first by name, whatever thread met it first."""
        return self._failures[min(self._failures)] if self._failures else None

    def rejected(self) -> dict[str, Problem]:
        """Return why recordings are not used as the session's own, by the ids of their assets."""
        return dict(sorted(self._rejected.items()))

    def _validate_recording(self, asset: DataAsset) -> str:
        """Reject a recording of surface channels alone, which has no behavior beside it."""
        fact, codeocean_bucket = asset.as_fact(), self._settings.codeocean_bucket
        if not asset_uri(fact, codeocean_bucket).startswith("s3:"):
            return ""  # not to be looked into
        top = self._store().list_folder(*asset_root(fact, codeocean_bucket))
        has_arrived = any(name.startswith("ecephys") for name in top.names)
        if not has_arrived or any(name.startswith("behavior") for name in top.folders):
            return ""
        reason = "no folder 'behavior' or 'behavior-videos', as the main recording of a session has"
        message = f"{asset.name} ({asset.id}) holds {reason}: it is not used as the session's own raw data"
        self._rejected[asset.id] = Problem(asset.day, 0, 0, "warning", message)
        return reason

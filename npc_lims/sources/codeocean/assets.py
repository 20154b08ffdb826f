"""Selection of the data assets of a session. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional

from npc_lims.model.data_asset import DataAsset
from npc_lims.model.record import PROCESSES, Asset, AssetFact, CodeOcean, Found, Record, S3Facts
from npc_lims.model.session_id import ids_of_day, make_session_id, split_session_id
from npc_lims.utils.mappings import grouped

# A sorting run that failed leaves this many files, or fewer: logs and settings, no units.
_FILES_OF_FAILED_SORTING = 6
# Of the processes those whose input is what the probes recorded; that of the others are videos.
_OF_PROBES = ("LFP_Subsampled",)

Validate = Callable[["DataAsset"], Optional[str]]
"""Returns why an asset is not used, by its files: empty if it is, None while that is unknown."""


def select_facts(
    wanted: Collection[str],
    records: Mapping[str, Record],
    assets: Mapping[str, Sequence[DataAsset]],
    validate: Validate,
    workers: int = 1,
    *,
    full: bool = False,
) -> dict[str, Found]:
    """Return the facts of each wanted session by the usable *assets* of its subject; false for one without assets.

    *validate* is called by *workers* threads; with *full*, also for raw data in which the main recording was found.
    """
    # imaging is of the subject, on whatever day it was done
    groups = grouped(
        ((subject, "" if asset.platform == "SmartSPIM" else asset.start[0]), asset)
        for subject, of_subject in assets.items()
        for asset in of_subject
    )

    def assets_of(session_id: str) -> tuple[list[DataAsset], list[DataAsset]]:
        subject, date, _ = split_session_id(session_id)
        return groups.get((subject, date), []), groups.get((subject, ""), [])

    def select(session_id: str) -> Found:
        day, imaging = assets_of(session_id)
        return _Selection(session_id, records, day, validate, full=full).select(imaging)

    facts: dict[str, Found] = dict.fromkeys(wanted, False)
    found = [session_id for session_id in wanted if any(assets_of(session_id))]
    with ThreadPoolExecutor(workers) as pool:
        facts.update(zip(found, pool.map(select, found)))
    return facts


class _Selection:
    """Selection of the assets of one session; none is validated twice, in this sync or since it was recorded."""

    def __init__(
        self,
        session_id: str,
        records: Mapping[str, Record],
        day: Sequence[DataAsset],
        validate: Validate,
        *,
        full: bool,
    ) -> None:
        subject, date, self._index = split_session_id(session_id)
        self._record = before = records[session_id]
        self._recordings, self._day, self._is_ephys = recordings_of_day(session_id, records, day)
        self._second_is_ephys = _is_ephys(records.get(make_session_id(subject, date, 1)))
        self._before = before.codeocean if isinstance(before.codeocean, CodeOcean) else CodeOcean()
        self._listing = before.s3.raw if isinstance(before.s3, S3Facts) and not full else None
        self._validate = validate
        self._errored: dict[str, str] = {}
        self._rejected: list[Asset] = []  # raw data that are not the session's own, the newest first

    def select(self, imaging: Sequence[DataAsset]) -> Found:
        group = self._recordings[self._index] if self._index < len(self._recordings) else []
        # whether the session is ephys decides if it can have one
        no_surface = None if self._record.tracked is None and not self._is_ephys else False
        facts: dict[str, Any] = {"smartspim": _newest(imaging), "surface": no_surface, "surface_sorted": no_surface}
        own = group
        if self._is_ephys and (self._index == 0 or _is_ephys(self._record)):
            facts["raw"] = main = self._newest_main(group)
            if main is False:
                taken = {one[0].start for one in self._recordings[1:]} if self._second_is_ephys else set()
                of_day = group if self._index else [one for one in self._day if one.start not in taken]
                facts["raw"] = behavior = _newest_raw(of_day, "behavior")
                # what was computed from a recording of surface channels alone is no result of the session
                own = [] if self._rejected else group
                if isinstance(behavior, Asset):
                    own = [*own, *(one for one in of_day if one.name.startswith(behavior.name))]
        else:
            facts["raw"] = _newest_raw(group)
        facts.update(self._results(own, is_own=facts["raw"] is not None))
        if self._is_ephys and self._index == 0 and not self._second_is_ephys:
            # a second recording of the day that nobody lists as an ephys session is the one of surface channels
            facts["surface"], facts["surface_sorted"] = self._surface(main)
        if not any(facts.values()) and None not in facts.values() and not self._errored and not self._rejected:
            return False
        return CodeOcean(**facts, errored=dict(sorted(self._errored.items())))

    def _results(self, own: Sequence[DataAsset], *, is_own: bool) -> dict[str, Any]:
        """Return the results that were computed from the session's recording, which has the assets *own*.

        While it is unknown whether it is one of surface channels alone (not *is_own*), results that need probes are
        unknown; those of videos are known, since surface channels are recorded without.
        """
        facts: dict[str, Any] = {"sorted": self._newest_good(own, "sorted") if is_own else self._unknown(own)}
        surface = self._before.surface
        was_rejected = isinstance(surface, Asset) and any(one.id == surface.id for one in own)
        for process in PROCESSES:
            facts[process] = _newest([asset for asset in own if process in asset.process])
            if not is_own and facts[process] and (process in _OF_PROBES or was_rejected):
                facts[process] = None
        return facts

    def _surface(self, main: AssetFact) -> tuple[AssetFact, AssetFact]:
        """Return the second recording of the day, or the only one if the main one was lost, and its sorting result."""
        if len(self._recordings) > 1:
            surface = self._recordings[1]
            return _newest_raw(surface, "ecephys"), self._newest_good(surface, "surface_sorted")
        if main is None:
            return None, None
        if main or not self._rejected:
            return False, False
        return self._rejected[0], self._newest_good(self._recordings[0], "surface_sorted")

    def _newest_main(self, group: Sequence[DataAsset]) -> AssetFact:
        """Return the newest ecephys raw data that hold the main recording, not one of surface channels alone."""
        for asset in _newest_first(asset for asset in group if asset.is_raw and asset.platform == "ecephys"):
            # files may still be arriving: only what was found there is settled
            is_settled = self._listing and self._listing.asset == asset.id and self._listing.behavior
            reason = "" if is_settled else self._validate(asset)
            if reason is None:
                return None
            if not reason:
                return asset.as_fact()
            self._rejected.append(asset.as_fact())
        return False

    def _newest_good(self, group: Sequence[DataAsset], kind: str) -> AssetFact:
        """Return the newest sorting result that is not errored."""
        candidates = [asset for asset in group if asset.is_sorted]
        for asset in _newest_first(candidates):
            reason = self._reason(asset, kind)
            if reason is None:
                return self._unknown(candidates)
            if not reason:
                return asset.as_fact()
            self._errored[asset.id] = reason
        return False

    def _unknown(self, group: Sequence[DataAsset]) -> AssetFact:
        """Return the sorting result while it is unknown: the recorded reasons of existing ones stay."""
        candidates = [asset for asset in group if asset.is_sorted]
        recorded = self._before.errored
        self._errored.update((asset.id, recorded[asset.id]) for asset in candidates if asset.id in recorded)
        return None if candidates else False

    def _reason(self, asset: DataAsset, kind: str) -> str | None:
        recorded = getattr(self._before, kind)
        if isinstance(recorded, Asset) and recorded.id == asset.id:
            return ""
        if asset.id in self._before.errored:
            return self._before.errored[asset.id]
        if asset.files is not None and asset.files <= _FILES_OF_FAILED_SORTING:
            return f"only {asset.files} files"
        return self._validate(asset)


def _is_ephys(record: Record | None) -> bool:
    return record is not None and record.is_tracked_ephys


def recordings_of_day(
    session_id: str, records: Mapping[str, Record], day: Sequence[DataAsset]
) -> tuple[list[list[DataAsset]], Sequence[DataAsset], bool]:
    """Return the assets of each recording that the index of the session counts, by start time.

    Also those assets of the *day*, which has no imaging, that may be the session's, and whether it is an ephys session.
    """
    record = records[session_id]
    is_listed = record.tracked or record.training
    ecephys = [asset for asset in day if asset.platform == "ecephys"]
    is_ephys = _is_ephys(record) or (not is_listed and bool(ecephys))
    if not is_ephys and any(_is_ephys(records.get(one)) for one in ids_of_day(session_id)):
        # the ecephys recordings of that day are theirs, whatever their number
        day = [asset for asset in day if asset.platform == "behavior"]
    # of ephys sessions only ecephys assets are counted, so that behavior never shifts the index
    starts = sorted({asset.start for asset in (ecephys if is_ephys else day)})
    return [[asset for asset in day if asset.start == start] for start in starts], day, is_ephys


def _newest(assets: Sequence[DataAsset]) -> AssetFact:
    newest = _newest_first(assets)
    return newest[0].as_fact() if newest else False


def _newest_raw(group: Sequence[DataAsset], *platforms: str) -> AssetFact:
    """Return the newest raw asset of the first platform that has one; ecephys before behavior."""
    for platform in platforms or ("ecephys", "behavior"):
        newest = _newest([asset for asset in group if asset.is_raw and asset.platform == platform])
        if newest:
            return newest
    return False


def _newest_first(assets: Iterable[DataAsset]) -> list[DataAsset]:
    # the id decides between two of one second, so that the answer never depends on the order of pages
    return sorted(assets, key=lambda asset: (asset.created, asset.id), reverse=True)


def ambiguous_assets(
    facts: Iterable[Found], assets: Iterable[DataAsset], rejected: Container[str]
) -> Iterator[list[DataAsset]]:
    """Yield raw assets of one name and second, none of them *rejected*, of which one is in *facts*: that one first."""
    sections = [section for section in facts if isinstance(section, CodeOcean)]
    chosen = {fact.id for one in sections for fact in (one.raw, one.surface) if isinstance(fact, Asset)}
    raw = (asset for asset in assets if asset.is_raw and not asset.process and asset.id not in rejected)
    for group in grouped(((asset.name, asset.created), asset) for asset in raw).values():
        if len(group) > 1 and any(asset.id in chosen for asset in group):
            yield _newest_first(group)

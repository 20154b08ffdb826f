"""Which data assets belong to a session, and which of them count. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Optional, Union

from npc_lims.model.data_asset import DataAsset
from npc_lims.model.observation import Found
from npc_lims.model.record import PROCESSES, Asset, CodeOcean, Record, S3Facts, Tracked
from npc_lims.model.session_id import ids_of_day, make_session_id, split_session_id

__all__ = ["Verdict", "equal_rivals", "recordings_of_day", "select_facts", "sessions_of_day"]

# A sorting run that failed leaves this many files, or fewer: logs and settings, no units.
_FILES_OF_FAILED_SORTING = 6
# Of the processes those whose input is what the probes recorded; that of the others are videos.
_OF_PROBES = ("LFP_Subsampled",)

Verdict = Callable[["DataAsset"], Optional[str]]
"""Why an asset does not count, by its files: empty if it does, None if that cannot be told now."""


def select_facts(
    wanted: Collection[str],
    records: Mapping[str, Record],
    assets: Mapping[str, Sequence[DataAsset]],
    verdict: Verdict,
    workers: int = 1,
    *,
    full: bool = False,
) -> dict[str, Found]:
    """What the assets say of each wanted session; false for one that has none at all.

    Args:
        wanted: Session ids.
        records: What is known of them: the platform decides how recordings of a day are counted.
        assets: Usable assets by subject.
        verdict: Asked of sorting results, and of the ecephys raw data of ephys sessions.
        workers: Threads that may ask for verdicts at once: each one waits for a file to be read.
        full: Ask also of raw data in which the main recording was found before.
    """
    by_day: dict[tuple[str, str], list[DataAsset]] = {}
    imaging: dict[str, list[DataAsset]] = {}
    for subject, group in assets.items():
        for asset in group:
            if asset.platform == "SmartSPIM":
                imaging.setdefault(subject, []).append(asset)
            else:
                by_day.setdefault((subject, asset.start[0]), []).append(asset)

    def select(session_id: str) -> Found:
        subject, date, _ = split_session_id(session_id)
        judged = _Judged(records[session_id], verdict, full=full)
        return _select(session_id, records, by_day.get((subject, date), []), imaging.get(subject, []), judged)

    facts: dict[str, Found] = dict.fromkeys(wanted, False)
    found = [one for one in wanted if split_session_id(one)[:2] in by_day or split_session_id(one)[0] in imaging]
    with ThreadPoolExecutor(workers) as pool:
        facts.update(zip(found, pool.map(select, found)))
    return facts


def _select(
    session_id: str,
    records: Mapping[str, Record],
    day: Sequence[DataAsset],
    imaging: Sequence[DataAsset],
    judged: _Judged,
) -> Found:
    subject, date, index = split_session_id(session_id)
    day, is_ephys = _countable(session_id, records, day)
    recordings = _by_recording(day, is_ephys)
    group = recordings[index] if index < len(recordings) else []
    second_is_ephys = _is_ephys(records.get(make_session_id(subject, date, 1)))
    # whether the session is ephys decides if it can have one
    no_surface = None if records[session_id].tracked is None and not is_ephys else False
    facts: dict[str, Any] = {"smartspim": _newest(imaging), "surface": no_surface, "surface_sorted": no_surface}
    own = group
    if is_ephys and (index == 0 or _is_ephys(records[session_id])):
        facts["raw"] = main = judged.newest_main(group)
        if main is False:
            taken = {one[0].start for one in recordings[1:]} if second_is_ephys else set()
            of_day = group if index else [one for one in day if one.start not in taken]
            facts["raw"] = behavior = _newest_raw(of_day, "behavior")
            # what was computed from a recording of surface channels alone is no result of the session
            own = [] if judged.passed_over else group
            if isinstance(behavior, Asset):
                own = [*own, *(one for one in of_day if one.name.startswith(behavior.name))]
    else:
        facts["raw"] = _newest_raw(group)
    facts.update(_results(own, judged, is_own=facts["raw"] is not None))
    if is_ephys and index == 0 and not second_is_ephys:
        # a second recording of the day that nobody lists as an ephys session is the one of surface channels
        facts.update(_surface(recordings, judged, main))
    if not any(facts.values()) and None not in facts.values() and not judged.errored and not judged.passed_over:
        return False
    return CodeOcean(**facts, errored=dict(sorted(judged.errored.items())))


def _results(own: Sequence[DataAsset], judged: _Judged, *, is_own: bool) -> dict[str, Any]:
    """What was computed from the session's recording.

    Args:
        own: Assets of that recording.
        is_own: False while it cannot be told whether it is one of surface channels alone. Then results that need
            probes are unknown; those of videos are known, since surface channels are recorded without.
    """
    facts: dict[str, Any] = {"sorted": judged.newest_good(own, "sorted") if is_own else judged.undecided(own)}
    for process in PROCESSES:
        facts[process] = _newest([asset for asset in own if process in asset.process])
        if not is_own and facts[process] and (process in _OF_PROBES or judged.was_passed_over(own)):
            facts[process] = None
    return facts


def _surface(
    recordings: Sequence[Sequence[DataAsset]], judged: _Judged, main: Union[Asset, bool, None]
) -> dict[str, Any]:
    """The recording of surface channels: the second of the day, or the only one if the main one was lost."""
    if len(recordings) > 1:
        surface = recordings[1]
        return {
            "surface": _newest_raw(surface, "ecephys"),
            "surface_sorted": judged.newest_good(surface, "surface_sorted"),
        }
    if main is None:
        return {"surface": None, "surface_sorted": None}
    if main or not judged.passed_over:
        return {"surface": False, "surface_sorted": False}
    return {"surface": judged.passed_over[0], "surface_sorted": judged.newest_good(recordings[0], "surface_sorted")}


def _is_ephys(record: Record | None) -> bool:
    return record is not None and isinstance(record.tracked, Tracked) and record.tracked.platform == "ephys"


def _looks_like_ephys(record: Record, day: Sequence[DataAsset]) -> bool:
    """Of a session that nobody lists (yet), only its assets can tell."""
    return not record.tracked and not record.training and any(asset.platform == "ecephys" for asset in day)


def sessions_of_day(session_id: str, records: Mapping[str, Record]) -> dict[str, Record]:
    """The session and the first others of its subject and day: no day has more than a few."""
    return {one: records[one] for one in ids_of_day(session_id) if one in records}


def recordings_of_day(
    session_id: str, records: Mapping[str, Record], day: Sequence[DataAsset]
) -> list[list[DataAsset]]:
    """Assets of each recording that counts for the index of the session, by start time.

    Args:
        session_id: The session.
        records: What is known of it and of the others of its day: the platform decides what counts.
        day: Assets of its subject and day, without imaging.
    """
    return _by_recording(*_countable(session_id, records, day))


def _countable(
    session_id: str, records: Mapping[str, Record], day: Sequence[DataAsset]
) -> tuple[Sequence[DataAsset], bool]:
    """Assets of the day that may be the session's, and whether it is an ephys session."""
    is_ephys = _is_ephys(records[session_id]) or _looks_like_ephys(records[session_id], day)
    if not is_ephys and any(map(_is_ephys, sessions_of_day(session_id, records).values())):
        # the ecephys recordings of that day are theirs, whatever their number
        day = [asset for asset in day if asset.platform == "behavior"]
    return day, is_ephys


def _by_recording(day: Sequence[DataAsset], is_ephys: bool) -> list[list[DataAsset]]:
    """For ephys only ecephys assets are counted, so that a behavior asset never shifts the index."""
    counted = [asset for asset in day if asset.platform == "ecephys"] if is_ephys else day
    return [[asset for asset in day if asset.start == start] for start in sorted({asset.start for asset in counted})]


def _newest(assets: Sequence[DataAsset]) -> Union[Asset, bool]:
    # the id decides between two of one second, so that the answer never depends on the order of pages
    newest = max(assets, key=lambda asset: (asset.created, asset.id), default=None)
    return False if newest is None else newest.as_fact()


def _newest_raw(group: Sequence[DataAsset], *platforms: str) -> Union[Asset, bool]:
    """The newest raw asset of the first platform that has one; ecephys before behavior."""
    for platform in platforms or ("ecephys", "behavior"):
        newest = _newest([asset for asset in group if asset.is_raw and asset.platform == platform])
        if newest:
            return newest
    return False


def _newest_first(assets: Iterable[DataAsset]) -> list[DataAsset]:
    return sorted(assets, key=lambda asset: (asset.created, asset.id), reverse=True)


def equal_rivals(
    facts: Iterable[Found], assets: Iterable[DataAsset], passed_over: Container[str]
) -> Iterator[list[DataAsset]]:
    """Raw assets between which nothing but their ids decides, being made in the same second: first the one in *facts*.

    Args:
        assets: Those that the facts were selected from.
        passed_over: Ids of those among them that do not count.
    """
    sections = [section for section in facts if isinstance(section, CodeOcean)]
    chosen = {fact.id for one in sections for fact in (one.raw, one.surface) if isinstance(fact, Asset)}
    made: dict[tuple[str, int], list[DataAsset]] = {}
    for asset in assets:
        if asset.is_raw and not asset.process and asset.id not in passed_over:
            made.setdefault((asset.name, asset.created), []).append(asset)
    for group in made.values():
        if len(group) > 1 and any(asset.id in chosen for asset in group):
            yield _newest_first(group)


class _Judged:
    """Assets with the verdicts that are recorded, so that none is judged twice."""

    def __init__(self, before: Record, verdict: Verdict, *, full: bool) -> None:
        self._before = before.codeocean if isinstance(before.codeocean, CodeOcean) else None
        self._listing = before.s3.raw if isinstance(before.s3, S3Facts) and not full else None
        self._verdict = verdict
        self.errored: dict[str, str] = {}
        self.passed_over: list[Asset] = []  # raw data that are not the session's own, the newest first

    def newest_main(self, group: Sequence[DataAsset]) -> Union[Asset, bool, None]:
        """The newest ecephys raw data that hold the main recording, not one of surface channels alone."""
        for asset in _newest_first(asset for asset in group if asset.is_raw and asset.platform == "ecephys"):
            # files may still be arriving: only what was found there is settled
            is_settled = self._listing and self._listing.asset == asset.id and self._listing.behavior
            reason = "" if is_settled else self._verdict(asset)
            if reason is None:
                return None
            if not reason:
                return asset.as_fact()
            self.passed_over.append(asset.as_fact())
        return False

    def was_passed_over(self, group: Sequence[DataAsset]) -> bool:
        """Whether the raw data of a recording were found to be of surface channels alone before."""
        surface = self._before.surface if self._before is not None else None
        return isinstance(surface, Asset) and any(one.id == surface.id for one in group)

    def newest_good(self, group: Sequence[DataAsset], kind: str) -> Union[Asset, bool, None]:
        """The newest sorting result that is not errored."""
        candidates = [asset for asset in group if asset.is_sorted]
        for asset in _newest_first(candidates):
            reason = self._judge(asset, kind)
            if reason is None:
                return self.undecided(candidates)
            if not reason:
                return asset.as_fact()
            self.errored[asset.id] = reason
        return False

    def undecided(self, group: Sequence[DataAsset]) -> Optional[bool]:
        """The sorting result while that cannot be told: the recorded verdicts on those there are stand."""
        candidates = [asset for asset in group if asset.is_sorted]
        recorded = {} if self._before is None else self._before.errored
        self.errored.update((asset.id, recorded[asset.id]) for asset in candidates if asset.id in recorded)
        return None if candidates else False

    def _judge(self, asset: DataAsset, kind: str) -> str | None:
        if self._before is not None:
            recorded = getattr(self._before, kind)
            if isinstance(recorded, Asset) and recorded.id == asset.id:
                return ""
            if asset.id in self._before.errored:
                return self._before.errored[asset.id]
        if asset.files is not None and asset.files <= _FILES_OF_FAILED_SORTING:
            return f"only {asset.files} files"
        return self._verdict(asset)

"""The source S3: raw folders, stimulus files, annotations and caches of all sessions.

Repositories with files of many sessions are listed completely, by pages. Raw folders are listed
one by one, and again only when the raw asset has changed.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, Callable, TypeVar, Union

from npc_lims.clients.s3 import Folder, ObjectStore, split_s3_uri
from npc_lims.errors import Problem, SourceError
from npc_lims.model.record import Asset, Found, Observation, RawListing, Record, S3Facts, Tracked
from npc_lims.model.recording_days import files_of_session, is_folder_of
from npc_lims.model.session_id import day_of, make_session_id, subject_of
from npc_lims.sources.context import SourceContext
from npc_lims.sources.s3 import RIG_METADATA_FILENAMES, SESSION_METADATA_FILENAMES, VIDEO_SUFFIXES
from npc_lims.utils.mappings import grouped

SOURCE = "s3"

_STIM_FILE = re.compile(r".+_(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})_[0-9]{6}\.hdf5\Z")
_CACHED_SESSION = re.compile(
    r"(?P<subject>[0-9]{6,7})_(?P<date>20[0-9]{2}-[0-9]{2}-[0-9]{2})(?:_(?P<idx>[0-9]{1,2}))?\."
)
_ANY_DATE = re.compile("20[0-9]{2}-[0-9]{2}-[0-9]{2}")
_TISSUECYTE_FILE = re.compile(
    r"Probe_.*?(?P<day>[0-9]+)_channels_(?P<subject>[0-9]+)_warped_processed_new_sorting\.csv\Z"
)

# The folders of so few subjects are listed one by one: fewer requests than the thousands of files of all.
_SUBJECTS_BY_ONE = 20
# Recordings are two or three folders deep.
_MAX_DEPTH = 10
_MAX_KEYS = 3000

# No shared repository has so many objects for each recorded session, beside those of a hundred pages.
_OBJECTS_PER_SESSION = 500
_MORE_OBJECTS = 100_000

T = TypeVar("T")
_Raw = Union[RawListing, bool, None]
_Files = Iterator[tuple[Sequence[str], int]]


def observe(context: SourceContext) -> Observation:
    """Return facts for each session of the context, the Code Ocean sections of which are up to date.

    A listing that fails leaves its facts null; `failure` has the first reason. SourceError if not one succeeded. Raw
    data in another cloud are left null too, and are a problem of their own: they cannot be listed today or tomorrow.
    """
    settings, store, records, wanted = context.settings, context.store(), context.records, context.wanted
    of_wanted = sorted({subject_of(session_id) for session_id in wanted})
    subjects = of_wanted if context.scope is not None and len(of_wanted) <= _SUBJECTS_BY_ONE else None
    to_list: dict[str, Asset] = {}
    problems = []
    for session_id in wanted:
        raw = records[session_id].asset("raw")
        if not isinstance(raw, Asset) or (not context.full and _recorded_raw(records[session_id])):
            continue
        if asset_uri(raw, settings.codeocean_bucket).startswith("s3:"):
            to_list[session_id] = raw
        else:
            message = f"the raw data {raw.name} are not on S3 but at {raw.location}, and are not listed"
            problems.append(Problem(session_id, 0, 0, "warning", message))
    with ThreadPoolExecutor(settings.s3_workers) as pool:
        jobs: list[Future[object]] = []
        done = itertools.count(1)

        def submit(job: Callable[..., T], *args: object) -> Future[T]:
            future = pool.submit(job, *args)
            jobs.append(future)  # type: ignore[arg-type]
            future.add_done_callback(lambda _: context.progress(next(done), len(jobs)))
            return future

        files = functools.partial(_list_files, store, subjects, _MORE_OBJECTS + _OBJECTS_PER_SESSION * len(records))
        repositories: dict[str, Future[Any]] = {
            "stim": submit(_list_stim, files(settings.stim_root)),
            "ibl": submit(_list_ibl, files(settings.ibl_root)),
            "tissuecyte": submit(_list_tissuecyte, files(settings.tissuecyte_root)),
            "parquet": submit(_list_cache, store, settings.parquet_root, "session/"),
            "nwb": submit(_list_cache, store, settings.nwb_root, ""),
        }
        listings = {
            session_id: submit(list_raw_folder, store, raw, settings.codeocean_bucket)
            for session_id, raw in to_list.items()
        }
    failures: list[SourceError] = []
    shared = {name: _result(future, failures) for name, future in repositories.items()}
    listed = {session_id: _result(future, failures) for session_id, future in listings.items()}
    if failures and len(failures) == len(jobs):
        raise failures[0]
    days: dict[str, dict[str, Record]] = {}
    for session_id, record in records.items():
        days.setdefault(day_of(session_id), {})[session_id] = record
    facts = {}
    for session_id in wanted:
        record = records[session_id]
        listing = listed[session_id] if session_id in listed else _recorded_raw(record)
        facts[session_id] = _facts(record, days[day_of(session_id)], listing, shared)
    return Observation(
        source=SOURCE,
        facts=facts,
        problems=tuple(problems),
        counts={} if failures else _counts(facts.values()),
        failure=_summary(failures),
    )


def list_raw_folder(store: ObjectStore, raw: Asset, codeocean_bucket: str) -> RawListing:
    """List the raw data folder, its folders, and `ecephys*` and `Record Node*` folders among these."""
    bucket, root = asset_root(raw, codeocean_bucket)
    listing = _list_tree(store, bucket, root)
    if listing is None:  # then by one request for each folder
        top = store.list_folder(bucket, root)
        listing = top, [path for folder in top.folders for path in _walk_recording(store, bucket, root, folder)]
    top, below = listing
    paths = [PurePosixPath(name) for name in (*top.names, *below)]
    return RawListing(
        asset=raw.id,
        ecephys=sorted(name for name in top.names if name.startswith("ecephys")),
        behavior=sorted(name for name in top.folders if name.startswith("behavior")),
        metadata=sorted(name for name in top.names if name in SESSION_METADATA_FILENAMES | RIG_METADATA_FILENAMES),
        sync=sorted(str(path) for path in paths if path.suffix == ".h5"),
        videos=sorted(str(path) for path in paths if path.suffix.lower() in VIDEO_SUFFIXES),
        settings_xml=sorted(str(path) for path in paths if path.name == "settings.xml"),
    )


def asset_uri(asset: Asset, codeocean_bucket: str) -> str:
    """Return the address of an asset's files: as Code Ocean gives it, else in the bucket of Code Ocean itself."""
    return asset.location or f"s3://{codeocean_bucket}/{asset.id}"


def asset_root(asset: Asset, codeocean_bucket: str) -> tuple[str, str]:
    """Return bucket and prefix (ending with a slash) of an asset's files; SourceError if they are not on S3."""
    location = asset_uri(asset, codeocean_bucket)
    try:
        bucket, prefix = split_s3_uri(location)
    except ValueError:
        raise SourceError(SOURCE, f"the files of {asset.name} are not on S3 but at {location}") from None
    return bucket, f"{prefix}/" if prefix else ""


def _list_tree(store: ObjectStore, bucket: str, root: str) -> tuple[Folder, list[str]] | None:
    """Return the top of a raw folder and the paths below it, a thousand a request; None if that is not possible."""
    try:
        keys = list(itertools.islice(store.list_tree(bucket, root, ".zarr"), _MAX_KEYS + 1))
    except SourceError:
        return None  # listed by level, it may be fine; if not, the error says more
    if len(keys) > _MAX_KEYS:
        return None
    folders: dict[str, None] = {}
    files: dict[str, None] = {}
    below: dict[str, None] = {}
    for key in keys:
        first, *rest = key[len(root) :].split("/")
        (folders if rest else files)[first] = None
        path = first
        for name in filter(None, rest):
            path += f"/{name}"
            below[path] = None
            if not _is_recording(name):
                break
    return Folder(tuple(folders), tuple(filter(None, files))), list(below)


def _walk_recording(store: ObjectStore, bucket: str, root: str, folder: str) -> Iterator[str]:
    if folder.count("/") > _MAX_DEPTH:
        raise SourceError(SOURCE, f"s3://{bucket}/{root}{folder}/ is nested deeper than any recording; check it")
    inside = store.list_folder(bucket, f"{root}{folder}/")
    yield from (f"{folder}/{name}" for name in inside.names)
    for name in inside.folders:
        if _is_recording(name):
            yield from _walk_recording(store, bucket, root, f"{folder}/{name}")


def _is_recording(folder: str) -> bool:
    # zarr folders hold one object for each chunk: never list these
    return folder.startswith(("ecephys", "Record Node")) and not folder.endswith(".zarr")


def _recorded_raw(record: Record) -> _Raw:
    """Return the recorded listing, if it is of this asset and of a complete upload; False if there are no raw data."""
    raw = record.asset("raw")
    if not isinstance(raw, Asset):
        return raw
    listing = record.s3.raw if isinstance(record.s3, S3Facts) else None
    if not isinstance(listing, RawListing) or listing.asset != raw.id:
        return None
    # an asset may be registered before its files have arrived: then it is listed again
    has_arrived = not raw.name.startswith("ecephys") or (
        listing.ecephys and (listing.behavior or not record.is_tracked_ephys)
    )
    found_any = listing.ecephys or listing.metadata or listing.sync or listing.videos or listing.settings_xml
    return listing if has_arrived and found_any else None


def _facts(record: Record, day: Mapping[str, Record], raw: _Raw, shared: Mapping[str, Any]) -> Found:
    def find(repository: str, key: str) -> Any:
        return None if shared[repository] is None else shared[repository].get(key, [])

    stim, annotated = find("stim", day_of(record.id)), find("ibl", day_of(record.id))
    tissuecyte, tracked = find("tissuecyte", subject_of(record.id)), record.tracked
    of_day = None
    if tissuecyte is not None and tracked is not None:
        of_day = tissuecyte_files_of_day(tissuecyte, tracked.experiment_day) if isinstance(tracked, Tracked) else []
    if annotated is not None:
        annotated = sorted({probe for folder, probe in annotated if is_folder_of(folder, record)})
    facts: dict[str, Any] = {
        "raw": raw,
        "stim": None if stim is None else files_of_session(stim, record.id, day),
        "ibl_annotations": annotated,
        "tissuecyte_annotations": of_day,
        "tissuecyte_subject": None if tissuecyte is None else bool(tissuecyte),
        "parquet_cache": find("parquet", record.id),
        "nwb_cache": find("nwb", record.id),
    }
    return S3Facts(**facts) if any(facts.values()) or None in facts.values() else False


def _counts(facts: Iterable[Found]) -> dict[str, int]:
    # about the world, not about this query: an unchanged world gives the same ones
    found = [fact for fact in facts if isinstance(fact, S3Facts)]
    return {
        "raw_folders": sum(isinstance(fact.raw, RawListing) for fact in found),
        "stimulus_files": sum(len(fact.stim or ()) for fact in found),
    }


def tissuecyte_files_of_day(names: Iterable[str], day: int | None) -> list[str]:
    """Return those of a subject's tissuecyte files that are of its *day*-th experiment.

    >>> tissuecyte_files_of_day(["Probe_A1_channels_626791_warped_processed_new_sorting.csv"], 11)
    []
    """
    return [name for name in names if (match := _TISSUECYTE_FILE.match(name)) and int(match["day"]) == day]


# --- the shared repositories, each as names by session id, day or subject -------------------------


def _list_stim(files: _Files) -> dict[str, list[str]]:
    """Return non-empty stimulus files by day: `<root>/<subject>/<task>_<subject>_<yyyymmdd>_<hhmmss>.hdf5`."""
    found = [(path, _STIM_FILE.match(path[-1])) for path, size in files if len(path) == 2 and size > 0]
    return grouped(
        (f"{subject}_{match['year']}-{match['month']}-{match['day']}", name)
        for (subject, name), match in found
        if match
    )


def _list_ibl(files: _Files) -> dict[str, list[tuple[str, str]]]:
    """Return folder and probe of annotations by day: `<root>/<subject>/*<date>*/<probe>/ccf_channel_results.json`."""
    of_probes = [path for path, _ in files if len(path) == 4 and path[3] == "ccf_channel_results.json"]
    found = [(subject, folder, probe, _ANY_DATE.search(folder)) for subject, folder, probe, _ in of_probes]
    return grouped((f"{subject}_{match[0]}", (folder, probe)) for subject, folder, probe, match in found if match)


def _list_tissuecyte(files: _Files) -> dict[str, list[str]]:
    """Return files by subject: `<subject>/Probe_<probe><day>_channels_<subject>_warped_processed_new_sorting.csv`."""
    found = [(path, _TISSUECYTE_FILE.match(path[-1])) for path, _ in files if len(path) == 2]
    return grouped((subject, name) for (subject, name), match in found if match and match["subject"] == subject)


def _list_cache(store: ObjectStore, root: str, folder: str) -> dict[str, list[str]]:
    """Return cache versions by session id: `<root>/<version>/<folder><session id>.<suffix>`."""
    bucket, prefix = split_s3_uri(root)
    found: dict[str, list[str]] = {}
    for version in sorted(store.list_folder(bucket, f"{prefix}/").folders):
        for name in store.list_folder(bucket, f"{prefix}/{version}/{folder}").names:
            match = _CACHED_SESSION.match(name)
            if match:
                session_id = make_session_id(match["subject"], match["date"], int(match["idx"] or 0))
                found.setdefault(session_id, []).append(version)
    return found


def _list_files(store: ObjectStore, subjects: Sequence[str] | None, max_files: int, root: str) -> _Files:
    """Yield path (in parts) and size of every file below *root*; of the folders of *subjects* alone, if given."""
    bucket, prefix = split_s3_uri(root)
    folders = [""] if subjects is None else [f"{subject}/" for subject in subjects]
    items = itertools.chain.from_iterable(store.list_all(bucket, f"{prefix}/{folder}") for folder in folders)
    for count, item in enumerate(items, 1):
        if count > max_files:
            found = f"{root} has more than {max_files:,} objects, more than the known sessions account for"
            raise SourceError(SOURCE, f"{found}; check the bucket settings and AWS_ENDPOINT_URL")
        yield item.key[len(prefix) + 1 :].split("/"), item.size


def _result(future: Future[T], failures: list[SourceError]) -> T | None:
    try:
        return future.result()
    except SourceError as error:
        failures.append(error)
        return None


def _summary(failures: Sequence[SourceError]) -> SourceError | None:
    if not failures:
        return None
    more = f" (and {len(failures) - 1} more listings failed)" if len(failures) > 1 else ""
    return SourceError(SOURCE, failures[0].reason + more)

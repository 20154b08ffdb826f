"""An invented lab of any size, always the same for the same size, as what the sources see and as what state says of it.

A subject has 50 sessions, one each weekday. Every 20th session of all is tracked and ephys: uploaded, sorted,
annotated, processed seven ways. The others are rows of a training workbook, with a stimulus file each.
"""

from __future__ import annotations

import datetime
import io
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl

from npc_lims.model.reconcile import reconcile
from npc_lims.model.record import (
    PROCESSES,
    Asset,
    CodeOcean,
    Found,
    Observation,
    RawListing,
    Record,
    S3Facts,
    Scalar,
    Tracked,
    Training,
)
from npc_lims.state.snapshot import digest_of, make_line, newest_first
from npc_lims.state.store import Loaded, write_state

__all__ = [
    "CACHE_VERSION",
    "RAW_BUCKET",
    "RESULT_BUCKET",
    "SCRATCH",
    "SESSIONS_OF_A_SUBJECT",
    "TASK",
    "Session",
    "World",
    "asset_id",
    "make_asset",
]

SCRATCH = "aind-scratch-data"
RAW_BUCKET = "aind-ephys-data"
RESULT_BUCKET = "codeocean-s3datasetsbucket-1u41qdg42ur9"
TASK = "dynamic-routing/DynamicRoutingTask"
WORKBOOKS = ("DynamicRoutingTraining.xlsx", "DynamicRoutingTrainingNSB.xlsx")
CACHE_VERSION = "v0.0.300"
PROBES = ("probeA", "probeB", "probeC")
SESSIONS_OF_A_SUBJECT = 50
ONE_TRACKED_IN = 20
PILOT = "//allen/programs/mindscope/workgroups/dynamicrouting/PilotEphys/Task 2 pilot"

COLUMNS: dict[str, Scalar] = {
    "rig name": "NP2",
    "task version": "stage 5 ori AMN moving timeouts repeats",
    "hits": "[8, 9, 7, 10, 6, 9]",
    "d' same modality": "[1.92, 2.35, 1.81, 2.77, 1.43, 2.08]",
    "d' other modality go stim": "[2.12, 1.75, 2.61, 1.97, 2.34, 1.69]",
    "pass": 1,
}
SLUGS = ("rig_name", "task_version", "hits", "dprime_same_modality", "dprime_other_modality_go_stim", "pass")

RAW_FILES = (
    "data_description.json",
    "session.json",
    "rig.json",
    "behavior/sync.h5",
    "behavior_videos/Behavior.mp4",
    "behavior_videos/Eye.mp4",
    "behavior_videos/Face.mp4",
    "ecephys_clipped/Record Node 101/settings.xml",
    "ecephys_compressed/experiment1_Record Node 101#ProbeA-AP.zarr/.zattrs",
    "ecephys_compressed/experiment1_Record Node 101#ProbeB-AP.zarr/.zattrs",
)


@dataclass(frozen=True)
class Session:
    """One session: the *number*-th of all, the *row*-th of its subject (from 1)."""

    number: int
    subject: int
    row: int
    start: datetime.datetime

    @property
    def id(self) -> str:
        return f"{self.subject}_{self.start:%Y-%m-%d}"

    @property
    def is_tracked(self) -> bool:
        return self.number % ONE_TRACKED_IN == ONE_TRACKED_IN - 1

    @property
    def is_nsb(self) -> bool:
        return self.subject % 2 == 1

    @property
    def asset_name(self) -> str:
        return f"ecephys_{self.subject}_{self.start:%Y-%m-%d_%H-%M-%S}"

    @property
    def allen_path(self) -> str:
        return f"{PILOT}/DRpilot_{self.subject}_{self.start:%Y%m%d}"

    @property
    def stimulus_file(self) -> str:
        return f"DynamicRouting1_{self.subject}_{self.start:%Y%m%d_%H%M%S}.hdf5"

    @property
    def results(self) -> dict[str, str]:
        """Name of each result by its process, the sorting first."""
        finished = self.start + datetime.timedelta(days=3)
        return {
            process: f"{self.asset_name}_{process}_{finished + datetime.timedelta(hours=hours):%Y-%m-%d_%H-%M-%S}"
            for hours, process in enumerate(("sorted", *PROCESSES))
        }


class World:
    """The lab with *size* sessions, or with those given."""

    def __init__(self, size: int = 0, sessions: Sequence[Session] = ()) -> None:
        self.sessions = [*(_session(number) for number in range(size)), *sessions]
        self.tracked = [session for session in self.sessions if session.is_tracked]

    # --- what the sources see

    def tracked_text(self) -> str:
        """`tracked_sessions.yaml`."""
        entries = [
            f"    - {session.allen_path}:\n"
            f"        day: {session.row}\n"
            "        session_kwargs:\n"
            "          probe_letters_to_skip: DEF\n"
            for session in self.tracked
        ]
        return "".join(["ephys:\n  DynamicRouting:\n", *entries])

    def workbooks(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of both training workbooks."""
        for nsb, name in enumerate(WORKBOOKS):
            book = openpyxl.Workbook(write_only=True)
            mice = book.create_sheet("all_mice")
            mice.append(("mouse id", "alive", "regimen"))
            sheets: dict[int, Any] = {}
            for session in self.sessions:
                if session.is_nsb != bool(nsb):
                    continue
                if session.subject not in sheets:
                    mice.append((session.subject, True, 5))
                    sheets[session.subject] = book.create_sheet(str(session.subject))
                    sheets[session.subject].append(("start time", *COLUMNS, "ignore"))
                sheets[session.subject].append((session.start, *COLUMNS.values(), None))
            content = io.BytesIO()
            book.save(content)
            yield name, content.getvalue()

    def assets(self) -> list[dict[str, Any]]:
        """Data assets of the tracked sessions, and as many that are of no concern to npc_lims."""
        own = [make_asset(name) for session in self.tracked for name in (session.asset_name, *session.results.values())]
        return own + [make_asset(name.replace("ecephys", "multiplane-ophys", 1)) for name in (a["name"] for a in own)]

    def objects(self) -> Iterator[tuple[str, str]]:
        """Bucket and key of every object but the workbooks. Only their existence matters."""
        for session in self.sessions:
            yield SCRATCH, f"{TASK}/Data/{session.subject}/{session.stimulus_file}"
        for session in self.tracked:
            yield from ((RAW_BUCKET, f"{session.asset_name}/{name}") for name in RAW_FILES)
            yield RESULT_BUCKET, f"{asset_id(session.results['sorted'])}/output"
            folder = f"dynamic-routing/ibl-gui-output/{session.subject}/{session.asset_name}"
            yield from ((SCRATCH, f"{folder}/{probe}/ccf_channel_results.json") for probe in PROBES)
            cache = "dynamic-routing/cache"
            yield SCRATCH, f"{cache}/nwb_components/{CACHE_VERSION}/session/{session.id}.parquet"
            yield SCRATCH, f"{cache}/nwb/{CACHE_VERSION}/{session.id}.nwb"

    # --- what state says of it

    def records(self) -> dict[str, Record]:
        """Records by session id: what a sync with all sources makes of this world."""
        everything: dict[str, dict[str, Found]] = {
            "tracked": {session.id: _tracked(session) for session in self.tracked},
            "training": {session.id: _training(session) for session in self.sessions},
            "codeocean": {session.id: _codeocean(session) for session in self.tracked},
            "s3": {session.id: _s3(session) for session in self.sessions},
        }
        observations = [Observation(source=source, facts=facts, complete=True) for source, facts in everything.items()]
        return reconcile({}, observations)

    def write_state(self, folder: Path) -> None:
        """A whole state folder: some 0.8 ms a session."""
        write_state(folder, Loaded({}, {}), self.records())

    def snapshot(self) -> bytes:
        """`sessions.jsonl` alone. Its digests are of nothing: there are no files, and readers never look."""
        records = self.records()
        lines = (
            make_line(records[session_id].as_dict(), digest_of(session_id.encode()))
            for session_id in newest_first(records)
        )
        return b"".join(line + b"\n" for line in lines)


def _session(number: int) -> Session:
    subject, row = divmod(number, SESSIONS_OF_A_SUBJECT)
    weeks, weekday = divmod(row, 5)
    day = datetime.datetime(2022, 1, 3) + datetime.timedelta(weeks=weeks + subject % 100, days=weekday)
    start = day + datetime.timedelta(hours=9 + subject % 8, minutes=subject % 60, seconds=row)
    return Session(number, 600_000 + subject, row + 1, start)


def asset_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def make_asset(name: str) -> dict[str, Any]:
    """A data asset as the API gives it: raw data in a bucket, or a result."""
    modality, subject, *rest = name.split("_")
    is_raw = len(rest) == 2
    level = "raw" if is_raw else "derived"
    bucket = {"bucket": RAW_BUCKET, "prefix": name} if is_raw else {"bucket": "", "prefix": ""}
    return {
        "id": asset_id(name),
        "created": int(_created(name).timestamp()),
        "name": name,
        "mount": name,
        "owner": asset_id("owner"),
        "last_used": 0,
        "state": "ready",
        "type": "dataset" if is_raw else "result",
        "files": 412,
        "size": 10**10,
        "description": "",
        "tags": [modality, level, subject],
        "custom_metadata": {"data level": f"{level} data", "experiment type": modality, "subject id": subject},
        "source_bucket": {"origin": "aws" if is_raw else "local", "external": is_raw, **bucket},
    }


def _created(name: str) -> datetime.datetime:
    """The time that ends the name of an asset."""
    time = datetime.datetime.strptime("_".join(name.split("_")[-2:]), "%Y-%m-%d_%H-%M-%S")
    return time.replace(tzinfo=datetime.timezone.utc)


def _tracked(session: Session) -> Tracked:
    return Tracked(
        platform="ephys",
        project="DynamicRouting",
        allen_path=session.allen_path,
        experiment_day=session.row,
        day=session.row,
        session_kwargs={"probe_letters_to_skip": "DEF"},
    )


def _training(session: Session) -> Training:
    cells: dict[str, Scalar] = dict(zip(SLUGS, COLUMNS.values()))
    return Training(nsb=session.is_nsb, row=session.row, start_time=str(session.start), **cells, ignore=None)


def _fact(name: str, location: str | None = None) -> Asset:
    return Asset(id=asset_id(name), name=name, created=f"{_created(name):%Y-%m-%dT%H:%M:%SZ}", location=location)


def _codeocean(session: Session) -> CodeOcean:
    results = {process: _fact(name) for process, name in session.results.items()}
    raw = _fact(session.asset_name, f"s3://{RAW_BUCKET}/{session.asset_name}")
    return CodeOcean(raw=raw, surface=False, surface_sorted=False, smartspim=False, **results)


def _s3(session: Session) -> S3Facts:
    versions = [CACHE_VERSION] if session.is_tracked else []
    return S3Facts(
        raw=_listing(session) if session.is_tracked else False,
        stim=[session.stimulus_file],
        ibl_annotations=list(PROBES) if session.is_tracked else [],
        tissuecyte_annotations=[],
        tissuecyte_subject=False,
        parquet_cache=versions,
        nwb_cache=versions,
    )


def _listing(session: Session) -> RawListing:
    return RawListing(
        asset=asset_id(session.asset_name),
        ecephys=["ecephys_clipped", "ecephys_compressed"],
        behavior=["behavior", "behavior_videos"],
        metadata=["rig.json", "session.json"],
        sync=["behavior/sync.h5"],
        videos=[name for name in RAW_FILES if name.endswith(".mp4")],
        settings_xml=[name for name in RAW_FILES if name.endswith("settings.xml")],
    )

"""An invented lab where each session is an ephys recording, with every file that a path getter looks for.

Each subject has five sessions: two with every result, one with a second recording of surface channels, one whose
sorting failed, one not yet uploaded. Subjects take turns between the old and the new layout of raw data.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

from benchmarks.world import (
    CACHE_VERSION,
    RAW_BUCKET,
    RESULT_BUCKET,
    SCRATCH,
    TASK,
    Session,
    World,
    asset_id,
    make_asset,
)
from npc_lims.model.record import PROCESSES

__all__ = ["Recordings"]

COMPLETE, SURFACE, FAILED, NOT_UPLOADED = (1, 2), 3, 4, 5
SESSIONS_OF_A_SUBJECT = 5
PROBES = "ABC"
TISSUECYTE = "arjun.sridhar/tissuecyte_cloud_processed"
IBL = "dynamic-routing/ibl-gui-output"
CACHE = "dynamic-routing/cache"
OUTPUT = b"N E X T F L O W\nspike sorting with kilosort2_5\nFULL PIPELINE time:  161658.77s\n"
FAILED_OUTPUT = b"N E X T F L O W\nspike sorting with kilosort2_5\nOut of memory.\n"
PROCESSING = json.dumps(
    {"data_processes": [{"name": "Spike sorting", "parameters": {"sorter_name": "kilosort2_5"}}]}
).encode()


class Recordings(World):
    """*subjects* x 5 sessions."""

    def __init__(self, subjects: int) -> None:
        super().__init__(0)
        self.sessions = [_session(number) for number in range(subjects * SESSIONS_OF_A_SUBJECT)]
        self.tracked = self.sessions

    def complete(self, *, new_layout: bool) -> Session:
        """A session with every result."""
        return next(one for one in self.sessions if one.row in COMPLETE and _has_new_layout(one) == new_layout)

    def with_surface(self, subject: int) -> Session:
        """The session of the subject that has a recording of surface channels beside its own."""
        return next(one for one in self.sessions if one.subject == subject and one.row == SURFACE)

    def not_uploaded(self) -> list[str]:
        """Ids of the sessions that have no raw data yet."""
        return [session.id for session in self.sessions if session.row == NOT_UPLOADED]

    def assets(self) -> list[dict[str, Any]]:
        made = []
        for session in self.sessions:
            for name in _assets_of(session):
                asset = make_asset(name)
                if asset["type"] == "result":
                    # as the service has them: nothing is said of where, but what they were made from
                    del asset["source_bucket"]
                    asset["provenance"] = {"data_assets": [asset_id(session.asset_name)]}
                made.append(asset)
        return made

    def contents(self) -> Iterator[tuple[str, str, bytes]]:
        """Bucket, key and content of every object."""
        for name, content in self.workbooks():
            yield SCRATCH, f"{TASK}/{name}", content
        for session in self.sessions:
            yield from ((SCRATCH, key, b"x") for key in _scratch_keys(session))
            for name in _assets_of(session):
                if name in _recordings_of(session):
                    yield from ((RAW_BUCKET, f"{name}/{file}", b"x") for file in _raw_files(session, name))
                else:
                    files = _result_files(session, name)
                    yield from ((RESULT_BUCKET, f"{asset_id(name)}/{file}", content) for file, content in files)


def _session(number: int) -> Session:
    subject, row = divmod(number, SESSIONS_OF_A_SUBJECT)
    start = datetime.datetime(2024, 1, 1, 9, subject % 60, row) + datetime.timedelta(weeks=subject, days=row)
    return Session(number, 700_000 + subject, row + 1, start)


def _has_new_layout(session: Session) -> bool:
    return session.subject % 2 == 1


def _recordings_of(session: Session) -> list[str]:
    """Names of the raw assets, that of the surface channels last."""
    if session.row == NOT_UPLOADED:
        return []
    return [session.asset_name, _surface_name(session)] if session.row == SURFACE else [session.asset_name]


def _surface_name(session: Session) -> str:
    return f"ecephys_{session.subject}_{session.start + datetime.timedelta(hours=3):%Y-%m-%d_%H-%M-%S}"


def _results_of(session: Session) -> list[str]:
    if session.row == NOT_UPLOADED:
        return []
    sorting = session.results["sorted"]
    if session.row == FAILED:
        return [sorting]
    time = sorting.partition("_sorted_")[2]
    results = [*session.results.values(), f"{session.asset_name}_LFP_Subsampled_{time}"]
    return [*results, f"{_surface_name(session)}_sorted_{time}"] if session.row == SURFACE else results


def _assets_of(session: Session) -> list[str]:
    return [*_recordings_of(session), *_results_of(session)]


def _raw_files(session: Session, name: str) -> Iterator[str]:
    """Of a recording of surface channels there are neither behavior nor videos."""
    is_new = _has_new_layout(session)
    yield "data_description.json"
    yield from ("acquisition.json", "instrument.json") if is_new else ("session.json", "rig.json")
    root = "ecephys/" if is_new else ""
    node = f"{root}ecephys_clipped/Record Node 101"
    yield f"{node}/settings.xml"
    yield from (f"{node}/experiment1/recording1/{file}" for file in ("structure.oebin", "sync_messages.txt"))
    for letter in PROBES:
        stream = f"{root}ecephys_compressed/experiment1_Record Node 101#Probe{letter}-AP.zarr"
        yield from (f"{stream}/{file}" for file in (".zattrs", "traces_seg0/.zarray", "traces_seg0/0.0"))
    if name == session.asset_name:
        time = f"{session.start:%Y%m%dT%H%M%S}"
        yield f"behavior/{time}.h5"
        yield f"behavior/{session.stimulus_file}"
        videos = "behavior-videos" if is_new else "behavior_videos"
        yield from (f"{videos}/{camera}_{time}.mp4" for camera in ("Behavior", "Eye", "Face"))


def _result_files(session: Session, name: str) -> Iterator[tuple[str, bytes]]:
    if "_sorted_" in name:
        yield from _sorting_files(session)
        return
    yield "output", b"Completed successfully\n"
    if "_LPFaceParts_" in name:
        for camera, video in (("side", "Behavior"), ("face", "Face")):
            folder = f"{session.asset_name}/{camera}/{video}"
            yield from ((f"{folder}/{camera}_{session.id}_{what}.csv", b"x") for what in ("predictions", "error"))
    else:
        process = next((one for one in PROCESSES if f"_{one}_" in name), "LFP")
        yield from ((f"{process}_{number}.{suffix}", b"x") for number, suffix in enumerate(("csv", "h5", "json")))


def _sorting_files(session: Session) -> Iterator[tuple[str, bytes]]:
    if session.row == FAILED:
        yield "output", FAILED_OUTPUT
        return
    yield "output", OUTPUT
    yield "processing.json", PROCESSING
    for letter in PROBES:
        stream = f"experiment1_Record Node 101#Neuropix-PXI-100.Probe{letter}-AP_recording1"
        for folder, file in (("curated", "si_folder.json"), ("postprocessed", "quality_metrics/metrics.csv")):
            yield f"{folder}/{stream}/{file}", b"x"
    yield f"nwb/{session.asset_name}.nwb/.zattrs", b"x"


def _scratch_keys(session: Session) -> Iterator[str]:
    yield f"{TASK}/Data/{session.subject}/{session.stimulus_file}"
    if session.row == NOT_UPLOADED:
        return
    yield f"{CACHE}/nwb_components/{CACHE_VERSION}/session/{session.id}.parquet"
    yield f"{CACHE}/nwb/{CACHE_VERSION}/{session.id}.nwb"
    if session.row == FAILED:
        return
    for letter in PROBES:
        name = f"Probe_{letter}{session.row}_channels_{session.subject}_warped_processed_new_sorting.csv"
        yield f"{TISSUECYTE}/{session.subject}/{name}"
        # never without the others: version 0.1.203 asks a database for annotations made in that program
        yield f"{IBL}/{session.subject}/{session.asset_name}/Probe{letter}/ccf_channel_results.json"

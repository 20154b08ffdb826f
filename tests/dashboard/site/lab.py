"""An invented lab of any size whose sessions stand everywhere: uploaded or not, sorted or waiting, noted, untracked.

Always the same for the same size. A subject trains for weeks in a box, then some are recorded for four days on an
ephys rig.
"""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from npc_lims.model.flags import compute_status
from npc_lims.model.record import PROCESSES, Asset, CodeOcean, RawListing, Record, S3Facts, Tracked, Training
from npc_lims.state.snapshot import SNAPSHOT, digest_of, make_line, newest_first
from npc_lims.state.sync_file import SourceSync, SyncFailure, SyncFile, write_sync_file
from npc_lims.utils.yaml import render_yaml

NOW = datetime.datetime(2026, 11, 23, 4, tzinfo=datetime.timezone.utc)
"""The last sync of the lab."""

AWKWARD = (
    "<script>alert(1)</script>",
    "</script><img src=x onerror=alert(1)>",
    "a line separator \u2028 and \u202egnitirw fo noitcerid eht",
    "quotes \" and ' and & and <b>",
    "日本語のメモ, für später, 🐭",
)
"""Notes as nobody should write them."""
_NOTES = ("probe A moved", "stopped early, 40 min only", "no lick spout in block 3", "second half, without mapping")
_ISSUES = "https://github.com/AllenInstitute/npc_sessions/issues"
_VERSIONS = ("stage 1 AMN", "stage 2 AMN", "stage 3 ori", "stage 4 ori AMN", "stage 5 ori AMN moving timeouts repeats")
_BOXES = ("B1", "B2", "B3", "B4", "BEH.E-Box3", "BEH.G-Box1")
_PILOT = "//allen/programs/mindscope/workgroups/dynamicrouting/PilotEphys/Task 2 pilot"
_EVERY = 40
"""Days of a subject, the last of which may be recordings."""
_RECORDINGS = 4


def lab_records(size: int) -> dict[str, Record]:
    """Session id to record, the newest first."""
    random_ = random.Random(size)
    made = {one.id: one for subject in range(-(-size // _EVERY)) for one in _subject(subject, size, random_)}
    return {session: made[session] for session in newest_first(made)[:size]}


def write_lab(state: Path, size: int) -> dict[str, Record]:
    """The state folder of the lab, as far as a site is made from it: without the files of single sessions."""
    records = lab_records(size)
    lines = []
    for record in records.values():
        facts = record.as_dict()
        lines.append(make_line(facts, digest_of(render_yaml(facts).encode())) + b"\n")
    state.mkdir(parents=True)
    content = b"".join(lines)
    (state / SNAPSHOT).write_bytes(content)
    write_sync_file(state, _sync_file(digest_of(content)))
    return records


def _sync_file(snapshot: str) -> SyncFile:
    def answered(**ago: float) -> str:
        return f"{NOW - datetime.timedelta(**ago):%Y-%m-%dT%H:%M:%SZ}"

    failure = SyncFailure(
        at=answered(hours=30), reason="HTTP 401: the token is not valid any more; set CODE_OCEAN_API_TOKEN"
    )
    return SyncFile(
        snapshot=snapshot,
        sources={
            "tracked": SourceSync(last_complete=answered(hours=2), counts={"sessions": 440, "warnings": 47}),
            "training": SourceSync(last_complete=answered(hours=2), counts={"rows": 9876}),
            "codeocean": SourceSync(last_complete=answered(hours=36), counts={"assets": 3210}, failure=failure),
            "s3": SourceSync(last_complete=answered(days=5), counts={"raw_folders": 402}),
        },
    )


def _subject(number: int, size: int, random_: random.Random) -> Iterator[Record]:
    subjects = -(-size // _EVERY)
    # spread over three years, up to the day before the last sync
    last = NOW.date() - datetime.timedelta(days=1 + (subjects - 1 - number) * 1100 // max(subjects, 1))
    is_recorded = random_.random() < 0.5
    for day in range(_EVERY):
        date = last - datetime.timedelta(days=(_EVERY - 1 - day) * 7 // 5)
        is_ephys = is_recorded and day >= _EVERY - _RECORDINGS
        yield _session(600000 + number * 7, date, day, is_ephys, random_)


def _session(subject: int, date: datetime.date, day: int, is_ephys: bool, random_: random.Random) -> Record:
    session = f"{subject}_{date}"
    age = (NOW.date() - date).days
    stage = min(day * len(_VERSIONS) // 30, len(_VERSIONS) - 1)
    rig = f"NP{random_.randint(1, 3)}" if is_ephys else random_.choice(_BOXES)
    training = Training.model_validate(
        {
            "nsb": subject % 2 == 1,
            "row": day + 1,
            "start_time": f"{date} {random_.randint(9, 15):02d}:{random_.randint(0, 59):02d}:00",
            "rig_name": rig,
            "task_version": _VERSIONS[stage],
            "hits": "[8, 9, 7, 10, 6, 9]",
            "pass": int(random_.random() < 0.6),
        }
    )
    is_tracked = is_ephys and random_.random() < 0.97
    sections: dict[str, Any] = {
        "tracked": False,
        "training": training,
        "codeocean": False,
        "s3": _s3(session, None, random_),
    }
    if is_ephys:
        sections["codeocean"] = _codeocean(session, age, random_)
        sections["s3"] = _s3(session, sections["codeocean"], random_)
    if is_tracked:
        sections["tracked"] = _tracked(session, day - (_EVERY - _RECORDINGS) + 1, random_)
    made = Record(id=session, **sections)
    return made.model_copy(update={"status": compute_status(made.as_dict())})


def _tracked(session: str, day: int, random_: random.Random) -> Tracked:
    more: dict[str, Any] = {}
    if random_.random() < 0.1:
        more["notes"] = random_.choice(_NOTES + AWKWARD)
    if random_.random() < 0.06:
        more["issues"] = [f"{_ISSUES}/{random_.randint(1, 150)}"]
    if random_.random() < 0.05:
        more["session_kwargs"] = {"is_production": False}
    subject, date = session.split("_")
    return Tracked(
        platform="ephys",
        project="TempletonPilotSession" if random_.random() < 0.15 else "DynamicRouting",
        allen_path=f"{_PILOT}/DRpilot_{subject}_{date.replace('-', '')}",
        experiment_day=day,
        day=day,
        **more,
    )


def _codeocean(session: str, age: int, random_: random.Random) -> CodeOcean:
    """What has been made by now: each step takes its days, and some never come."""
    start = datetime.datetime.fromisoformat(f"{session.split('_')[1]}T16:30:00").replace(tzinfo=datetime.timezone.utc)
    raw_name = f"ecephys_{session}_13-07-32"

    def made(name: str, days: float, chance: float, location: str | None = None) -> Asset | bool:
        if days > age or random_.random() > chance:
            return False
        created = start + datetime.timedelta(days=days)
        id_ = str(uuid.UUID(int=random_.getrandbits(128), version=4))
        return Asset(id=id_, name=name, created=f"{created:%Y-%m-%dT%H:%M:%SZ}", location=location)

    uploaded = random_.uniform(0.4, 3)
    facts: dict[str, Any] = {name: False for name in CodeOcean.model_fields if name != "errored"}
    facts["raw"] = made(raw_name, uploaded, 0.96, f"s3://aind-ephys-data/{raw_name}")
    if facts["raw"]:
        facts["sorted"] = made(f"{raw_name}_sorted", uploaded + random_.lognormvariate(1, 0.6), 0.93)
        facts["smartspim"] = made(f"SmartSPIM_{session}", uploaded + 30, 0.8)
        for process in PROCESSES:
            facts[process] = made(f"{raw_name}_{process}", uploaded + random_.lognormvariate(0, 0.7), 0.9)
        if not facts["sorted"] and random_.random() < 0.4:
            facts["errored"] = {str(uuid.UUID(int=random_.getrandbits(128), version=4)): "Out of memory."}
    return CodeOcean.model_validate(facts)


def _s3(session: str, found: CodeOcean | None, random_: random.Random) -> S3Facts:
    subject, date = session.split("_")
    facts: dict[str, Any] = {name: [] for name in S3Facts.model_fields}
    facts.update(raw=False, tissuecyte_subject=False)
    facts["stim"] = [f"DynamicRouting1_{subject}_{date.replace('-', '')}_130732.hdf5"]
    if found is not None and isinstance(found.raw, Asset):
        facts["raw"] = RawListing(
            asset=found.raw.id,
            ecephys=["ecephys_clipped", "ecephys_compressed"],
            behavior=["behavior"],
            metadata=["session.json", "rig.json"][: 1 + (random_.random() < 0.9)],
            sync=["behavior/sync.h5"],
            videos=["behavior-videos/Eye.mp4", "behavior-videos/Face.mp4"] if random_.random() < 0.95 else [],
        )
        if found.sorted and random_.random() < 0.6:
            facts["ibl_annotations"] = ["probeA", "probeB", "probeC"]
            facts["nwb_cache"] = ["v0.0.300"] if random_.random() < 0.8 else []
            facts["parquet_cache"] = ["v0.0.300"] if random_.random() < 0.7 else []
        if random_.random() < 0.02:
            facts["ibl_annotations"] = None
    return S3Facts.model_validate(facts)


if __name__ == "__main__":
    import sys

    write_lab(Path(sys.argv[1]), int(sys.argv[2]))

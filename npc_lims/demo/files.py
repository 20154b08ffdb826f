"""Files of the sample lab in `dataset.py`: its tracked file, and a mirror of its cloud that a sync can read.

`write_world(folder, stage)` writes `tracked_sessions.yaml` and `mirror/` into a folder. Stage 2 is the same
world a day later, after three things happened:

1. session 901003_2024-10-24 was uploaded: a raw asset and its files,
2. session 901002_2024-05-15 was sorted: a result asset and its output,
3. session 901005_2024-11-04 was recorded and added to `tracked_sessions.yaml`, with its row in the workbook
   and its stimulus files.

The same stage always gives the same bytes.
"""

from __future__ import annotations

import datetime
import importlib.resources
import io
import json
import random
import re
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl

from npc_lims.demo.dataset import (
    MICE,
    ODD_ASSETS,
    SESSIONS,
    STAGES,
    TRAINING,
    UNLISTED,
    Mouse,
    SampleAsset,
    Session,
    TrainingDay,
)

RESULT_BUCKET = "codeocean-s3datasetsbucket-1u41qdg42ur9"
SCRATCH_BUCKET = "aind-scratch-data"
TASK_FOLDER = f"{SCRATCH_BUCKET}/dynamic-routing/DynamicRoutingTask"
CACHE_FOLDER = f"{SCRATCH_BUCKET}/dynamic-routing/cache"
CACHE_VERSION = "v0.0.300"

MODALITIES = {
    "ecephys": "Extracellular electrophysiology",
    "behavior": "Behavior",
    "SmartSPIM": "Selective plane illumination microscopy",
}


def write_world(folder: Path, stage: int) -> None:
    """Write those files of *stage* (1 or 2) into *folder* that differ; none of a later stage is removed."""
    for name, content in world_files(stage).items():
        path = folder / name
        if not path.exists() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def world_files(stage: int) -> dict[str, bytes]:
    """Return the content of every file of *stage* by its path, with forward slashes."""
    if stage not in STAGES:
        raise ValueError(f"stage must be one of {STAGES}, not {stage!r}")
    assets = json.dumps([_as_json(asset) for asset in _assets(stage)], indent=2) + "\n"
    files = {
        "tracked_sessions.yaml": _tracked_text(stage).encode(),
        "mirror/codeocean/data_assets.json": assets.encode(),
    }
    for key, content in _objects(stage):
        files[f"mirror/s3/{key}"] = content
    return files


def _tracked_text(stage: int) -> str:
    text = (importlib.resources.files("npc_lims.demo") / "tracked_sessions.yaml").read_text(encoding="utf-8")
    for session in SESSIONS:
        if session.tracked > stage:
            path = rf"\S.*{session.subject}_{session.date.replace('-', '')}"
            text = re.sub(rf"^    - {path}:\n(?: {{8}}.*\n)*", "", text, flags=re.MULTILINE)
    return text


def _tracked(stage: int) -> Iterator[Session]:
    return (session for session in SESSIONS if session.tracked <= stage)


# the workbooks ---------------------------------------------------------------------------------------

MOUSE_COLUMNS = (
    "mouse id", "alive", "genotype", "sex", "birthdate", "trainer", "regimen", "timeouts",
    "next task version",
)  # fmt: skip
ROW_COLUMNS = (
    "start time", "rig name", "task version", "hits", "d' same modality", "d' other modality go stim", "pass",
    "ignore", "comments",
)  # fmt: skip


def _workbook(stage: int, nsb: bool) -> bytes:
    """Return a training workbook, with irregularities of real ones."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    mice = [mouse for mouse in MICE if (mouse.in_nsb_workbook if nsb else mouse.in_lab_workbook)]
    sheet = book.create_sheet("all_mice")
    sheet.append(MOUSE_COLUMNS)
    for mouse in mice:
        birthdate = datetime.datetime.fromisoformat(mouse.birthdate)
        trainer = "NSB" if nsb else "lab"
        facts = (mouse.subject, mouse.alive, mouse.genotype, mouse.sex, birthdate, trainer, mouse.regimen)
        sheet.append((*facts, True, mouse.next_task))
    for mouse in mice:
        sheet = book.create_sheet(str(mouse.subject))
        sheet.append(ROW_COLUMNS)
        for row in _rows(mouse, stage, nsb):
            sheet.append(row)
        if mouse.subject == 901001:  # an empty row in the middle, a blank heading after the last column
            sheet.insert_rows(3)
            sheet.cell(row=1, column=len(ROW_COLUMNS) + 1, value=" ")
    return _stable_bytes(book)


def _rows(mouse: Mouse, stage: int, nsb: bool) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a mouse in one of the two workbooks, by time."""
    days = [day for day in TRAINING if (day.subject, day.nsb) == (mouse.subject, nsb)]
    if nsb is not mouse.in_lab_workbook:
        sessions = (session for session in _tracked(stage) if session.subject == mouse.subject and session.task)
        days += [TrainingDay(mouse.subject, str(one.task_begin), one.rig, one.task) for one in sessions]
    for day in sorted(days, key=lambda day: day.start):
        start = datetime.datetime.fromisoformat(day.start)
        scores = _scores(mouse.subject, start, day.task)
        outcome = (int(day.passed), int(day.ignore) or None, day.comments or None)
        yield (day.as_text or start, day.rig, day.task, *scores, *outcome)


def _scores(subject: int, start: datetime.datetime, task: str) -> tuple[str, str, str]:
    """Return hits and both d' of the blocks of a session, as the lab writes them: a list in a string."""
    dice = random.Random(f"{subject} {start}")
    blocks = range(6 if "stage 5" in task else 1)
    hits = [dice.randint(60, 100) // 10 for _ in blocks]
    same, other = ([dice.randint(90, 290) / 100 for _ in blocks] for _ in range(2))
    return str(hits), str(same), str(other)


def _stable_bytes(book: openpyxl.Workbook) -> bytes:
    """Return the file of a workbook, without the times of writing that openpyxl and zip put into it."""
    book.properties.creator = "npc_lims demo"
    book.properties.created = datetime.datetime(2024, 11, 4)
    written, stable = io.BytesIO(), io.BytesIO()
    book.save(written)
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(stable, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2024-11-04T00:00:00Z", content)
            info = zipfile.ZipInfo(name)  # of 1980-01-01
            info.compress_type = zipfile.ZIP_DEFLATED
            info.create_system = 0
            target.writestr(info, content)
    return stable.getvalue()


# data assets -----------------------------------------------------------------------------------------


def _assets(stage: int) -> Iterator[SampleAsset]:
    for session in (*_tracked(stage), *UNLISTED):
        if session.uploaded > stage:
            continue
        for name in session.recordings:
            uploaded = _happened(session, session.uploaded, days=1)
            yield SampleAsset(name, session.bucket, uploaded, session.tags_only)
            if session.sorted <= stage:
                yield _result(name, "sorted", _happened(session, session.sorted, days=2))
        for number, process in enumerate(session.processes):
            after_upload = datetime.timedelta(hours=3, minutes=47 * number)
            yield _result(session.recordings[0], process, _happened(session, 1, days=1) + after_upload)
    yield from ODD_ASSETS


def _result(raw_name: str, process: str, finished: datetime.datetime) -> SampleAsset:
    return SampleAsset(f"{raw_name}_{process}_{finished:%Y-%m-%d_%H-%M-%S}")


def _as_json(asset: SampleAsset) -> dict[str, object]:
    modality, subject, date, time, *_ = asset.name.split("_")
    level = "raw" if asset.bucket else "derived"
    created = _unix(asset.created)
    found: dict[str, object] = {
        "id": _asset_id(asset.name, asset.created),
        "created": created,
        "name": asset.name,
        "mount": asset.name,
        "owner": _uuid("owner"),
        "last_used": created + 3600,
        "state": asset.state,
        "type": "dataset" if asset.bucket else "result",
        "files": asset.files,
        "size": asset.files * 2**20,
        "tags": [modality, level, subject],
    }
    if not asset.tags_only:
        found["custom_metadata"] = {
            "data level": f"{level} data",
            "experiment type": modality,
            "modality": MODALITIES[modality],
            "subject id": subject,
        }
    if asset.bucket:
        found["source_bucket"] = {"origin": "aws", "bucket": asset.bucket, "prefix": asset.name, "external": True}
    else:
        found["provenance"] = {
            "data_assets": [_raw_id(f"{modality}_{subject}_{date}_{time}")],
            "computation": _uuid(f"{asset.name} computation"),
        }
    if asset.archived:
        found["archived"] = True
    if asset.state == "failed":
        found["failure_reason"] = "the computation exited with an error"
    return found


def _raw_id(name: str) -> str:
    """Return the id of the raw asset of that name that is not archived."""
    session = next(session for session in SESSIONS if name in session.recordings)
    return _asset_id(name, _happened(session, session.uploaded, days=1))


def _asset_id(name: str, created: datetime.datetime) -> str:
    return _uuid(f"{name} {_unix(created)}")


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"npc_lims demo {text}"))


def _happened(session: Session, stage: int, days: int) -> datetime.datetime:
    """Return when something happened to a session: *days* after it, or on the morning of the second day."""
    if stage == 1:
        return session.begin + datetime.timedelta(days=days, hours=4, minutes=23)
    return datetime.datetime(2024, 11, 5, 8, 41, 13)


def _unix(time: datetime.datetime) -> int:
    return int(time.replace(tzinfo=datetime.timezone.utc).timestamp())


# objects in buckets ----------------------------------------------------------------------------------


def _objects(stage: int) -> Iterator[tuple[str, bytes]]:
    """Yield `<bucket>/<key>` and the content of every object."""
    yield f"{TASK_FOLDER}/DynamicRoutingTraining.xlsx", _workbook(stage, nsb=False)
    yield f"{TASK_FOLDER}/DynamicRoutingTrainingNSB.xlsx", _workbook(stage, nsb=True)
    # the task was stopped and started again: nothing was written the first time
    yield f"{TASK_FOLDER}/Data/901001/DynamicRouting1_901001_20240314_125501.hdf5", b""
    # of the others only the existence matters: an empty document, or the first bytes of a file of that kind
    contents = {".json": b"{}\n", ".zattrs": b"{}\n", ".hdf5": b"\x89HDF\r\n\x1a\n", ".parquet": b"PAR1"}
    for key in _keys(stage):
        yield key, next((content for end, content in contents.items() if key.endswith(end)), b"")
    for asset in _assets(stage):
        if not asset.bucket and asset.state == "ready":
            yield f"{RESULT_BUCKET}/{_asset_id(asset.name, asset.created)}/output", asset.output.encode()


def _keys(stage: int) -> Iterator[str]:
    for training in TRAINING:
        time = datetime.datetime.fromisoformat(training.start)
        yield _stimulus_key(training.subject, "DynamicRouting1", time)
    for session in (*_tracked(stage), *UNLISTED):
        if session.task:
            yield _stimulus_key(session.subject, "DynamicRouting1", session.task_begin)
            if session.platform == "ephys" and session.mapped:
                mapping = session.task_begin + datetime.timedelta(minutes=63)
                yield _stimulus_key(session.subject, "RFMapping", mapping)
        if session.uploaded <= stage:
            for name in session.recordings:
                yield from (f"{session.bucket}/{name}/{file}" for file in _raw_files(session, name))
        yield from (f"{SCRATCH_BUCKET}/{key}" for key in _annotation_keys(session))
        if "parquet" in session.caches:
            yield f"{CACHE_FOLDER}/nwb_components/{CACHE_VERSION}/session/{session.id}.parquet"
        if "nwb" in session.caches:
            yield f"{CACHE_FOLDER}/nwb/{CACHE_VERSION}/{session.id}.nwb.zarr/.zattrs"


def _stimulus_key(subject: int, script: str, time: datetime.datetime) -> str:
    return f"{TASK_FOLDER}/Data/{subject}/{script}_{subject}_{time:%Y%m%d_%H%M%S}.hdf5"


def _raw_files(session: Session, name: str) -> list[str]:
    """Return the files of a raw asset, relative to its prefix, in the old or the new layout."""
    new = session.has_new_layout
    time = f"{session.begin:%Y%m%d}T" + name.rpartition("_")[2].replace("-", "")
    files = ["data_description.json", "subject.json"]
    files += ["acquisition.json", "instrument.json"] if new else ["session.json", "rig.json"]
    if name == session.recordings[0]:  # no task and no cameras at the surface
        files += [f"behavior/{time}.h5"]
        videos = "behavior-videos" if new else "behavior_videos"
        files += [f"{videos}/{camera}_{time}.mp4" for camera in ("Behavior", "Eye", "Face")]
    if session.platform == "ephys":
        root = "ecephys/" if new else ""
        stream = f"{root}ecephys_compressed/experiment1_Record Node 101"
        files += [f"{root}ecephys_clipped/Record Node 101/settings.xml"]
        files += [f"{stream}#Probe{letter}-AP.zarr/.zattrs" for letter in "AB"]
    return [file for file in files if not (session.missing and file.startswith(session.missing))]


def _annotation_keys(session: Session) -> Iterator[str]:
    """Yield files of the brain areas of channels, from either of the two tools."""
    for letter in session.ibl:
        folder = f"dynamic-routing/ibl-gui-output/{session.subject}/{session.recordings[0]}"
        yield f"{folder}/probe{letter}/ccf_channel_results.json"
    for probe in session.tissuecyte.split():
        folder = f"arjun.sridhar/tissuecyte_cloud_processed/{session.subject}"
        yield f"{folder}/Probe_{probe}_channels_{session.subject}_warped_processed_new_sorting.csv"

"""Small makers of records, assets and folders: a test names only what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from npc_lims.config.settings import Settings
from npc_lims.model.data_asset import DataAsset
from npc_lims.model.flags import compute_status
from npc_lims.model.record import Asset, CodeOcean, Observation, RawListing, Record, S3Facts, Tracked, Training
from npc_lims.sources.context import SourceContext
from tests.servers.codeocean import asset_id, make_asset

SESSION = "626791_2022-08-15"
SECOND = "626791_2022-08-15_1"
RAW_NAME = "ecephys_626791_2022-08-15_13-07-32"
LATER_NAME = "ecephys_626791_2022-08-15_15-00-00"
SORTED_NAME = f"{RAW_NAME}_sorted_2023-07-11_09-00-00"


def tracked(platform: str = "ephys", **more: Any) -> Tracked:
    """An entry of tracked_sessions.yaml."""
    fields = {"project": "DynamicRouting", "allen_path": "//allen/DRpilot_626791_20220815", "experiment_day": 1}
    return Tracked.model_validate({"platform": platform, **fields, **more})


def training(**more: Any) -> Training:
    """A row of a training workbook."""
    return Training.model_validate({"nsb": False, "row": 1, "start_time": "2022-08-15 13:07:32", **more})


def asset(name: str = RAW_NAME, **more: Any) -> Asset:
    """An asset as it is recorded; its id follows from its name."""
    return Asset.model_validate({"id": asset_id(name), "name": name, "created": "2022-08-15T13:07:32Z", **more})


def data_asset(name: str = RAW_NAME, **more: Any) -> DataAsset:
    """An asset as the API gives it."""
    return DataAsset.model_validate(make_asset(name, **more))


def no_assets(**more: Any) -> CodeOcean:
    """Code Ocean was asked and has nothing, but for what is named."""
    return CodeOcean.model_validate({**{name: False for name in CodeOcean.model_fields if name != "errored"}, **more})


def listing(**more: Any) -> RawListing:
    """What stands in the raw folder of the asset that `asset()` gives."""
    return RawListing.model_validate({"asset": asset_id(RAW_NAME), **more})


def nothing_on_s3(**more: Any) -> S3Facts:
    """S3 was asked and has nothing, but for what is named."""
    empty: dict[str, Any] = {name: [] for name in S3Facts.model_fields}
    return S3Facts.model_validate({**empty, "raw": False, "tissuecyte_subject": False, **more})


def record(session_id: str = SESSION, **sections: Any) -> Record:
    """A tracked ephys session of which nothing else is known, with the status that follows from it."""
    made = Record.model_validate({"id": session_id, "tracked": tracked(), **sections})
    return made.model_copy(update={"status": compute_status(made.as_dict())})


def by_id(*records: Record) -> dict[str, Record]:
    return {one.id: one for one in records}


def session_ids(count: int) -> list[str]:
    """That many ids: ten sessions a subject, on days that follow each other."""
    return [f"{700000 + n // 10}_2024-03-{n % 10 + 1:02d}" for n in range(count)]


def many_records(count: int, **sections: Any) -> dict[str, Record]:
    """Records that differ in their ids only."""
    first = record(session_ids(1)[0], **sections)
    return {session_id: first.model_copy(update={"id": session_id}) for session_id in session_ids(count)}


def observation(source: str, *, complete: bool = False, **facts: Any) -> Observation:
    """What *source* saw, for tests of one session: `found=...` is of `SESSION`, `second=...` of `SECOND`."""
    names = {"found": SESSION, "second": SECOND}
    return Observation(source=source, facts={names[name]: fact for name, fact in facts.items()}, complete=complete)


def put(root: Path, *addresses: str, content: bytes = b"x") -> None:
    """Files below *root*, by `s3://bucket/key` or by their paths."""
    for address in addresses:
        path = root / address.replace("s3://", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def context(
    settings: Settings | None = None, records: Mapping[str, Record] | None = None, **more: Any
) -> SourceContext:
    """What a source is given; what is not named must not be needed."""
    ways: dict[str, Any] = {
        name: lambda: pytest.fail("not needed: the bucket, Code Ocean or the tracked file")
        for name in ("tracked", "store", "assets")
    }
    return SourceContext(**{"settings": settings or Settings(), "records": records or {}, **ways, **more})

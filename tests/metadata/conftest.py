"""The lab's folder of workbooks, on S3."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from npc_lims.utils.memory_cache import clear_caches
from tests.servers.faults import FaultyProxy
from tests.servers.fixtures import Serve
from tests.servers.s3 import SeaweedS3
from tests.sources.training.test_parser import Rows, make_book, save

OTHER, NSB = "DynamicRoutingTraining.xlsx", "DynamicRoutingTrainingNSB.xlsx"
BUCKET = "aind-scratch-data"
FOLDER = "dynamic-routing/DynamicRoutingTask/"
HEADER = ["start time", "rig name", "ignore"]


def row(day: int, rig: str = "B2", ignore: object = 0) -> list[object]:
    return [datetime.datetime(2023, 3, day, 12, 56, 27), rig, ignore]


class Lab:
    """S3 behind a proxy that counts and can break, and what a person does to the folder."""

    def __init__(self, s3: SeaweedS3, proxy: FaultyProxy) -> None:
        self.s3 = s3
        self.proxy = proxy

    def upload(self, name: str, sheets: Mapping[str, Rows], all_mice: Rows = (["mouse id"],)) -> None:
        self.put(name, save(make_book(dict(sheets), all_mice)))

    def put(self, name: str, content: bytes = b"x") -> None:
        self.s3.put(BUCKET, FOLDER + name, content)

    def get(self, name: str) -> bytes:
        content: bytes = self.s3.client().get_object(Bucket=BUCKET, Key=FOLDER + name)["Body"].read()
        return content

    def asked(self) -> list[str]:
        """Requests since the last time this was asked for: method and what is below the folder."""
        asked = [f"{request.method} {request.path.rpartition('/')[2]}" for request in self.proxy.requests]
        self.proxy.reset()
        return asked

    def new_process(self) -> None:
        """Forget what is kept in memory, and what was asked."""
        clear_caches()
        self.proxy.reset()


def fill(made: Lab | Folder) -> None:
    mice = (["mouse id", "alive", "trainer"], [626791, True, "x"], [659250, False, None], [626791, False, "second"])
    made.upload(
        OTHER, {"626791": [HEADER, row(7), row(8, ignore=1), [None, "B3", 0]], "659250": [HEADER, row(9)]}, mice
    )
    made.upload(NSB, {"659250": [HEADER, row(9, "NSB1"), row(10, "NSB1")]}, (["mouse id"], [659250]))


@pytest.fixture
def lab(s3: SeaweedS3, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Both workbooks and a file that is none, and the environment pointing at them."""
    proxy = serve(FaultyProxy(s3.endpoint))
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    made = Lab(s3, proxy)
    fill(made)
    made.put("notes.txt")
    return made


class Folder:
    """The same without a server: a folder of this machine."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def upload(self, name: str, sheets: Mapping[str, Rows], all_mice: Rows = (["mouse id"],)) -> None:
        (self.path / name).write_bytes(save(make_book(dict(sheets), all_mice)))
        clear_caches()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Both workbooks in a folder of this machine, and the setting that names it."""
    made = Folder(tmp_path / "workbooks")
    made.path.mkdir()
    (made.path / "DynamicRoutingTraining").mkdir()
    fill(made)
    monkeypatch.setenv("NPC_LIMS_TRAINING", str(made.path))
    return made


def kept_files() -> list[str]:
    """What is kept on disk of workbooks."""
    return sorted(path.name for path in Path(os.environ["NPC_LIMS_CACHE_DIR"]).rglob("*") if path.is_file())

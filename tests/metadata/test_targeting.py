"""Where probes were inserted: the targeting database on S3, and the shields on GitHub."""

from __future__ import annotations

import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from npc_lims.errors import MissingCredentials, NoSessionData, NoSessionInfo, NpcLimsError, SourceError
from npc_lims.metadata import targeting
from npc_lims.metadata.targeting import (
    get_probe_insertion_info,
    get_probe_insertion_metadata,
    get_probe_target_db,
    parse_drawings,
)
from npc_lims.utils.memory_cache import clear_caches
from tests.integration.world import commit_all
from tests.servers.faults import FaultyProxy, Status
from tests.servers.fixtures import Serve
from tests.servers.raw_github import RawGitHubServer
from tests.servers.s3 import SeaweedS3

BUCKET, KEY = "aind-scratch-data", "arjun.sridhar/probe_targeting/dr_master.db"
SESSION = "676909_2023-12-12"
COLUMNS = ("session", "day", "implant", "rig", *(f"Probe{letter}" for letter in "ABCDEF"))
HOLES = ("F1", "B2", None, "D1", "E1", "F2")
SHIELDS = """\
from __future__ import annotations
raise SystemExit("shields are read, never run")
class Shield: ...
DR2002 = Shield(
    name="2002",
    drawing_id="0283-200-002",
    drawing_svg=DRAWINGS_DIR / "2002.svg",
)
'''name="2003", drawing_id="in a text"'''
ALL = [Shield(drawing_id=7, name='Templeton'), Shield(name=make_name(), drawing_id="x"), Shield("2011", "y")]
"""


def database(*rows: tuple[Any, ...], columns: tuple[str, ...] = COLUMNS, folder: Path) -> bytes:
    path = folder / "made.db"
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"CREATE TABLE session_metadata ({', '.join(columns)})")
        made.executemany(f"INSERT INTO session_metadata VALUES ({', '.join('?' * len(columns))})", rows)
        made.commit()
    return path.read_bytes()


class Lab:
    """A mirror of S3, and GitHub, each of which can hold something else."""

    def __init__(self, github: FaultyProxy, repository: Path, folder: Path) -> None:
        self.github = github
        self.database = folder / "s3" / BUCKET / KEY
        self._repository = repository
        self._folder = folder

    def put_rows(self, *rows: tuple[Any, ...], columns: tuple[str, ...] = COLUMNS) -> None:
        self.put(database(*rows, columns=columns, folder=self._folder))

    def put(self, content: bytes) -> None:
        self.database.parent.mkdir(parents=True, exist_ok=True)
        self.database.write_bytes(content)

    def put_shields(self, text: str) -> None:
        (self._repository / "src" / "npc_shields" / "shields.py").write_text(text)
        commit_all(self._repository)


@pytest.fixture
def lab(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    repository = tmp_path / "npc_shields"
    (repository / "src" / "npc_shields").mkdir(parents=True)
    raw = serve(RawGitHubServer(repository, repo_name="AllenInstitute/npc_shields"))
    github = serve(FaultyProxy(raw.url))
    monkeypatch.setenv("NPC_LIMS_RAW_URL", github.url)
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(tmp_path))
    made = Lab(github, repository, tmp_path)
    made.put_shields(SHIELDS)
    made.put_rows((SESSION, 3, "2002", "NP3", *HOLES), ("676909_2023-12-13", 4, 2002, "NP3", *HOLES))
    return made


def test_the_insertions_of_a_session(lab: Lab) -> None:
    assert get_probe_insertion_metadata(SESSION) == {
        "shield": {"name": "2002", "drawing_id": "0283-200-002"},
        "probes": dict(zip("ABCDEF", HOLES)),
        "notes": dict.fromkeys("ABCDEF"),
        "session": f"{SESSION}_0",
        "experiment_day": 3,
    }


@pytest.mark.parametrize("session", ["ecephys_676909_2023-12-13_10-00-00", "DRpilot_676909_20231213"])
def test_any_form_of_an_id_and_a_shield_that_is_a_number(lab: Lab, session: str) -> None:
    found = get_probe_insertion_metadata(session)
    assert found["session"] == "676909_2023-12-13_0"
    assert found["shield"] == {"name": 2002, "drawing_id": "0283-200-002"}


def test_every_service_is_asked_once_and_answers_are_the_callers_own(lab: Lab) -> None:
    get_probe_insertion_metadata(SESSION)["probes"].clear()
    assert get_probe_insertion_metadata("676909_2023-12-13")["probes"]["A"] == "F1"
    assert get_probe_insertion_metadata(SESSION)["probes"]["A"] == "F1"
    assert get_probe_target_db() is get_probe_target_db()
    (request,) = lab.github.requests
    assert request.path == "/AllenInstitute/npc_shields/main/src/npc_shields/shields.py"


def test_sixteen_threads(lab: Lab) -> None:
    expected = get_probe_insertion_metadata(SESSION)
    clear_caches()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(get_probe_insertion_metadata, [SESSION] * 100))
    finally:
        sys.setswitchinterval(before)
    assert all(one == expected for one in found)


def test_the_database_is_only_read(lab: Lab) -> None:
    assert get_probe_target_db().execute("SELECT day FROM session_metadata").fetchall() == [{"day": 3}, {"day": 4}]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        get_probe_target_db().execute("DELETE FROM session_metadata")
    get_probe_target_db().close()
    assert get_probe_insertion_metadata(SESSION)


def test_its_path() -> None:
    assert str(targeting.S3_PROBE_TARGET_DB_PATH) == f"s3://aind-scratch-data/{KEY}"
    with pytest.raises(AttributeError, match="has no attribute 'S3_PATH'"):
        _ = targeting.S3_PATH


# --- what goes wrong


def test_a_session_that_is_not_in_the_database(lab: Lab) -> None:
    with pytest.raises(
        NoSessionData, match=rf"676909_2023-12-14 is not in the table session_metadata of s3://.*{KEY}"
    ) as e:
        get_probe_insertion_metadata("676909_2023-12-14")
    assert isinstance(e.value, FileNotFoundError) and isinstance(e.value, ValueError)


@pytest.mark.parametrize("session", ["nothing", "676909", "x' OR '1'='1"])
def test_what_is_no_session(lab: Lab, session: str) -> None:
    with pytest.raises(NoSessionInfo, match="is not a session"):
        get_probe_insertion_metadata(session)


def test_an_unknown_shield(lab: Lab) -> None:
    lab.put_rows((SESSION, 3, "2099", "NP3", *HOLES))
    with pytest.raises(
        ValueError, match=r"shield '2099', .*shields.py of github.com/AllenInstitute/npc_shields: add"
    ) as e:
        get_probe_insertion_metadata(SESSION)
    assert isinstance(e.value, NpcLimsError)


@pytest.mark.parametrize(("columns", "row"), [(("session", "implant"), (SESSION, "2002")), (("id",), (SESSION,))])
def test_a_database_of_other_columns(lab: Lab, columns: tuple[str, ...], row: tuple[str, ...]) -> None:
    lab.put_rows(row, columns=columns)
    with pytest.raises(SourceError, match=r"s3: s3://.*dr_master\.db.*(no column day|no such column)"):
        get_probe_insertion_metadata(SESSION)


@pytest.mark.parametrize("content", [b"<html>", b"", b"SQLite format 3\0" + b"\1" * 5000])
def test_what_is_no_database(lab: Lab, content: bytes) -> None:
    lab.put(content)
    with pytest.raises(SourceError, match=r"s3: s3://.*dr_master\.db"):
        get_probe_insertion_metadata(SESSION)


def test_no_database(lab: Lab) -> None:
    lab.database.unlink()
    with pytest.raises(SourceError, match=f"there is no s3://aind-scratch-data/{KEY}"):
        get_probe_target_db()


def test_from_s3_itself(lab: Lab, s3: SeaweedS3, monkeypatch: pytest.MonkeyPatch) -> None:
    s3.put(BUCKET, KEY, lab.database.read_bytes())
    monkeypatch.delenv("NPC_LIMS_MIRROR")
    assert get_probe_insertion_metadata(SESSION)["probes"]["A"] == "F1"
    clear_caches()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(MissingCredentials, match="AWS_ACCESS_KEY_ID"):
        get_probe_target_db()


def test_github_fails_and_is_asked_again_later(lab: Lab) -> None:
    lab.github.rule = lambda request: Status(503)
    with pytest.raises(SourceError, match=r"npc_shields: http.*shields\.py answered 503"):
        get_probe_insertion_metadata(SESSION)
    lab.github.rule = None
    assert get_probe_insertion_metadata(SESSION)


@pytest.mark.parametrize("text", ["def (", "x = 1\n"])
def test_shields_that_cannot_be_read(lab: Lab, text: str) -> None:
    lab.put_shields(text)
    with pytest.raises(SourceError, match=r"npc_shields: src/npc_shields/shields\.py of github\.com/.*"):
        get_probe_insertion_metadata(SESSION)


def test_no_shields(lab: Lab) -> None:
    lab.github.rule = lambda request: Status(404)
    with pytest.raises(SourceError, match="npc_shields: there is no src"):
        get_probe_insertion_metadata(SESSION)


# --- pure


def test_shields_are_read_and_never_run() -> None:
    assert parse_drawings(SHIELDS.encode()) == {"2002": "0283-200-002", "Templeton": "7"}


def test_insertion_info() -> None:
    default = {"probe_insertions": {f"probe{letter}": {"letter": None, "hole": None, "more": 1} for letter in "ABCDEF"}}
    metadata: dict[str, Any] = {**dict(zip(COLUMNS[4:], HOLES)), "implant": "2002"}
    found = get_probe_insertion_info(default, metadata)
    assert found["probe_insertions"]["probeB"] == {"letter": "B", "hole": "B2", "more": 1}
    assert found["probe_insertions"]["implant"] == "2002"
    assert len(found["probe_insertions"]) == 7

"""Paths that are given out can be opened: by s3fs, with the credentials that npc_lims itself found."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from npc_lims.paths.assets import get_h5_sync_from_s3, get_raw_data_paths_from_s3
from npc_lims.paths.subject_folders import get_hdf5_stim_files_from_s3
from tests.integration.world import Cloud
from tests.paths.asked import OLD, OLD_ROOT

# In a process of its own: s3fs keeps its clients, and a thread for them, as long as the process lives.
READ = f"""\
import json, pickle
import npc_lims
from npc_lims.paths import assets, roots
info = npc_lims.get_session_info({OLD!r})
path = assets.get_h5_sync_from_s3(info)
listed = [p for p in assets.get_raw_data_paths_from_s3(info) if p.name == "session.json"]
stored = pickle.dumps(path)
print(json.dumps({{
    "sync": path.read_bytes().decode(),
    "again": pickle.loads(stored).read_bytes().decode(),
    "session.json": listed[0].read_text(),
    "siblings": sorted(p.name for p in path.parent.iterdir()),
    "root": info.cloud_path.is_dir(),
    "constant": roots.DR_DATA_REPO.joinpath("901001").is_dir(),
    "secret": b"wJalrXUtnFEMI" in stored,
}}))
"""

SETS = ("AWS_", "CODE_OCEAN_", "NPC_LIMS_")


@pytest.fixture
def with_a_sync_file(recorded: Cloud) -> Cloud:
    recorded.change(**{f"{OLD_ROOT[len('s3://') :]}/behavior/20240311T131005.h5": b"recorded"})
    return recorded


def read_elsewhere(folder: Path, environment: dict[str, str]) -> dict[str, object]:
    command = [sys.executable, "-W", "error", "-c", READ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


EXPECTED = {
    "sync": "recorded",
    "again": "recorded",
    "session.json": "{}\n",
    "siblings": ["20240311T131005.h5"],
    "root": True,
    "constant": True,
    "secret": False,
}


@pytest.mark.slow
def test_paths_open_with_the_settings_of_the_environment(with_a_sync_file: Cloud, tmp_path: Path) -> None:
    assert read_elsewhere(tmp_path, dict(os.environ)) == EXPECTED


@pytest.mark.slow
def test_paths_open_with_the_settings_of_a_dotenv(with_a_sync_file: Cloud, tmp_path: Path) -> None:
    """The process itself has no variable of AWS."""
    ours = {name: value for name, value in os.environ.items() if name.startswith(SETS)}
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in ours.items()))
    others = {name: value for name, value in os.environ.items() if not name.startswith(SETS)}
    assert read_elsewhere(tmp_path, others) == EXPECTED


@pytest.mark.slow
def test_paths_open_with_credentials_and_endpoint_from_different_places(
    with_a_sync_file: Cloud, tmp_path: Path
) -> None:
    apart = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION")
    (tmp_path / ".env").write_text("".join(f"{name}={os.environ[name]}\n" for name in apart))
    assert read_elsewhere(tmp_path, {k: v for k, v in os.environ.items() if k not in apart}) == EXPECTED


def test_opening_in_this_process(with_a_sync_file: Cloud) -> None:
    path = get_h5_sync_from_s3(OLD)
    assert path.read_bytes() == b"recorded"
    assert pickle.loads(pickle.dumps(path)) == path
    assert get_hdf5_stim_files_from_s3(OLD)[0].path.stat().st_size == 8
    assert all(path.exists() for path in get_raw_data_paths_from_s3(OLD))


HIDDEN = f"""\
import importlib.machinery
find_spec = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = classmethod(
    lambda cls, name, path=None, target=None: None if name == "s3fs" else find_spec(name, path, target)
)
import npc_lims
from npc_lims.paths.assets import get_h5_sync_from_s3
print(npc_lims.get_session_info({OLD!r}).cloud_path)
print(get_h5_sync_from_s3({OLD!r}).parent)
try:
    get_h5_sync_from_s3({OLD!r}).read_bytes()
except ImportError as error:
    print(type(error).__name__, error)
"""


def test_without_s3fs_the_error_names_what_to_install(recorded: Cloud, tmp_path: Path) -> None:
    """It cannot be taken out of this environment: it is hidden from a process."""
    done = subprocess.run([sys.executable, "-c", HIDDEN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *named, refused = done.stdout.splitlines()
    assert named == [OLD_ROOT, f"{OLD_ROOT}/behavior"], "a name needs nobody to open it"
    assert refused == "ImportError Install s3fs to access S3"

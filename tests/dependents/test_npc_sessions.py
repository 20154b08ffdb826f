"""npc_sessions from PyPI, on top of this npc_lims, against the servers of the sample world."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from tests.integration.world import SORTED, Cloud

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        "DEPENDENT_PYTHON" not in os.environ,
        reason="DEPENDENT_PYTHON names no environment with npc_sessions (scripts/dependent.py makes one; .ci/run does)",
    ),
]

ROOT = Path(npc_lims.__file__).parent.parent


def ask(session_id: str, folder: Path) -> dict[str, Any]:
    """What npc_sessions says, with the npc_lims of this checkout before the one that was installed."""
    done = subprocess.run(
        [os.environ["DEPENDENT_PYTHON"], str(Path(__file__).with_name("ask_npc_sessions.py")), session_id],
        env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1", "MPLBACKEND": "agg"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_it_imports_and_answers_as_with_the_release_before(
    cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(synced / "state"))
    answer = ask(SORTED, synced)
    assert answer["npc_lims"] == [npc_lims.__file__, npc_lims.__version__]
    info = npc_lims.get_session_info(SORTED)
    assert answer["id"] == answer["info"]["id"] == SORTED
    assert answer["info"] == {
        "type": "SessionInfo",
        "id": SORTED,
        "project": info.project,
        "experiment_day": info.experiment_day,
        "allen_path": info.allen_path.as_posix(),
        "rig": info.rig,
    }
    assert (answer["is_uploaded"], answer["is_sorted"], answer["is_ephys"], answer["is_sync"]) == (True,) * 4
    root = f"s3://aind-ephys-data/ecephys_{SORTED}_12-44-26"
    assert f"{root}/subject.json" in answer["raw_data_paths"]
    assert any(path.startswith(f"{root}/behavior/") for path in answer["raw_data_paths"])
    [sync] = answer["sync_paths"]
    assert sync.startswith(f"{root}/behavior/")
    assert sync.endswith(".h5")
    assert any(path.endswith("/output") for path in answer["sorted_data_paths"])
    [task] = answer["stim_paths"]
    subject, day = SORTED.split("_")
    assert f"/Data/{subject}/DynamicRouting1_{subject}_{day.replace('-', '')}_" in task
    assert answer["read"] == "{}\n"
    assert answer["nwb"] == f"s3://aind-scratch-data/dynamic-routing/cache/nwb/v0.0.0/{SORTED}.nwb.zarr"
    assert int(subject) in answer["subjects"]

"""Constants: the lab's places, made when they are asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
import upath

from npc_lims.paths import roots

EXPECTED = {
    "CACHE_ROOT": "s3://aind-scratch-data/dynamic-routing/cache/nwb_components",
    "CODE_OCEAN_DATA_BUCKET": "s3://codeocean-s3datasetsbucket-1u41qdg42ur9/",
    "DR_DATA_REPO": "s3://aind-scratch-data/dynamic-routing/DynamicRoutingTask/Data",
    "DR_DATA_REPO_ISILON": "//allen/programs/mindscope/workgroups/dynamicrouting/DynamicRoutingTask/Data",
    "IBL_ANNOTATIONS_REPO": "s3://aind-scratch-data/dynamic-routing/ibl-gui-output",
    "S3_SCRATCH_ROOT": "s3://aind-scratch-data/dynamic-routing",
    "TISSUECYTE_REPO": "s3://aind-scratch-data/arjun.sridhar/tissuecyte_cloud_processed",
}


def test_constants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STIM_ROOT", "s3://elsewhere/stim")
    for name, expected in EXPECTED.items():
        path = getattr(roots, name)
        assert isinstance(path, upath.UPath)
        assert path.as_posix() == expected


def test_no_such_constant() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'DR_DATA'"):
        _ = roots.DR_DATA  # type: ignore[attr-defined]


def test_modules_of_paths_cost_nothing_until_a_path_is_used() -> None:
    modules = ("assets", "nwb_cache", "roots", "subject_folders")
    code = (
        "import sys\n"
        + "".join(f"import npc_lims.paths.{name}\n" for name in modules)
        + "print([name for name in ('upath', 'boto3', 'pydantic', 'npc_session', 's3fs') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

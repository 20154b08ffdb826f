"""Paths of cached NWB components: versions from PyPI, by name, or the newest that has the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from npc_lims import errors
from npc_lims.paths.nwb_cache import (
    CACHED_FILE_EXTENSIONS,
    NWBComponentStr,
    get_all_cache_paths,
    get_cache_file_suffix,
    get_cache_path,
    get_current_cache_version,
    get_nwb_path,
)
from tests.integration.world import Cloud, down
from tests.paths.asked import OLD, SCRATCH, listings
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server, json_response

CACHE = f"{SCRATCH}/dynamic-routing/cache"
OWN = "900999_2024-01-01"
COMPONENTS = f"s3://{CACHE}/nwb_components"


class PyPi(Server):
    """Answers what it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: Iterator[Response] = iter(())

    def answer(self, request: Request) -> Response:
        return next(self.answers, None) or json_response({"info": {"version": "0.0.310"}})


@pytest.fixture
def pypi(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> PyPi:
    server = serve(PyPi())
    monkeypatch.setenv("NPC_LIMS_PYPI_URL", f"{server.url}/pypi/npc_sessions/json")
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    return server


# --- names


def test_each_component_has_a_suffix() -> None:
    assert set(CACHED_FILE_EXTENSIONS) == set(get_args(NWBComponentStr))
    zarr = {"spike_times", "licks", "running_speed"}
    assert {name for name in CACHED_FILE_EXTENSIONS if get_cache_file_suffix(name) == ".zarr"} == zarr  # type: ignore[arg-type]


def test_an_unknown_component() -> None:
    for ask in (get_cache_file_suffix, get_cache_path, get_all_cache_paths):
        with pytest.raises(ValueError, match=r"must be one of session, subject, .*; not 'spikes'"):
            ask("spikes")  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"version": "1.0.0"}, "v1.0.0/consolidated/units.parquet"),
        ({"version": "v1.0.0"}, "v1.0.0/consolidated/units.parquet"),
        ({"version": "test"}, "test/consolidated/units.parquet"),
        ({"version": "1.0.0", "consolidated": False}, "v1.0.0/units"),
        ({"version": "1.0.0", "session_id": "DRpilot_366122_20231231"}, "v1.0.0/units/366122_2023-12-31.parquet"),
        ({"version": "1.0.0", "session_id": OLD, "consolidated": False}, f"v1.0.0/units/{OLD}.parquet"),
    ],
)
def test_paths_of_a_component(arguments: dict[str, Any], expected: str) -> None:
    assert str(get_cache_path("units", **arguments)) == f"{COMPONENTS}/{expected}"


def test_paths_of_zarr_components() -> None:
    assert get_cache_path("spike_times", OLD, "1.0.0").name == f"{OLD}.zarr"
    assert str(get_cache_path("licks", version="1.0.0")).endswith("v1.0.0/consolidated/licks.zarr")
    with pytest.raises(ValueError, match="licks is not cached for each session"):
        get_cache_path("licks", OLD, "1.0.0")
    with pytest.raises(errors.NoSessionInfo):
        get_cache_path("units", "366122", "1.0.0")


def test_paths_of_nwb_files() -> None:
    assert str(get_nwb_path(OLD, "0.0.210")) == f"s3://{CACHE}/nwb/v0.0.210/{OLD}.nwb.zarr"
    assert get_nwb_path(OLD, "0.0.210", zarr=False).name == f"{OLD}.nwb"


def test_other_roots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_PARQUET_ROOT", "s3://elsewhere/parquet")
    monkeypatch.setenv("NPC_LIMS_NWB_ROOT", "s3://elsewhere/nwb")
    assert str(get_cache_path("units", OLD, "1.0.0")) == f"s3://elsewhere/parquet/v1.0.0/units/{OLD}.parquet"
    assert str(get_nwb_path(OLD, "1.0.0")) == f"s3://elsewhere/nwb/v1.0.0/{OLD}.nwb.zarr"


# --- the newest release


def test_the_current_version(pypi: PyPi) -> None:
    assert get_current_cache_version() == "v0.0.310"
    assert str(get_cache_path("units")) == f"{COMPONENTS}/v0.0.310/consolidated/units.parquet"
    assert str(get_nwb_path(OLD)) == f"s3://{CACHE}/nwb/v0.0.310/{OLD}.nwb.zarr"
    assert [request.path for request in pypi.requests] == ["/pypi/npc_sessions/json"], "asked once"


def test_another_spelling_of_the_name_is_followed(pypi: PyPi) -> None:
    pypi.answers = iter([Response(301, {"Location": "/pypi/npc-sessions/json"})])
    assert get_current_cache_version() == "v0.0.310"
    assert [request.path for request in pypi.requests][-1] == "/pypi/npc-sessions/json"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Response(404), "answered 404; check NPC_LIMS_PYPI_URL"),
        (Response(503), "answered 503"),
        (Response(200, {}, b"<html>log in here</html>"), "cannot be read"),
        (json_response({"info": {"version": 7}}), "no info.version"),
        (json_response([]), "no info.version"),
        (
            Response(302, {"Location": "https://elsewhere.example/login"}),
            "redirects to https://elsewhere.example/login",
        ),
        (Response(302, {"Location": "?again"}), "answered 302 and redirects to"),
    ],
)
def test_an_answer_that_does_not_say(pypi: PyPi, answer: Response, message: str) -> None:
    pypi.answers = iter([answer] * 5)
    with pytest.raises(errors.SourceError, match=rf"pypi: .*{message}.*give `version`, such as"):
        get_cache_path("units")


def test_nobody_answers(pypi: PyPi) -> None:
    with down(pypi), pytest.raises(errors.SourceError, match=r"could not be reached.*give `version`"):
        get_current_cache_version()
    assert get_current_cache_version() == "v0.0.310", "a failure is not kept"


def test_an_address_that_is_not_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_PYPI_URL", "http://pypi.example/json")
    with pytest.raises(errors.SettingsError, match=r"NPC_LIMS_PYPI_URL.*https://"):
        get_current_cache_version()


# --- what is there


def put(cloud: Cloud, *names: str) -> None:
    cloud.change(**{f"{CACHE}/{name}": b"x" for name in names})
    cloud.forget_requests()


def test_any_version_is_the_newest_that_has_the_file(recorded: Cloud) -> None:
    put(
        recorded,
        *(f"nwb_components/{version}/units/{OLD}.parquet" for version in ("v0.0.9", "v0.0.10", "trial")),
        "nwb_components/v0.0.100/units/901001_2024-03-12.parquet",
        "nwb_components/v0.0.99/consolidated/units.parquet",
        f"nwb_components/v0.0.8/spike_times/{OLD}.zarr/.zattrs",
        # of a session of its own: SeaweedFS keeps folders that are empty, and a sync would find this one
        f"nwb/v0.0.10/{OWN}.nwb/.zattrs",
        f"nwb/v0.0.9/{OWN}.nwb",
    )
    assert str(get_cache_path("units", OLD, "any")) == f"{COMPONENTS}/v0.0.10/units/{OLD}.parquet"
    assert str(get_cache_path("units", version="Any")) == f"{COMPONENTS}/v0.0.99/consolidated/units.parquet"
    assert str(get_cache_path("spike_times", OLD, "any")) == f"{COMPONENTS}/v0.0.8/spike_times/{OLD}.zarr"
    assert str(get_cache_path("units", version="any", consolidated=False)) == f"{COMPONENTS}/v0.0.100/units"
    assert str(get_nwb_path(OLD, "any")) == f"s3://{CACHE}/nwb/v0.0.300/{OLD}.nwb.zarr"
    assert str(get_nwb_path(OWN, "any", zarr=False)) == f"s3://{CACHE}/nwb/v0.0.9/{OWN}.nwb"
    assert listings(recorded).count(f"{CACHE}/nwb_components/") == 1


def test_no_version_has_the_file(recorded: Cloud) -> None:
    with pytest.raises(errors.NoSessionData, match=f"no version of the cache has units/.*{COMPONENTS}"):
        get_cache_path("units", "901001_2024-03-14", "any")
    with pytest.raises(FileNotFoundError, match="no version of the cache has"):
        get_nwb_path("901001_2024-03-14", "any")


def test_all_files_of_a_component(recorded: Cloud) -> None:
    paths = get_all_cache_paths("session", "0.0.300")
    assert str(paths[0]) == f"{COMPONENTS}/v0.0.300/session/{OLD}.parquet"
    assert len(paths) == 4
    assert get_all_cache_paths("session", "any") == paths
    with pytest.raises(errors.NoSessionData, match=f"nothing in {COMPONENTS}/v0.0.1/trials"):
        get_all_cache_paths("trials", "0.0.1")


def test_a_mirror(recorded: Cloud, demo_state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(demo_state.parent / "mirror"))
    assert len(get_all_cache_paths("session", "any")) == 4
    assert get_nwb_path(OLD, "any").parent.name == "v0.0.300"
    assert recorded.requests == 0


def test_the_version_is_of_the_shape_that_the_folders_have(pypi: PyPi) -> None:
    pypi.answers = iter([Response(200, {}, json.dumps({"info": {"version": "1.0"}}).encode())])
    assert get_current_cache_version() == "v1.0"

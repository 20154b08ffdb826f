"""Status flags of all ephys sessions, and every path getter for one of them, beside version 0.1.203."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.child import Runs, alternate, median, run_code, run_python
from benchmarks.recordings import Recordings
from benchmarks.world import CACHE_VERSION, SCRATCH, TASK, Session, asset_id
from tests.integration.world import commit_all
from tests.servers.codeocean import CodeOceanServer
from tests.servers.faults import FaultyProxy
from tests.servers.raw_github import RawGitHubServer
from tests.servers.s3 import SeaweedS3

SUBJECTS = 8
REPEAT = 3

FLAGS = (
    "is_uploaded",
    "is_session_json",
    "is_rig_json",
    "is_video",
    "is_sorted",
    "is_annotated",
    "is_dlc_eye",
    "is_dlc_side",
    "is_dlc_face",
    "is_facemap",
    "is_gamma_encoding",
    "is_LPFaceParts",
    "is_surface_channels",
    "is_surface_channels_sorted",
)
"""Those that both versions have."""
EVERY = {"is_ephys": True}
# A flag among the filters, here one that all sessions have, lets each source be asked once for all of them.
AT_ONCE = {**EVERY, "is_production": True}

# Both versions run the same statements, after these alone. The old one reads its tracked file at a fixed address, and
# asks a database that says nothing of these sessions.
OLD_SETUP = """
import upath, npc_lims, npc_lims.status.tracked_sessions
from aind_data_access_api.document_db import MetadataDbClient
npc_lims.status.tracked_sessions._TRACKED_SESSIONS_FILE = upath.UPath({tracked!r})
MetadataDbClient.retrieve_docdb_records = lambda self, *args, **kwargs: []
"""

ALL_FLAGS = """
import npc_lims
def flag(session, name):
    try:
        return getattr(session, name)
    except ValueError:
        return "no surface channels"
result["answers"] = {
    str(session.id): {name: flag(session, name) for name in FLAGS}
    for session in npc_lims.get_session_info(**FILTERS)
}
"""

ALL_PATHS = """
import npc_lims
def texts(found):
    if isinstance(found, tuple):
        return [text for one in found for text in texts(one)]
    if hasattr(found, "session"):
        return [f"{found.path} of {found.size} bytes"]
    return [str(found)]
result["answers"] = {
    label: texts(getattr(npc_lims, name)(*arguments, **options)) for label, name, arguments, options in CALLS
}
"""

OF_A_SESSION = (
    "get_raw_data_root",
    "get_raw_data_paths_from_s3",
    "get_sorted_data_paths_from_s3",
    "get_h5_sync_from_s3",
    "get_settings_xml_path_from_s3",
    "get_recording_dirs_experiment_path_from_s3",
    "get_behavior_video_path_from_s3",
    "get_eye_video_path_from_s3",
    "get_face_video_path_from_s3",
    "get_dlc_eye_s3_paths",
    "get_dlc_side_s3_paths",
    "get_dlc_face_s3_paths",
    "get_facemap_s3_paths",
    "get_lpfaceparts_s3_dir_paths",
    "get_LFP_subsampling_paths_from_s3",
    "get_tissuecyte_annotation_files_from_s3",
    "get_ibl_annotation_files_from_s3",
    "get_hdf5_stim_files_from_s3",
)

Answers = dict[str, Any]
Accept = Callable[[str, Any, Any], bool]
Call = tuple[str, str, list[str], dict[str, Any]]


def calls_for(world: Recordings, session: Session) -> list[Call]:
    """Label, getter, arguments and options of each call."""
    version = {"version": CACHE_VERSION}
    calls: list[tuple[str, list[str], dict[str, Any]]] = [
        *((name, [session.id], {}) for name in OF_A_SESSION),
        ("get_lpfaceparts_camera_predictions_s3_paths", [session.id, "side"], {}),
        ("get_lpfaceparts_camera_predictions_s3_paths", [session.id, "face"], {}),
        ("get_surface_channel_root", [world.with_surface(session.subject).id], {}),
        ("get_data_asset_s3_path", [asset_id(session.results["dlc_eye"])], {}),
        ("get_cache_path", ["session", session.id], version),
        ("get_cache_path", ["session", session.id], {"version": "any"}),
        ("get_all_cache_paths", ["session"], version),
        ("get_nwb_path", [session.id], version),
    ]
    return [
        (f"{name}({', '.join([*arguments, *options.values()])})", name, arguments, options)
        for name, arguments, options in calls
    ]


@dataclass(frozen=True)
class Bench:
    """The proxies that delay and count requests, and the environment that leads to them."""

    proxies: tuple[FaultyProxy, ...]
    env: Mapping[str, str]

    def ask(self, code: str, env: Mapping[str, str], python: str = sys.executable) -> dict[str, Any]:
        for proxy in self.proxies:
            proxy.reset()
        result = run_code(code, {**self.env, **env}, python)
        return {**result, "requests": sum(proxy.count for proxy in self.proxies)}


@contextlib.contextmanager
def _serve(world: Recordings, folder: Path, latency: float) -> Iterator[tuple[Bench, SeaweedS3, dict[str, str]]]:
    """The world on its servers, and the addresses of two raw GitHub servers: with its state, and without."""
    with SeaweedS3() as s3, CodeOceanServer(world.assets(), prefixes=True) as codeocean:
        for bucket, key, content in world.contents():
            s3.put(bucket, key, content)
        with (
            RawGitHubServer(_synced(world, folder / "synced", s3, codeocean)) as synced,
            RawGitHubServer(_without_state(world, folder / "bare")) as bare,
            FaultyProxy(codeocean.url, latency=latency) as codeocean_proxy,
            FaultyProxy(s3.endpoint, latency=latency) as s3_proxy,
            FaultyProxy(synced.url, latency=latency) as synced_proxy,
            FaultyProxy(bare.url, latency=latency) as bare_proxy,
        ):
            env = {
                **_env(s3, codeocean),
                "AWS_ENDPOINT_URL": s3_proxy.url,
                "CODE_OCEAN_DOMAIN": codeocean_proxy.url,
            }
            bench = Bench((codeocean_proxy, s3_proxy, synced_proxy, bare_proxy), env)
            yield bench, s3, {"synced": synced_proxy.url, "bare": bare_proxy.url}


def _env(s3: SeaweedS3, codeocean: CodeOceanServer) -> dict[str, str]:
    return {**s3.env(), "CODE_OCEAN_DOMAIN": codeocean.url, "CODE_OCEAN_API_TOKEN": codeocean.token}


def _synced(world: Recordings, folder: Path, s3: SeaweedS3, codeocean: CodeOceanServer) -> Path:
    """A repository with the tracked file and the state that a sync makes."""
    tracked = _without_state(world, folder) / "tracked_sessions.yaml"
    places = ("--state", str(folder / "state"), "--tracked", str(tracked))
    run_python(sys.executable, ["-m", "npc_lims", "sync", *places], _env(s3, codeocean))
    commit_all(folder)
    return folder


def _without_state(world: Recordings, folder: Path) -> Path:
    """A repository with nothing but the tracked file."""
    folder.mkdir(parents=True)
    (folder / "tracked_sessions.yaml").write_text(world.tracked_text())
    commit_all(folder)
    return folder


def _put_databases(world: Recordings, folder: Path, s3: SeaweedS3, python: str) -> None:
    """The databases that version 0.1.203 wants beside the workbooks, made by itself."""
    for name, content in world.workbooks():
        (folder / name).write_bytes(content)
        database = (folder / name).with_suffix(".sqlite")
        run_code(f"import npc_lims; npc_lims.excel_to_sqlite({str(folder / name)!r}, {str(database)!r})", python=python)
        s3.put(SCRATCH, f"{TASK}/{database.name}", database.read_bytes())


def measure(folder: Path, old: str | None, latency: float) -> Iterator[tuple[str, str]]:
    """Lines of the table: what, and its result.

    Raises:
        RuntimeError: The ways of asking give different answers, other than those that are meant to.
    """
    world = Recordings(SUBJECTS)
    folder.mkdir(parents=True)
    with _serve(world, folder, latency) as (bench, s3, raw_urls):
        if old is not None:
            _put_databases(world, folder, s3, old)
        setup = OLD_SETUP.format(tracked=str(folder / "bare" / "tracked_sessions.yaml"))

        def compare(
            what: str, count: int, code: str, live: Mapping[str, str], accept: Accept
        ) -> Iterator[tuple[str, str]]:
            """*code* with state and by the old tool, and what asks the same without state: *count* answers each."""

            def ask(place: str, code: str) -> Callable[[], dict[str, Any]]:
                return lambda: bench.ask(code, {"NPC_LIMS_RAW_URL": raw_urls[place]})

            ours = {"from state on GitHub, empty cache": ask("synced", code)}
            ours.update((name, ask("bare", own)) for name, own in live.items())
            old_way = [] if old is None else [lambda: bench.ask(setup + code, {}, old)]
            found = alternate(REPEAT, *ours.values(), *old_way)
            theirs = [] if old is None else found.pop()
            expected = found[0][0]["answers"]
            assert len(expected) == count
            for runs, accepted in (*((runs, _nothing) for runs in found), (theirs, accept)):
                _check(runs, expected, accepted)
            yield from ((f"{what}: {name}", _text(runs, theirs)) for name, runs in zip(ours, found))

        every, at_once = (f"FLAGS, FILTERS = {FLAGS!r}, {filters!r}\n{ALL_FLAGS}" for filters in (EVERY, AT_ONCE))
        live = {"live, one by one": every, "live, all at once": at_once}
        what = f"{len(FLAGS)} flags of {len(world.sessions)} ephys sessions"
        yield from compare(what, len(world.sessions), every, live, _accept_flag(set(world.not_uploaded())))
        for layout in ("old", "new"):
            calls = calls_for(world, world.complete(new_layout=layout == "new"))
            code = f"CALLS = {calls!r}\n{ALL_PATHS}"
            what = f"{len(calls)} path getters, a session of the {layout} layout"
            yield from compare(what, len(calls), code, {"live": code}, _accept_path)


def _check(runs: Runs, expected: Answers, accept: Accept) -> None:
    for answers in (run["answers"] for run in runs):
        for key in sorted({*answers, *expected}):
            one, other = answers.get(key), expected.get(key)
            if one != other and not accept(key, one, other):
                raise RuntimeError(f"answers differ for {key}: {one!r}, where state says {other!r}")


def _nothing(*_: Any) -> bool:
    """Ours are always the same, wherever they come from."""
    return False


def _accept_flag(not_uploaded: set[str]) -> Accept:
    """Version 0.1.203 takes it that every ephys session has videos; ours looks whether they have been uploaded."""

    def accept(session: str, theirs: Any, ours: Any) -> bool:
        return session in not_uploaded and theirs == {**ours, "is_video": True}

    return accept


def _accept_path(call: str, theirs: Any, ours: Any) -> bool:
    """In the new layout version 0.1.203 names a settings.xml that is not there, one folder too high."""
    wrong = [path.replace("/Record Node 101/", "/") for path in ours]
    return call.startswith("get_settings_xml_path_from_s3") and "/ecephys/" in ours[0] and theirs == wrong


def _text(ours: Runs, theirs: Runs) -> str:
    text = _seconds_and_requests(ours)
    if not theirs:
        return text
    ratio = median(theirs, "ms") / median(ours, "ms")
    return f"{text}; 0.1.203 {_seconds_and_requests(theirs)}: 1 : {ratio:.{0 if ratio >= 10 else 1}f}"


def _seconds_and_requests(runs: Runs) -> str:
    count = max(int(run["requests"]) for run in runs)
    return f"{median(runs, 'ms') / 1000:.1f} s, {count:,} request{'s' * (count != 1)}"

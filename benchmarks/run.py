"""Measure npc_lims, side by side with the tool in use today where that can do the same. See README.md.

Usage: python benchmarks/run.py [--old PYTHON] [--sizes 500 10000 100000] [--only import,reads,history]
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import getters, history, publishing
from benchmarks.child import Child, Runs, alternate, median, run_code, run_python
from benchmarks.recordings import Recordings
from benchmarks.world import SCRATCH, TASK, World
from npc_lims.model.sections import SECTIONS
from npc_lims.state.sync_file import SYNC_FILE
from tests.servers.codeocean import CodeOceanServer
from tests.servers.faults import FaultyProxy
from tests.servers.raw_github import none_match
from tests.servers.s3 import SeaweedS3
from tests.servers.web import Request, Response, Server

PARTS = ("import", "reads", "sync", "publishing", "history", "getters")
LATENCY = 0.05


@dataclass(frozen=True)
class Row:
    """A line of the table; `ok` says whether an aim was met, None where there is none."""

    what: str
    result: str
    aim: str = ""
    ok: bool | None = None

    def __str__(self) -> str:
        verdict = "" if self.ok is None else "OK" if self.ok else "**MISSED**"
        return f"| {self.what} | {self.result} | {self.aim} | {verdict} |"


class SnapshotServer(Server):
    """Has one snapshot, as raw.githubusercontent.com does: compressed, with a strong ETag; and a `sync.yaml`."""

    def __init__(self, snapshot: bytes) -> None:
        super().__init__()
        self._body = gzip.compress(snapshot, 6)
        self._etag = f'"{hashlib.sha256(snapshot).hexdigest()}"'

    def answer(self, request: Request) -> Response:
        if request.path.endswith(f"/{SYNC_FILE}"):
            return Response(200, {}, b"schema: 1\nsources: {}\n")
        if none_match(request.headers.get("if-none-match", ""), self._etag):
            return Response(304, {"etag": self._etag})
        return Response(200, {"etag": self._etag, "content-encoding": "gzip"}, self._body)


# --- import and the tracked file ------------------------------------------------------------------

PARSE_OLD = """
import time, yaml, npc_lims
import npc_lims.status.tracked_sessions as tracked
start = time.perf_counter()
sessions = tracked._session_info_from_file_contents(yaml.load(open({file!r}, "rb"), Loader=yaml.FullLoader))
result["ms"] = (time.perf_counter() - start) * 1000
assert len(sessions) == {count}
"""
PARSE_NEW = """
import time, npc_lims.sources.tracked.parser as tracked
from pathlib import Path
start = time.perf_counter()
sessions = tracked.read_tracked(Path({file!r})).sessions
result["ms"] = (time.perf_counter() - start) * 1000
assert len(sessions) == {count}
"""


def measure_import(old: str | None) -> Iterator[Row]:
    ways = _ways("import npc_lims", "import npc_lims", old)
    nothing, ours, *theirs = alternate(15, lambda: run_code("pass"), *ways)
    text = f"{median(ours, 'ms'):.1f} ms; process {median(ours, 'wall'):.0f} ms (empty: {median(nothing, 'wall'):.0f})"
    yield Row("import npc_lims", text)
    if theirs:
        ratio = median(theirs[0], "ms") / median(ours, "ms")
        text = f"{median(theirs[0], 'ms'):.0f} ms; process {median(theirs[0], 'wall'):.0f} ms"
        yield Row("import npc_lims 0.1.203", text)
        yield Row("ratio of the imports", f"{ratio:.0f} : 1", ">= 10 : 1", ratio >= 10)


def measure_parsing(old: str | None, folder: Path) -> Iterator[Row]:
    """The tracked file alone: the part of the old tool's `get_session_info()` that needs no network."""
    for count in (100, 500):
        file = folder / f"tracked_{count}.yaml"
        file.write_text(World(20 * count).tracked_text())
        new = PARSE_NEW.format(file=str(file), count=count)
        ours, *theirs = alternate(3, *_ways(new, PARSE_OLD.format(file=str(file), count=count), old))
        text = f"{median(ours, 'ms'):.0f} ms"
        if theirs:
            text += f"; 0.1.203 {median(theirs[0], 'ms'):,.0f} ms"
        yield Row(f"tracked file of {count:,} entries: read and checked", text)


def _ways(new: str, old: str, old_python: str | None) -> list[Callable[[], dict[str, Any]]]:
    ways = [lambda: run_code(new)]
    if old_python is not None:
        ways.append(lambda: run_code(old, python=old_python))
    return ways


# --- reads ----------------------------------------------------------------------------------------

READ = "import npc_lims; result['count'] = len(npc_lims.get_session_info())"
READ_ALL_OF_IT = """
import npc_lims
sessions = npc_lims.get_session_info()
result["count"] = len(sessions)
result["sorted"] = sum(session.is_sorted for session in sessions)
"""
LOOP = """
import npc_lims
result["count"] = sum(npc_lims.get_session_info(session_id).idx == 0 for session_id in {ids!r})
"""
IN_PROCESS = """
import statistics, time, npc_lims
def timed(call, repeat):
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        found = call()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), found
npc_lims.get_session_info()
npc_lims.get_session_info({id!r})
result["by_id"], _ = timed(lambda: npc_lims.get_session_info({id!r}), 201)
result["all"], _ = timed(npc_lims.get_session_info, 11)
result["filters"], found = timed(lambda: npc_lims.get_session_info(is_ephys=True, is_sorted=True), 3)
result["found"] = len(found)
result["subject"], _ = timed(lambda: npc_lims.get_session_info(subject={subject}), 3)
"""


def measure_reads(size: int, folder: Path) -> Iterator[Row]:
    world = World(size)
    snapshot = world.snapshot()
    yield Row(f"{size:,} sessions: snapshot", f"{len(snapshot) / 1e6:.1f} MB")
    ids = [session.id for session in world.sessions[:: max(1, size // 100)][:100]]
    repeat = 11 if size <= 10_000 else 5
    with SnapshotServer(snapshot) as server:
        env = {"NPC_LIMS_RAW_URL": server.url, "NPC_LIMS_CACHE_DIR": str(folder / "cache")}

        def ask(code: str, *, ttl: int = 600, cold: bool = False) -> dict[str, Any]:
            if cold:
                shutil.rmtree(folder / "cache", ignore_errors=True)
            server.reset()
            result = run_code(code, {**env, "NPC_LIMS_TTL": str(ttl)})
            return {**result, "requests": len(server.requests)}

        def ask_one_by_one(cold: bool) -> dict[str, Any]:
            return ask(LOOP.format(ids=ids), cold=cold)

        cold, revalidated, warm = alternate(
            repeat, lambda: ask(READ, cold=True), lambda: ask(READ, ttl=0), lambda: ask(READ)
        )
        for runs in (cold, revalidated, warm):
            assert {run["count"] for run in runs} == {size}
        # the snapshot, and once a day sync.yaml
        yield _read_row(size, "first read, empty cache", cold, "2 requests", lambda runs: _requests(runs) == 2)
        yield _read_row(size, "cached snapshot revalidated (304)", revalidated)
        aim = "< 150 ms, no request" if size == 10_000 else "no request"
        yield _read_row(size, "fresh process, valid cache", warm, aim, lambda runs: _is_quick(runs, size))
        yield _read_row(size, "100 ids in a loop, empty cache", [ask_one_by_one(cold=True)])
        yield _read_row(size, "100 ids in a loop, valid cache", [ask_one_by_one(cold=False) for _ in range(3)])
        inside = ask(IN_PROCESS.format(id=ids[len(ids) // 2], subject=world.sessions[0].subject))
        assert inside["found"] == len(world.tracked)
        yield Row(
            f"{size:,} sessions: in a running process",
            f"by id {inside['by_id']:.2f} ms; all {inside['all']:.1f} ms; "
            f"is_ephys and is_sorted {inside['filters']:.0f} ms; subject {inside['subject']:.0f} ms",
        )
        whole = ask(READ_ALL_OF_IT)
        assert whole["sorted"] == len(world.tracked)
        text = f"{median(warm, 'peak_mb'):.0f} MB; fetched {median(cold, 'peak_mb'):.0f} MB; every flag looked at "
        text += f"{whole['peak_mb']:.0f} MB, {whole['ms']:.0f} ms"
        peak = max(median(warm, "peak_mb"), median(cold, "peak_mb"), whole["peak_mb"])
        if size == 100_000:
            yield Row(f"{size:,} sessions: peak memory", text, "< 500 MB", peak < 500)
        else:
            yield Row(f"{size:,} sessions: peak memory", text)


def _requests(runs: Runs) -> int:
    return max(int(run["requests"]) for run in runs)


def _is_quick(runs: Runs, size: int) -> bool:
    return _requests(runs) == 0 and (size != 10_000 or median(runs, "wall") < 150)


def _read_row(size: int, what: str, runs: Runs, aim: str = "", check: Callable[[Runs], bool] | None = None) -> Row:
    count = _requests(runs)
    text = f"{median(runs, 'ms'):.0f} ms, process {median(runs, 'wall'):.0f} ms; {count} request{'s' * (count != 1)}"
    return Row(f"{size:,} sessions: {what}", text, aim, None if check is None else check(runs))


# --- sync -----------------------------------------------------------------------------------------


def measure_sync(size: int, folder: Path) -> Iterator[Row]:
    world = World(size)
    world.write_state(folder / "expected")
    with _lab(world, folder) as (objects, sync):
        text = f"{size:,} sessions, {len(world.assets()):,} assets, {objects:,} objects"
        yield Row("sync: the world", f"{text}; {LATENCY * 1000:.0f} ms added to each request")
        first, requests = sync()
        _check_state(folder)
        yield Row("first sync", _sync_text(first, requests))
        again = [sync() for _ in range(3)]
        assert not any(json.loads(child.output)["written"] for child, _ in again), "nothing had changed"
        child, requests = sorted(again, key=lambda run: run[0].wall)[1]
        ok = sum(requests.values()) <= 28 and child.cpu <= 4
        yield Row("sync of an unchanged world", _sync_text(child, requests), "<= 28 requests, <= 4 s of CPU", ok)
    child = run_python(sys.executable, ["-m", "npc_lims", "verify", "--state", str(folder / "state")])
    yield Row(f"verify of {size:,} sessions", f"{child.wall:.1f} s, {child.cpu:.1f} s of CPU")


def measure_first_sync(folder: Path) -> Iterator[Row]:
    """Requests for each uploaded session, of a lab with both layouts of raw data and second recordings of a day."""
    world = Recordings(8)
    uploaded = len(world.sessions) - len(world.not_uploaded())
    with _lab(world, folder) as (_, sync):
        each = sum(sync()[1].values()) / uploaded
    yield Row("first sync: requests for each uploaded ephys session", f"{each:.1f}", "<= 6", each <= 6)


@contextlib.contextmanager
def _lab(world: World, folder: Path) -> Iterator[tuple[int, Callable[[], tuple[Child, Counter[str]]]]]:
    """Servers with what the sources see of *world*: the number of objects, and what syncs it and counts requests."""
    folder.mkdir(exist_ok=True)
    (folder / "tracked_sessions.yaml").write_text(world.tracked_text())
    with CodeOceanServer(world.assets()) as codeocean, SeaweedS3() as s3:
        objects = _fill(s3, world)
        with (
            FaultyProxy(codeocean.url, latency=LATENCY) as codeocean_proxy,
            FaultyProxy(s3.endpoint, latency=LATENCY) as s3_proxy,
        ):
            env = {
                **s3.env(),
                "AWS_ENDPOINT_URL": s3_proxy.url,
                "CODE_OCEAN_DOMAIN": codeocean_proxy.url,
                "CODE_OCEAN_API_TOKEN": codeocean.token,
                "NPC_LIMS_CACHE_DIR": str(folder / "cache"),
            }

            def sync() -> tuple[Child, Counter[str]]:
                codeocean_proxy.reset()
                s3_proxy.reset()
                files = ("--state", str(folder / "state"), "--tracked", str(folder / "tracked_sessions.yaml"))
                child = run_python(sys.executable, ["-m", "npc_lims", "sync", *files, "--json"], env)
                requests = Counter(map(_source_of, s3_proxy.requests))
                requests["codeocean"] += len(codeocean_proxy.requests)
                return child, requests

            yield objects, sync


def _fill(s3: SeaweedS3, world: World) -> int:
    """Store every object of the world, and return how many there are."""
    if isinstance(world, Recordings):
        contents = list(world.contents())
        for bucket, key, content in contents:
            s3.put(bucket, key, content)
        return len(contents)
    keys: dict[str, list[str]] = {}
    for bucket, key in world.objects():
        keys.setdefault(bucket, []).append(key)
    for bucket, names in keys.items():
        s3.put_many(bucket, names, b"x")  # an empty stimulus file would not count
    for name, content in world.workbooks():
        s3.put(SCRATCH, f"{TASK}/{name}", content)
    return sum(map(len, keys.values())) + 2


def _source_of(request: Request) -> str:
    """The source on whose behalf S3 was asked."""
    path = request.path.partition("?")[0]
    return "training" if path.endswith(".xlsx") else "codeocean" if path.endswith("/output") else "s3"


def _check_state(folder: Path) -> None:
    """What was synced is what was expected, to the byte."""
    synced, expected = ((folder / name / "sessions.jsonl").read_bytes() for name in ("state", "expected"))
    assert synced == expected, "the sync made another state of this world"


def _sync_text(child: Child, requests: Mapping[str, int]) -> str:
    counts = ", ".join(f"{source} {requests[source]:,}" for source in SECTIONS if requests[source])
    return f"{sum(requests.values()):,} requests ({counts}); {child.wall:.1f} s, {child.cpu:.1f} s of CPU"


# --- all of it ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--old", metavar="PYTHON", help="python of an environment with npc_lims 0.1.203")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 10_000, 100_000], help="sessions to read")
    parser.add_argument("--sync-size", type=int, default=10_000, help="sessions to sync")
    parser.add_argument("--only", metavar="PARTS", default=",".join(PARTS), help=f"of {','.join(PARTS)}")
    arguments = parser.parse_args()
    parts = arguments.only.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--only {','.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    print("| what | result | aim | |\n| --- | --- | --- | --- |", flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        for row in _measure(parts, arguments, Path(temporary)):
            print(row, flush=True)
    print(f"\nPython {sys.version.split()[0]} on {sys.platform}; {time.perf_counter() - start:.0f} s", flush=True)


def _measure(parts: list[str], arguments: argparse.Namespace, folder: Path) -> Iterator[Row]:
    if "import" in parts:
        yield from measure_import(arguments.old)
        yield from measure_parsing(arguments.old, folder)
    if "reads" in parts:
        for size in arguments.sizes:
            yield from measure_reads(size, folder)
    if "sync" in parts:
        yield from measure_sync(arguments.sync_size, folder)
        yield from measure_first_sync(folder / "first")
    if "publishing" in parts:
        for what, result in publishing.measure(folder / "publishing", arguments.sync_size):
            yield Row(what, result)
    if "history" in parts:
        for what, result, aim, ok in history.measure(folder / "history", arguments.sync_size):
            yield Row(what, result, aim, ok)
    if "getters" in parts:
        for what, result in getters.measure(folder / "getters", arguments.old, LATENCY):
            yield Row(what, result)


if __name__ == "__main__":
    main()

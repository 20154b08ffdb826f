"""Simulate state of more sessions than any lab has: sizes, times, and ways to cut the snapshot. See README.md.

Usage: python benchmarks/scale.py [--sizes 10000 100000 1000000] [--results FILE] [--scratch DIR]

Times are seconds of CPU of all processes that take part, so that a busy machine tells much the same. A million sessions
take an hour on a busy machine, 5 GB of memory and 12 GB of disk; with --results they can be measured by themselves, and
the table is of all that the file holds.
"""

from __future__ import annotations

import argparse
import datetime
import gzip
import json
import platform
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import repositories
from benchmarks.child import run_python
from benchmarks.growing import SYNCS_A_DAY, GrowingLab, session_file
from benchmarks.repositories import Measured
from benchmarks.run import SnapshotServer
from benchmarks.shards import WAYS, Cut, Fetch, Way
from npc_lims.dashboard.past import Past
from npc_lims.dashboard.site.data import as_json, sessions_file
from npc_lims.state.snapshot import newest_first, parse_line
from npc_lims.utils.yaml import render_yaml
from tests.servers.web import Request, Response

HARD_LIMIT = 100 * 2**20
"""GitHub refuses a push with a larger file."""
SNAPSHOT_WAY = WAYS[0]
# The way that is measured in git where one file would be refused.
BEYOND = WAYS[1]
# Committing and packing a snapshot of 100 MB takes minutes: what a hundred syncs make is worked out from fewer.
SYNCS = {10_000: 100, 100_000: 20, 1_000_000: 8}
# Building the site holds every session as plain data, some 10 kB each.
PARSED_AT_ONCE = 200_000

Results = dict[str, dict[str, tuple[float, str]]]


class StateServer(SnapshotServer):
    """Raw GitHub with one snapshot, and the file of one session."""

    def __init__(self, snapshot: bytes, path: str, content: bytes) -> None:
        super().__init__(snapshot)
        self._path, self._content = path, content

    def answer(self, request: Request) -> Response:
        if request.path.endswith(self._path):
            return Response(200, {}, self._content)
        return super().answer(request)


def measure(size: int, syncs: int, folder: Path) -> Iterator[Measured]:
    lab = GrowingLab(size)
    cut = repositories.import_state(folder, lab.keep_all(), _cut_as_allowed)
    yield from _sizes(cut.lines)
    if size <= PARSED_AT_ONCE:
        yield from _site(cut.lines)
    yield from _reads(cut.lines, folder)
    for way in WAYS:
        yield from _fetches(way, cut.lines, GrowingLab(size))
    yield _week(GrowingLab(size))
    yield from repositories.measure(folder, lab, cut, syncs)
    if size <= min(SYNCS):
        yield from _growth_by_way(size, folder, cut.lines)


def _cut_as_allowed(lines: Mapping[str, bytes]) -> Cut:
    """One file as long as GitHub takes it."""
    size = sum(len(line) + 1 for line in lines.values())
    return Cut(SNAPSHOT_WAY if size < HARD_LIMIT else BEYOND, lines)


def _sizes(lines: Mapping[str, bytes]) -> Iterator[Measured]:
    snapshot = _snapshot(lines)
    yield Measured("sessions.jsonl", len(snapshot), "B")
    yield Measured("sessions.jsonl, compressed", len(gzip.compress(snapshot, 6)), "B")
    subjects = Counter(session.partition("_")[0] for session in lines)
    yield Measured("entries of state/sessions", len(subjects), "folders")
    yield Measured("entries of a subject's folder, at most", max(subjects.values()), "files")


def _site(lines: Mapping[str, bytes]) -> Iterator[Measured]:
    """The file that the site's table of sessions is made of."""
    records = [parse_line(lines[session]) for session in newest_first(lines)]
    content = as_json(
        sessions_file(records, Past(datetime.datetime.now(datetime.timezone.utc)), "2026-01-01T00:00:00Z")
    )
    yield Measured("the site's sessions.json", len(content), "B")
    yield Measured("the site's sessions.json, compressed", len(gzip.compress(content, 6)), "B")


def _snapshot(lines: Mapping[str, bytes]) -> bytes:
    return b"".join(lines[session] + b"\n" for session in newest_first(lines))


READS = {
    "fetch all sessions": "len(npc_lims.get_session_info())",
    "all sessions, cached on disk": "len(npc_lims.get_session_info())",
    "filter all, cached on disk": "len(npc_lims.get_session_info(is_ephys=True, is_sorted=True))",
    "one session, empty cache": "npc_lims.get_session_info({id!r}).id",
}


def _reads(lines: Mapping[str, bytes], folder: Path) -> Iterator[Measured]:
    """The library in fresh processes, start of Python included; in turns, medians."""
    session = sorted(lines)[len(lines) // 2]
    facts = parse_line(lines[session])
    del facts["digest"]
    tracked = sum(b'"tracked":{' in line for line in lines.values())
    answers = {session, str(len(lines)), str(tracked)}
    taken: dict[str, list[float]] = {what: [] for what in READS}
    with StateServer(_snapshot(lines), session_file(session), render_yaml(facts).encode()) as server:
        for turn in range(3):
            caches = {"one session, empty cache": folder / f"other-cache-{turn}"}
            for what, code in READS.items():
                cache = caches.get(what, folder / f"cache-{turn}")
                env = {"NPC_LIMS_RAW_URL": server.url, "NPC_LIMS_CACHE_DIR": str(cache), "NPC_LIMS_TTL": "3600"}
                child = run_python(sys.executable, ["-c", f"import npc_lims; print({code.format(id=session)})"], env)
                assert child.output.strip() in answers, f"{code}: {child.output}"
                taken[what].append(child.cpu)
    for what, times in taken.items():
        yield Measured(what, statistics.median(times), "s")


def _fetches(way: Way, lines: Mapping[str, bytes], lab: GrowingLab) -> Iterator[Measured]:
    """What readers fetch where the snapshot is cut in this way; yesterday is as many syncs ago as a day has."""
    cut = Cut(way, lines)
    name = f"by {way.name}" if way is not SNAPSHOT_WAY else way.name
    yield Measured(f"{name}: files", len(cut.shards), "files")
    yield Measured(f"{name}: the largest", cut.largest, "B")
    yield from _fetched(f"{name}: all sessions", cut.fetch_all())
    yield from _fetched(f"{name}: one subject", cut.fetch_subject(lab.subject_in_the_middle()))
    stored: list[int] = []
    changed: set[str] = set()
    for _ in range(SYNCS_A_DAY):
        keys = cut.change(lab.sync())
        stored.append(cut.stored(keys))
        changed |= keys
    yield from _fetched(f"{name}: since yesterday", cut.fetch_changed(changed))
    without = cut.fetch_changed_without_index(changed)
    yield Measured(
        f"{name}: since yesterday, without index: requests", without.requests + without.unchanged, "requests"
    )
    yield Measured(f"{name}: a commit stores, not packed", statistics.mean(stored), "B")


def _week(lab: GrowingLab) -> Measured:
    """A file of its own with the newest line of each session that changed within a week."""
    lines = {kept.id: kept.line for _ in range(7 * SYNCS_A_DAY) for kept in lab.sync()}
    return Measured("the lines that changed within a week, compressed", len(gzip.compress(_snapshot(lines), 6)), "B")


def _fetched(what: str, fetch: Fetch) -> Iterator[Measured]:
    yield Measured(f"{what}: requests", fetch.requests, "requests")
    yield Measured(what, fetch.bytes, "B")


def _growth_by_way(size: int, folder: Path, lines: Mapping[str, bytes]) -> Iterator[Measured]:
    """What 100 syncs of the snapshot alone add to a repository."""
    for way in (SNAPSHOT_WAY, WAYS[-1]):
        for compress in (False, True):
            lab = GrowingLab(size)
            changes = [lab.sync() for _ in range(100)]
            loose, packed = repositories.packed_growth(folder / "growth", Cut(way, lines), changes, compress)
            name = f"{way.name}{', committed as gzip' if compress else ''}: 100 syncs of it alone"
            yield Measured(f"{name}, not packed", loose, "B")
            yield Measured(f"{name}, packed", packed, "B")


# --- the table ------------------------------------------------------------------------------------


def format_amount(amount: float, unit: str) -> str:
    """
    >>> format_amount(9_430_000, "B"), format_amount(0.0421, "s"), format_amount(20_000, "folders")
    ('9.4 MB', '42 ms', '20,000')
    """
    if unit == "B":
        return f"{amount / 1e6:,.1f} MB" if amount >= 1e5 else f"{amount / 1e3:,.1f} kB"
    if unit == "s":
        return f"{amount:,.1f} s" if amount >= 1 else f"{amount * 1000:.0f} ms"
    return f"{amount:,.0f}"


def table(results: Results) -> Iterator[str]:
    """A row for each thing measured, a column for each size: what it is, and how many times that of the first."""
    sizes = sorted(results, key=int)
    yield f"| what | {' | '.join(f'{int(size):,}' for size in sizes)} |"
    yield "| --- |" + " --- |" * len(sizes)
    for what in dict.fromkeys(what for size in sizes for what in results[size]):
        cells = [_cell(results, what, size, sizes[0]) for size in sizes]
        yield f"| {what} | {' | '.join(cells)} |"


def _cell(results: Results, what: str, size: str, first: str) -> str:
    if what not in results[size]:
        return ""
    amount, unit = results[size][what]
    text = format_amount(amount, unit)
    if size == first or not results[first].get(what, (0,))[0]:
        return text
    return f"{text} ({amount / results[first][what][0]:.3g})"


def machine() -> str:
    """What it was measured on, as far as Python knows."""
    memory = ""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        memory = f", {int(meminfo.read_text().split()[1]) / 2**20:.0f} GB of memory"
    processors = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in processors.read_text().splitlines() if "model name" in line]
    return f"{len(models)} x {models[0]}{memory}, Python {platform.python_version()} on {sys.platform}"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000], help="numbers of sessions")
    parser.add_argument("--syncs", type=int, help="syncs to simulate; by default fewer the more sessions")
    parser.add_argument("--results", type=Path, metavar="FILE", help="JSON to add the figures to, for one table of all")
    parser.add_argument("--scratch", type=Path, help="a folder with room for gigabytes")
    given = parser.parse_args(arguments)
    results: Results = {}
    if given.results is not None and given.results.exists():
        results = json.loads(given.results.read_text())
    for size in given.sizes:
        syncs = given.syncs or next((SYNCS[known] for known in sorted(SYNCS) if size <= known), min(SYNCS.values()))
        results[str(size)] = found = {}
        start = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=given.scratch) as temporary:
            for what, amount, unit in measure(size, syncs, Path(temporary)):
                print(f"{size:,} {what}: {format_amount(amount, unit)}", file=sys.stderr, flush=True)
                found[what] = (amount, unit)
        found["syncs simulated"] = (syncs, "syncs")
        found["all of it took"] = (time.perf_counter() - start, "s")
        if given.results is not None:
            given.results.write_text(json.dumps(results, indent=1))
    print("\n".join(table(results)))
    print(f"\n{machine()}")


if __name__ == "__main__":
    main()

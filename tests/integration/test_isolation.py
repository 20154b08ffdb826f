"""Whatever one source meets, the other three are observed, and what nobody planned for has its details in a file."""

from __future__ import annotations

import datetime
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import npc_lims
from npc_lims.cli import ExitCode
from npc_lims.config.error_boundary import describe_unexpected, source_failure
from npc_lims.config.settings import Settings
from npc_lims.demo.files import write_world
from npc_lims.errors import NpcLimsWarning, StateError
from npc_lims.model.record import Observation, Record, Tracked, Training
from npc_lims.sessions.live import find_session
from npc_lims.state.store import read_state, write_state
from npc_lims.sync.observation_file import EVERYTHING, ObservationSet
from npc_lims.sync.run import Report, SourceProgress, SyncOptions, SyncResult, apply, sync

_SECRET = "an-invented-secret-of-aws"


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> SyncResult:
    """What a sync of an unharmed world observes."""
    folder = tmp_path_factory.mktemp("clean")
    write_world(folder, 1)
    return run(folder)


def settings_of(folder: Path) -> Settings:
    return Settings(mirror=folder / "mirror", cache_dir=folder / "cache", backoff=0)


def run(folder: Path, report: Report | None = None) -> SyncResult:
    options = SyncOptions(state=folder / "state", tracked=folder / "tracked_sessions.yaml")
    return sync(settings_of(folder), options, report)


def _assets(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """A change of every data asset."""

    def harm(folder: Path) -> None:
        path = folder / "mirror" / "codeocean" / "data_assets.json"
        assets = json.loads(path.read_bytes())
        for asset in assets:
            change(asset)
        path.write_text(json.dumps(assets))

    return harm


def _located(**location: str) -> Callable[[Path], None]:
    return _assets(lambda asset: asset.update(source_bucket={"origin": "aws", "external": True, **location}))


def _content(path: str, content: bytes) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        for one in folder.glob(path):
            one.write_bytes(content)

    return harm


_CODEOCEAN = "mirror/codeocean/data_assets.json"
_WORKBOOKS = "mirror/s3/*/**/*.xlsx"
_HARM = {
    "nul in a bucket": ("codeocean", _located(bucket="a\0b", prefix="c")),
    "nul in a prefix": ("codeocean", _located(bucket="aind-ephys-data", prefix="a\0b")),
    "lone surrogate": ("codeocean", _located(bucket="aind-ephys-data", prefix="a\ud800")),
    "endless name": ("codeocean", _located(bucket="aind-ephys-data", prefix="a" * 5000)),
    "nested json": ("codeocean", _content(_CODEOCEAN, b"[" * 100_000)),
    "no json": ("codeocean", _content(_CODEOCEAN, b"\xff\xfe\0")),
    "no workbook": ("training", _content(_WORKBOOKS, b"PK\x03\x04" * 1000)),
    "no text": ("tracked", _content("tracked_sessions.yaml", b"\xff\xfe\0\xd8")),
    "nested yaml": ("tracked", _content("tracked_sessions.yaml", b"ephys: " + b"[" * 100_000)),
}


@pytest.mark.parametrize("harmed", _HARM)
def test_a_source_that_breaks_stops_no_other(tmp_path: Path, clean: SyncResult, harmed: str) -> None:
    write_world(tmp_path, 1)
    source, harm = _HARM[harmed]
    harm(tmp_path)

    result = run(tmp_path)

    found = {one.source: one for one in result.observations}
    assert set(found) == {"tracked", "training", "codeocean", "s3"}
    failure = found[source].failure
    assert failure is not None
    assert failure.reason.isprintable()
    for one in clean.observations:
        if one.source in ("tracked", "training") and one.source != source:
            assert found[one.source].facts == one.facts
            assert found[one.source].failure is None
    if source != "codeocean":
        assert found["codeocean"].failure is None
    assert (tmp_path / "state" / "sessions.jsonl").is_file()


@pytest.mark.parametrize("harmed", ["nul in a prefix", "nested json", "nested yaml", "no workbook"])
def test_a_live_lookup_goes_on_without_a_source_that_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harmed: str
) -> None:
    write_world(tmp_path, 1)
    source, harm = _HARM[harmed]
    harm(tmp_path)
    (tmp_path / "state").mkdir()
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "cache"))
    settings = settings_of(tmp_path).replace(state=tmp_path / "state")
    npc_lims.clear_caches()

    record, reasons = find_session(settings, "901001_2024-03-11")

    assert record is not None
    assert bool(record.tracked) == (source != "tracked")
    assert any(source in reason for reason in reasons)
    assert all(reason.isprintable() for reason in reasons)


_TRAINED = "901001_2024-03-11"


def _row(start: str) -> Training:
    return Training.model_construct(nsb=False, row=1, start_time=start, other_rows=[])


def _observed(*observations: Observation) -> ObservationSet:
    return ObservationSet(observations, EVERYTHING, datetime.datetime(2026, 11, 1, tzinfo=datetime.timezone.utc))


def test_facts_that_cannot_be_reconciled_fail_their_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As those of another version might be."""
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "cache"))
    entry = Tracked(platform="ephys", project="P", allen_path="//a/b_901001_20240311", experiment_day=1)
    rows = {_TRAINED: _row("yesterday"), f"{_TRAINED}_1": _row("2024-03-11 10:00:00")}

    result = apply(
        tmp_path / "state",
        _observed(Observation("training", rows), Observation("tracked", {_TRAINED: entry}, complete=True)),
    )

    (failure,) = result.failures
    assert failure.source == "training"
    assert failure.reason.startswith("unexpected ValueError; details in ")
    assert result.after[_TRAINED].tracked == entry
    assert not result.after[_TRAINED].training


def test_a_recorded_start_that_is_none_is_an_error_of_the_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As somebody may have edited it."""
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "cache"))
    entry = Tracked(platform="ephys", project="P", allen_path="//a/b_901001_20240311", experiment_day=1)
    first = Record(id=_TRAINED, tracked=entry, training=_row("yesterday"))
    second = Record(id=f"{_TRAINED}_1", tracked=False, training=_row("2024-03-11 10:00:00"))
    write_state(tmp_path / "state", read_state(tmp_path / "state"), {one.id: one for one in (first, second)})

    with pytest.raises(StateError, match=r"training.start_time: .*should match pattern"):
        apply(tmp_path / "state", _observed(Observation("s3")))


@pytest.mark.parametrize("phase", ["begin", "items", "end"])
def test_a_report_that_breaks_stops_nothing(tmp_path: Path, clean: SyncResult, phase: str) -> None:
    def report(progress: SourceProgress) -> None:
        """Fail to write where progress is shown."""
        if phase == ("end" if progress.observation else "begin" if progress.done is None else "items"):
            raise UnicodeEncodeError("ascii", "✓", 0, 1, "ordinal not in range")

    write_world(tmp_path, 1)
    with pytest.warns(NpcLimsWarning, match="progress is not shown: unexpected UnicodeEncodeError; details in") as told:
        result = run(tmp_path, report)
    assert len(told) == 1
    assert result.failures == ()
    assert [one.facts for one in result.observations] == [one.facts for one in clean.observations]


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_details_are_in_a_private_file_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", _SECRET)
    error = _raised(ValueError(f"Invalid header value {_SECRET}\n::error::x\x1b[2J"))

    failure = source_failure("s3", error, settings_of(tmp_path))

    (path,) = (tmp_path / "cache" / "failures").iterdir()
    assert failure.reason == f"unexpected ValueError; details in {path}"
    details = path.read_text()
    assert "Traceback" in details and "Invalid header value ***" in details
    assert _SECRET not in details and "\x1b" not in details and "\n::error" not in details
    if os.name != "nt":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # what is recorded of it does not change from sync to sync
    assert source_failure("s3", error, settings_of(tmp_path)).reason == failure.reason


def test_details_are_bounded(tmp_path: Path) -> None:
    for number in range(60):
        describe_unexpected(_raised(ValueError("x" * 2**21 if number == 0 else str(number))), settings_of(tmp_path))
    files = list((tmp_path / "cache" / "failures").iterdir())
    assert len(files) == 50
    assert max(path.stat().st_size for path in files) <= 2**20


def test_a_cache_that_cannot_be_written_is_no_second_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    told = describe_unexpected(_raised(ValueError("a\nb")), settings_of(tmp_path))
    assert told.startswith("unexpected ValueError (a b); its details could not be written to ")


def test_a_command_that_breaks_is_one_line(tmp_path: Path) -> None:
    """Here an installed package is damaged: the import of one module raises."""
    write_world(tmp_path, 1)
    broken = "import sys\nclass Finder:\n    def find_spec(self, name, *_):\n"
    broken += f"        if name == 'npc_lims.sync.run': raise RuntimeError('damaged {_SECRET}\\n::error::x')\n"
    broken += "sys.meta_path.insert(0, Finder())\nsys.argv[1:] = ['sync']\nfrom npc_lims.cli import main\nmain()"
    environment = {
        **os.environ,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "NPC_LIMS_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run([sys.executable, "-c", broken], capture_output=True, text=True, env=environment, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (ExitCode.UNEXPECTED, "")
    (path,) = (tmp_path / "cache" / "failures").iterdir()
    assert done.stderr.startswith(f"npc-lims: error: unexpected RuntimeError; details in {path}; report it")
    assert done.stderr.count("\n") == 1
    assert "damaged ***" in path.read_text()

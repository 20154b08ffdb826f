"""NPC_LIMS_OFFLINE and --offline: answers from the folder or the cached snapshot, and not one connection."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable
from urllib.parse import urlsplit

import pytest

import npc_lims
from tests.integration.world import GitHub, cached_files, run_cli
from tests.paths.asked import NEW, NEW_ROOT

ADDRESSES = ("NPC_LIMS_PAGES_URL", "CODE_OCEAN_DOMAIN", "GITHUB_API_URL", "AWS_ENDPOINT_URL", "NPC_LIMS_PYPI_URL")
UNKNOWN = "901005_2024-11-04"
DAY = 24 * 3600


class Counter:
    """Counts connections, each of which is closed, or passed on to a server while there is one to *pass_to*."""

    def __init__(self, pass_to: str) -> None:
        self.connections = 0
        self.pass_to: str | None = pass_to
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            if self.pass_to is None:
                connection.close()
                continue
            server = socket.create_connection(("127.0.0.1", urlsplit(self.pass_to).port or 0))
            for ends in ((connection, server), (server, connection)):
                threading.Thread(target=self._pass, args=ends, daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(65536):
                target.sendall(data)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def counter(github: GitHub, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter]:
    """In place of all services, after the snapshot was cached three days ago; there are credentials for all of them."""
    listening = Counter(github.raw.url)
    monkeypatch.setenv("NPC_LIMS_RAW_URL", listening.url)
    assert len(npc_lims.get_session_info()) > 20
    assert listening.connections > 0
    now = time.time()
    for path in cached_files():
        os.utime(path, (now - 3 * DAY, now - 3 * DAY))
    listening.connections, listening.pass_to = 0, None
    for name in ADDRESSES:
        monkeypatch.setenv(name, listening.url)
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", "cop_0123456789abcdef0123")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_0123456789abcdef0123")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA0123456789ABCDEF")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "0123456789abcdef0123")
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    npc_lims.clear_caches()
    yield listening
    listening.close()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def answer(query: Callable[[], Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", npc_lims.StaleStateWarning)
        try:
            return query()
        except npc_lims.NpcLimsError as error:
            return error


def test_python_connects_to_nothing(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_OFFLINE", "1")
    with pytest.warns(npc_lims.StaleStateWarning, match="offline: using the copy of .* that is 3 days old"):
        info = npc_lims.get_session_info(NEW, ttl_seconds=0)
    assert (info.is_sorted, str(info.cloud_path)) == (True, NEW_ROOT)
    assert str(npc_lims.get_raw_data_root(NEW)) == NEW_ROOT
    assert npc_lims.get_session_sorted_data_asset(NEW).name.startswith("ecephys_901003_2024-10-21")
    assert npc_lims.state_origin().age == pytest.approx(3 * DAY, abs=600)
    assert npc_lims.get_session_info(info.raw_asset_id or "").id == NEW
    refused: list[Callable[[], Any]] = [
        lambda: npc_lims.get_session_info("901003_2024-10-30"),
        lambda: npc_lims.get_session_info("00000000-0000-0000-0000-000000000000"),
        lambda: npc_lims.get_session_info(NEW, at="2024-06-01"),
        lambda: npc_lims.get_session_sorted_data_asset(UNKNOWN),
        lambda: npc_lims.get_sorted_data_paths_from_s3(NEW),
        lambda: npc_lims.get_subject_data_assets(901003),
        lambda: npc_lims.get_session_history(NEW),
        npc_lims.get_current_cache_version,
        npc_lims.get_codeocean_client,
        npc_lims.get_probe_target_db,
        npc_lims.get_training_spreadsheet_paths,
    ]
    found = [str(answer(query)) for query in refused]
    assert [text for text in found if "NPC_LIMS_OFFLINE is set, so nothing is requested" not in text] == []
    assert counter.connections == 0


def test_unknown_facts_stay_unknown(
    counter: Counter, demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(demo_state, tmp_path / "state"))
    path = folder / "sessions" / "901001" / "901001_2024-03-13.yaml"
    text = path.read_text()
    for flag in ("is_sorted", "is_surface_channels"):
        assert f"{flag}: true" in text
        text = text.replace(f"{flag}: true", f"{flag}: null")
    path.write_text(text)
    monkeypatch.setenv("NPC_LIMS_STATE", str(folder))
    monkeypatch.setenv("NPC_LIMS_OFFLINE", "yes")
    info = npc_lims.get_session_info("901001_2024-03-13")
    assert (info.is_sorted, info.is_surface_channels) == (None, None)
    assert info.is_surface_channels_sorted is True
    assert counter.connections == 0


@pytest.mark.filterwarnings("default::npc_lims.StaleStateWarning")
def test_the_command_line_connects_to_nothing(counter: Counter) -> None:
    for command in (
        ["--offline", "sessions", "--is", "sorted"],
        ["sessions", "--offline", "--subject", "901003"],
        ["show", NEW, "--offline"],
        ["show", NEW, "--web", "--offline"],
        ["paths", NEW, "--kind", "raw", "--offline"],
        ["--offline"],
    ):
        npc_lims.clear_caches()  # a warning is given once
        done = run_cli(*command)
        assert done.code == 0 and done.out, (command, done)
        assert "3 days old" in done.err or "3 days" in done.out or "--web" in command, (command, done)
    for command in (["history", NEW], ["show", "901003_2024-10-30"], ["sessions", "--at", "2024-06-01"]):
        done = run_cli(*command, "--offline")
        assert (done.code, done.out) != (0, ""), (command, done)
        assert "NPC_LIMS_OFFLINE" in done.err, (command, done)
    assert counter.connections == 0
    assert "NPC_LIMS_OFFLINE" not in os.environ
    run_cli("sessions")
    assert counter.connections > 0, "without the option it is asked"


@pytest.mark.parametrize(
    "command",
    [
        *(["sync"], ["observe", "out.json"], ["publish"], ["dispatch"], ["alert"], ["doctor"]),
        *(["process", "run"], ["process", "collect"], ["sessions", "--watch"]),
    ],
)
def test_what_cannot_work_refuses_in_one_sentence(counter: Counter, command: list[str]) -> None:
    done = run_cli(*command, "--offline")
    assert done.code == 2, done
    assert done.err.count("\n") == 1
    assert "needs the network: leave out --offline, or unset NPC_LIMS_OFFLINE" in done.err
    assert counter.connections == 0


def test_a_folder_is_read_as_ever(demo_state: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    expected = npc_lims.to_records()
    monkeypatch.setenv("NPC_LIMS_OFFLINE", "1")
    assert npc_lims.to_records() == expected


def test_without_a_snapshot_the_error_says_so(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_OFFLINE", "1")
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/never-read")
    for session in (None, NEW):
        with pytest.raises(npc_lims.RemoteStateError, match=r"no snapshot of .*lab/never-read.* is cached") as raised:
            npc_lims.get_session_info(session)
        assert len(str(raised.value).split()) <= 40
    monkeypatch.setenv("NPC_LIMS_OFFLINE", "perhaps")
    with pytest.raises(npc_lims.SettingsError, match="NPC_LIMS_OFFLINE: must be 1"):
        npc_lims.get_session_info()

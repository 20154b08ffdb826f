"""The status site's copy of the snapshot, which is read where raw GitHub refuses."""

from __future__ import annotations

import json
import os
import time
import warnings
from pathlib import Path

import pytest

import npc_lims
from npc_lims.config.settings import Settings
from npc_lims.state.published import mirror_url, site_url
from tests.integration.world import GITHUB_TOKEN, UPLOADED, GitHub, cached_files, down, without_checks
from tests.servers.faults import Drip, Fault, FaultyProxy, Reset, Status, Truncate
from tests.servers.fixtures import Serve
from tests.servers.pages import PagesServer
from tests.servers.web import Request

REFUSED = Status(429, {"Retry-After": "1800"})
HOUR = 3600.0


class Site:
    """GitHub Pages behind a proxy, with the published snapshot."""

    def __init__(self, serve: Serve, snapshot: bytes) -> None:
        self.pages = serve(PagesServer())
        self.proxy = serve(FaultyProxy(self.pages.url))
        self.snapshot = snapshot
        self.deploy(0)

    @property
    def requests(self) -> list[Request]:
        return without_checks(self.proxy)

    def deploy(self, ago: float, snapshot: bytes | None = None) -> None:
        self.pages.deploy({"sessions.jsonl": self.snapshot if snapshot is None else snapshot}, time.time() - ago)


@pytest.fixture
def site(github: GitHub, demo_state: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site(serve, (demo_state / "sessions.jsonl").read_bytes())
    monkeypatch.setenv("NPC_LIMS_PAGES_URL", made.proxy.url)
    return made


@pytest.fixture
def refused(github: GitHub) -> None:
    github.proxy.rule = lambda request: REFUSED


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that the clock of this process is ahead, which a test may change."""
    ahead, clock = [0.0], time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + ahead[0])
    return ahead


def read() -> list[str]:
    return [str(info.id) for info in npc_lims.get_session_info()]


def read_from_mirror(warned: str = "using mirror") -> list[str]:
    with pytest.warns(npc_lims.StaleStateWarning, match=warned) as caught:
        found = read()
    assert len(caught) == 1
    assert npc_lims.state_origin().kind == "mirror"
    return found


def let_age(seconds: float) -> None:
    """Let everything kept be that old, and forget what this process remembers."""
    for path in cached_files():
        then = time.time() - seconds
        os.utime(path, (then, then))
    npc_lims.clear_caches()


def without_sorting(snapshot: bytes) -> bytes:
    return snapshot.replace(b'"is_sorted":true', b'"is_sorted":false')


def ids_of(snapshot: bytes) -> list[str]:
    return [json.loads(line)["id"] for line in snapshot.splitlines()]


# --- where it is


@pytest.mark.parametrize(
    ("settings", "site", "mirror"),
    [
        ({}, "https://alleninstitute.github.io/npc_lims", True),
        ({"repo": "Some-Lab/State.X"}, "https://some-lab.github.io/State.X", True),
        ({"repo": "Lab/lab.github.io"}, "https://lab.github.io", True),
        ({"ref": "a-branch"}, "https://alleninstitute.github.io/npc_lims", False),
        ({"raw_url": "https://github.lab.org/raw"}, None, False),
        ({"raw_url": "https://github.lab.org/raw", "pages_url": "https://lab.org/site/"}, "https://lab.org/site", True),
        ({"pages_url": "off"}, None, False),
        ({"pages_url": "http://127.0.0.1:8000"}, "http://127.0.0.1:8000", True),
    ],
)
def test_the_address_of_the_site_and_of_the_mirror(settings: dict[str, str], site: str | None, mirror: bool) -> None:
    made = Settings(**settings)
    assert site_url(made) == site
    assert mirror_url(made) == (f"{site}/sessions.jsonl" if mirror else None)


@pytest.mark.parametrize("value", ["http://lab.org", "lab.org", "https://user:pass@lab.org"])
def test_an_address_that_cannot_be_used(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_PAGES_URL", value)
    with pytest.raises(npc_lims.SettingsError, match="NPC_LIMS_PAGES_URL"):
        npc_lims.get_session_info()


# --- when it is read


@pytest.mark.usefixtures("refused")
def test_where_raw_github_refuses_the_mirror_answers(github: GitHub, site: Site) -> None:
    site.deploy(2 * HOUR)
    assert read_from_mirror("answered 429.*using mirror: .*/sessions.jsonl, 2 h old") == ids_of(site.snapshot)
    assert (len(github.requests), len(site.requests)) == (1, 1)
    npc_lims.clear_caches()
    assert npc_lims.get_session_info(UPLOADED).is_uploaded
    assert read() == ids_of(site.snapshot)
    assert (len(github.requests), len(site.requests)) == (1, 1), "it is kept as long as any other copy"
    origin = npc_lims.state_origin()
    assert (origin.kind, origin.place) == ("mirror", f"{site.proxy.url}/sessions.jsonl")
    assert origin.age is not None and 2 * HOUR <= origin.age < 3 * HOUR


@pytest.mark.usefixtures("refused")
def test_one_session_costs_one_refusal_and_then_the_mirror(github: GitHub, site: Site) -> None:
    with pytest.warns(npc_lims.StaleStateWarning, match="using mirror"):
        assert npc_lims.get_session_info(UPLOADED).is_uploaded
    for session_id in ids_of(site.snapshot):
        assert npc_lims.get_session_info(session_id).id == session_id
    assert (len(github.requests), len(site.requests)) == (1, 1)


@pytest.mark.parametrize("fault", [Status(503), Status(429), Reset(100), Truncate(100), Status(200, {}, b"<html>")])
def test_where_raw_github_fails_the_mirror_answers(github: GitHub, site: Site, fault: Fault) -> None:
    github.proxy.rule = lambda request: fault
    assert read_from_mirror() == ids_of(site.snapshot)


def test_where_raw_github_cannot_be_reached_the_mirror_answers(github: GitHub, site: Site) -> None:
    with down(github.proxy):
        assert read_from_mirror() == ids_of(site.snapshot)


def test_where_raw_github_answers_the_mirror_is_left_alone(
    github: GitHub, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read()
    let_age(HOUR)
    assert read()
    monkeypatch.setenv("NPC_LIMS_REPO", "lab/none")
    with pytest.raises(npc_lims.RemoteStateError, match="there is nothing at"):
        read()
    assert len(site.requests) == 0, "a repository without state has no mirror"


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize(("name", "value"), [("NPC_LIMS_REF", "other"), ("NPC_LIMS_PAGES_URL", "off")])
def test_another_branch_has_no_mirror_and_it_can_be_turned_off(
    site: Site, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(npc_lims.RemoteStateError, match="429"):
        read()
    assert len(site.requests) == 0


@pytest.mark.usefixtures("refused")
def test_the_mirror_is_never_given_a_token(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(os.environ["HOME"], ".netrc").write_text("machine 127.0.0.1 login somebody password secret\n")
    monkeypatch.setenv("GITHUB_TOKEN", GITHUB_TOKEN)
    read_from_mirror()
    assert "authorization" not in site.requests[0].headers


# --- how long each is left alone


@pytest.mark.usefixtures("refused")
def test_raw_github_is_left_alone_for_as_long_as_it_asks(github: GitHub, site: Site, later: list[float]) -> None:
    read_from_mirror()
    for ahead in (100, 1700):
        later[0] = ahead
        assert npc_lims.get_session_info(ttl_seconds=0)
    assert (len(github.requests), len(site.requests)) == (1, 3)
    later[0] = 1900
    assert npc_lims.get_session_info(ttl_seconds=0)
    assert len(github.requests) == 2


@pytest.mark.parametrize(("asked", "until"), [("0", 60), ("7", 60), ("86400", 1800), ("soon", 60)])
def test_but_no_longer_than_half_an_hour_and_a_minute_at_least(
    github: GitHub, site: Site, later: list[float], asked: str, until: float
) -> None:
    github.proxy.rule = lambda request: Status(429, {"Retry-After": asked})
    read_from_mirror()
    count = len(github.requests)
    later[0] = until - 5
    assert npc_lims.get_session_info(ttl_seconds=0)
    assert len(github.requests) == count
    later[0] = until + 5
    assert npc_lims.get_session_info(ttl_seconds=0)
    assert len(github.requests) > count


# --- what it is compared with


def test_etags_are_cached_apart(github: GitHub, site: Site) -> None:
    assert read()
    raw_etag = json.loads(cached_files()[0].read_bytes().partition(b"\n")[0])["etag"]
    let_age(3 * HOUR)
    github.proxy.rule = lambda request: REFUSED
    read_from_mirror()
    assert "if-none-match" not in site.requests[0].headers
    let_age(3 * HOUR)
    read_from_mirror()
    sent = site.requests[1].headers["if-none-match"]
    assert sent and sent != raw_etag
    let_age(3 * HOUR)
    github.proxy.rule = None
    assert read() and npc_lims.state_origin().kind in ("github", "cache")
    assert github.requests[-1].headers["if-none-match"] == raw_etag


def test_a_mirror_that_is_newer_than_the_cached_copy_is_read(github: GitHub, site: Site) -> None:
    assert any(info.is_sorted for info in npc_lims.get_session_info(is_ephys=True))
    let_age(3 * HOUR)
    site.deploy(HOUR, without_sorting(site.snapshot))
    github.proxy.rule = lambda request: REFUSED
    read_from_mirror()
    assert npc_lims.get_session_info(is_sorted=True) == ()
    assert len(cached_files()) == 2


@pytest.mark.parametrize("kept_before_deployed", [-HOUR, 0, 300])
def test_a_mirror_that_may_be_older_than_the_cached_copy_is_not(
    github: GitHub, site: Site, kept_before_deployed: float
) -> None:
    """A site is deployed some minutes after the checkout that it is made from."""
    before = read()
    let_age(3 * HOUR + kept_before_deployed)
    site.deploy(3 * HOUR, without_sorting(site.snapshot))
    github.proxy.rule = lambda request: REFUSED
    with pytest.warns(npc_lims.StaleStateWarning, match="nothing newer.*using the copy of .* h old"):
        assert read() == before
    assert npc_lims.state_origin().kind == "stale cache"
    assert npc_lims.get_session_info(is_sorted=True) != ()
    assert [path for path in cached_files() if ".mirror" in path.name] == []
    assert "if-modified-since" in site.requests[0].headers, "nor is it sent"


def test_a_mirror_from_the_future_is_not_newer_than_the_cached_copy(github: GitHub, site: Site) -> None:
    before = read()
    let_age(3 * HOUR)
    site.deploy(-24 * HOUR, without_sorting(site.snapshot))
    github.proxy.rule = lambda request: REFUSED
    with pytest.warns(npc_lims.StaleStateWarning, match="nothing newer.*using the copy of .* h old"):
        assert read() == before
    assert npc_lims.get_session_info(is_sorted=True) != ()


@pytest.mark.usefixtures("refused")
def test_what_the_mirror_had_gives_way_to_what_raw_github_confirms(github: GitHub, site: Site) -> None:
    site.deploy(HOUR, without_sorting(site.snapshot))
    read_from_mirror()
    let_age(2 * HOUR)
    github.proxy.rule = None
    assert npc_lims.get_session_info(is_sorted=True) != ()
    let_age(0.5 * HOUR)
    github.proxy.rule = lambda request: REFUSED
    with pytest.warns(npc_lims.StaleStateWarning, match="using the copy"):
        assert npc_lims.get_session_info(is_sorted=True) != (), "the same mirror as before, older than that"


def test_a_copy_that_is_just_confirmed_needs_no_question(github: GitHub, site: Site) -> None:
    assert read()
    github.proxy.rule = lambda request: REFUSED
    with pytest.warns(npc_lims.StaleStateWarning, match="nothing newer"):
        assert npc_lims.get_session_info(ttl_seconds=0)
    assert len(site.requests) == 0


@pytest.mark.parametrize("has_copy", [True, False])
def test_a_mirror_without_a_date_is_better_than_nothing_and_than_no_copy(
    github: GitHub, site: Site, has_copy: bool
) -> None:
    if has_copy:
        assert read()
        let_age(3 * HOUR)
    site.proxy.rule = lambda request: Status(200, {}, without_sorting(site.snapshot))
    github.proxy.rule = lambda request: REFUSED
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", npc_lims.StaleStateWarning)
        assert bool(npc_lims.get_session_info(is_sorted=True)) is has_copy
        origin = npc_lims.state_origin()
    assert origin.kind == ("stale cache" if has_copy else "mirror")
    assert has_copy or origin.age is None


@pytest.mark.usefixtures("refused")
def test_a_site_with_a_domain_of_its_own_is_found_there(site: Site, serve: Serve) -> None:
    moved = serve(PagesServer({"data/sessions.jsonl": site.snapshot}, time.time() - HOUR))
    site.proxy.rule = lambda request: Status(301, {"location": f"{moved.url}/data/sessions.jsonl"})
    assert read_from_mirror() == ids_of(site.snapshot)
    let_age(HOUR)
    assert read_from_mirror() == ids_of(site.snapshot), "and is asked there whether it is still the same"


# --- where it fails, too

FAULTS = {
    "404": (Status(404), "there is nothing at"),
    "page": (Status(200, {}, b"<html>\n"), "cannot be read"),
    "empty": (Status(200, {}, b""), "cannot be read"),
    "short": (Truncate(9), "incomplete gzip|IncompleteRead"),
    "429": (REFUSED, "sessions.jsonl answered 429"),
}


@pytest.mark.usefixtures("refused")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_mirror_that_fails_is_reported_beside_raw_github(
    github: GitHub, site: Site, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.proxy.rule = lambda request: FAULTS[fault][0]
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    message = f"(?s)/main/state/sessions.jsonl answered 429.*and the mirror has nothing newer: .*{FAULTS[fault][1]}"
    for _ in range(3):
        with pytest.raises(npc_lims.RemoteStateError, match=message):
            read()
    assert len(site.requests) == 1, "it is left alone, too"


@pytest.mark.usefixtures("refused")
def test_a_mirror_that_leads_to_itself_is_left_after_some_steps(site: Site) -> None:
    site.proxy.rule = lambda request: Status(301, {"location": "/sessions.jsonl"})
    with pytest.raises(npc_lims.RemoteStateError, match=r"answered 301 .*: it is at http://.*/sessions.jsonl"):
        read()
    assert len(site.requests) == 4


@pytest.mark.parametrize("has_copy", [True, False])
def test_where_both_fail_the_cached_copy_of_the_mirror_answers(github: GitHub, site: Site, has_copy: bool) -> None:
    if has_copy:
        assert read()
        let_age(5 * HOUR)
    site.deploy(2 * HOUR, without_sorting(site.snapshot))
    github.proxy.rule = lambda request: REFUSED
    read_from_mirror()
    (path,) = (path for path in cached_files() if ".mirror" in path.name)
    os.utime(path, (time.time() - HOUR, time.time() - HOUR))
    npc_lims.clear_caches()
    with (
        down(site.proxy),
        pytest.warns(npc_lims.StaleStateWarning, match=r"copy of .*/sessions.jsonl that is 60 min old"),
    ):
        assert npc_lims.get_session_info(is_sorted=True) == ()
    origin = npc_lims.state_origin()
    assert (origin.kind, origin.place) == ("stale cache", f"{site.proxy.url}/sessions.jsonl")


def test_where_neither_ends_the_cached_snapshot_answers(
    github: GitHub, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read()
    let_age(5 * HOUR)
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "0.2")
    github.proxy.rule = site.proxy.rule = lambda request: Drip()
    begun = time.monotonic()
    with pytest.warns(npc_lims.StaleStateWarning, match=r"(gave no complete answer within 0\.4 s.*){2} 5 h old"):
        assert read() == before
    assert time.monotonic() - begun < 30


@pytest.mark.usefixtures("refused")
def test_a_mirror_that_cannot_be_cached_answers_all_the_same(
    github: GitHub, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("NPC_LIMS_CACHE_DIR", str(tmp_path / "file"))
    assert read_from_mirror() == ids_of(site.snapshot)
    for session_id in ids_of(site.snapshot):
        assert npc_lims.get_session_info(session_id).id == session_id
    assert (len(github.requests), len(site.requests)) == (1, 1)


@pytest.mark.usefixtures("refused")
def test_a_damaged_copy_of_the_mirror_is_fetched_again(site: Site) -> None:
    read_from_mirror()
    (path,) = cached_files()
    path.write_bytes(path.read_bytes()[:-5])
    npc_lims.clear_caches()
    assert read_from_mirror() == ids_of(site.snapshot)
    assert "if-none-match" not in site.requests[-1].headers

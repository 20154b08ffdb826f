"""Every source breaking in every way: the state keeps all of its facts and says what failed, and no secret gets out."""

from __future__ import annotations

import dataclasses
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ruamel.yaml

from npc_lims.config.settings import SETTINGS, load_settings
from tests.integration.world import (
    TOKEN,
    UPLOADED,
    WORKBOOKS,
    Cloud,
    Done,
    down,
    facts_of,
    files_of,
    run_cli,
    run_sync,
    workbook,
    write_tracked,
)
from tests.servers.faults import Delay, Fault, FaultyProxy, MalformedJson, Refuse, Reset, Status, Truncate
from tests.servers.web import Request

SESSION_TOKEN = "FwoGZXIvYXdzEJ5e0c1a77e5ec2e7"
LONG = 3.0
"""Seconds that a delayed answer takes: longer than these tests let a client wait."""


ALONE = ("--only", "codeocean")
"""For tests of that source: making an S3 client for each of them would take most of their time."""


@pytest.fixture(autouse=True)
def short_timeout(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_TIMEOUT", "1")
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "")


def sync_command(folder: Path, *more: str) -> Done:
    return run_cli("sync", "--state", str(folder / "state"), *more)


def failures_in(state: Path) -> dict[str, str]:
    """Source to reason, of those that sync.yaml says failed."""
    content = ruamel.yaml.YAML(typ="safe", pure=True).load((state / "sync.yaml").read_bytes())
    return {name: source["failure"]["reason"] for name, source in content["sources"].items() if source["failure"]}


def assert_no_secret(cloud: Cloud, folder: Path, *texts: str) -> None:
    secrets = (TOKEN, cloud.s3.secret_key, SESSION_TOKEN)
    for secret in secrets:
        assert not [name for name, content in files_of(folder / "state").items() if secret.encode() in content]
        for text in texts:
            assert secret not in text


def assert_facts_unchanged(cloud: Cloud, folder: Path, sources: set[str], *args: str) -> dict[str, str]:
    """Return the reasons of a sync that fails for just these sources, and leaves every recorded fact unchanged."""
    before = facts_of(folder / "state")
    done = sync_command(folder, *args)
    assert done.code == 3, done
    assert facts_of(folder / "state") == before
    reasons = failures_in(folder / "state")
    assert set(reasons) == sources
    for source, reason in reasons.items():
        assert f"{source} failed" in done.err
        assert reason, "the reason is reported"
        assert "\n" not in reason
    assert "Traceback" not in done.err
    assert_no_secret(cloud, folder, done.out, done.err)
    return reasons


def assert_next_sync_clears(folder: Path, *args: str) -> None:
    """Sync without a fault, and with a timeout that a busy machine does not reach."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NPC_LIMS_TIMEOUT", "30")
        done = sync_command(folder, *args)
    assert done.code == 0, done
    assert failures_in(folder / "state") == {}


# --- a whole service breaks


def always(fault: Fault) -> Callable[[Request], Fault]:
    return lambda request: fault


EXPIRED = Status(
    400,
    {"content-type": "application/xml"},
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>ExpiredToken</Code><Message>The provided token has '
    b"expired.</Message></Error>",
)
COMMON: dict[str, Fault] = {
    "connection reset at once": Refuse(),
    "no answer in time": Delay(LONG),
    "connection reset in the middle": Reset(after=20),
    "body cut short": Truncate(missing=10),
    "nothing of the body": Reset(),
    "malformed answer": MalformedJson(),
    "401": Status(401),
    "403": Status(403),
    "429": Status(429, {"Retry-After": "0"}),
    "429 for an hour": Status(429, {"Retry-After": "3600"}),
    "500": Status(500),
    "503": Status(503),
    "an HTML page": Status(200, {"content-type": "text/html"}, b"<html>please log in</html>"),
    "a redirect": Status(302, {"Location": "http://127.0.0.1:9/elsewhere"}),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", COMMON.values(), ids=COMMON.keys())
def test_broken_code_ocean_costs_no_fact(cloud: Cloud, synced: Path, fault: Fault) -> None:
    cloud.codeocean_proxy.rule = always(fault)
    assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    cloud.codeocean_proxy.rule = None
    assert_next_sync_clears(synced, *ALONE)


JSON_ANSWERS = {
    "null": None,
    "a list": [],
    "no results": {"has_more": False},
    "no has_more": {"results": []},
    "results of another type": {"has_more": False, "results": ["x"]},
    "results that are null": {"has_more": False, "results": None},
    "an error with status 200": {"message": "internal"},
}


@pytest.mark.slow
@pytest.mark.parametrize("answer", JSON_ANSWERS.values(), ids=JSON_ANSWERS.keys())
def test_pages_of_another_shape_cost_no_fact(cloud: Cloud, synced: Path, answer: object) -> None:
    cloud.codeocean_proxy.rule = always(Status(200, {}, json.dumps(answer).encode()))
    reasons = assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    assert "cannot be read" in reasons["codeocean"]


S3_FAULTS = {**COMMON, "404": Status(404), "expired token": EXPIRED}


@pytest.mark.slow
@pytest.mark.parametrize("fault", S3_FAULTS.values(), ids=S3_FAULTS.keys())
def test_broken_s3_costs_no_fact(cloud: Cloud, synced: Path, fault: Fault) -> None:
    cloud.s3_proxy.rule = always(fault)
    before = facts_of(synced / "state")
    done = sync_command(synced)
    assert done.code == 3, done
    assert facts_of(synced / "state") == before
    assert set(failures_in(synced / "state")) <= {"s3", "training"}
    assert "s3" in failures_in(synced / "state")
    assert_no_secret(cloud, synced, done.out, done.err)
    cloud.s3_proxy.rule = None
    assert_next_sync_clears(synced)


@dataclasses.dataclass(frozen=True)
class _Rewrite(Fault):
    """The real answer with a text replaced, its length told anew."""

    old: bytes
    new: bytes

    def apply(self, proxy: FaultyProxy, request: Request) -> Any:
        real = proxy.forward(request)
        return dataclasses.replace(real, body=real.body.replace(self.old, self.new))


INCONSISTENT_LISTINGS: dict[str, Fault] = {
    "truncated without a token": _Rewrite(b"<IsTruncated>false<", b"<IsTruncated>true<"),
    "of another prefix": _Rewrite(b"<Prefix>", b"<Prefix>x"),
    "keys of another prefix": _Rewrite(b"<Key>", b"<Key>x"),
    "without a count": _Rewrite(b"KeyCount>", b"Count>"),
    "under another root": _Rewrite(b"ListBucketResult", b"Listing"),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", INCONSISTENT_LISTINGS.values(), ids=INCONSISTENT_LISTINGS.keys())
def test_an_inconsistent_listing_costs_no_fact(cloud: Cloud, synced: Path, fault: Fault) -> None:
    cloud.s3_proxy.rule = lambda request: fault if "list-type=2" in request.path else None
    assert_facts_unchanged(cloud, synced, {"s3"}, "--only", "s3", "--full")


def test_services_that_are_down_cost_no_fact(cloud: Cloud, synced: Path) -> None:
    with down(cloud.codeocean_proxy, cloud.s3_proxy):
        assert_facts_unchanged(cloud, synced, {"training", "codeocean", "s3"})
    assert_next_sync_clears(synced)


def test_a_lasting_failure_is_recorded_once(cloud: Cloud, synced: Path) -> None:
    """The second failing sync writes nothing: a broken night is one commit, not fifty."""
    cloud.codeocean_proxy.rule = always(Status(503))
    sync_command(synced)
    before = files_of(synced / "state")
    assert sync_command(synced).code == 3
    assert files_of(synced / "state") == before


# --- what passes is asked for again


PASSING = {
    "500": Status(500),
    "429": Status(429, {"Retry-After": "0"}),
    "reset": Refuse(),
    "cut short": Truncate(missing=10),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
@pytest.mark.parametrize("service", ["codeocean_proxy", "s3_proxy"])
def test_one_bad_response_is_retried(
    cloud: Cloud, synced: Path, service: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "3")
    proxy: FaultyProxy = getattr(cloud, service)
    proxy.plan(fault)
    before = facts_of(synced / "state")
    done = sync_command(synced)
    assert done.code == 0, done
    assert facts_of(synced / "state") == before
    assert failures_in(synced / "state") == {}


def test_malformed_json_once_is_asked_for_again(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "2")
    cloud.codeocean_proxy.plan(MalformedJson())
    assert sync_command(synced).code == 0
    assert cloud.codeocean_proxy.count == 2


def test_retry_after_is_waited_for(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPC_LIMS_ATTEMPTS", "2")
    times: list[float] = []

    def note(request: Request) -> Fault | None:
        times.append(time.monotonic())
        return Status(429, {"Retry-After": "1"}) if len(times) == 1 else None

    cloud.codeocean_proxy.rule = note
    assert sync_command(synced, "--only", "codeocean").code == 0
    assert len(times) == 2
    assert times[1] - times[0] >= 1


# --- pages


def paged(second: Callable[[dict[str, Any]], object] | Fault) -> Callable[[Request], Fault | None]:
    """Searches answer in two pages; what *second* makes of the request is the answer to the second."""

    def rule(request: Request) -> Fault | None:
        if request.method != "POST":
            return None
        body = request.json()
        if "next_token" not in body:
            return _FirstPage()
        return second if isinstance(second, Fault) else Status(200, {}, json.dumps(second(body)).encode())

    return rule


class _FirstPage(Fault):
    """Half of the assets, and a token for the rest."""

    def apply(self, proxy: FaultyProxy, request: Request) -> Any:
        real = proxy.forward(request)
        results = json.loads(real.body)["results"]
        half = {"has_more": True, "results": results[: len(results) // 2], "next_token": "second"}
        return dataclasses.replace(real, body=json.dumps(half).encode())


SECOND_PAGES: dict[str, Any] = {
    "fails for good": Status(503),
    "is cut short": Truncate(missing=5),
    "is refused": Status(403),
    "repeats its token": lambda body: {"has_more": True, "results": [], "next_token": "second"},
    "has more but no token": lambda body: {"has_more": True, "results": []},
    "has more but a null token": lambda body: {"has_more": True, "results": [], "next_token": None},
    "is empty and says it is all": lambda body: {"has_more": False, "results": []},
}


@pytest.mark.slow
@pytest.mark.parametrize("second", SECOND_PAGES.values(), ids=SECOND_PAGES.keys())
def test_half_a_search_is_no_search(cloud: Cloud, synced: Path, second: Any) -> None:
    cloud.codeocean_proxy.rule = paged(second)
    assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    cloud.codeocean_proxy.rule = None
    assert_next_sync_clears(synced, *ALONE)


class _LeaveOut(Fault):
    """The real answer to a search, without assets whose names hold a text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def apply(self, proxy: FaultyProxy, request: Request) -> Any:
        real = proxy.forward(request)
        content = json.loads(real.body)
        content["results"] = [asset for asset in content["results"] if self.text not in asset["name"]]
        return dataclasses.replace(real, body=json.dumps(content).encode())


@pytest.mark.parametrize(
    "text", ["ecephys_901001_2024-03-12_12-58-41", "901003_2024-10-21_11-20-03_sorted", "SmartSPIM", "901"]
)
def test_assets_that_a_search_silently_leaves_out_are_not_gone(cloud: Cloud, synced: Path, text: str) -> None:
    cloud.codeocean_proxy.rule = lambda request: _LeaveOut(text) if request.method == "POST" else None
    reasons = assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    assert "left out" in reasons["codeocean"]
    cloud.codeocean_proxy.rule = None
    assert_next_sync_clears(synced, *ALONE)


def test_an_asset_that_is_really_deleted_is_gone(cloud: Cloud, synced: Path) -> None:
    """Asking for it by id says so: then the fact changes."""
    cloud.codeocean.assets = [a for a in cloud.codeocean.assets if "901004_2024-06-04_09-50-06_sorted" not in a["name"]]
    done = sync_command(synced, "--json")
    assert done.code == 0, done
    changes = json.loads(done.out)["changes"]
    assert [(change["id"], change["what"]) for change in changes] == [("901004_2024-06-04", ["no longer sorted"])]


def test_an_archived_asset_is_gone(cloud: Cloud, synced: Path) -> None:
    cloud.codeocean.assets = [
        {**a, "archived": True} if "901004_2024-06-04_09-50-06_sorted" in a["name"] else a
        for a in cloud.codeocean.assets
    ]
    done = sync_command(synced, "--json")
    assert done.code == 0, done
    assert [change["what"] for change in json.loads(done.out)["changes"]] == [["no longer sorted"]]


@pytest.mark.parametrize(
    ("fields", "what"),
    [({"created": None}, "created"), ({"created": 10**18}, "created"), ({"name": "\ud800"}, "name"), ({"id": 7}, "id")],
)
def test_an_invalid_asset_costs_no_fact_and_is_reported(
    cloud: Cloud, synced: Path, fields: dict[str, Any], what: str
) -> None:
    assets = [
        {**one, **fields} if one["name"].startswith(f"ecephys_{UPLOADED}") else one for one in cloud.codeocean.assets
    ]
    cloud.codeocean_proxy.rule = always(Status(200, {}, json.dumps({"has_more": False, "results": assets}).encode()))
    before = load_complete(synced)
    reasons = assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    assert f"is not as the API describes it: {what}" in reasons["codeocean"]
    assert load_complete(synced) == before, "the source was not read whole"


def load_complete(folder: Path) -> object:
    content = ruamel.yaml.YAML(typ="safe", pure=True).load((folder / "state" / "sync.yaml").read_bytes())
    return content["sources"]["codeocean"]["last_complete"]


def test_an_asset_without_a_name_field_fails_the_source(cloud: Cloud, synced: Path) -> None:
    """What the API never gives is not guessed at."""
    broken = [{k: v for k, v in a.items() if k != "state"} for a in cloud.codeocean.assets]
    cloud.codeocean_proxy.rule = always(Status(200, {}, json.dumps({"has_more": False, "results": broken}).encode()))
    reasons = assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    assert "state" in reasons["codeocean"]


# --- credentials


def test_no_code_ocean_token(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    reasons = assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    assert "CODE_OCEAN_API_TOKEN" in reasons["codeocean"]
    assert cloud.codeocean_proxy.requests == []


def test_wrong_code_ocean_token(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CODE_OCEAN_API_TOKEN", TOKEN + "0")
    reasons = assert_facts_unchanged(cloud, synced, {"codeocean"}, *ALONE)
    assert "CODE_OCEAN_API_TOKEN" in reasons["codeocean"]
    assert cloud.codeocean_proxy.count == 1, "a refused token is not tried again"


def test_a_token_under_another_name_is_found(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CODE_OCEAN_API_TOKEN")
    monkeypatch.setenv("OUR_LABS_OWN_NAME", TOKEN)
    assert sync_command(synced).code == 0


def test_no_aws_credentials(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    reasons = assert_facts_unchanged(cloud, synced, {"training", "s3"})
    assert all("AWS_ACCESS_KEY_ID" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("name", "value"), [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7NOTTHIS"), ("AWS_SECRET_ACCESS_KEY", "not/the/key")]
)
def test_wrong_aws_credentials(
    cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    reasons = assert_facts_unchanged(cloud, synced, {"training", "s3"})
    assert "AWS" in reasons["s3"]
    assert value not in str(reasons)


def test_expired_aws_credentials(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    cloud.s3_proxy.rule = always(EXPIRED)
    reasons = assert_facts_unchanged(cloud, synced, {"training", "s3"})
    assert "expired" in reasons["s3"]


def test_no_secret_is_in_what_the_library_raises(cloud: Cloud, synced: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in messages nor anywhere along the chain of causes."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", SESSION_TOKEN)
    cloud.codeocean_proxy.rule = always(Status(401, {}, b'{"message": "bad token"}'))
    cloud.s3_proxy.rule = always(EXPIRED)
    failures = run_sync(synced).failures
    assert {failure.source for failure in failures} == {"training", "codeocean", "s3"}
    texts = ["".join(traceback.format_exception(type(f), f, f.__traceback__)) + repr(f) for f in failures]
    assert_no_secret(cloud, synced, *texts)


def test_settings_do_not_show_their_secrets(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings()
    for shown in (repr(settings), str(settings), str([getattr(settings, name) for name in SETTINGS])):
        assert TOKEN not in shown
        assert cloud.s3.secret_key not in shown


# --- workbooks


def test_a_truncated_workbook_costs_no_fact(cloud: Cloud, synced: Path) -> None:
    cloud.change_workbook(WORKBOOKS[0], workbook(2)[:-300])
    reasons = assert_facts_unchanged(cloud, synced, {"training"})
    assert WORKBOOKS[0] in reasons["training"]
    cloud.change_workbook(WORKBOOKS[0], workbook(2))
    assert_next_sync_clears(synced)


def test_a_workbook_that_is_no_workbook_costs_no_fact(cloud: Cloud, synced: Path) -> None:
    cloud.change_workbook(WORKBOOKS[1], b"<html>moved</html>")
    reasons = assert_facts_unchanged(cloud, synced, {"training"})
    assert WORKBOOKS[1] in reasons["training"]


@pytest.mark.parametrize("name", WORKBOOKS)
def test_a_missing_workbook_costs_no_fact(cloud: Cloud, synced: Path, name: str) -> None:
    cloud.change_workbook(name, None)
    reasons = assert_facts_unchanged(cloud, synced, {"training"})
    assert name in reasons["training"]


def test_a_download_that_breaks_off_costs_no_fact(cloud: Cloud, synced: Path) -> None:
    cloud.s3_proxy.rule = lambda request: (
        Truncate(missing=100) if request.method == "GET" and request.path.endswith(".xlsx") else None
    )
    assert_facts_unchanged(cloud, synced, {"training"}, "--full")


# --- parts of S3


def rule_for(text: str, fault: Fault) -> Callable[[Request], Fault | None]:
    return lambda request: fault if text in request.path else None


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder",
    ["DynamicRoutingTask%2FData", "ibl-gui-output", "tissuecyte_cloud_processed", "nwb_components", "cache%2Fnwb%2F"],
)
def test_one_repository_that_cannot_be_listed_costs_no_fact(cloud: Cloud, synced: Path, folder: str) -> None:
    cloud.s3_proxy.rule = rule_for(f"{folder}", Status(503))
    assert_facts_unchanged(cloud, synced, {"s3"})
    assert any(folder in request.path for request in cloud.s3_proxy.requests), "the fault was met"


@pytest.mark.slow
def test_the_rest_is_written_when_one_source_fails(cloud: Cloud, tmp_path: Path) -> None:
    """An upload is seen although the stimulus files cannot be listed."""
    cloud.load(1)
    write_tracked(tmp_path, 1)
    run_sync(tmp_path)
    cloud.load(2)
    cloud.s3_proxy.rule = rule_for("DynamicRoutingTask%2FData", Status(503))
    done = sync_command(tmp_path, "--json")
    assert done.code == 3, done
    changes = {change["id"]: change["what"] for change in json.loads(done.out)["changes"]}
    assert "uploaded" in changes[UPLOADED]
    assert set(json.loads(done.out)["failures"]) == {"s3"}


@pytest.mark.slow
def test_a_raw_folder_that_cannot_be_listed_is_unknown_and_found_by_the_next_sync(cloud: Cloud, tmp_path: Path) -> None:
    cloud.load(1)
    write_tracked(tmp_path, 1)
    run_sync(tmp_path)
    cloud.load(2)
    cloud.s3_proxy.rule = rule_for("ecephys_901003_2024-10-24", Status(503))
    assert sync_command(tmp_path).code == 3
    assert status_of(tmp_path, UPLOADED)["is_uploaded"] is not True
    cloud.s3_proxy.rule = None
    assert_next_sync_clears(tmp_path)
    assert status_of(tmp_path, UPLOADED)["is_uploaded"] is True


def status_of(folder: Path, session_id: str) -> dict[str, Any]:
    for line in (folder / "state" / "sessions.jsonl").read_text().splitlines():
        record = json.loads(line)
        if record["id"] == session_id:
            status: dict[str, Any] = record["status"]
            return status
    raise AssertionError(f"no session {session_id}")


@pytest.mark.slow
def test_a_sorting_result_that_cannot_be_judged_is_unknown_not_false(cloud: Cloud, tmp_path: Path) -> None:
    """The first sync cannot read any `output`: no session becomes unsorted, and the next sync judges them."""
    write_tracked(tmp_path, 2)
    cloud.s3_proxy.rule = rule_for("/output", Status(503))
    done = sync_command(tmp_path)
    assert done.code == 3, done
    assert "cannot validate" in failures_in(tmp_path / "state")["codeocean"]
    assert status_of(tmp_path, "901001_2024-03-11")["is_sorted"] is None
    cloud.s3_proxy.rule = None
    assert_next_sync_clears(tmp_path)
    assert status_of(tmp_path, "901001_2024-03-11")["is_sorted"] is True


def test_a_first_sync_with_everything_down_records_what_is_tracked_and_invents_nothing(
    cloud: Cloud, tmp_path: Path
) -> None:
    write_tracked(tmp_path, 2)
    with down(cloud.codeocean_proxy, cloud.s3_proxy):
        done = sync_command(tmp_path)
    assert done.code == 3, done
    status = status_of(tmp_path, "901001_2024-03-11")
    assert status.pop("is_production") is True
    assert set(status.values()) == {None}


def test_xml_that_is_no_listing_is_no_empty_bucket(cloud: Cloud, synced: Path) -> None:
    """A proxy's own XML page, well-formed and with status 200, must not read as "no objects"."""
    page = b'<?xml version="1.0"?><page><title>Sign in</title></page>'
    cloud.s3_proxy.rule = rule_for("list-type=2", Status(200, {"content-type": "application/xml"}, page))
    assert_facts_unchanged(cloud, synced, {"s3"})

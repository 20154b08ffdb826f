"""Addresses that are made of what people and other systems say."""

from __future__ import annotations

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.utils.urls import Links, s3_console, web_address
from tests.builders import SECOND, SESSION, asset

LINKS = Links("AllenInstitute/npc_lims", codeocean_bucket="results")
HOSTILE = (
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "//example.org/x",
    "https:example.org",
    "https://",
    "http:///x",
    "https://github.com@example.org/",
    "https://user:secret@example.org/",
    "https://exam\u202eple.org/",
    "https://example.org/a b",
    "https://example.org/\x00",
    "https://example.org\\@github.com/",
    "https://[::1",
    "see issue 5",
    "",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_no_browser_should_follow(text: str) -> None:
    assert web_address(text) is None


@pytest.mark.parametrize("value", [None, 5, True, ["https://example.org"], {}])
def test_what_is_no_text(value: object) -> None:
    assert web_address(value) is None


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/AllenInstitute/npc_sessions/issues//117",
        "http://example.org:8080/a?b=c#d",
        "HTTPS://EXAMPLE.ORG/",
        "https://example.org/<script>",
    ],
)
def test_what_people_note_is_kept_as_they_wrote_it(text: str) -> None:
    assert web_address(text) == text


@given(st.text())
def test_only_http_is_ever_followed(text: str) -> None:
    assert web_address(text) in (None, text)
    followed = web_address(f"https://example.org/{text}")
    assert followed is None or urllib.parse.urlsplit(followed).hostname == "example.org"


def test_files_and_lines() -> None:
    repository = "https://github.com/AllenInstitute/npc_lims"
    path = "main/state/sessions/626791/626791_2022-08-15_1.yaml"
    assert LINKS.state_file(SECOND) == f"{repository}/blob/{path}"
    assert LINKS.state_history(SECOND) == f"{repository}/commits/{path}"
    assert LINKS.edit(17) == f"{repository}/edit/main/tracked_sessions.yaml#L17"
    assert LINKS.edit(None) == f"{repository}/edit/main/tracked_sessions.yaml"
    assert LINKS.tracked_line(17) == f"{repository}/blob/main/tracked_sessions.yaml#L17"
    assert LINKS.commit("0123abc") == f"{repository}/commit/0123abc"
    assert LINKS.commit(None) is None
    assert Links("a/b", "feature/a#b").state_file(SESSION) == (
        "https://github.com/a/b/blob/feature/a%23b/state/sessions/626791/626791_2022-08-15.yaml"
    )


def test_the_form_is_filled_in() -> None:
    address = LINKS.new_issue(SESSION)
    assert address is not None
    parts = urllib.parse.urlsplit(address)
    assert parts.path == "/AllenInstitute/npc_lims/issues/new"
    assert urllib.parse.parse_qs(parts.query) == {
        "template": ["wrong-fact.yml"],
        "title": [f"Wrong fact: {SESSION}"],
        "session": [SESSION],
    }


def test_the_form_exists() -> None:
    from pathlib import Path

    form = Path(__file__).resolve().parents[2] / ".github" / "ISSUE_TEMPLATE" / "wrong-fact.yml"
    if form.exists():  # not in a source distribution
        assert "id: session" in form.read_text(encoding="utf-8")


def test_nothing_is_on_github() -> None:
    nowhere = Links(None)
    found = (nowhere.commit("0123abc"), nowhere.edit(1), nowhere.state_file(SESSION), nowhere.new_issue(SESSION))
    assert set(found) == {None}
    assert Links("a/b", tracked=None).edit(1) is None


def test_assets() -> None:
    at_home = asset().model_dump()
    assert LINKS.asset(at_home) == {
        "codeocean": f"https://codeocean.allenneuraldynamics.org/data-assets/{at_home['id']}",
        "s3": f"https://console.aws.amazonaws.com/s3/buckets/results?prefix={at_home['id']}%2F",
    }
    raw = asset(location="s3://aind-ephys-data/ecephys_1/").model_dump()
    assert LINKS.asset(raw)["s3"] == "https://console.aws.amazonaws.com/s3/buckets/aind-ephys-data?prefix=ecephys_1%2F"
    assert Links("a/b").asset(at_home)["s3"] is None


def test_an_asset_cannot_lead_elsewhere() -> None:
    found = LINKS.asset({"id": "../../<script>?x#y\ud800", "location": "gs://bucket/x"})
    assert found == {
        "codeocean": "https://codeocean.allenneuraldynamics.org/data-assets/..%2F..%2F%3Cscript%3E%3Fx%23y%3F",
        "s3": None,
    }


@pytest.mark.parametrize(
    ("location", "address"),
    [
        ("s3://bucket", "https://console.aws.amazonaws.com/s3/buckets/bucket"),
        ("s3://bucket/", "https://console.aws.amazonaws.com/s3/buckets/bucket"),
        ("s3://bucket/a&b=c/d\n", "https://console.aws.amazonaws.com/s3/buckets/bucket?prefix=a%26b%3Dc%2Fd%0A%2F"),
        ("s3://", None),
        ("s3://buc ket/a", None),
        ("s3://bucket.evil?x/a", None),
        (None, None),
        (True, None),
    ],
)
def test_folders_on_s3(location: object, address: str | None) -> None:
    assert s3_console(location) == address


@given(st.text(), st.text())
def test_whatever_they_are_made_of_they_stay_on_their_hosts(id_: str, location: str) -> None:
    for address in LINKS.asset({"id": id_, "location": location}).values():
        if address is not None:
            assert address.isascii() and address.isprintable() and " " not in address
            assert urllib.parse.urlsplit(address).hostname in (
                "codeocean.allenneuraldynamics.org",
                "console.aws.amazonaws.com",
            )

"""Addresses, and a folder that stands for buckets."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from npc_lims.errors import SourceError
from npc_lims.settings import Settings
from npc_lims.sources.objects import Folder, MirrorStore, ObjectInfo, open_store, split_s3_uri
from tests.builders import put
from tests.servers.faults import FaultyProxy, Status
from tests.servers.fixtures import Serve


@pytest.fixture
def store(tmp_path: Path) -> MirrorStore:
    """A bucket with a few objects, and another."""
    root = tmp_path / "s3"
    put(
        root,
        "s3://data/a/session.json",
        "s3://data/a/video/one.mp4",
        "s3://data/a/video/two.mp4",
        "s3://data/ab.txt",
        "s3://data/b/x/y/z.txt",
        "s3://other/a/session.json",
    )
    put(root, "s3://data/a/rig.json", content=b"{}{}")
    return MirrorStore(root)


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("s3://bucket/a/b.txt", ("bucket", "a/b.txt")),
        ("s3://bucket/a/", ("bucket", "a/")),
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/Record Node 101/a#b?c", ("bucket", "Record Node 101/a#b?c")),
    ],
)
def test_bucket_and_key_of_an_address(uri: str, parts: tuple[str, str]) -> None:
    assert split_s3_uri(uri) == parts


@pytest.mark.parametrize("uri", ["", "bucket/key", "gs://bucket/key", "s3:/bucket/key", "s3://", "s3:///key"])
def test_other_addresses_are_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="is not an address such as s3://bucket/folder"):
        split_s3_uri(uri)


def test_a_folder_lists_one_level(store: MirrorStore) -> None:
    assert store.list_folder("data", "") == Folder(("a", "b"), ("ab.txt",))
    found = store.list_folder("data", "a/")
    assert found == Folder(("video",), ("rig.json", "session.json"))
    assert found.names == ("video", "rig.json", "session.json")


@pytest.mark.parametrize(
    ("bucket", "prefix"), [("data", "c/"), ("nobody", ""), ("data", "ab.txt/"), ("data", "a/video/one.mp4/")]
)
def test_a_folder_that_is_not_there_is_empty(store: MirrorStore, bucket: str, prefix: str) -> None:
    assert store.list_folder(bucket, prefix) == Folder((), ())
    assert list(store.list_all(bucket, prefix)) == []
    assert store.has_any(bucket, prefix) is False


@pytest.mark.parametrize(
    ("prefix", "keys"),
    [
        ("a/", ["a/rig.json", "a/session.json", "a/video/one.mp4", "a/video/two.mp4"]),
        ("a", ["a/rig.json", "a/session.json", "a/video/one.mp4", "a/video/two.mp4", "ab.txt"]),
        ("a/video/t", ["a/video/two.mp4"]),
        ("b", ["b/x/y/z.txt"]),
        ("", [
            "a/rig.json", "a/session.json", "a/video/one.mp4", "a/video/two.mp4", "ab.txt", "b/x/y/z.txt",
        ]),
    ],
)  # fmt: skip
def test_all_objects_of_a_prefix_in_key_order(store: MirrorStore, prefix: str, keys: list[str]) -> None:
    assert [item.key for item in store.list_all("data", prefix)] == keys
    assert store.has_any("data", prefix) is True


def test_a_listing_gives_sizes(store: MirrorStore) -> None:
    assert {item.key: item.size for item in store.list_all("data", "a/r")} == {"a/rig.json": 4}


def test_head_tells_content_apart(store: MirrorStore) -> None:
    assert store.head("data", "a/rig.json") == ObjectInfo("a/rig.json", 4, hashlib.sha256(b"{}{}").hexdigest())


@pytest.mark.parametrize("key", ["a/none.json", "a", "a/", "", "none/rig.json"])
def test_what_is_no_object_is_none(store: MirrorStore, key: str) -> None:
    assert store.head("data", key) is None
    assert store.read("data", key, limit=10) is None


def test_read_up_to_a_limit(store: MirrorStore) -> None:
    assert store.read("data", "a/rig.json", limit=4) == b"{}{}"
    with pytest.raises(SourceError, match=r"rig\.json is larger than the 3 bytes"):
        store.read("data", "a/rig.json", limit=3)


def test_a_mirror_without_a_folder_is_a_failure_of_the_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a mirror holds s3/<bucket>/<key>"):
        MirrorStore(tmp_path / "none")


def test_the_mirror_of_the_settings_is_opened(tmp_path: Path) -> None:
    put(tmp_path / "s3", "s3://data/a.txt", content=b"12")
    assert open_store(Settings(mirror=tmp_path)).read("data", "a.txt", limit=9) == b"12"


def test_a_single_sign_on_that_has_run_out_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(
        "[profile npc]\nsso_session = nobodys\nsso_account_id = 123456789012\nsso_role_name = read\n"
        "[sso-session nobodys]\nsso_start_url = https://lab.example.org/start\nsso_region = us-west-2\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    store = open_store(Settings(aws_profile="npc", aws_default_region="us-west-2"))
    with pytest.raises(SourceError, match=r"no single sign-on \(.*Token.*\): aws sso login --profile"):
        store.has_any("bucket", "")


def test_a_service_that_redirects_everything_is_asked_twice(serve: Serve) -> None:
    """Once for the folder, and once, by botocore, for where the bucket is."""
    elsewhere = serve(FaultyProxy("http://127.0.0.1:9", rule=lambda _: Status(302, {"Location": "http://127.0.0.1:9"})))
    settings = Settings(
        aws_access_key_id="id",
        aws_secret_access_key="key",
        aws_default_region="us-west-2",
        aws_endpoint_url=elsewhere.url,
    )
    with pytest.raises(SourceError, match=r"redirected \(302\) to another address; check AWS_ENDPOINT_URL"):
        open_store(settings).list_folder("data", "a/")
    assert elsewhere.count == 2

"""Addresses, and a folder that stands for buckets."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import traceback
import tracemalloc
from pathlib import Path

import pytest

from npc_lims.clients.s3 import Folder, MirrorStore, ObjectInfo, open_store, split_s3_uri
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import MissingCredentials, SourceError
from tests.builders import put
from tests.servers.faults import FaultyProxy, Status
from tests.servers.fixtures import Serve
from tests.servers.web import Request, Response, Server


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


def test_head_distinguishes_contents(store: MirrorStore) -> None:
    assert store.head("data", "a/rig.json") == ObjectInfo("a/rig.json", 4, hashlib.sha256(b"{}{}").hexdigest())


def test_head_takes_no_memory_for_a_large_object(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 64 * 2**20)
    tracemalloc.start()
    try:
        found = MirrorStore(tmp_path).head("", "large")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found is not None and found.size == 64 * 2**20
    assert peak < 8 * 2**20


@pytest.mark.parametrize("key", ["a/none.json", "a", "a/", "", "none/rig.json"])
def test_what_is_no_object_is_none(store: MirrorStore, key: str) -> None:
    assert store.head("data", key) is None
    assert store.read("data", key, limit=10) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows takes half a character")
@pytest.mark.parametrize("key", ["a\0b", "a\ud800/b"], ids=ascii)
def test_a_prefix_that_no_path_may_hold_is_a_failure_of_the_source(store: MirrorStore, key: str) -> None:
    with pytest.raises(SourceError, match=r"cannot read .*a\\(x00|ud800)"):
        store.list_folder("data", f"{key}/")


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


def test_a_single_sign_on_that_has_run_out_is_reported_with_what_to_do(
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


def test_a_service_that_redirects_everything_is_queried_twice(serve: Serve) -> None:
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


class _Denying(Server):
    def answer(self, request: Request) -> Response:
        return Response(403, {}, b"")


_KEYS = {"AWS_ACCESS_KEY_ID": "AKIAINVENTEDKEYID000", "AWS_SECRET_ACCESS_KEY": "an-invented/secret+key"}


@pytest.fixture
def aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in place of ~/.aws: `config` and `credentials` are files that tests may write."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("missing", _KEYS)
def test_half_of_a_key_pair_names_the_other_half(
    aws: Path, monkeypatch: pytest.MonkeyPatch, missing: str, empty: bool
) -> None:
    for name, value in _KEYS.items():
        if name != missing:
            monkeypatch.setenv(name, value)
        elif empty:
            monkeypatch.setenv(name, "")
    with pytest.raises(MissingCredentials, match=f"^{missing} is not set or empty, although AWS_"):
        open_store(load_settings(folder=aws))


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ("aws_access_key_id = AKIAINVENTEDKEYID000", "aws_secret_access_key"),
        ("aws_access_key_id = AKIAINVENTEDKEYID000\naws_secret_access_key =", "aws_secret_access_key"),
        ("aws_access_key_id =\naws_secret_access_key = an-invented/secret+key", "aws_access_key_id"),
    ],
)
def test_half_of_a_key_pair_of_a_profile(aws: Path, profile: str, expected: str) -> None:
    (aws / "credentials").write_text(f"[default]\n{profile}\n")
    with pytest.raises(MissingCredentials, match=expected):
        open_store(load_settings(folder=aws)).has_any("bucket", "")


def test_a_session_token_that_is_left_over_does_not_stand_in_the_way_of_a_profile(
    aws: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    server = serve(_Denying())
    keys = "aws_access_key_id = AKIAINVENTEDKEYID000\naws_secret_access_key = a\n"
    (aws / "credentials").write_text(f"[default]\n{keys}")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-yesterday")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with pytest.raises(SourceError, match="access denied"):
        open_store(load_settings(folder=aws)).has_any("bucket", "")
    assert "a-token-of-yesterday" not in str(server.requests)


def test_a_secret_that_a_library_quotes_is_redacted(aws: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    token = "an-invented-\rsession-token"  # which no header may hold
    found = {"Version": 1, "AccessKeyId": "AKIAINVENTEDKEYID000", "SecretAccessKey": "x" * 40, "SessionToken": token}
    (aws / "answer.json").write_text(json.dumps({**found, "Expiration": "2099-01-01T00:00:00Z"}))
    print_it = f"{sys.executable} -c \"print(open(r'{aws / 'answer.json'}').read())\""
    (aws / "config").write_text(f"[default]\ncredential_process = {print_it}\n")
    monkeypatch.setenv("AWS_ENDPOINT_URL", serve(_Denying()).url)
    with pytest.raises(SourceError, match="Invalid header value") as caught:
        open_store(load_settings(folder=aws)).has_any("bucket", "")
    shown = "".join(traceback.format_exception(type(caught.value), caught.value, caught.value.__traceback__))
    assert "session-token" not in shown
    assert "an-invented-" not in shown


_PROGRAMS = {
    "it fails": ("import sys; sys.exit('an-invented-secret')", "custom-process"),
    "no JSON": ("print('an-invented-secret')", "JSONDecodeError"),
    "a list": ("print([])", "AttributeError"),
    "no secret": ('print(\'{\\"Version\\": 1, \\"AccessKeyId\\": \\"an-invented-secret\\"}\')', "custom-process"),
}


@pytest.mark.parametrize("program", _PROGRAMS)
def test_a_program_that_gives_no_credentials_is_blamed_without_its_output(aws: Path, program: str) -> None:
    code, reason = _PROGRAMS[program]
    (aws / "config").write_text(f'[default]\ncredential_process = {sys.executable} -c "{code}"\n')
    with pytest.raises(MissingCredentials) as caught:
        open_store(load_settings(folder=aws)).has_any("bucket", "")
    assert str(caught.value).startswith(
        f"AWS credentials could not be retrieved ({reason}); check AWS_PROFILE and ~/.aws"
    )
    assert "an-invented-secret" not in str(caught.value)


def test_a_program_that_is_missing_is_named_and_no_ca_bundle(aws: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = aws / "bundle.pem"
    bundle.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    missing = aws / "missing"
    (aws / "config").write_text(f"[default]\ncredential_process = {missing}\n")
    with pytest.raises(MissingCredentials, match="could not be retrieved") as caught:
        open_store(load_settings(folder=aws)).has_any("bucket", "")
    assert str(missing) in str(caught.value)
    assert "CA_BUNDLE" not in str(caught.value)


def test_a_token_file_that_is_missing_is_named_and_no_ca_bundle(
    aws: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    bundle = aws / "bundle.pem"
    bundle.write_text("")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(aws / "missing"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
    monkeypatch.setenv("AWS_ENDPOINT_URL", serve(_Denying()).url)
    with pytest.raises(SourceError) as caught:
        open_store(load_settings(folder=aws)).has_any("bucket", "")
    assert str(aws / "missing") in str(caught.value)
    assert "CA_BUNDLE" not in str(caught.value)

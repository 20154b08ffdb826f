"""The servers that other tests rely on behave like the real ones, as far as their own clients can tell."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.exceptions
import codeocean
import pytest
import requests
from codeocean.components import SearchFilter, SearchFilterRange, SortOrder
from codeocean.data_asset import DataAssetSearchOrigin, DataAssetSearchParams, DataAssetSortBy, DataAssetType
from codeocean.error import Error

from tests.git_environment import plain_environment
from tests.servers.asset_search import Asset, search
from tests.servers.codeocean import CodeOceanServer, asset_id, make_asset
from tests.servers.faults import Delay, FaultyProxy, Lose, MalformedJson, Refuse, Reset, Status, Truncate
from tests.servers.fixtures import Serve
from tests.servers.pages import PagesServer
from tests.servers.raw_github import RawGitHubServer
from tests.servers.s3 import SeaweedS3
from tests.servers.web import Request, Response, Server

RAW = "ecephys_676909_2023-12-13_13-43-40"
SORTED = f"{RAW}_sorted_2024-03-01_16-02-45"
OTHER = "ecephys_626791_2022-08-15_13-07-32"


class Echo(Server):
    """Sends back what it was sent."""

    def answer(self, request: Request) -> Response:
        return Response(200, {"content-type": "text/plain", "x-path": request.path}, request.body)


def client_of(server: Server, token: str = "cop_test") -> codeocean.CodeOcean:
    return codeocean.CodeOcean(domain=server.url, token=token)


def names(server: CodeOceanServer, **params: Any) -> list[str]:
    """The names that the SDK finds, in order."""
    found = client_of(server).data_assets.search_data_assets(DataAssetSearchParams(**params))
    return [asset.name for asset in found.results]


# -- every server ----------------------------------------------------------------------------------


def test_one_connection_carries_many_requests_and_each_is_recorded(serve: Serve) -> None:
    server = serve(Echo())
    sockets = set()
    with closing(http.client.HTTPConnection("127.0.0.1", urlsplit(server.url).port or 0)) as connection:
        for n in range(3):
            connection.request("POST", f"/say/{n}?q=a%20b", f"body {n}", {"X-Number": str(n)})
            sockets.add(connection.sock)
            assert connection.getresponse().read() == f"body {n}".encode()
    assert len(sockets) == 1
    assert [(r.method, r.path, r.headers["x-number"], r.body) for r in server.requests] == [
        ("POST", f"/say/{n}?q=a%20b", str(n), f"body {n}".encode()) for n in range(3)
    ]
    server.reset()
    assert server.requests == []


def test_a_chunked_body_is_read_whole(serve: Serve) -> None:
    server = serve(Echo())
    answer = requests.put(server.url, data=iter([b"one ", b"two"]))
    assert answer.content == server.requests[0].body == b"one two"


def test_head_tells_the_length_and_sends_no_body(serve: Serve) -> None:
    server = serve(Echo())
    with requests.Session() as session:
        assert session.head(server.url, data=b"four").headers["content-length"] == "4"
        assert session.get(server.url, data=b"after").text == "after"  # nothing was left on the connection


def test_simultaneous_requests_are_all_answered_and_recorded(serve: Serve) -> None:
    server = serve(Echo())
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda n: requests.post(server.url, data=str(n)).text, range(200)))
    assert answers == [str(n) for n in range(200)]
    assert sorted(int(r.body) for r in server.requests) == list(range(200))


def test_a_stopped_server_answers_nobody_and_comes_back_on_its_port() -> None:
    with Echo() as server, requests.Session() as session:
        session.get(server.url)
        address = server.url
        server.stop()
        with pytest.raises(requests.ConnectionError):
            session.get(address)
        server.start()
        assert server.url == address
        assert session.get(address).status_code == 200


def test_stopping_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    with Echo() as server, requests.Session() as session:
        session.get(server.url)
    deadline = time.monotonic() + 60
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) - before == set()


# -- Code Ocean ------------------------------------------------------------------------------------


def test_the_sdk_reads_an_asset_with_all_its_fields(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW), make_asset(SORTED)]))
    raw = client_of(server).data_assets.get_data_asset(asset_id(RAW))
    assert (raw.name, raw.type, raw.state, raw.created) == (RAW, "dataset", "ready", 1702475020)
    assert raw.custom_metadata is not None and raw.custom_metadata["subject id"] == "676909"
    assert raw.source_bucket is not None and raw.source_bucket.external
    assert (raw.source_bucket.bucket, raw.source_bucket.prefix) == ("aind-ephys-data", RAW)
    result = client_of(server).data_assets.get_data_asset(asset_id(SORTED))
    assert result.type == "result"
    assert result.provenance is not None and result.provenance.data_assets == [raw.id]


def test_make_asset_is_the_same_each_time_and_takes_only_known_fields() -> None:
    assert make_asset(RAW) == make_asset(RAW) != make_asset(OTHER)
    assert make_asset(RAW, state="failed", failure_reason="no files")["failure_reason"] == "no files"
    with pytest.raises(TypeError, match="sate"):
        make_asset(RAW, sate="failed")


def test_a_missing_asset_is_the_sdks_404(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW)]))
    with pytest.raises(Error) as caught:
        client_of(server).data_assets.get_data_asset("no-such-asset")
    assert (caught.value.status_code, caught.value.message) == (404, "Not found")


def test_a_wrong_token_is_the_sdks_401_and_the_token_can_expire(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW)]))
    with pytest.raises(Error) as caught:
        client_of(server, token="cop_other").data_assets.get_data_asset(asset_id(RAW))
    assert caught.value.status_code == 401
    assert caught.value.data == {"message": "Unauthorized"}
    client = client_of(server)
    assert client.data_assets.get_data_asset(asset_id(RAW)).name == RAW
    server.token = "cop_new"
    with pytest.raises(Error):
        client.data_assets.get_data_asset(asset_id(RAW))
    assert requests.get(f"{server.url}/api/v1/data_assets/{asset_id(RAW)}").status_code == 401


def test_the_iterator_gets_every_asset_once_in_pages_of_100(serve: Serve) -> None:
    assets = [make_asset(f"ecephys_{n}_2023-01-01_00-00-00") for n in range(600_000, 600_250)]
    server = serve(CodeOceanServer(assets))
    found = client_of(server).data_assets.search_data_assets_iterator(DataAssetSearchParams())
    assert [asset.id for asset in found] == [asset["id"] for asset in assets]
    assert len(server.requests) == 3
    assert server.requests[0].json()["next_token"] is None
    assert server.requests[1].json()["next_token"]


def test_pages_follow_each_other_by_token_and_offset_is_then_ignored(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(f"asset_{n}") for n in range(5)]))
    api = client_of(server).data_assets
    first = api.search_data_assets(DataAssetSearchParams(limit=2, offset=1))
    assert ([a.name for a in first.results], first.has_more) == (["asset_1", "asset_2"], True)
    second = api.search_data_assets(DataAssetSearchParams(limit=2, offset=0, next_token=first.next_token))
    assert ([a.name for a in second.results], second.has_more) == (["asset_3", "asset_4"], False)
    assert second.next_token is None
    assert names(server, offset=99) == []


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "10"},
        {"limit": True},
        {"offset": -1},
        {"sort_field": "created"},
        {"sort_field": "color", "sort_order": "asc"},
        {"sort_field": "name", "sort_order": "up"},
        {"type": "capsule"},
        {"next_token": "made up"},
        {"query": 676909},
        {"filters": [{"key": "name"}]},
        {"filters": [{"key": "name", "value": "a", "values": ["b"]}]},
        {"filters": [{"key": "size", "range": {}}]},
        {"filters": ["name"]},
        {"filters": [{"key": "name", "values": "a"}]},
        ["not", "an", "object"],
    ],
)
def test_a_search_against_the_documented_rules_is_400_with_a_reason(serve: Serve, params: object) -> None:
    server = serve(CodeOceanServer([make_asset(RAW)]))
    answer = requests.post(f"{server.url}/api/v1/data_assets/search", json=params, auth=("cop_test", ""))
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_broken_json_is_400_and_unknown_paths_are_404(serve: Serve) -> None:
    server = serve(CodeOceanServer())
    with requests.Session() as session:
        session.auth = ("cop_test", "")
        assert session.post(f"{server.url}/api/v1/data_assets/search", data=b"{").status_code == 400
        for method, path in [("GET", "/"), ("GET", "/api/v2/data_assets/x"), ("POST", "/api/v1/data_assets/x")]:
            answer = session.request(method, server.url + path)
            assert (answer.status_code, answer.json()) == (404, {"message": "Not found"})


def test_a_token_of_another_search_is_refused(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW), make_asset(OTHER)]))
    api = client_of(server).data_assets
    token = api.search_data_assets(DataAssetSearchParams(limit=1)).next_token
    with pytest.raises(Error) as caught:
        api.search_data_assets(DataAssetSearchParams(limit=1, next_token=token, query="raw"))
    assert caught.value.status_code == 400


QUERIES = {
    "676909": ["raw", "sorted"],
    "subject id: 676909": ["raw", "sorted"],
    "SUBJECT ID:676909": ["raw", "sorted"],
    'subject id: 676909 data level: "raw data"': ["raw"],
    "subject id: 67690": [],
    "subject id: 676909 subject id: 626791": ["raw", "sorted", "other"],
    "subject id: 676909 tag:derived": ["sorted"],
    "tag:derived tag:raw": ["raw", "sorted", "other"],
    f"name:{RAW}": ["raw"],
    f"name:{RAW} tag:derived": [],
    f"name:{RAW.upper()} name:{OTHER}": ["raw", "other"],
    "name:ecephys_*": [],
    "ecephys raw": ["raw", "other"],
    "raw 626791": ["other"],
    "description:": [],
    '"opto tagging"': ["other"],
    '"tagging opto"': [],
    "tagging opto": ["other"],
    "run_script:code/run": ["sorted"],
    "commit_id:0123": [],
    "no such words": [],
    '""': ["raw", "sorted", "other"],
}


@pytest.mark.parametrize("query", QUERIES)
def test_queries_follow_the_documented_syntax(serve: Serve, query: str) -> None:
    kept = {
        "raw": make_asset(RAW),
        "sorted": make_asset(SORTED),
        "other": make_asset(OTHER, description="Opto tagging"),
    }
    server = serve(CodeOceanServer(list(kept.values())))
    assert names(server, query=query) == [kept[key]["name"] for key in QUERIES[query]]


def test_words_find_longer_names_only_where_the_server_is_told_so(serve: Serve) -> None:
    assets = [make_asset(RAW), make_asset(SORTED), make_asset(OTHER)]
    assert names(serve(CodeOceanServer(assets)), query=f"name:{RAW}") == [RAW]
    loose = serve(CodeOceanServer(assets, prefixes=True))
    assert names(loose, query=f"name:{RAW}") == [RAW, SORTED]
    assert names(loose, query="ecephys_67") == [RAW, SORTED]
    assert names(loose, query="cephys_67") == []
    assert names(loose, query=f'name:"{RAW}"') == [RAW]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SearchFilter(key="tags", value="DERIVED"), [SORTED]),
        (SearchFilter(key="tags", value="derived", exclude=True), [RAW, OTHER]),
        (SearchFilter(key="name", values=[RAW, SORTED]), [RAW, SORTED]),
        (SearchFilter(key="subject id", value="626791"), [OTHER]),
        (SearchFilter(key="subject id", values=["626791", "676909"], exclude=True), []),
        (SearchFilter(key="depth", range=SearchFilterRange(min=10, max=20)), [RAW]),
        (SearchFilter(key="depth", range=SearchFilterRange(min=15, max=None)), [SORTED]),
        (SearchFilter(key="no such field", value="x"), []),
    ],
)
def test_filters_compare_whole_values(serve: Serve, rule: SearchFilter, expected: list[str]) -> None:
    assets = [
        make_asset(RAW, custom_metadata={"subject id": "676909", "depth": 12}),
        make_asset(SORTED, custom_metadata={"subject id": "676909", "depth": 30}),
        make_asset(OTHER, custom_metadata={"subject id": "626791"}),
    ]
    assert names(serve(CodeOceanServer(assets)), filters=[rule]) == expected


def test_filters_on_the_same_key_must_all_match(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW), make_asset(SORTED), make_asset(OTHER)]))
    tagged = [SearchFilter(key="tags", value=tag) for tag in ("derived", "676909")]
    assert names(server, filters=tagged) == [SORTED]


def test_results_are_sorted_and_narrowed_as_asked(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW), make_asset(SORTED), make_asset(OTHER)]))
    by_time = {"sort_field": DataAssetSortBy.Created}
    assert names(server, **by_time, sort_order=SortOrder.Ascending) == [OTHER, RAW, SORTED]
    assert names(server, **by_time, sort_order=SortOrder.Descending) == [SORTED, RAW, OTHER]
    assert names(server, type=DataAssetType.Result) == [SORTED]
    assert names(server, origin=DataAssetSearchOrigin.Internal) == [SORTED]
    assert names(server, origin=DataAssetSearchOrigin.External) == [RAW, OTHER]


def test_archived_assets_are_found_only_on_request_and_never_say_so(serve: Serve) -> None:
    server = serve(CodeOceanServer([make_asset(RAW), make_asset(OTHER, archived=True)]))
    assert names(server) == names(server, archived=False) == [RAW]
    assert names(server, archived=True) == [OTHER]
    kept = requests.get(f"{server.url}/api/v1/data_assets/{asset_id(OTHER)}", auth=("cop_test", "")).json()
    assert "archived" not in kept
    sent = requests.post(
        f"{server.url}/api/v1/data_assets/search", json={"archived": True}, auth=("cop_test", "")
    ).json()
    assert "archived" not in sent["results"][0]


def test_assets_can_be_replaced_while_clients_search(serve: Serve) -> None:
    old: list[Asset] = [make_asset(f"old_{n}") for n in range(50)]
    new: list[Asset] = [make_asset(f"new_{n}") for n in range(50)]
    server = serve(CodeOceanServer(old))

    def kinds(_: int) -> set[str]:
        return {name.split("_")[0] for name in names(server, limit=50)}

    with ThreadPoolExecutor(4) as pool:
        asked = pool.map(kinds, range(12))
        for n in range(100):
            server.assets = (new, old)[n % 2]
            time.sleep(0.001)
        answers = list(asked)
    assert all(answer in ({"old"}, {"new"}) for answer in answers)  # never a mixture
    server.assets = new
    assert len(server.assets) == 50 and names(server, limit=1) == ["new_0"]


def test_paging_through_ten_thousand_assets_finds_each_once() -> None:
    assets = [make_asset(f"ecephys_{600_000 + n}_2023-01-01_00-00-00") for n in range(10_000)]
    params: dict[str, Any] = {"limit": 1000, "sort_field": "created", "sort_order": "asc", "query": "tag:raw"}
    page = search(assets, params)
    seen = [asset["id"] for asset in page["results"]]
    while page["has_more"]:
        page = search(assets, {**params, "next_token": page["next_token"]})
        seen += [asset["id"] for asset in page["results"]]
    assert len(seen) == len(set(seen)) == 10_000


# -- raw.githubusercontent.com ---------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "init.defaultBranch=main"]
    command = ["git", *settings, *arguments]
    done = subprocess.run(command, cwd=folder, env=plain_environment(), check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with two commits, the first one tagged v1, and a branch with a slash in its name."""
    folder = tmp_path / "repo"
    (folder / "state").mkdir(parents=True)
    git(folder, "init", "-q")
    for text in ("old\n", "new é\n"):
        (folder / "state" / "a file.yaml").write_text(text, encoding="utf-8")
        git(folder, "add", ".")
        git(folder, "commit", "-q", "-m", "say " + text.split()[0])
        if text == "old\n":
            git(folder, "tag", "v1")
            git(folder, "branch", "feature/x")
    return folder


def test_a_file_is_served_from_branch_tag_and_commit(serve: Serve, repo: Path) -> None:
    server = serve(RawGitHubServer(repo))
    head, first = git(repo, "rev-parse", "HEAD"), git(repo, "rev-parse", "v1")
    for ref, text in [
        ("main", "new é\n"),
        ("HEAD", "new é\n"),
        (head, "new é\n"),
        ("refs/heads/main", "new é\n"),
        ("v1", "old\n"),
        (first, "old\n"),
        ("refs/tags/v1", "old\n"),
    ]:
        answer = requests.get(f"{server.url}/owner/repo/{ref}/state/a%20file.yaml")
        assert (answer.status_code, answer.text) == (200, text), ref
        assert answer.headers["cache-control"] == "max-age=300"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_bare_repository_is_served_as_it_changes(serve: Serve, repo: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(repo), "bare.git")
    server = serve(RawGitHubServer(tmp_path / "bare.git"))
    address = f"{server.url}/owner/repo/main/state/a%20file.yaml"
    assert requests.get(address).text == "new é\n"
    (repo / "state" / "a file.yaml").write_text("newer\n")
    git(repo, "commit", "-qam", "change")
    git(repo, "push", "-q", str(tmp_path / "bare.git"), "main")
    assert requests.get(address).text == "newer\n"


@pytest.mark.parametrize(
    "path",
    [
        "/owner/repo/main/missing.yaml",
        "/owner/repo/main/state",  # a folder
        "/owner/repo/main/../repo/state/a%20file.yaml",
        "/owner/repo/no-branch/state/a%20file.yaml",
        "/owner/repo/main~1/state/a%20file.yaml",
        "/owner/repo/--help/state/a%20file.yaml",
        "/owner/repo/main",
        "/owner",
        "/",
    ],
)
def test_what_is_not_there_is_404(serve: Serve, repo: Path, path: str) -> None:
    answer = requests.get(serve(RawGitHubServer(repo)).url + path)
    assert (answer.status_code, answer.text) == (404, "404: Not Found")


def test_only_the_named_repository_is_there(serve: Serve, repo: Path) -> None:
    server = serve(RawGitHubServer(repo, repo_name="owner/repo"))
    assert requests.get(f"{server.url}/owner/repo/v1/state/a%20file.yaml").status_code == 200
    assert requests.get(f"{server.url}/other/repo/v1/state/a%20file.yaml").status_code == 404


def test_an_unchanged_file_is_304_without_a_body(serve: Serve, repo: Path) -> None:
    server = serve(RawGitHubServer(repo))
    address = f"{server.url}/owner/repo/main/state/a%20file.yaml"
    etag = requests.get(address).headers["etag"]
    content = (repo / "state" / "a file.yaml").read_bytes()
    assert etag == f'"{hashlib.sha256(content).hexdigest()}"'
    with requests.Session() as session:
        for known in (etag, "W/" + etag, f'"other", {etag}', "*"):
            answer = session.get(address, headers={"If-None-Match": known})
            assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
        assert session.get(address, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize("weak", [False, True])
def test_gzip_is_sent_to_those_who_accept_it(serve: Serve, repo: Path, weak: bool) -> None:
    server = serve(RawGitHubServer(repo, weak_when_gzip=weak))
    address = f"{server.url}/owner/repo/main/state/a%20file.yaml"
    plain = requests.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with requests.get(address, headers={"Accept-Encoding": "br, gzip;q=0.8"}, stream=True) as packed:
        body = packed.raw.read(decode_content=False)
    assert packed.headers["content-encoding"] == "gzip"
    assert len(body) == int(packed.headers["content-length"])
    assert gzip.decompress(body) == plain.content
    assert packed.headers["etag"] == ("W/" if weak else "") + plain.headers["etag"]
    refused = requests.get(address, headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers
    again = requests.get(address, headers={"If-None-Match": packed.headers["etag"]})
    assert again.status_code == 304


def test_a_private_repository_is_404_to_strangers(serve: Serve, repo: Path) -> None:
    server = serve(RawGitHubServer(repo, token="ghp_right"))
    address = f"{server.url}/owner/repo/main/state/a%20file.yaml"
    for header, status in [
        (None, 404),
        ("token ghp_wrong", 404),
        ("token ghp_right", 200),
        ("Bearer ghp_right", 200),
    ]:
        sent = {"Authorization": header} if header else {}
        assert requests.get(address, headers=sent).status_code == status
    assert [r.headers.get("authorization") for r in server.requests][:2] == [None, "token ghp_wrong"]


# -- S3 --------------------------------------------------------------------------------------------


def test_pages_sends_validators_and_minds_those_of_the_client(serve: Serve) -> None:
    server = serve(PagesServer({"index.html": b"<h1>site</h1>", "data/a.json": b"{}"}, deployed=1717243200.5))
    first = requests.get(f"{server.url}/data/a.json", timeout=60)
    assert (first.content, first.headers["last-modified"]) == (b"{}", "Sat, 01 Jun 2024 12:00:00 GMT")
    assert (first.headers["content-type"], first.headers["etag"][:2]) == ("application/json; charset=utf-8", "W/")
    plain = requests.get(server.url, headers={"accept-encoding": "identity"}, timeout=60)
    assert (plain.content, plain.headers["etag"][:1]) == (b"<h1>site</h1>", '"')

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(f"{server.url}/data/a.json", headers=named, timeout=60).status_code

    assert status(if_none_match=first.headers["etag"]) == 304
    assert status(if_modified_since="Sat, 01 Jun 2024 12:00:00 GMT") == 304
    assert status(if_modified_since="Sat, 01 Jun 2024 11:59:59 GMT") == 200
    assert status(if_modified_since="tomorrow") == 200
    assert status(if_none_match='"other"', if_modified_since="Sat, 01 Jun 2024 12:00:00 GMT") == 200, "the ETag wins"
    server.deploy({"data/a.json": b"{}"}, 1717243260)
    assert status(if_none_match=first.headers["etag"]) == 200, "each deployment has ETags of its own"
    missing = requests.get(f"{server.url}/none", timeout=60)
    assert (missing.status_code, "html" in missing.headers["content-type"]) == (404, True)
    assert requests.post(server.url, timeout=60).status_code == 405


def test_boto3_reads_the_environment_and_finds_what_was_put(s3: SeaweedS3) -> None:
    s3.put("aind-ephys-data", "a/b.txt", b"content")
    client = boto3.client("s3")
    got = client.get_object(Bucket="aind-ephys-data", Key="a/b.txt")
    assert got["Body"].read() == b"content"
    assert got["ETag"] == f'"{hashlib.md5(b"content").hexdigest()}"'
    head = client.head_object(Bucket="aind-ephys-data", Key="a/b.txt")
    assert (head["ContentLength"], head["ETag"]) == (7, got["ETag"])
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        client.get_object(Bucket="aind-ephys-data", Key="a/b.txt", IfNoneMatch=got["ETag"])
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


def test_listings_are_paged_and_grouped_by_delimiter(s3: SeaweedS3) -> None:
    folders = [f"ecephys_{n}_2023-01-01_00-00-00" for n in range(600_000, 600_025)]
    s3.put_many("aind-ephys-data", [f"{folder}/{name}" for folder in folders for name in ("data.json", "video/a.mp4")])
    client = s3.client()
    paginator = client.get_paginator("list_objects_v2")
    pages = list(paginator.paginate(Bucket="aind-ephys-data", Delimiter="/", PaginationConfig={"PageSize": 10}))
    assert [len(page["CommonPrefixes"]) for page in pages] == [10, 10, 5]
    assert [p["Prefix"] for page in pages for p in page["CommonPrefixes"]] == [f"{folder}/" for folder in folders]
    inside = client.list_objects_v2(Bucket="aind-ephys-data", Prefix=f"{folders[0]}/", Delimiter="/")
    assert [item["Key"] for item in inside["Contents"]] == [f"{folders[0]}/data.json"]
    assert [item["Prefix"] for item in inside["CommonPrefixes"]] == [f"{folders[0]}/video/"]


def test_a_page_holds_no_more_than_a_thousand_keys(s3: SeaweedS3) -> None:
    keys = sorted(f"many/{n}" for n in range(1005))
    s3.put_many("aind-ephys-data", keys)
    first = s3.client().list_objects_v2(Bucket="aind-ephys-data")
    assert (first["KeyCount"], first["IsTruncated"]) == (1000, True)
    rest = s3.client().list_objects_v2(Bucket="aind-ephys-data", ContinuationToken=first["NextContinuationToken"])
    assert [item["Key"] for page in (first, rest) for item in page["Contents"]] == keys


@pytest.mark.parametrize("key", ["plain", "with space/ü+&=%.txt", "deep/er/and/deeper"])
def test_put_many_stores_under_the_very_key(s3: SeaweedS3, key: str) -> None:
    s3.put_many("aind-ephys-data", [key])
    assert s3.client().head_object(Bucket="aind-ephys-data", Key=key)["ContentLength"] == 0


def test_missing_things_and_wrong_keys_are_aws_errors(s3: SeaweedS3) -> None:
    s3.put("here", "key")
    client = s3.client()
    stranger = boto3.client("s3", aws_access_key_id=s3.access_key, aws_secret_access_key="wrong")
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: client.get_object(Bucket="here", Key="missing"), "NoSuchKey"),
        (lambda: client.list_objects_v2(Bucket="no-bucket"), "NoSuchBucket"),
        (lambda: client.head_object(Bucket="here", Key="missing"), "404"),
        (lambda: stranger.list_objects_v2(Bucket="here"), "SignatureDoesNotMatch"),
    ]
    for ask, code in asked:
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            ask()
        assert caught.value.response["Error"]["Code"] == code


def test_clear_leaves_no_bucket(s3: SeaweedS3) -> None:
    s3.put("first", "a/b")
    s3.put("second", "c", b"text")
    s3.clear()
    assert s3.client().list_buckets()["Buckets"] == []
    s3.put("first", "new")
    assert [item["Key"] for item in s3.client().list_objects_v2(Bucket="first")["Contents"]] == ["new"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the process in /proc")
def test_the_service_ends_with_its_context_even_on_failure() -> None:
    with pytest.raises(ZeroDivisionError), SeaweedS3() as server:
        assert server._process is not None
        process, folder, endpoint = server._process.pid, server._folder, server.endpoint
        raise ZeroDivisionError
    assert not Path(f"/proc/{process}").exists()  # a zombie would still be there
    assert folder is not None and not folder.exists()
    with pytest.raises(requests.ConnectionError):
        requests.get(endpoint)


# -- faults ----------------------------------------------------------------------------------------


@pytest.fixture
def echo_proxy(serve: Serve) -> FaultyProxy:
    """A proxy in front of a server that echoes."""
    return serve(FaultyProxy(serve(Echo()).url))


def test_without_faults_the_proxy_is_not_noticed(echo_proxy: FaultyProxy) -> None:
    answer = requests.post(f"{echo_proxy.url}/a%2Fb?x=%20", data=b"body", headers={"X-Own": "1"})
    assert (answer.status_code, answer.text, answer.headers["x-path"]) == (200, "body", "/a%2Fb?x=%20")
    assert (echo_proxy.count, echo_proxy.requests[0].headers["x-own"]) == (1, "1")


def test_planned_faults_come_in_order_and_then_the_rule(echo_proxy: FaultyProxy) -> None:
    echo_proxy.rule = lambda request: Status(403) if request.path == "/closed" else None
    echo_proxy.plan(Status(429, {"Retry-After": "7"}, b"slow down"), None, Status(503))
    answers = [requests.get(f"{echo_proxy.url}/closed") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [429, 200, 503, 403]
    assert (answers[0].headers["retry-after"], answers[0].text) == ("7", "slow down")
    assert requests.get(f"{echo_proxy.url}/open").status_code == 200
    echo_proxy.plan(Status(500))
    echo_proxy.reset()
    assert requests.get(f"{echo_proxy.url}/closed").status_code == 200
    assert echo_proxy.count == 1


def test_answers_of_the_proxy_itself_do_not_reach_the_upstream(serve: Serve) -> None:
    upstream = serve(Echo())
    proxy = serve(FaultyProxy(upstream.url))
    proxy.plan(Status(500), Refuse(), MalformedJson())
    assert requests.get(proxy.url).status_code == 500
    with pytest.raises(requests.ConnectionError):
        requests.get(proxy.url)
    requests.get(proxy.url)
    assert (proxy.count, upstream.requests) == (3, [])


def test_refuse_resets_before_any_answer(echo_proxy: FaultyProxy) -> None:
    echo_proxy.plan(Refuse())
    with socket.create_connection(("127.0.0.1", urlsplit(echo_proxy.url).port or 0)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_reset_comes_in_the_middle_of_the_body(echo_proxy: FaultyProxy) -> None:
    echo_proxy.plan(Reset(after=3))
    with requests.post(echo_proxy.url, data=b"0123456789", stream=True) as answer:
        assert (answer.status_code, answer.headers["content-length"]) == (200, "10")
        assert answer.raw.read(3) == b"012"
        with pytest.raises(Exception, match=r"(?i)reset"):
            answer.raw.read(7)
    echo_proxy.plan(Reset())
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        requests.get(echo_proxy.url)


def test_truncated_bodies_are_shorter_than_declared(echo_proxy: FaultyProxy) -> None:
    echo_proxy.plan(Truncate(missing=4), Truncate(missing=4))
    with requests.post(echo_proxy.url, data=b"0123456789", stream=True) as answer:
        assert answer.headers["content-length"] == "10"
        assert answer.raw.read(6) == b"012345"
    # requests itself notices only with urllib3 2; older ones hand over what there is.
    with closing(http.client.HTTPConnection("127.0.0.1", urlsplit(echo_proxy.url).port or 0)) as connection:
        connection.request("POST", "/", b"0123456789")
        with pytest.raises(http.client.IncompleteRead) as caught:
            connection.getresponse().read()
    assert (caught.value.partial, caught.value.expected) == (b"012345", 4)


def test_delays_make_clients_time_out_and_do_not_hold_up_the_stop(serve: Serve) -> None:
    upstream = serve(Echo())
    with FaultyProxy(upstream.url) as proxy:
        proxy.plan(Delay(0.2), Delay(3600), Delay(0.05, then=Status(503)))
        started = time.monotonic()
        assert requests.get(proxy.url).status_code == 200
        assert time.monotonic() - started >= 0.2
        with pytest.raises(requests.ReadTimeout):
            requests.get(proxy.url, timeout=0.2)
        assert requests.get(proxy.url).status_code == 503


def test_lost_answers_are_those_of_requests_that_took_effect(serve: Serve) -> None:
    upstream = serve(Echo())
    with FaultyProxy(upstream.url) as proxy:
        proxy.plan(Lose(), Lose(instead=Status(504)), Lose(3600))
        with pytest.raises(requests.ConnectionError):
            requests.post(proxy.url, data=b"first")
        assert requests.post(proxy.url, data=b"second").status_code == 504
        with pytest.raises(requests.ReadTimeout):
            requests.post(proxy.url, data=b"third", timeout=0.2)
        while len(upstream.requests) < 3:
            time.sleep(0.01)  # nobody waited for the third
        assert requests.post(proxy.url, data=b"fourth").text == "fourth"
    assert [request.body for request in upstream.requests] == [b"first", b"second", b"third", b"fourth"]


def test_latency_is_added_to_every_request(serve: Serve) -> None:
    proxy = serve(FaultyProxy(serve(Echo()).url, latency=0.1))
    started = time.monotonic()
    for _ in range(3):
        assert requests.get(proxy.url).status_code == 200
    assert time.monotonic() - started >= 0.3


def test_malformed_json_is_an_honest_200_that_does_not_parse(echo_proxy: FaultyProxy) -> None:
    echo_proxy.plan(MalformedJson())
    answer = requests.get(echo_proxy.url)
    assert answer.status_code == 200
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_an_upstream_that_is_down_is_a_502(serve: Serve) -> None:
    upstream = serve(Echo())
    proxy = serve(FaultyProxy(upstream.url))
    upstream.stop()
    assert requests.get(proxy.url).status_code == 502


def test_the_sdk_suffers_faults_of_code_ocean(serve: Serve) -> None:
    proxy = serve(FaultyProxy(serve(CodeOceanServer([make_asset(RAW)])).url))
    api = client_of(proxy).data_assets
    assert api.get_data_asset(asset_id(RAW)).name == RAW
    proxy.plan(Status(403, body=b'{"message": "no scope"}'), MalformedJson(), Truncate(missing=10), Refuse())
    with pytest.raises(Error, match="no scope"):
        api.search_data_assets(DataAssetSearchParams())
    with pytest.raises(requests.exceptions.JSONDecodeError):
        api.search_data_assets(DataAssetSearchParams())
    for _ in range(2):
        with pytest.raises(requests.RequestException):
            api.search_data_assets(DataAssetSearchParams())
    assert len(api.search_data_assets(DataAssetSearchParams()).results) == 1


def test_signed_s3_requests_pass_the_proxy(s3: SeaweedS3, serve: Serve) -> None:
    proxy = serve(FaultyProxy(s3.endpoint))
    client = s3.client(endpoint_url=proxy.url, retries={"max_attempts": 0})
    client.create_bucket(Bucket="through", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    client.put_object(Bucket="through", Key="a b/ü.bin", Body=b"x" * 100_000)
    assert client.head_object(Bucket="through", Key="a b/ü.bin")["ContentLength"] == 100_000
    assert client.get_object(Bucket="through", Key="a b/ü.bin")["Body"].read() == b"x" * 100_000
    ranged = client.get_object(Bucket="through", Key="a b/ü.bin", Range="bytes=0-9")
    assert (ranged["Body"].read(), ranged["ResponseMetadata"]["HTTPStatusCode"]) == (b"x" * 10, 206)
    assert client.list_objects_v2(Bucket="through", Delimiter="/")["CommonPrefixes"] == [{"Prefix": "a b/"}]
    client.delete_object(Bucket="through", Key="a b/ü.bin")
    assert client.list_objects_v2(Bucket="through")["KeyCount"] == 0
    assert proxy.count == 8


def test_boto3_retries_what_the_proxy_breaks(s3: SeaweedS3, serve: Serve) -> None:
    s3.put("here", "key", b"content")
    proxy = serve(FaultyProxy(s3.endpoint))
    client = s3.client(endpoint_url=proxy.url, retries={"max_attempts": 3, "mode": "standard"})
    slow_down = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
    proxy.plan(Status(503, {"content-type": "application/xml"}, slow_down), Refuse())
    assert client.list_objects_v2(Bucket="here")["KeyCount"] == 1
    assert proxy.count == 3
    proxy.plan(Truncate(missing=3))
    with pytest.raises(botocore.exceptions.BotoCoreError):
        client.get_object(Bucket="here", Key="key")["Body"].read()

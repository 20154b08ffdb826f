"""Listings of S3: one broken page fails the listing, and what is complete is read as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest

from npc_lims.clients.s3 import Folder, ObjectStore, open_store
from npc_lims.config.settings import Settings, load_settings
from npc_lims.errors import SourceError
from npc_lims.sources.s3.query import list_raw_folder
from tests.builders import asset
from tests.servers.s3 import SeaweedS3
from tests.servers.web import Request, Response, Server

if TYPE_CHECKING:
    from typing_extensions import Self

CONTENTS = "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>&quot;1&quot;</ETag><Size>{}</Size></Contents>"


def entry(key: str, *, modified: str = "2024-11-04T10:00:00Z", size: object = 1) -> str:
    return CONTENTS.format(key, modified, size)


def folder(prefix: str) -> str:
    return f"<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>"


def page(*entries: str, truncated: str = "false", token: str = "", prefix: str = "a/", **replaced: str) -> str:
    """A page of a listing; *replaced* are elements by name: other content, or an empty text to leave one out."""
    elements = {
        "Name": "<Name>data</Name>",
        "Prefix": f"<Prefix>{prefix}</Prefix>",
        "KeyCount": f"<KeyCount>{len(entries)}</KeyCount>",
        "IsTruncated": f"<IsTruncated>{truncated}</IsTruncated>",
        "Token": f"<NextContinuationToken>{token}</NextContinuationToken>" if token else "",
        **replaced,
    }
    root = '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    return f"{root}{''.join(elements.values())}{''.join(entries)}</ListBucketResult>"


class Listings(Server):
    """Answers each request with what `pages` gives for its token and prefix; `store` reads from it."""

    def __init__(self) -> None:
        super().__init__()
        self.pages: Callable[[str, str], Response] = lambda token, prefix: xml(page(prefix=prefix))
        self.store: ObjectStore

    def start(self) -> Self:
        super().start()
        self.store = open_store(
            Settings(
                aws_access_key_id="id",
                aws_secret_access_key="key",
                aws_default_region="us-west-2",
                aws_endpoint_url=self.url,
                attempts=1,
            )
        )
        return self

    def hold(self, *answers: Response) -> ObjectStore:
        """Answer with these pages: the token of page n is `n`."""
        self.reset()
        self.pages = lambda token, prefix: answers[int(token or 0)]
        return self.store

    def answer(self, request: Request) -> Response:
        query = parse_qs(urlsplit(request.path).query)
        return self.pages(query.get("continuation-token", [""])[0], query.get("prefix", [""])[0])


def xml(content: str, status: int = 200) -> Response:
    return Response(status, {"content-type": "application/xml"}, content.encode())


@pytest.fixture(scope="module")
def listings(services_parsed_once: None) -> Iterator[Listings]:
    with Listings() as server:
        yield server


def test_pages_are_read_to_the_end(listings: Listings) -> None:
    store = listings.hold(xml(page(entry("a/1"), truncated="true", token="1")), xml(page(entry("a/2"), folder("a/x/"))))
    assert store.list_folder("data", "a/") == Folder(("x",), ("1", "2"))


def test_encoded_keys_that_are_declared_are_decoded(listings: Listings) -> None:
    content = page(entry("a/x%201%2525"), folder("a/%C3%A9/"), Encoding="<EncodingType>url</EncodingType>")
    assert listings.hold(xml(content)).list_folder("data", "a/") == Folder(("é",), ("x 1%25",))


def test_a_page_without_keys_may_come_between(listings: Listings) -> None:
    answers = [xml(page(truncated="true", token="1")), xml(page(entry("a/2")))]
    assert [item.key for item in listings.hold(*answers).list_all("data", "a/")] == ["a/2"]


# botocore takes an answer that is not XML for one of status 500.
BROKEN_PAGES = {
    "truncated without a token": (page(entry("a/1"), truncated="true"), "truncated, without a token"),
    "complete with a token": (page(entry("a/1"), token="1"), "complete, and how to go on"),
    "repeated token": (page(truncated="true", token="1"), "repeats a continuation token"),
    "repeated keys": (page(entry("a/1"), entry("a/1")), "repeats keys"),
    "key of another folder": (page(entry("b/1")), "the key b/1 does not belong to it"),
    "key that lacks the prefix": (page(entry("a")), "the key a does not belong to it"),
    "key deeper than the delimiter": (page(entry("a/x/1")), "the key a/x/1 does not belong to it"),
    "common prefix of another folder": (page(folder("b/x/")), "the common prefix b/x/ does not belong to it"),
    "common prefix without delimiter": (page(folder("a/x")), "the common prefix a/x does not belong to it"),
    "common prefix that is too deep": (page(folder("a/x/y/")), "the common prefix a/x/y/ does not belong to it"),
    "common prefix that is the prefix": (page(folder("a/")), "the common prefix a/ does not belong to it"),
    "common prefix without a name": (page("<CommonPrefixes/>"), "does not belong to it"),
    "key without a name": (page(entry("")), "does not belong to it"),
    "no key": (page("<Contents><Size>1</Size><ETag>1</ETag></Contents>"), "an object has no Key"),
    "no size": (page("<Contents><Key>a/1</Key><ETag>1</ETag></Contents>"), "an object has no Size"),
    "no ETag": (page("<Contents><Key>a/1</Key><Size>1</Size></Contents>"), "an object has no ETag"),
    "an entry less": (page(entry("a/1"), KeyCount="<KeyCount>2</KeyCount>"), "a page of 2 entries holds 1"),
    "encoded keys that are not declared": (page(entry("a/x%201")), "the keys are encoded"),
    "another prefix": (page(prefix="b/"), r"of another prefix \(b/\)"),
    "another bucket": (page(Name="<Name>other</Name>"), r"of another bucket \(other\)"),
    "no name": (page(Name=""), "not S3 .no Name"),
    "no prefix": (page(Prefix=""), "not S3 .no Prefix"),
    "no count": (page(KeyCount=""), "not S3 .no KeyCount"),
    "no IsTruncated": (page(IsTruncated=""), "does not say once whether it is truncated"),
    "truncated and not": (page(truncated="false</IsTruncated><IsTruncated>true"), "does not say once"),
    "truncated in capitals": (page(truncated="TRUE"), "does not say once whether it is truncated"),
    "truncated with space": (page(truncated=" true "), "does not say once whether it is truncated"),
    "XHTML": ("<html><head/><body>please log in</body></html>", "not a listing"),
    "HTML": ("<html><br>please log in", "500"),
    "JSON": ('{"message": "no"}', "500"),
    "nothing": ("", "(not a listing|cannot be read)"),
    "another document": ("<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>", "not a listing"),
    "a listing by another name": (page().replace("ListBucketResult", "ListResult"), "not a listing"),
    "a listing inside another document": (f"<Wrapped>{page().partition('?>')[2]}</Wrapped>", "not a listing"),
    "half a document": (page(entry("a/1"))[:-20], "500"),
    "a size that is no number": (page(entry("a/1", size="many")), "cannot be read"),
    "a size below zero": (page(entry("a/1", size=-1)), "the size of a/1 is negative"),
    "a date before the year 1": (page(entry("a/1", modified="-100000000000")), "cannot be read"),
    "a date of no calendar": (page(entry("a/1", modified="2024-13-45T99:99:99Z")), "cannot be read"),
    "a workflow command": (page(entry("b/&#10;::error::x")), r"the key b/ ::error::x does not belong"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "reason"), BROKEN_PAGES.values(), ids=BROKEN_PAGES.keys())
def test_a_broken_page_fails_the_listing(listings: Listings, content: str, reason: str) -> None:
    first, second = xml(page(entry("a/0"), truncated="true", token="1")), xml(content)
    for answers in ([second, second], [first, second]):
        with pytest.raises(SourceError, match=reason) as raised:
            listings.hold(*answers).list_folder("data", "a/")
        assert (raised.value.source, "\n" in str(raised.value)) == ("s3", False)


@pytest.mark.parametrize("broken", ["key of another folder", "no count", "another bucket", "XHTML", "JSON"])
def test_a_broken_page_does_not_say_that_a_folder_may_be_read(listings: Listings, broken: str) -> None:
    content, reason = BROKEN_PAGES[broken]
    with pytest.raises(SourceError, match=reason):
        listings.hold(xml(content)).has_any("data", "a/")


@pytest.mark.parametrize("status", [201, 202, 203, 206, 226])
@pytest.mark.parametrize("content", [page(entry("a/1")), "<html>", ""], ids=["listing", "HTML", "nothing"])
def test_an_answer_of_another_status_is_no_listing(listings: Listings, status: int, content: str) -> None:
    with pytest.raises(SourceError, match=r"s3://data/a/: .*(in place of 200|cannot be read)"):
        listings.hold(xml(content, status)).list_folder("data", "a/")


def _numbered(token: str, entries: Sequence[str]) -> Response:
    number = int(token or 0) + 1
    return xml(page(*entries, truncated="true", token=str(number)))


def test_a_listing_of_empty_pages_ends(listings: Listings) -> None:
    listings.reset()
    listings.pages = lambda token, prefix: _numbered(token, [])
    with pytest.raises(SourceError, match=r"does not end \(page 101\)"):
        listings.store.list_folder("data", "a/")


def test_a_listing_that_begins_again_ends(listings: Listings) -> None:
    listings.reset()
    listings.pages = lambda token, prefix: _numbered(token, [entry(f"a/{int(token or 0) % 3}")])
    with pytest.raises(SourceError, match="repeats keys"):
        list(listings.store.list_all("data", "a/"))
    assert len(listings.requests) == 4


def test_folders_that_hold_each_other_end(listings: Listings) -> None:
    """Each listing is complete, and each has one more folder of a recording in it."""
    listings.reset()
    listings.pages = lambda token, prefix: xml(page(folder(f"{prefix}ecephys/"), prefix=prefix))
    raw = asset(location="s3://data/a")
    with pytest.raises(SourceError, match="nested deeper than any recording"):
        list_raw_folder(listings.store, raw, "other")


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(200, {"ETag": '"1"'}, b"12", declared=5, end="close"), "(has 2 bytes where|Connection broken|EndOf)"),
        (Response(206, {"ETag": '"1"'}, b"12"), "answered 206 in place of 200"),
        (Response(203, {"ETag": '"1"'}, b"12"), "answered 203 in place of 200"),
        (Response(200, {}, b"12"), "no ETag"),
        (Response(200, {"ETag": '"1"', "Last-Modified": "-100000000000"}, b"12"), "cannot be read"),
    ],
    ids=["short", "206", "203", "no ETag", "year -1199"],
)
def test_an_object_is_read_completely_or_not(listings: Listings, response: Response, reason: str) -> None:
    store = listings.hold(response)
    with pytest.raises(SourceError, match=reason):
        store.read("data", "a/1", limit=10)
    if response.declared is None:
        with pytest.raises(SourceError, match=reason):
            store.head("data", "a/1")


def test_a_real_service_passes_the_checks(s3: SeaweedS3, tmp_path: Path) -> None:
    names = [f"a/{number:04}/x" for number in range(1001)]
    s3.put_many("data", [*names, "a/", "a/b c/é+%.txt", "a/&<>.txt", "b/1"])
    store = open_store(load_settings(s3.env(), tmp_path))
    found = store.list_folder("data", "a/")
    assert (len(found.folders), found.files) == (1002, ("&<>.txt",))
    assert sorted(item.key for item in store.list_all("data", "a/")) == sorted(
        [*names, "a/", "a/b c/é+%.txt", "a/&<>.txt"]
    )
    assert store.list_folder("data", "none/") == Folder((), ())
    assert (store.has_any("data", "a/"), store.has_any("data", "none/"), store.has_any("data", "")) == (
        True,
        False,
        True,
    )
    assert store.read("data", "b/1", limit=1) == b""

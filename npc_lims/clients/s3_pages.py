"""Check answers of S3, and that the pages of a listing (ListObjectsV2) form one complete listing. Pure.

botocore accepts any XML document, reads every value but `true` as false and stops where a page has no token: each of
these would turn a broken or foreign answer into a shorter listing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from npc_lims.errors import SourceError
from npc_lims.utils.text import single_line

# Of 1,000 names each: a folder with more entries is none of a session.
_MAX_FOLDER_PAGES = 100
# The bound of last resort: who lists everything below a prefix knows how much to expect.
_MAX_PAGES = 5_000
# S3 sends a page without keys where many keys in a row were deleted, but not page after page.
_MAX_EMPTY_PAGES = 100

_ROOT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<ListBucketResult[\s>]")
_IS_TRUNCATED = re.compile(rb"<IsTruncated>(?:true|false)</IsTruncated>")
_ENCODED = re.compile("%[0-9A-Fa-f]{2}")
# The alias of an access point stands for a bucket of another name.
_ALIAS_SUFFIX = "-s3alias"


def check_answer(http_response: Any, model: Any, **_: Any) -> None:
    """Raise ValueError for an answer that S3 does not give: what botocore calls after each operation."""
    status = http_response.status_code
    if 200 < status < 300:
        raise ValueError(f"answered {status} in place of 200")
    if status == 200 and model.name == "ListObjectsV2":
        _check_document(http_response.content)


def _check_document(content: bytes) -> None:
    if not _ROOT.match(content):
        raise ValueError("the answer is not a listing (expected the XML element ListBucketResult)")
    if len(_IS_TRUNCATED.findall(content)) != 1:
        raise ValueError("the listing does not say once whether it is truncated (IsTruncated: true or false)")


class ListingCheck:
    """The pages of one listing, checked as they arrive.

    Args:
        bucket: The bucket that is listed.
        prefix: Beginning of every key.
        delimiter: End of a common prefix; empty if everything below the prefix is listed.
    """

    def __init__(self, bucket: str, prefix: str, delimiter: str = "") -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._delimiter = delimiter
        self._seen: set[str] = set()
        self._tokens: set[str] = set()
        self._pages = 0
        self._empty_pages = 0

    def add(self, page: Mapping[str, Any]) -> str | None:
        """Return the token of the next page; None if *page* is the last.

        Raises:
            SourceError: The page is inconsistent with the request, with itself or with the pages before it.
        """
        self._check_request(page)
        names = self._names(page)
        self._check_progress(names)
        return self._next_token(page)

    def _check_request(self, page: Mapping[str, Any]) -> None:
        for field in ("Name", "Prefix", "KeyCount", "IsTruncated"):
            if field not in page:  # S3 always sends them: another server has answered
                raise self._inconsistent(f"what answers is not S3 (no {field})")
        if page["Name"] != self._bucket and not self._bucket.endswith(_ALIAS_SUFFIX):
            raise self._inconsistent(f"the listing is of another bucket ({single_line(page['Name'], 100)})")
        if page["Prefix"] != self._prefix:
            raise self._inconsistent(f"the listing is of another prefix ({single_line(page['Prefix'], 100)})")

    def _names(self, page: Mapping[str, Any]) -> list[str]:
        """Return the keys and common prefixes of a page."""
        contents = page.get("Contents", ())
        for item in contents:
            for field in ("Key", "Size", "ETag"):
                if field not in item:
                    raise self._inconsistent(f"an object has no {field}")
            if item["Size"] < 0:
                raise self._inconsistent(f"the size of {single_line(item['Key'], 200)} is negative")
        keys = [item["Key"] for item in contents]
        folders = [item.get("Prefix", "") for item in page.get("CommonPrefixes", ())]
        for name in keys:
            if not self._is_below(name) or (self._delimiter and self._delimiter in name[len(self._prefix) :]):
                raise self._inconsistent(f"the key {single_line(name, 200)} does not belong to it")
        for name in folders:
            rest = name[len(self._prefix) :]
            is_one_level = bool(self._delimiter) and rest.find(self._delimiter) == len(rest) - len(self._delimiter)
            if not self._is_below(name) or not rest or not is_one_level:
                raise self._inconsistent(f"the common prefix {single_line(name, 200)} does not belong to it")
        if page.get("EncodingType") != "url" and any(map(_ENCODED.search, keys + folders)):
            raise self._inconsistent("the keys are encoded, and the listing does not say so (EncodingType)")
        if page["KeyCount"] > len(keys) + len(folders):
            raise self._inconsistent(f"a page of {page['KeyCount']} entries holds {len(keys) + len(folders)}")
        return keys + folders

    def _is_below(self, name: str) -> bool:
        return bool(name) and name.startswith(self._prefix)

    def _check_progress(self, names: list[str]) -> None:
        self._pages += 1
        self._empty_pages = 0 if names else self._empty_pages + 1
        before = len(self._seen)
        self._seen.update(names)
        if len(self._seen) != before + len(names):
            raise self._inconsistent("the listing repeats keys")
        max_pages = _MAX_FOLDER_PAGES if self._delimiter else _MAX_PAGES
        if self._pages > max_pages or self._empty_pages > _MAX_EMPTY_PAGES:
            raise self._inconsistent(f"the listing does not end (page {self._pages})")

    def _next_token(self, page: Mapping[str, Any]) -> str | None:
        token: str | None = page.get("NextContinuationToken")
        if not page["IsTruncated"]:
            if token:
                raise self._inconsistent("the listing says that it is complete, and how to go on")
            return None
        if not token:
            raise self._inconsistent("the listing is truncated, without a token to go on")
        if token in self._tokens:
            raise self._inconsistent("the listing repeats a continuation token")
        self._tokens.add(token)
        return token

    def _inconsistent(self, found: str) -> SourceError:
        uri = single_line(f"s3://{self._bucket}/{self._prefix}")
        return SourceError("s3", f"{uri}: {found}; nothing of it was used; check AWS_ENDPOINT_URL and proxies")

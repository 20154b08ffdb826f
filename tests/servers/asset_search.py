"""How Code Ocean searches data assets: the rules its SDK documents on DataAssetSearchParams and SearchFilter.

Two things are documented nowhere. Whether a word finds longer names that begin with it is reported both ways
by users, so `prefixes` chooses; and a field that `key: value` names is compared as a whole.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Asset = dict[str, Any]
Params = Mapping[str, Any]

# Known to the server alone: they decide what is found and are never sent.
PRIVATE = frozenset({"archived", "favorite"})
CHOICES = {
    "type": {"dataset", "result", "combined", "model"},
    "sort_field": {"created", "type", "name", "size"},
    "sort_order": {"asc", "desc"},
    "ownership": {"private", "shared", "created"},
    "origin": {"internal", "external"},
}
KINDS = {"query": str, "next_token": str, "filters": list, "archived": bool, "favorite": bool}
QUERY_FIELDS = ("name", "tag", "run_script", "commit_id", "contained_data_id")


class BadRequestError(Exception):
    """The parameters break a documented rule; the message says which."""


def search(assets: Sequence[Asset], params: Params, *, prefixes: bool = False) -> dict[str, Any]:
    """One page of the assets that `params` ask for; BadRequestError where they make no sense.

    Ownership is checked but selects nothing: all assets belong to the one user there is.
    """
    check(params)
    start = token_offset(params) if params.get("next_token") else params.get("offset") or 0
    limit = 100 if params.get("limit") is None else params["limit"]
    found = [asset for asset in assets if selected(asset, params)]
    if params.get("query"):
        query = Query(params["query"], assets, prefixes=prefixes)
        found = [asset for asset in found if query.matches(asset)]
    if params.get("sort_field"):
        field = params["sort_field"]
        # The id settles ties, so that pages neither repeat nor skip an asset.
        found.sort(key=lambda asset: (asset.get(field) or 0, asset["id"]), reverse=params["sort_order"] == "desc")
    end = start + limit
    results = [public(asset) for asset in found[start:end]]
    if end >= len(found):
        return {"has_more": False, "results": results}
    return {"has_more": True, "results": results, "next_token": make_token(params, end)}


def public(asset: Asset) -> Asset:
    """An asset as it is sent."""
    return {key: value for key, value in asset.items() if key not in PRIVATE}


def check(params: Params) -> None:
    """BadRequestError for parameters outside the documented values."""
    for name, allowed in CHOICES.items():
        if params.get(name) is not None and params[name] not in allowed:
            raise BadRequestError(f"invalid {name}: {params[name]!r}")
    if params.get("sort_field") and not params.get("sort_order"):
        raise BadRequestError("sort_order must be provided with sort_field")
    for name, low, high in (("limit", 1, 1000), ("offset", 0, float("inf"))):
        value = params.get(name)
        if value is not None and not (type(value) is int and low <= value <= high):
            raise BadRequestError(f"invalid {name}: {value!r}")
    for name, kind in KINDS.items():
        if params.get(name) is not None and not isinstance(params[name], kind):
            raise BadRequestError(f"invalid {name}: {params[name]!r}")
    for rule in params.get("filters") or ():
        check_filter(rule)


def check_filter(rule: object) -> None:
    """BadRequestError unless `rule` says what to compare with what."""
    if not isinstance(rule, dict):
        raise BadRequestError("a filter is an object")
    given = [key for key in ("value", "values", "range") if rule.get(key) is not None]
    if not rule.get("key") or len(given) != 1:
        raise BadRequestError("a filter needs a key and one of value, values or range")
    if given == ["values"] and not isinstance(rule["values"], list):
        raise BadRequestError("the values of a filter are a list")
    if given == ["range"]:
        limits = rule["range"]
        if not isinstance(limits, dict) or all(limits.get(end) is None for end in ("min", "max")):
            raise BadRequestError("a range needs min or max")


def selected(asset: Asset, params: Params) -> bool:
    """Whether everything but the query lets this asset through."""
    if bool(asset.get("archived")) != bool(params.get("archived")):
        return False
    if params.get("favorite") and not asset.get("favorite"):
        return False
    if params.get("type") and asset["type"] != params["type"]:
        return False
    if params.get("origin"):
        external = bool((asset.get("source_bucket") or {}).get("external"))
        if external != (params["origin"] == "external"):
            return False
    return all(filtered(asset, rule) for rule in params.get("filters") or ())


def filtered(asset: Asset, rule: Params) -> bool:
    """Whether one filter lets this asset through."""
    key = str(rule["key"]).casefold()
    if key in ("name", "description", "tags"):
        own = asset.get(key)
    else:
        own = next((value for name, value in metadata(asset) if name.casefold() == key), None)
    values = own if isinstance(own, list) else [] if own is None else [own]
    if rule.get("range") is not None:
        low, high = rule["range"].get("min"), rule["range"].get("max")
        numbers = [value for value in values if isinstance(value, (int, float))]
        hit = any((low is None or low <= n) and (high is None or n <= high) for n in numbers)
    else:
        wanted = {fold(value) for value in rule.get("values") or [rule.get("value")]}
        hit = any(fold(value) in wanted for value in values)
    return hit != bool(rule.get("exclude"))


class Query:
    """A search expression: words in any text of an asset, and `field: value` pairs.

    A field given twice means either value, different fields and words must all match.
    """

    def __init__(self, expression: str, assets: Iterable[Asset], *, prefixes: bool) -> None:
        # Custom metadata keys may hold spaces ("subject id"), so a pair is recognised by the keys there are.
        custom = {key.casefold() for asset in assets for key, _ in metadata(asset)}
        names = "|".join(re.escape(name) for name in sorted({*custom, *QUERY_FIELDS}, key=len, reverse=True))
        self.words: list[re.Pattern[str]] = []
        self.fields: dict[str, list[re.Pattern[str]]] = defaultdict(list)
        for match in re.finditer(rf'(?:({names})\s*:\s*)?("[^"]*"|\S+)', expression.casefold()):
            field, value = match.groups()
            text = value.strip('":') if field is None else value.strip('"')
            if not text:
                continue
            if field is None:
                self.words.append(pattern(text, prefix=prefixes and not value.startswith('"')))
            elif field in QUERY_FIELDS:
                self.fields[field].append(pattern(text, prefix=prefixes and not value.startswith('"')))
            else:
                self.fields[field].append(re.compile(rf"\A{re.escape(text)}\Z"))

    def matches(self, asset: Asset) -> bool:
        """Whether `asset` is one of those asked for."""
        texts = self._texts(asset)
        everything = "\n".join(text for field in ("name", "tag", "description", "") for text in texts[field])
        return all(word.search(everything) for word in self.words) and all(
            any(wanted.search(text) for wanted in patterns for text in texts[field])
            for field, patterns in self.fields.items()
        )

    @staticmethod
    def _texts(asset: Asset) -> dict[str, list[str]]:
        texts: dict[str, list[str]] = defaultdict(list)
        provenance = asset.get("provenance") or {}
        texts["name"] = [fold(asset["name"])]
        texts["description"] = [fold(asset.get("description") or "")]
        texts["tag"] = [fold(tag) for tag in asset.get("tags") or ()]
        texts["run_script"] = [fold(provenance.get("run_script") or "")]
        texts["commit_id"] = [fold(provenance.get("commit") or "")]
        texts["contained_data_id"] = [fold(part.get("id")) for part in asset.get("contained_data_assets") or ()]
        for key, value in metadata(asset):
            texts[key.casefold()].append(fold(value))
            texts[""].append(f"{fold(key)}: {fold(value)}")
        return texts


def pattern(text: str, *, prefix: bool) -> re.Pattern[str]:
    """Finds `text` where it is a word of its own (a_b-c is one word), or begins a part of a word."""
    if prefix:
        return re.compile(rf"(?<![^\W_]){re.escape(text)}")
    return re.compile(rf"(?<![\w-]){re.escape(text)}(?![\w-])")


def fold(value: object) -> str:
    """How values are compared: as text, upper and lower case alike."""
    return str(value).casefold()


def metadata(asset: Asset) -> list[tuple[str, Any]]:
    """The custom metadata of an asset."""
    return list((asset.get("custom_metadata") or {}).items())


def make_token(params: Params, offset: int) -> str:
    """An opaque token for the page at `offset` of this search."""
    return base64.urlsafe_b64encode(json.dumps([digest(params), offset]).encode()).decode()


def token_offset(params: Params) -> int:
    """Where the page of `next_token` begins; BadRequestError if it is not a token of this very search."""
    try:
        searched, offset = json.loads(base64.urlsafe_b64decode(params["next_token"]))
    except (binascii.Error, ValueError, TypeError):
        raise BadRequestError("invalid next_token") from None
    if searched != digest(params):
        raise BadRequestError("next_token belongs to another search")
    return int(offset)


def digest(params: Params) -> str:
    """Names a search, whichever page of it is asked for."""
    asked = {
        key: value
        for key, value in params.items()
        if key not in ("limit", "offset", "next_token") and value is not None
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

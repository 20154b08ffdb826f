"""Requests to Code Ocean's REST API, the errors that it answers with, and the official SDK.

Callers of `npc_lims` receive objects of the SDK, which are made of what the API sends.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from npc_lims.clients.http import (
    RETRYABLE_STATUS,
    HttpClient,
    HttpResponse,
    RequestFailed,
    RetryPolicy,
    basic_auth,
    parse_json,
)
from npc_lims.config.settings import OFFLINE, Settings, in_github_actions, settings_for_reading
from npc_lims.errors import MissingCredentials, SourceError
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from codeocean import CodeOcean
    from codeocean.computation import Computation
    from codeocean.data_asset import DataAsset

SOURCE = "codeocean"
READ_SCOPE = "the scope 'data assets: read'"
RUN_SCOPES = "the scopes 'computations: read and write' and 'data assets: read and write'"
OUTPUT_LIMIT = 64 * 2**20
"""Bytes of an `output` file, the log of a run, that are read at most."""

_PAGE = 1000
# Of 1,000 assets each, and none without a new one: no domain comes near two million.
_MAX_PAGES = 2_000
# Fields that the SDK requires, and that records of older services lack.
_SDK_DEFAULTS = {"owner": "", "run_time": 0, "last_used": 0}

_sdk_clients: TTLCache[CodeOcean] = TTLCache(maxsize=8, ttl=24 * 3600, survives_fork=False)
# Making one takes over a millisecond. The key is the whole record, so that a value is never out of date.
_sdk_assets: TTLCache[DataAsset] = TTLCache(maxsize=4096, ttl=600)

_T = TypeVar("_T")


class CodeOceanError(SourceError):
    """Code Ocean could not be queried, or rejected a request *doing* something.

    *detail* is what it said, or what happened instead. *status* is None without a response that could be read.
    """

    def __init__(self, doing: str, detail: str, status: int | None = None, message: str = "") -> None:
        self.status = status
        self.detail = detail
        super().__init__(SOURCE, f"{doing}{': ' if doing else ''}{message or detail}")

    def __reduce__(self) -> tuple[type[SourceError], tuple[str, str]]:
        return SourceError, (self.source, self.reason)  # what another process makes of it


class Unauthorized(CodeOceanError):
    """The token is refused, whatever is requested."""


class RateLimited(CodeOceanError):
    """Code Ocean accepts no more requests of this kind now; nothing was done."""


class Rejected(CodeOceanError):
    """Code Ocean rejected this one request; nothing was done."""


class OutcomeUnknown(CodeOceanError):
    """A request was sent once, and no response says whether it was carried out."""


_ERRORS: Mapping[int, type[CodeOceanError]] = {
    401: Unauthorized,
    429: RateLimited,
    **dict.fromkeys((400, 409, 413, 422), Rejected),
}
_MESSAGES = {
    401: "the token was refused (401: {reason}): it has expired, or lacks {scopes}; make a new one and set "
    "CODE_OCEAN_API_TOKEN",
    403: "not allowed with this token (403: {reason}): it needs {scopes}, and its owner the right to do this",
    429: "Code Ocean is too busy ({reason}); nothing was started",
}


class AssetClient(Protocol):
    """Read access to data assets, as plain data."""

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Yield pages of assets that match the search parameters of the API."""

    def get(self, asset_id: str) -> dict[str, Any] | None:
        """Return one asset, or None if there is none of that id."""


def open_client(settings: Settings) -> AssetClient:
    """Return the mirror if one is set, else the REST API; MissingCredentials without a token."""
    _refuse_offline(settings)
    if settings.mirror is not None:
        return MirrorClient(settings.mirror / SOURCE / "data_assets.json")
    return CodeOceanClient(settings)


def _refuse_offline(settings: Settings) -> None:
    if settings.offline:
        raise SourceError(SOURCE, OFFLINE)


def read_token(settings: Settings, scopes: str) -> str:
    """Return the token; MissingCredentials, with the *scopes* that one needs, if there is none."""
    _refuse_offline(settings)
    if settings.codeocean_token is not None:
        return settings.codeocean_token.get_secret_value()
    if in_github_actions():
        where = "as a secret of this job's environment, under Settings, Environments"
    else:
        where = "in the environment or .env"
    raise MissingCredentials(
        f"no Code Ocean token: set CODE_OCEAN_API_TOKEN ({where}; made under Account, Access Tokens, with {scopes})"
    )


class CodeOceanClient:
    """The REST API. In messages, *scopes* are what a token needs, and *doing* is what a request is for."""

    def __init__(self, settings: Settings, scopes: str = READ_SCOPE) -> None:
        self.policy = RetryPolicy.from_settings(settings)
        self._http = HttpClient(self.policy, basic_auth(read_token(settings, scopes)))
        self._base = f"{settings.codeocean_domain}/api/v1/"
        self._scopes = scopes

    # -- data assets

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        """Yield pages of data assets, oldest first; SourceError if the search failed, or is incomplete."""
        doing = "searching data assets"
        tokens: set[str] = set()
        seen: set[str] = set()
        previous: list[dict[str, Any]] = []
        body = {"limit": _PAGE, "sort_field": "created", "sort_order": "asc", "archived": False, **params}
        for _ in range(_MAX_PAGES):
            page = self.query(doing, "POST", "data_assets/search", _parse_page, json=body)
            if page is None:
                raise CodeOceanError(doing, "Code Ocean answered 404: check CODE_OCEAN_DOMAIN", 404)
            if page["results"] and page["results"] == previous:
                raise SourceError(SOURCE, "a page of the search repeats the one before; nothing was used; try again")
            before, previous = len(seen), page["results"]
            seen.update(asset_id for item in page["results"] if isinstance(asset_id := item.get("id"), str))
            yield page["results"]
            if not page["has_more"]:
                return
            token = page.get("next_token")
            if not token or not isinstance(token, str) or token in tokens:
                raise SourceError(SOURCE, "the search says there is more but gives no way to it; nothing was used")
            if len(seen) == before:
                raise SourceError(SOURCE, "a page of the search holds nothing new and is not the last; not used")
            tokens.add(token)
            body["next_token"] = token
        raise SourceError(SOURCE, f"the search did not end within {_MAX_PAGES} pages; nothing was used")

    def get(self, asset_id: str) -> dict[str, Any] | None:
        """Return one data asset, or None if there is none of that id."""

        def parse(content: Any) -> dict[str, Any]:
            if not isinstance(content, dict) or content.get("id") != asset_id:
                raise ValueError("it is not the data asset that was requested")
            return content

        path = f"data_assets/{urllib.parse.quote(asset_id, safe='')}"
        return self.query(f"fetching the data asset {asset_id}", "GET", path, parse)

    # -- kinds of requests

    def query(self, doing: str, method: str, path: str, parse: Callable[[Any], _T], **more: Any) -> _T | None:
        """Return what *parse* makes of the JSON of a response; None if there is no such thing."""

        def read(response: HttpResponse) -> _T | None:
            return None if response.status == 404 else parse(self._accepted(doing, response).json())

        return self._request(doing, method, path, read, more)

    def send(self, doing: str, method: str, path: str, *, may_be_gone: bool = False, **more: Any) -> None:
        """Request a change that may be requested twice."""

        def read(response: HttpResponse) -> None:
            if not (may_be_gone and response.status == 404):
                self._accepted(doing, response)

        self._request(doing, method, path, read, more)

    def send_once(
        self, doing: str, path: str, body: Mapping[str, Any], parse: Callable[[Any], _T], attempts: int
    ) -> _T:
        """Request a change that must not happen twice; again only, up to *attempts* times, if Code Ocean is too busy.

        OutcomeUnknown if it may have been carried out; any other CodeOceanError if it was not.
        """

        def read(response: HttpResponse) -> _T:
            return parse(self._accepted(doing, response).json())

        try:
            return self._http.request(
                "POST", self._base + path, read, is_idempotent=False, attempts=attempts, json=body
            )
        except RequestFailed as error:
            if error.response is not None and error.response.status == 429:
                raise self._error(doing, error.response) from None
            if not error.is_sent:
                raise CodeOceanError(doing, f"{self._base}{path} {error}") from None
            message = f"no whole answer came ({error})" if error.response is None else f"Code Ocean {error}"
            raise OutcomeUnknown(doing, str(error), message=message) from None

    def _request(
        self, doing: str, method: str, path: str, read: Callable[[HttpResponse], _T], more: dict[str, Any]
    ) -> _T:
        try:
            return self._http.request(method, self._base + path, read, **more)
        except RequestFailed as error:
            raise CodeOceanError(doing, f"{self._base}{path} {error}") from None

    def _accepted(self, doing: str, response: HttpResponse) -> HttpResponse:
        if 200 <= response.status < 300:
            return response
        raise self._error(doing, response)

    def _error(self, doing: str, response: HttpResponse) -> CodeOceanError:
        status = response.status
        try:
            reason = response.json()["message"]
        except (KeyError, RecursionError, TypeError, ValueError):
            reason = response.reason
        reason = single_line(reason or "", 200) or f"status {status}"
        template = _MESSAGES.get(status, "Code Ocean answered {status}: {reason}")
        message = template.format(status=status, reason=reason, scopes=self._scopes)
        about = "" if status == 401 else doing  # any request is refused
        return _ERRORS.get(status, CodeOceanError)(about, reason, status, message)


class MirrorClient:
    """A JSON file with the list of all assets, in place of the API."""

    def __init__(self, path: Path) -> None:
        try:
            assets = parse_json(path.read_bytes())
        except (OSError, RecursionError, ValueError) as error:
            raise SourceError(SOURCE, f"cannot read {path}: {error}") from None
        if isinstance(assets, dict):
            # a saved response of the API is as good as its list, if it is complete
            assets = None if assets.get("has_more") else assets.get("results")
        if not isinstance(assets, list):
            raise SourceError(SOURCE, f"{path} is not a list of all data assets")
        self._assets = _as_objects(assets)

    def search(self, **params: Any) -> Iterator[list[dict[str, Any]]]:
        archived = bool(params.get("archived", False))
        # what is neither true nor false is left to whoever validates the asset
        yield [asset for asset in self._assets if (asset.get("archived") is True) == archived]

    def get(self, asset_id: str) -> dict[str, Any] | None:
        return next((asset for asset in self._assets if asset.get("id") == asset_id), None)


def _parse_page(content: Any) -> dict[str, Any]:
    if not isinstance(content, dict) or not isinstance(content.get("has_more"), bool):
        raise ValueError("no results and has_more in the page")
    if not isinstance(content.get("results"), list):
        raise ValueError("the results of the page are no list")
    return {**content, "results": _as_objects(content["results"])}


def _as_objects(items: list[Any]) -> list[dict[str, Any]]:
    """Return the items of a page; what is no object stands there as one without fields, an invalid asset."""
    return [item if isinstance(item, dict) else {} for item in items]


# --- the official SDK -----------------------------------------------------------------------------


def get_codeocean_client() -> CodeOcean:
    """Return the SDK's client for CODE_OCEAN_DOMAIN, with the token of the environment or `.env`.

    Reads are retried as often as NPC_LIMS_ATTEMPTS says, what starts or makes something never is.

    Raises:
        MissingCredentials: There is no token.
    """
    settings = settings_for_reading()
    token = read_token(settings, READ_SCOPE)
    key = (settings.codeocean_domain, settings.codeocean_token, settings.attempts, settings.backoff)
    return _sdk_clients.get_or_load(key, lambda: _make_sdk_client(settings, token))


def _make_sdk_client(settings: Settings, token: str) -> CodeOcean:
    from codeocean import CodeOcean
    from urllib3.util import Retry

    class MaskedCodeOcean(CodeOcean):  # type: ignore[misc]  # the SDK has no types
        """`CodeOcean`, which as a dataclass would print its token in a notebook or a traceback."""

        def __repr__(self) -> str:
            return f"CodeOcean(domain={self.domain!r}, token='***', retries={self.retries!r})"

    retries = Retry(
        total=settings.attempts - 1,
        backoff_factor=settings.backoff,
        status_forcelist=RETRYABLE_STATUS,
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,  # the SDK has an error of its own, with Code Ocean's reason
    )
    return MaskedCodeOcean(settings.codeocean_domain, token, retries=retries)


def as_data_asset(raw: Mapping[str, Any]) -> DataAsset:
    """Return a record as the SDK's object. SourceError if it lacks what makes a data asset."""
    from codeocean.data_asset import DataAsset

    from npc_lims.model.data_asset import read_asset

    def build() -> DataAsset:
        read_asset(raw)  # the SDK takes values of any kind
        built: DataAsset = _build_sdk_object(DataAsset, raw, "data asset")
        return built

    try:
        key = json.dumps(raw, sort_keys=True)
    except RecursionError:
        raise SourceError(SOURCE, f"data asset {raw.get('id')} is nested too deeply to be one") from None
    return _sdk_assets.get_or_load(key, build)


def as_computation(raw: Mapping[str, Any]) -> Computation:
    """Return a record as the SDK's object. SourceError if it lacks what makes a computation."""
    from codeocean.computation import Computation

    built: Computation = _build_sdk_object(Computation, raw, "computation")
    return built


def _build_sdk_object(kind: Any, raw: Mapping[str, Any], name: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ValueError("the response is not an object")
    # a field that is sent as null is one that is not sent
    fields = {**_SDK_DEFAULTS, **{field: value for field, value in raw.items() if value is not None}}
    try:
        return kind.from_dict(fields)
    except KeyError as error:
        reason = f"it has no {error.args[0]}"
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        reason = str(error)
    raise SourceError(SOURCE, f"{name} {raw.get('id')} is not as the API describes one: {reason}")

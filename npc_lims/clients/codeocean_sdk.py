"""The official SDK: its client, and its objects made of what the API sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean import READ_SCOPE, SOURCE, read_token
from npc_lims.clients.http import RETRYABLE_STATUS
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import SourceError
from npc_lims.model.data_asset import read_asset
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from codeocean import CodeOcean
    from codeocean.computation import Computation
    from codeocean.data_asset import DataAsset


# Fields that the SDK requires, and that records of older services lack.
_DEFAULTS = {"owner": "", "run_time": 0, "last_used": 0}

_clients: TTLCache[CodeOcean] = TTLCache(maxsize=8, ttl=24 * 3600, survives_fork=False)
# Making one takes over a millisecond. The key is the whole record, so that a value is never out of date.
_assets: TTLCache[DataAsset] = TTLCache(maxsize=4096, ttl=600)


def get_codeocean_client() -> CodeOcean:
    """Return the SDK's client for CODE_OCEAN_DOMAIN, with the token of the environment or `.env`.

    Reads are retried as often as NPC_LIMS_ATTEMPTS says, what starts or makes something never is.

    Raises:
        MissingCredentials: There is no token.
    """
    settings = settings_for_reading()
    token = read_token(settings, READ_SCOPE)
    key = (settings.codeocean_domain, settings.codeocean_token, settings.attempts, settings.backoff)
    return _clients.get_or_load(key, lambda: _make_client(settings, token))


def _make_client(settings: Settings, token: str) -> CodeOcean:
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

    def build() -> DataAsset:
        read_asset(raw)  # the SDK takes values of any kind
        built: DataAsset = _build(DataAsset, raw, "data asset")
        return built

    try:
        key = json.dumps(raw, sort_keys=True)
    except RecursionError:
        raise SourceError(SOURCE, f"data asset {raw.get('id')} is nested too deeply to be one") from None
    return _assets.get_or_load(key, build)


def as_computation(raw: Mapping[str, Any]) -> Computation:
    """Return a record as the SDK's object. SourceError if it lacks what makes a computation."""
    from codeocean.computation import Computation

    built: Computation = _build(Computation, raw, "computation")
    return built


def _build(kind: Any, raw: Mapping[str, Any], name: str) -> Any:
    if not isinstance(raw, Mapping):
        raise ValueError("the response is not an object")
    # a field that is sent as null is one that is not sent
    fields = {**_DEFAULTS, **{field: value for field, value in raw.items() if value is not None}}
    try:
        return kind.from_dict(fields)
    except KeyError as error:
        reason = f"it has no {error.args[0]}"
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        reason = str(error)
    raise SourceError(SOURCE, f"{name} {raw.get('id')} is not as the API describes one: {reason}")

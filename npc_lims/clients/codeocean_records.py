"""What the API sends, as objects of the official SDK."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from npc_lims.errors import SourceError
from npc_lims.model.data_asset import read_asset
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from codeocean.computation import Computation
    from codeocean.data_asset import DataAsset

__all__ = ["as_computation", "as_data_asset"]

# Fields that the SDK requires, and that records of older services lack.
_MAY_LACK = {"owner": "", "run_time": 0, "last_used": 0}

# Making one takes over a millisecond. The question is the whole record, so that an answer is never out of date.
_assets: TTLCache[DataAsset] = TTLCache(maxsize=4096, ttl=600)


def as_data_asset(raw: Mapping[str, Any]) -> DataAsset:
    """The SDK's object. SourceError if the record lacks what makes a data asset."""
    from codeocean.data_asset import DataAsset

    def build() -> DataAsset:
        read_asset(raw)  # the SDK takes values of any kind
        built: DataAsset = _build(DataAsset, raw, "data asset")
        return built

    try:
        question = json.dumps(raw, sort_keys=True)
    except RecursionError:
        raise SourceError("codeocean", f"data asset {raw.get('id')} is nested too deeply to be one") from None
    return _assets.get_or_load(question, build)


def as_computation(raw: Mapping[str, Any]) -> Computation:
    """The SDK's object. SourceError if the record lacks what makes a computation."""
    from codeocean.computation import Computation

    built: Computation = _build(Computation, raw, "computation")
    return built


def _build(kind: Any, raw: Mapping[str, Any], name: str) -> Any:
    # a field that is sent as null is one that is not sent
    fields = {**_MAY_LACK, **{field: value for field, value in raw.items() if value is not None}}
    try:
        return kind.from_dict(fields)
    except KeyError as error:
        reason = f"it has no {error.args[0]}"
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        reason = str(error)
    raise SourceError("codeocean", f"{name} {raw.get('id')} is not as the API describes one: {reason}")

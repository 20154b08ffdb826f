"""A data asset as state records it, for callers of the official SDK who have no token."""

from __future__ import annotations

import dataclasses
from typing import Any

from codeocean.data_asset import DataAsset, DataAssetOrigin, SourceBucket

from npc_lims.clients.s3 import split_s3_uri
from npc_lims.errors import NpcLimsError, SourceError
from npc_lims.model.record import Asset
from npc_lims.utils.timestamps import utc_time

_RECORDED = ("id", "name", "created", "source_bucket")
_UNRECORDED = frozenset(field.name for field in dataclasses.fields(DataAsset)) - {*_RECORDED}


class RecordedDataAsset(DataAsset):  # type: ignore[misc]  # the SDK has no types for checkers
    """A data asset of which `id`, `name`, `created` and `source_bucket` are known.

    Reading any other attribute raises the error by which Code Ocean could not be queried. It equals the data asset of
    the same id.
    """

    def __init__(self, asset: Asset, kind: str, why: NpcLimsError) -> None:
        bucket = None
        if asset.location is not None and asset.location.startswith("s3://"):
            name, prefix = split_s3_uri(asset.location)
            bucket = SourceBucket(origin=DataAssetOrigin.AWS, bucket=name, prefix=prefix)
        values = {"id": asset.id, "name": asset.name, "created": int(utc_time(asset.created).timestamp())}
        # the fields of the base class are frozen
        self.__dict__.update(values, source_bucket=bucket, location=asset.location, recorded_as=kind, _why=why)

    def __getattribute__(self, name: str) -> Any:
        if name in _UNRECORDED:
            why: NpcLimsError = self.__dict__["_why"]
            known = f"state records only {', '.join(_RECORDED)} of {self.name}, and not {name}"
            if isinstance(why, SourceError):
                raise SourceError(why.source, f"{why.reason}; {known}")
            raise type(why)(f"{known}: {why}")
        return super().__getattribute__(name)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, DataAsset) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in _RECORDED)
        return f"{type(self).__name__}({values})"

"""Data assets by id or by subject, and what tells raw data from sorting results."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean_records import as_data_asset
from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import NoSessionData
from npc_lims.model.session_id import parse_session_id

if TYPE_CHECKING:
    import npc_session
    from codeocean.data_asset import DataAsset

__all__ = [
    "checked_asset_id",
    "get_data_asset",
    "get_latest_data_asset",
    "get_sessions_with_data_assets",
    "get_subject_data_assets",
    "is_raw_data_asset",
    "is_sorted_data_asset",
]


def get_subject_data_assets(subject: str | int, ttl_hash: int | None = None) -> tuple[DataAsset, ...]:
    """All data assets of a subject that are not archived, in whatever state, the oldest first.

    Args:
        subject: Labtracks number.
        ttl_hash: Another value asks again before the ten minutes are over for which answers are kept.

    Raises:
        NoSessionData: *subject* is not a number.
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """
    return tuple(map(as_data_asset, _records(subject, ttl_hash)))


def get_sessions_with_data_assets(subject: str | int) -> tuple[npc_session.SessionRecord, ...]:
    """The days of a subject that data assets are named after, the first one first.

    Raises as `get_subject_data_assets`.
    """
    import npc_session

    days: set[npc_session.SessionRecord] = set()
    for raw in _records(subject):
        try:
            days.add(npc_session.SessionRecord(parse_session_id(str(raw.get("name")))))
        except ValueError:
            continue  # named after something else than a session
    return tuple(sorted(days))


def _records(subject: str | int, ttl_hash: int | None = None) -> list[dict[str, Any]]:
    from npc_lims.sessions.cached_assets import records_of_subject

    text = str(subject)
    if not (text.isascii() and text.isdecimal()):
        raise NoSessionData(f"{text!r} is not a subject: a Labtracks number such as 668759 is")
    return records_of_subject(settings_for_reading(), text, ttl_hash=ttl_hash)


def get_data_asset(asset: str | uuid.UUID | DataAsset) -> DataAsset:
    """The data asset of an id; an asset as it is.

    Raises:
        NoSessionData: There is none of that id, or it is no id.
        MissingCredentials, SourceError: Code Ocean cannot be asked.
    """
    from codeocean.data_asset import DataAsset

    if isinstance(asset, DataAsset):
        return asset
    from npc_lims.sessions.cached_assets import asset_record

    return as_data_asset(asset_record(settings_for_reading(), checked_asset_id(asset)))


def checked_asset_id(asset_id: object) -> str:
    """The id of a data asset in the one way to write it.

    Raises:
        NoSessionData: It is no id.
    """
    try:
        return str(uuid.UUID(str(asset_id)))
    except ValueError:
        raise NoSessionData(
            f"{str(asset_id)!r} is not the id of a data asset: one looks like 83636983-f80d-42d6-a075-09b60c6abd5e"
        ) from None


def get_latest_data_asset(data_assets: Sequence[DataAsset]) -> DataAsset:
    """The one made last.

    Raises:
        NoSessionData: There are none to choose from.
    """
    if not data_assets:
        raise NoSessionData("there are no data assets to choose the latest of")
    return sorted(data_assets, key=lambda asset: asset.created)[-1]


def is_raw_data_asset(asset: str | DataAsset) -> bool:
    """Whether an asset holds raw data, by its metadata or tags. Raises as `get_data_asset`."""
    asset = get_data_asset(asset)
    if is_sorted_data_asset(asset):
        return False
    return (asset.custom_metadata or {}).get("data level") == "raw data" or "raw" in (asset.tags or ())


def is_sorted_data_asset(asset: str | DataAsset) -> bool:
    """Whether an asset is a sorting result, by its name. Raises as `get_data_asset`."""
    name = get_data_asset(asset).name
    return "ecephys" in name and "sorted" in name

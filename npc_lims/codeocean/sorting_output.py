"""The log of a session's sorting run, which stands beside the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import AssetError, NoAssetLocation, NoSessionData
from npc_lims.model.session_id import resolve_session_id
from npc_lims.sessions.find_asset import find_sorted
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    import npc_session

    from npc_lims.config.settings import Settings

__all__ = ["get_skipped_probes", "get_sorting_output_text"]

# What the pipeline writes when it gives up a probe, and what heads the part on each probe.
_SKIPPED = "Skipping further processing for this recording"
_HEADING = "PREPROCESSING"

_texts: TTLCache[str] = TTLCache(maxsize=16, ttl=600)


def get_sorting_output_text(session_id: str | npc_session.SessionRecord) -> str:
    """The file `output` of the session's sorting result.

    Raises:
        NoSessionData: There is no sorting result, or no such file with it.
        NoAssetLocation: The result is not on S3.
        MissingCredentials, SourceError: S3 (or Code Ocean, where state has no sorting result) cannot be asked.
    """
    from npc_lims.sources.s3.query import asset_uri

    settings = settings_for_reading()
    asset, _ = find_sorted(settings, session_id)
    location = asset_uri(asset, settings.codeocean_bucket)
    question = (settings.aws_endpoint_url, str(settings.mirror), location)
    return _texts.get_or_load(question, lambda: _read(settings, resolve_session_id(session_id), asset.name, location))


def _read(settings: Settings, session_id: str, name: str, location: str) -> str:
    from npc_lims.clients.codeocean_limits import OUTPUT_LIMIT
    from npc_lims.clients.s3 import split_s3_uri
    from npc_lims.clients.s3_cached import store_of

    try:
        bucket, prefix = split_s3_uri(location)
    except ValueError:
        raise NoAssetLocation(f"the files of {name} are at {location}: npc_lims reads S3 only") from None
    content = store_of(settings).read(bucket, f"{prefix}/output".lstrip("/"), OUTPUT_LIMIT)
    if content is None:
        raise NoSessionData(f"{session_id}: the sorting result {name} has no file {location}/output")
    return content.decode("utf-8", "replace")


def get_skipped_probes(session_id: str | npc_session.SessionRecord) -> str:
    """Letters of the probes that the sorting pipeline gave up, in the order of its log; empty if it gave up none.

    Raises as `get_sorting_output_text`; AssetError if the log does not tell which probe it gave up.
    """
    import npc_session

    *given_up, _ = get_sorting_output_text(session_id).split(_SKIPPED)
    letters = ""
    for part in given_up:
        letter = npc_session.extract_probe_letter(part.rpartition(_HEADING)[2])
        if letter is None:
            raise AssetError(
                f"{resolve_session_id(session_id)}: the log of its sorting says {_SKIPPED!r}, and names no probe before"
            )
        letters += letter
    return letters

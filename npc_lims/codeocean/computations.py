"""Runs of capsules and pipelines: start one, look at it, make a data asset of what it gave.

Nothing here is called by a read of sessions or by a sync: every write to Code Ocean is somebody's explicit call.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean_api import ask, checked_id, start
from npc_lims.clients.codeocean_records import as_computation, as_data_asset
from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import SourceError
from npc_lims.model.session_id import resolve_session_id, subject_of
from npc_lims.sources.codeocean.outcomes import is_finished, why_errored
from npc_lims.utils.redaction import safe_text

if TYPE_CHECKING:
    import npc_session
    from codeocean.computation import Computation, DataAssetsRunParam
    from codeocean.data_asset import DataAsset

__all__ = [
    "create_session_data_asset",
    "get_job_status",
    "get_result_names",
    "is_computation_errored",
    "is_computation_finished",
    "run_capsule_or_pipeline",
    "set_asset_viewable_for_everyone",
]

_log = logging.getLogger(__name__)


def run_capsule_or_pipeline(
    data_assets: Sequence[DataAssetsRunParam],
    id: str,  # noqa: A002  (its name for callers)
    is_pipeline: bool = False,
) -> Computation:
    """Start a run, and return it as it is then. The request is sent once, whatever happens to the answer.

    Args:
        data_assets: What to attach, and where.
        id: Of the capsule or pipeline.
        is_pipeline: Which of the two it is.

    Raises:
        MissingCredentials: There is no token.
        ComputationError: Code Ocean refuses, or nobody knows whether the run was started.
        SourceError: The token is refused, or Code Ocean is too busy.
    """
    kind = "pipeline" if is_pipeline else "capsule"
    body = {f"{kind}_id": checked_id(id, kind), "data_assets": [_without_nulls(one.to_dict()) for one in data_assets]}
    return as_computation(start(settings_for_reading(), "computations", body, f"running the {kind} {id}"))


def get_job_status(job_id: str, check_files: bool = False) -> Computation:
    """A run as it is now.

    Args:
        job_id: Of the computation.
        check_files: Look into the results of a finished run too, and log why it is of no use, if it is not.

    Raises:
        MissingCredentials: There is no token.
        ComputationError: There is no such run.
        SourceError: Code Ocean could not be asked.
    """
    path = f"computations/{checked_id(job_id, 'computation')}"
    computation = as_computation(ask(settings_for_reading(), "GET", path, f"asking about the run {job_id}"))
    if check_files and (reason := _why_errored(computation)):
        _log.warning("%s", safe_text(f"the run {computation.id} ({computation.name}) is errored: {reason}"))
    return computation


def is_computation_finished(job_id_or_response: str | Computation) -> bool:
    """Whether a run has come to its end, good or bad. Raises as `get_job_status` if an id is given."""
    return is_finished(_as_computation(job_id_or_response))


def is_computation_errored(job_id_or_response: str | Computation) -> bool:
    """Whether a run has finished and is of no use, as `npc_lims.sources.codeocean.outcomes.why_errored` tells.

    Raises as `get_job_status`.
    """
    return bool(_why_errored(_as_computation(job_id_or_response)))


def get_result_names(job_id: str) -> list[str]:
    """Names of the files and folders at the top of a run's results, in order.

    Raises as `get_job_status`; ComputationError too if it has no results.
    """
    path = f"computations/{checked_id(job_id, 'computation')}/results"
    what = f"listing the results of the run {job_id}"
    answer = ask(settings_for_reading(), "POST", path, what, json={"path": ""})
    try:
        return sorted(str(item["name"]) for item in answer["items"])
    except (KeyError, TypeError):
        raise SourceError("codeocean", f"{what}: the answer holds no items with names") from None


def create_session_data_asset(
    session: str | npc_session.SessionRecord, computation_id: str, data_asset_name: str
) -> DataAsset | None:
    """Make a data asset of the results of a run, and return it as it is then; None if the run is unfinished or errored.

    The request is sent once, whatever happens to the answer.

    Raises:
        NoSessionInfo: *session* has no subject and date in it.
        MissingCredentials: There is no token.
        ComputationError: Code Ocean refuses, or nobody knows whether the asset is being made.
        SourceError: The token is refused, or Code Ocean could not be asked.
    """
    subject = subject_of(resolve_session_id(session))
    computation = get_job_status(computation_id)
    if not is_finished(computation) or _why_errored(computation):
        return None
    body = {
        "name": data_asset_name,
        "mount": data_asset_name,
        "tags": [subject, "derived", "ephys", "results"],
        "source": {"computation": {"id": computation_id}},
        "custom_metadata": {
            "data level": "derived data",
            "experiment type": "ecephys",
            "modality": "Extracellular electrophysiology",
            "subject id": subject,
        },
    }
    return as_data_asset(start(settings_for_reading(), "data_assets", body, f"making the data asset {data_asset_name}"))


def set_asset_viewable_for_everyone(asset_id: str) -> None:
    """Let everyone see a data asset, and what it was made from.

    Raises:
        MissingCredentials: There is no token.
        ComputationError: There is no such asset, or Code Ocean refuses.
        SourceError: The token is refused, or Code Ocean could not be asked.
    """
    path = f"data_assets/{checked_id(asset_id, 'data asset')}/permissions"
    body = {"everyone": "viewer", "share_assets": True}
    ask(settings_for_reading(), "POST", path, f"sharing the data asset {asset_id}", json=body)


def _as_computation(job_id_or_response: str | Computation) -> Computation:
    return get_job_status(job_id_or_response) if isinstance(job_id_or_response, str) else job_id_or_response


def _why_errored(computation: Computation) -> str:
    return why_errored(computation, lambda: get_result_names(computation.id), lambda: _read_output(computation.id))


def _read_output(job_id: str) -> bytes | None:
    from npc_lims.clients.codeocean_limits import OUTPUT_LIMIT
    from npc_lims.clients.codeocean_result_file import read_end
    from npc_lims.clients.http import RequestFailed, RetryPolicy

    settings, what = settings_for_reading(), f"reading the output of the run {job_id}"
    path = f"computations/{checked_id(job_id, 'computation')}/results/urls"
    url = ask(settings, "GET", path, what, params={"path": "output"}).get("download_url")
    if not isinstance(url, str):
        raise SourceError("codeocean", f"{what}: the answer holds no download_url")
    try:
        return read_end(url, RetryPolicy.from_settings(settings), OUTPUT_LIMIT)
    except RequestFailed as error:
        raise SourceError("codeocean", f"{what}: the file's address {error}") from None


def _without_nulls(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

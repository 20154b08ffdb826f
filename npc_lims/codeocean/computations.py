"""Single runs of capsules and pipelines: start one, follow it, read its log, make a data asset of its results.

Nothing here is called by a read of sessions or by a sync: every write to Code Ocean is somebody's explicit call.

Functions that query Code Ocean raise MissingCredentials without a token, ComputationError if there is no such run,
result or data asset or it refuses, and SourceError if it refuses the token or cannot be queried. What starts or makes
something is sent once: if its response is lost, ComputationError says that the outcome is unknown.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import npc_session

from npc_lims.clients.codeocean import OUTPUT_LIMIT, CodeOceanError, OutcomeUnknown, as_computation, as_data_asset
from npc_lims.clients.codeocean_runs import RunRequest, RunsClient, RunTarget, is_finished, why_errored
from npc_lims.clients.s3_cached import store_of
from npc_lims.codeocean.data_assets import checked_id
from npc_lims.config.settings import settings_for_reading
from npc_lims.errors import AssetError, ComputationError, InputFileError, NoSessionData, Problem, SourceError
from npc_lims.model.session_id import subject_of
from npc_lims.sessions.cached_assets import asset_folder
from npc_lims.sessions.find_asset import find_sorted
from npc_lims.sessions.resolve import resolve_session
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import safe_text

if TYPE_CHECKING:
    from codeocean.computation import Computation, DataAssetsRunParam
    from codeocean.data_asset import DataAsset


_log = logging.getLogger(__name__)

# What the sorting pipeline writes when it gives up a probe, and what heads the part on each probe.
_SKIPPED = "Skipping further processing for this recording"
_HEADING = "PREPROCESSING"

_outputs: TTLCache[str] = TTLCache(maxsize=16, ttl=600)


class CapsulePipelineInfo(NamedTuple):
    """A capsule or pipeline, and its process."""

    id: str
    process_name: str
    is_pipeline: bool


MODEL_CAPSULE_PIPELINE_MAPPING: dict[str, str] = {
    "dlc_eye": "4cf0be83-2245-4bb1-a55c-a78201b14bfe",
    "dlc_side": "facff99f-d3aa-4ecd-8ef8-a343c38197aa",
    "dlc_face": "a561aa4c-2066-4ff2-a916-0db86b918cdf",
    "facemap": "670de0b3-f73d-4d22-afe6-6449c45fada4",
    "sorting_pipeline": "1f8f159a-7670-47a9-baf1-078905fc9c2e",
}
"""Process to the id of its capsule; of its pipeline for sorting."""


@contextlib.contextmanager
def _client() -> Iterator[RunsClient]:
    """Requests to Code Ocean, with the errors of this module's functions."""
    settings = settings_for_reading()
    try:
        yield RunsClient(settings, settings.attempts)
    except OutcomeUnknown as error:
        raise ComputationError(
            f"{error.reason}; it may have been started all the same: look for it in Code Ocean before trying again"
        ) from None
    except CodeOceanError as error:
        if error.status in (None, 401, 403, 429):
            raise  # not about this run
        raise ComputationError(error.reason) from None


def run_capsule_or_pipeline(
    data_assets: Sequence[DataAssetsRunParam],
    id: str,  # noqa: A002  (its name for callers)
    is_pipeline: bool = False,
) -> Computation:
    """Start a run, and return it as it is then.

    Args:
        data_assets: What to attach, and where.
        id: Of the capsule or pipeline.
        is_pipeline: Which of the two it is.
    """
    kind = "pipeline" if is_pipeline else "capsule"
    target = RunTarget(kind, checked_id(id, kind, ComputationError))
    request = RunRequest(target, tuple((asset.id, asset.mount) for asset in data_assets))
    with _client() as client:
        return client.start(request, as_computation)


def get_job_status(job_id: str, check_files: bool = False) -> Computation:
    """Return a run as it is now.

    Args:
        job_id: Id of the computation.
        check_files: Look into the results of a finished run too, and log why it is of no use, if it is not.
    """
    checked = checked_id(job_id, "computation", ComputationError)
    with _client() as client:
        computation = client.get_run(checked, as_computation)
    if computation is None:
        raise ComputationError(f"fetching the run {job_id}: Code Ocean answered 404: there is none of this id")
    if check_files and (reason := _why_errored(computation)):
        _log.warning("%s", safe_text(f"the run {computation.id} ({computation.name}) is errored: {reason}"))
    return computation


def is_computation_finished(job_id_or_response: str | Computation) -> bool:
    """Return True for a run that has ended, well or badly."""
    return is_finished(_as_computation(job_id_or_response))


def is_computation_errored(job_id_or_response: str | Computation) -> bool:
    """Return True for a run that has ended and is of no use, by its state and results."""
    return bool(_why_errored(_as_computation(job_id_or_response)))


def get_result_names(job_id: str) -> list[str]:
    """Return the names of files and folders at the top of a run's results, in order."""
    checked = checked_id(job_id, "computation", ComputationError)
    with _client() as client:
        names = client.list_results(checked)
    if names is None:
        raise ComputationError(f"listing the results of the run {job_id}: Code Ocean answered 404: it has none")
    return names


def create_session_data_asset(
    session: str | npc_session.SessionRecord, computation_id: str, data_asset_name: str
) -> DataAsset | None:
    """Make a data asset of the results of a run, and return it as it is then; None if that is unfinished or errored."""
    subject = subject_of(resolve_session(settings_for_reading(), session))
    computation = get_job_status(computation_id)
    if not is_finished(computation) or _why_errored(computation):
        return None
    tags = [subject, "derived", "ephys", "results"]
    metadata = {
        "data level": "derived data",
        "experiment type": "ecephys",
        "modality": "Extracellular electrophysiology",
        "subject id": subject,
    }
    with _client() as client:
        return client.make_asset(computation_id, data_asset_name, tags, metadata, as_data_asset)


def set_asset_viewable_for_everyone(asset_id: str) -> None:
    """Let everyone see a data asset, and what it was made from."""
    checked = checked_id(asset_id, "data asset", ComputationError)
    with _client() as client:
        client.share(checked)


def _as_computation(job_id_or_response: str | Computation) -> Computation:
    return get_job_status(job_id_or_response) if isinstance(job_id_or_response, str) else job_id_or_response


def _why_errored(computation: Computation) -> str:
    return why_errored(computation, lambda: get_result_names(computation.id), lambda: _read_output(computation.id))


def _read_output(job_id: str) -> bytes | None:
    with _client() as client:
        return client.read_output(checked_id(job_id, "computation", ComputationError))


def get_sorting_output_text(session_id: str | npc_session.SessionRecord) -> str:
    """Return the file `output`, the log of the run, of the session's sorting result.

    Raises:
        NoSessionData: There is no sorting result, or no such file with it.
        NoAssetLocation: The result is not on S3.
        MissingCredentials, SourceError: S3, or Code Ocean if state has no sorting result, cannot be queried.
    """
    settings = settings_for_reading()
    resolved = resolve_session(settings, session_id)
    asset, _ = find_sorted(settings, resolved)
    folder = asset_folder(settings, asset)

    def load() -> str:
        content = store_of(settings).read(folder.bucket, f"{folder.prefix}output", OUTPUT_LIMIT)
        if content is None:
            raise NoSessionData(f"{resolved}: the sorting result {asset.name} has no file {folder.uri}/output")
        return content.decode("utf-8", "replace")

    return _outputs.get_or_load((settings.aws_endpoint_url, str(settings.mirror), folder.uri), load)


def get_skipped_probes(session_id: str | npc_session.SessionRecord) -> str:
    """Return the letters of the probes that the sorting pipeline gave up, in the order of its log; empty if none.

    Raises as `get_sorting_output_text`; AssetError if the log does not name the probe it gave up.
    """
    session_id = resolve_session(settings_for_reading(), session_id)
    *given_up, _ = get_sorting_output_text(session_id).split(_SKIPPED)
    letters = ""
    for part in given_up:
        letter = npc_session.extract_probe_letter(part.rpartition(_HEADING)[2])
        if letter is None:
            raise AssetError(f"{session_id}: the log of its sorting says {_SKIPPED!r}, and names no probe before")
        letters += letter
    return letters


# --- queue files of older versions


def read_computation_queue(source: Path) -> dict[str, Computation | None]:
    """Return the run of each session in a queue file; None for a session whose turn has not come.

    Raises:
        InputFileError: The file cannot be read, or is no such queue.
    """

    def unusable(message: str, line: int = 0) -> InputFileError:
        return InputFileError([Problem(str(source), line, 0, "error", message)])

    try:
        queue = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise unusable(f"cannot be read: {error.strerror or error}") from None
    except (RecursionError, ValueError) as error:
        raise unusable(f"is not JSON: {error}", getattr(error, "lineno", 0)) from None
    if not isinstance(queue, dict):
        raise unusable("is not a queue: an object with a computation, or null, for each session is")
    runs: dict[str, Computation | None] = {}
    for session, entry in queue.items():
        try:
            runs[session] = None if entry is None else as_computation(entry)
        except ValueError:
            raise unusable(f"{session}: expected a computation or null, found {entry!r}") from None
        except SourceError as error:
            raise unusable(f"{session}: {error.reason}") from None
    return runs


def serialize_computation(computation: Computation | None) -> dict[str, Any] | None:
    """Return a run as such a file holds it; None for None.

    Raises:
        TypeError: It is no computation.
    """
    from codeocean.computation import Computation

    if computation is None:
        return None
    if not isinstance(computation, Computation):
        raise TypeError(f"expected a Computation of the Code Ocean SDK or None, not {type(computation).__name__}")
    fields: dict[str, Any] = json.loads(computation.to_json())
    return fields

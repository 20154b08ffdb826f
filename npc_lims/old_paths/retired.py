"""Public names of 0.1 that are gone, and what stands in their place. docs/migration.md tells why."""

from __future__ import annotations

__all__ = ["RETIRED"]

_RUN = "`npc-lims process run`, which records runs in state/runs, or npc_lims.run_capsule_or_pipeline for a single one"
_RECORDS = "`npc-lims process runs`: runs are recorded in state/runs/<process>.yaml"

_EXAMPLES = (
    "EXAMPLE_JOB_STATUS",
    "EXAMPLE_JOB_STATUS_BAD_RESULT",
    "EXAMPLE_JOB_STATUS_FAIL",
    "EXAMPLE_JOB_STATUS_INIT",
    "EXAMPLE_JOB_STATUS_NO_RESULTS",
    "EXAMPLE_JOB_STATUS_RUNNING",
)

RETIRED = {
    **dict.fromkeys(_EXAMPLES, "an example of your own, of codeocean.computation.Computation"),
    "ModelCapsuleMappingError": "npc_lims.PipelinesError: processes and their capsules stand in pipelines.yaml",
    "ResultItemAPI": "dict[str, Any]",
    "RunCapsuleResponseAPI": "codeocean.computation.Computation",
    "SessionFileEntry": "npc_lims.FileContents, the type of the whole file",
    "add_sessions_to_queue": "`npc-lims process plan`: what is to run follows from state, and nothing is queued",
    "add_to_computation_queue": _RUN,
    "add_to_json": _RUN,
    "add_to_queue": _RUN,
    "add_tracked_ephys_sessions_from_spreadsheet": "`npc-lims track import`, or `npc-lims track add`",
    "create_all_data_assets": "`npc-lims process collect`",
    "create_data_asset": "`npc-lims process collect`, or npc_lims.create_session_data_asset for a single one",
    "get_current_job_status": f"npc_lims.get_job_status, or {_RECORDS}",
    "get_current_queue_computation": f"npc_lims.get_job_status, or {_RECORDS}",
    "get_data_asset_name": "the `asset` of the process in pipelines.yaml",
    "is_session_in_queue": _RECORDS,
    "is_started_or_completed": _RECORDS,
    "process_capsule_or_pipeline_queue": "`npc-lims process run` and `npc-lims process collect`",
    "read_json": f"{_RECORDS}; npc_lims.read_computation_queue still reads queue files",
    "start": _RUN,
    "sync_and_get_num_running_jobs": "`npc-lims process collect`",
    "sync_json": "`npc-lims process collect`",
}
"""Name to what to use instead."""

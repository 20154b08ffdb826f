"""Paths, metadata and state of Mindscope Neuropixels sessions, kept in git.

Names are loaded on first use (PEP 562): importing the package itself costs next to nothing. What type checkers read
stands in `__init__.pyi`.
"""

from __future__ import annotations

import importlib

__path__.append(f"{__path__[0]}/old_paths")  # packages of 0.1 that are gone: npc_lims.jobs, npc_lims.status

__version__ = "1.0.0"

_NAMES = {
    "npc_lims.clients.codeocean_sdk": ("get_codeocean_client",),
    "npc_lims.codeocean.computations": (
        "create_session_data_asset",
        "get_job_status",
        "get_result_names",
        "get_skipped_probes",
        "get_sorting_output_text",
        "is_computation_errored",
        "is_computation_finished",
        "run_capsule_or_pipeline",
        "set_asset_viewable_for_everyone",
    ),
    "npc_lims.codeocean.data_assets": (
        "get_codeocean_session_id",
        "get_codoecean_session_id",
        "get_data_asset",
        "get_data_asset_s3_path",
        "get_latest_data_asset",
        "get_path_from_data_asset",
        "get_session_capsule_pipeline_data_asset",
        "get_session_data_assets",
        "get_session_raw_data_asset",
        "get_session_result_data_assets",
        "get_session_sorted_data_asset",
        "get_sessions_with_data_assets",
        "get_subject_data_assets",
        "get_surface_channel_raw_data_asset",
        "is_lighting_pose_gamma_encoded",
        "is_raw_data_asset",
        "is_sorted_data_asset",
    ),
    "npc_lims.codeocean.legacy": (
        "CapsulePipelineInfo",
        "MODEL_CAPSULE_PIPELINE_MAPPING",
        "VIDEO_MAPPING",
        "VIDEO_MODELS",
        "asset_exists",
        "get_aind_session",
        "read_computation_queue",
        "serialize_computation",
    ),
    "npc_lims.errors": (
        "AmbiguousAsset",
        "AmbiguousAssetWarning",
        "AssetError",
        "CacheWarning",
        "ComputationError",
        "FutureTimestampWarning",
        "GitError",
        "GitHubError",
        "HistoryError",
        "HistoryWarning",
        "InputFileError",
        "LiveStateWarning",
        "MissingCredentials",
        "MissingDependency",
        "NoAssetLocation",
        "NoRemoteState",
        "NoSessionData",
        "NoSessionInfo",
        "NpcLimsError",
        "NpcLimsWarning",
        "PipelinesError",
        "RemoteStateError",
        "SelectionError",
        "SessionIndexError",
        "SessionUnavailable",
        "SettingsError",
        "SourceError",
        "StaleStateWarning",
        "StateError",
        "SyncRefused",
        "TrackedFileError",
        "UnknownStatusWarning",
    ),
    "npc_lims.history.session_history": ("get_session_history",),
    "npc_lims.history.transitions": ("Transition",),
    "npc_lims.metadata.data_repo": (
        "INVALID_SUBJECT_KEYS",
        "get_sessions_from_data_repo",
        "get_subject_folders_from_data_repo",
    ),
    "npc_lims.metadata.targeting": (
        "S3_PROBE_TARGET_DB_PATH",
        "get_probe_insertion_info",
        "get_probe_insertion_metadata",
        "get_probe_target_db",
    ),
    "npc_lims.metadata.training_db": (
        "download_training_dbs",
        "excel_to_sqlite",
        "get_training_db",
        "get_training_spreadsheet_paths",
        "get_training_sqlite_paths",
        "update_training_dbs",
    ),
    "npc_lims.metadata.training_sessions": (
        "get_session_id_from_db_row",
        "get_sessions_from_training_db",
        "get_subjects_from_training_db",
    ),
    "npc_lims.model.types": (
        "FileContents",
        "JobID",
        "RecordDB",
        "SessionFilterKwargs",
        "SessionID",
        "SupportsDB",
        "SupportsFromDB",
        "SupportsNWB",
        "SupportsToNWB",
    ),
    "npc_lims.paths.annotations": (
        "get_ibl_annotation_files_from_s3",
        "get_tissuecyte_annotation_files_from_s3",
    ),
    "npc_lims.paths.cache": (
        "CACHED_FILE_EXTENSIONS",
        "NWBComponentStr",
        "get_all_cache_paths",
        "get_cache_file_suffix",
        "get_cache_path",
        "get_current_cache_version",
        "get_nwb_path",
    ),
    "npc_lims.paths.raw": (
        "get_behavior_video_path_from_s3",
        "get_eye_video_path_from_s3",
        "get_face_video_path_from_s3",
        "get_h5_sync_from_s3",
        "get_raw_data_paths_from_s3",
        "get_raw_data_root",
        "get_recording_dirs_experiment_path_from_s3",
        "get_settings_xml_path_from_s3",
        "get_surface_channel_root",
    ),
    "npc_lims.paths.results": (
        "get_LFP_subsampling_paths_from_s3",
        "get_dlc_eye_s3_paths",
        "get_dlc_face_s3_paths",
        "get_dlc_side_s3_paths",
        "get_facemap_s3_paths",
        "get_lpfaceparts_camera_predictions_s3_paths",
        "get_lpfaceparts_s3_dir_paths",
        "get_sorted_data_paths_from_s3",
    ),
    "npc_lims.paths.roots": (
        "CACHE_ROOT",
        "CODE_OCEAN_DATA_BUCKET",
        "DR_DATA_REPO",
        "DR_DATA_REPO_ISILON",
        "IBL_ANNOTATIONS_REPO",
        "S3_SCRATCH_ROOT",
        "TISSUECYTE_REPO",
    ),
    "npc_lims.paths.stim": (
        "StimFile",
        "get_hdf5_stim_files_from_s3",
    ),
    "npc_lims.sessions.info": ("SessionInfo",),
    "npc_lims.sessions.past_info": ("PastSessionInfo",),
    "npc_lims.sessions.queries": (
        "Sessions",
        "get_session_info",
        "get_session_issues",
        "get_session_kwargs",
        "state_origin",
        "to_records",
    ),
    "npc_lims.sources.s3.file_names": (
        "CAMERA_POSITIONS",
        "RIG_METADATA_FILENAMES",
        "SESSION_METADATA_FILENAMES",
        "VIDEO_SUFFIXES",
    ),
    "npc_lims.utils.memory_cache": ("clear_caches",),
}
"""Public names, by the module that each is at home in."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value  # the next access finds it without coming here
        return value
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from npc_lims.old_paths import load

    return load(name, __name__)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

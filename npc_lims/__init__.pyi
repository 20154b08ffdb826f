"""The public names by module, for type checkers and for `__init__.py`, which reads these lines."""

from npc_lims.clients.codeocean import get_codeocean_client as get_codeocean_client
from npc_lims.codeocean.computations import (
    MODEL_CAPSULE_PIPELINE_MAPPING as MODEL_CAPSULE_PIPELINE_MAPPING,
    CapsulePipelineInfo as CapsulePipelineInfo,
    create_session_data_asset as create_session_data_asset,
    get_job_status as get_job_status,
    get_result_names as get_result_names,
    get_skipped_probes as get_skipped_probes,
    get_sorting_output_text as get_sorting_output_text,
    is_computation_errored as is_computation_errored,
    is_computation_finished as is_computation_finished,
    read_computation_queue as read_computation_queue,
    run_capsule_or_pipeline as run_capsule_or_pipeline,
    serialize_computation as serialize_computation,
    set_asset_viewable_for_everyone as set_asset_viewable_for_everyone,
)
from npc_lims.codeocean.data_assets import (
    VIDEO_MAPPING as VIDEO_MAPPING,
    VIDEO_MODELS as VIDEO_MODELS,
    asset_exists as asset_exists,
    get_aind_session as get_aind_session,
    get_codeocean_session_id as get_codeocean_session_id,
    get_codoecean_session_id as get_codoecean_session_id,
    get_data_asset as get_data_asset,
    get_data_asset_s3_path as get_data_asset_s3_path,
    get_latest_data_asset as get_latest_data_asset,
    get_path_from_data_asset as get_path_from_data_asset,
    get_session_capsule_pipeline_data_asset as get_session_capsule_pipeline_data_asset,
    get_session_data_assets as get_session_data_assets,
    get_session_raw_data_asset as get_session_raw_data_asset,
    get_session_result_data_assets as get_session_result_data_assets,
    get_session_sorted_data_asset as get_session_sorted_data_asset,
    get_sessions_with_data_assets as get_sessions_with_data_assets,
    get_subject_data_assets as get_subject_data_assets,
    get_surface_channel_raw_data_asset as get_surface_channel_raw_data_asset,
    is_lighting_pose_gamma_encoded as is_lighting_pose_gamma_encoded,
    is_raw_data_asset as is_raw_data_asset,
    is_sorted_data_asset as is_sorted_data_asset,
)
from npc_lims.dashboard.overview import get_overview as get_overview
from npc_lims.errors import (
    AmbiguousAsset as AmbiguousAsset,
    AmbiguousAssetWarning as AmbiguousAssetWarning,
    AssetError as AssetError,
    CacheWarning as CacheWarning,
    ComputationError as ComputationError,
    FutureTimestampWarning as FutureTimestampWarning,
    GitError as GitError,
    GitHubError as GitHubError,
    HistoryError as HistoryError,
    HistoryWarning as HistoryWarning,
    InputFileError as InputFileError,
    LiveStateWarning as LiveStateWarning,
    MissingCredentials as MissingCredentials,
    MissingDependency as MissingDependency,
    NoAssetLocation as NoAssetLocation,
    NoRemoteState as NoRemoteState,
    NoSessionData as NoSessionData,
    NoSessionInfo as NoSessionInfo,
    NpcLimsError as NpcLimsError,
    NpcLimsWarning as NpcLimsWarning,
    PipelinesError as PipelinesError,
    RemoteStateError as RemoteStateError,
    SelectionError as SelectionError,
    SessionIndexError as SessionIndexError,
    SessionUnavailable as SessionUnavailable,
    SettingsError as SettingsError,
    SourceError as SourceError,
    StaleStateWarning as StaleStateWarning,
    StateError as StateError,
    SyncRefused as SyncRefused,
    TrackedFileError as TrackedFileError,
    UnknownStatusWarning as UnknownStatusWarning,
    UnknownValueWarning as UnknownValueWarning,
)
from npc_lims.history.session_history import get_session_history as get_session_history
from npc_lims.history.transitions import Transition as Transition
from npc_lims.metadata.targeting import (
    S3_PROBE_TARGET_DB_PATH as S3_PROBE_TARGET_DB_PATH,
    get_probe_insertion_info as get_probe_insertion_info,
    get_probe_insertion_metadata as get_probe_insertion_metadata,
    get_probe_target_db as get_probe_target_db,
)
from npc_lims.metadata.training_db import (
    download_training_dbs as download_training_dbs,
    excel_to_sqlite as excel_to_sqlite,
    get_session_id_from_db_row as get_session_id_from_db_row,
    get_sessions_from_training_db as get_sessions_from_training_db,
    get_subjects_from_training_db as get_subjects_from_training_db,
    get_training_db as get_training_db,
    get_training_spreadsheet_paths as get_training_spreadsheet_paths,
    get_training_sqlite_paths as get_training_sqlite_paths,
    update_training_dbs as update_training_dbs,
)
from npc_lims.model.locations import (
    LOCATION_GROUPS as LOCATION_GROUPS,
    LOCATION_KINDS as LOCATION_KINDS,
    SessionLocation as SessionLocation,
)
from npc_lims.model.types import (
    FileContents as FileContents,
    JobID as JobID,
    RecordDB as RecordDB,
    SessionFilterKwargs as SessionFilterKwargs,
    SessionID as SessionID,
    SupportsDB as SupportsDB,
    SupportsFromDB as SupportsFromDB,
    SupportsNWB as SupportsNWB,
    SupportsToNWB as SupportsToNWB,
)
from npc_lims.paths.assets import (
    get_LFP_subsampling_paths_from_s3 as get_LFP_subsampling_paths_from_s3,
    get_behavior_video_path_from_s3 as get_behavior_video_path_from_s3,
    get_dlc_eye_s3_paths as get_dlc_eye_s3_paths,
    get_dlc_face_s3_paths as get_dlc_face_s3_paths,
    get_dlc_side_s3_paths as get_dlc_side_s3_paths,
    get_eye_video_path_from_s3 as get_eye_video_path_from_s3,
    get_face_video_path_from_s3 as get_face_video_path_from_s3,
    get_facemap_s3_paths as get_facemap_s3_paths,
    get_h5_sync_from_s3 as get_h5_sync_from_s3,
    get_lpfaceparts_camera_predictions_s3_paths as get_lpfaceparts_camera_predictions_s3_paths,
    get_lpfaceparts_s3_dir_paths as get_lpfaceparts_s3_dir_paths,
    get_raw_data_paths_from_s3 as get_raw_data_paths_from_s3,
    get_raw_data_root as get_raw_data_root,
    get_recording_dirs_experiment_path_from_s3 as get_recording_dirs_experiment_path_from_s3,
    get_settings_xml_path_from_s3 as get_settings_xml_path_from_s3,
    get_sorted_data_paths_from_s3 as get_sorted_data_paths_from_s3,
    get_surface_channel_root as get_surface_channel_root,
)
from npc_lims.paths.nwb_cache import (
    CACHED_FILE_EXTENSIONS as CACHED_FILE_EXTENSIONS,
    NWBComponentStr as NWBComponentStr,
    get_all_cache_paths as get_all_cache_paths,
    get_cache_file_suffix as get_cache_file_suffix,
    get_cache_path as get_cache_path,
    get_current_cache_version as get_current_cache_version,
    get_nwb_path as get_nwb_path,
)
from npc_lims.paths.roots import (
    CACHE_ROOT as CACHE_ROOT,
    CODE_OCEAN_DATA_BUCKET as CODE_OCEAN_DATA_BUCKET,
    DR_DATA_REPO as DR_DATA_REPO,
    DR_DATA_REPO_ISILON as DR_DATA_REPO_ISILON,
    IBL_ANNOTATIONS_REPO as IBL_ANNOTATIONS_REPO,
    S3_SCRATCH_ROOT as S3_SCRATCH_ROOT,
    TISSUECYTE_REPO as TISSUECYTE_REPO,
)
from npc_lims.paths.subject_folders import (
    INVALID_SUBJECT_KEYS as INVALID_SUBJECT_KEYS,
    StimFile as StimFile,
    get_hdf5_stim_files_from_s3 as get_hdf5_stim_files_from_s3,
    get_ibl_annotation_files_from_s3 as get_ibl_annotation_files_from_s3,
    get_sessions_from_data_repo as get_sessions_from_data_repo,
    get_subject_folders_from_data_repo as get_subject_folders_from_data_repo,
    get_tissuecyte_annotation_files_from_s3 as get_tissuecyte_annotation_files_from_s3,
)
from npc_lims.sessions.queries import Sessions as Sessions
from npc_lims.sessions.info import SessionInfo as SessionInfo
from npc_lims.sessions.info import PastSessionInfo as PastSessionInfo
from npc_lims.sessions.locations import get_session_locations as get_session_locations
from npc_lims.sessions.queries import (
    get_session_info as get_session_info,
    get_session_issues as get_session_issues,
    get_session_kwargs as get_session_kwargs,
    state_origin as state_origin,
    to_records as to_records,
)
from npc_lims.sessions.terms import count_sessions as count_sessions
from npc_lims.sessions.terms import search_terms as search_terms
from npc_lims.sessions.unlisted import (
    UnlistedRecording as UnlistedRecording,
    get_unlisted_recordings as get_unlisted_recordings,
)
from npc_lims.sources.s3 import (
    CAMERA_POSITIONS as CAMERA_POSITIONS,
    RIG_METADATA_FILENAMES as RIG_METADATA_FILENAMES,
    SESSION_METADATA_FILENAMES as SESSION_METADATA_FILENAMES,
    VIDEO_SUFFIXES as VIDEO_SUFFIXES,
)
from npc_lims.utils.memory_cache import clear_caches as clear_caches

__version__: str

# Written by `python scripts/generate.py` from npc_lims/model/flags.py.
from npc_lims.sessions.info import StatusProperty

class FlagProperties:
    is_uploaded: StatusProperty
    """Raw data are on Code Ocean; for ephys the recording is on S3, too. Code Ocean has a raw asset; for ephys
    its folder on S3 also has an `ecephys*` entry."""
    is_session_json: StatusProperty
    """The raw folder on S3 has session.json or acquisition.json."""
    is_rig_json: StatusProperty
    """The raw folder on S3 has rig.json or instrument.json."""
    is_video: StatusProperty
    """Videos were recorded. By `session_kwargs.is_video` where it is given, else by the files in the raw folder
    on S3. Applies to sessions with sync: others have no cameras."""
    is_sorted: StatusProperty
    """Code Ocean has a spike-sorting result without errors. Applies to ephys sessions."""
    is_annotated: StatusProperty
    """S3 has CCF coordinates of the probes, from the IBL GUI or from tissuecyte. Applies to ephys sessions."""
    is_dlc_eye: StatusProperty
    """Code Ocean has a DeepLabCut result for the eye camera. Applies to sessions with video."""
    is_dlc_side: StatusProperty
    """Code Ocean has a DeepLabCut result for the side camera. Applies to sessions with video."""
    is_dlc_face: StatusProperty
    """Code Ocean has a DeepLabCut result for the face camera. Applies to sessions with video."""
    is_facemap: StatusProperty
    """Code Ocean has a Facemap result. Applies to sessions with video."""
    is_gamma_encoding: StatusProperty
    """Code Ocean has a GammaEncoding result. Applies to sessions with video."""
    is_LPFaceParts: StatusProperty  # noqa: N815
    """Code Ocean has a Lightning Pose result for face parts. Applies to sessions with video."""
    is_surface_channels: StatusProperty
    """Surface channels were recorded separately. There is a raw asset at index 1 of the day, or the only one if
    the main recording was lost; or `session_kwargs.probe_letters_with_surface_channel_recording` is given.
    Applies to ephys sessions of index 0."""
    is_surface_channels_sorted: StatusProperty
    """Code Ocean has a sorting result of the surface channels without errors. Applies to sessions with a separate
    recording of surface channels."""
    is_production: StatusProperty
    """A production session. Unless `session_kwargs.is_production` is false."""
    is_imaged: StatusProperty
    """The brain of the subject was imaged. Code Ocean has a SmartSPIM asset of the subject, or S3 has tissuecyte-
    based files."""
    is_parquet_cached: StatusProperty
    """Some version of the component cache on S3 has a `session` file for it."""
    is_nwb_cached: StatusProperty
    """Some version of the NWB cache on S3 has a file for it."""

"""The processes that are run on sessions, by the names that people have for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import npc_session

__all__ = [
    "MODEL_CAPSULE_PIPELINE_MAPPING",
    "VIDEO_MAPPING",
    "VIDEO_MODELS",
    "CapsulePipelineInfo",
    "asset_exists",
]


class CapsulePipelineInfo(NamedTuple):
    """A capsule or pipeline, and the process that it is for."""

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

VIDEO_MODELS = ("dlc_eye", "dlc_side", "dlc_face", "facemap", "LPFaceParts")
"""Processes that need the videos of a session."""

VIDEO_MAPPING: dict[str, str] = {
    "dlc_eye": "dlc_eye",
    "dlc_side": "dlc_side",
    "dlc_face": "dlc_face",
    "facemap": "facemap",
    "LPFaceParts": "LPFaceParts",
    "GammaEncoding": "gamma_encoding",
}
"""Process to the status of a session that tells whether it was run: `is_` and that name."""


def asset_exists(session_id: str | npc_session.SessionRecord, process_name: str) -> bool:
    """Whether a session has a result of a video process, as its status says.

    Raises:
        ValueError: There is no such process.
        NoSessionInfo: There is no such session.
        MissingCredentials, SourceError: State does not know, and Code Ocean cannot be asked.
    """
    from npc_lims.sessions.queries import get_session_info

    status = VIDEO_MAPPING.get(process_name)
    if status is None:
        raise ValueError(
            f"there is no process {process_name!r} that is run on videos; known are: {', '.join(VIDEO_MAPPING)}"
        )
    return bool(getattr(get_session_info(session_id), f"is_{status}"))

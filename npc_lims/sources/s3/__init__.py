"""The source `s3`: listings of buckets. Here are names of files of a session; importing them takes nothing else."""

from __future__ import annotations

__all__ = ["CAMERA_POSITIONS", "RIG_METADATA_FILENAMES", "SESSION_METADATA_FILENAMES", "VIDEO_SUFFIXES"]

SESSION_METADATA_FILENAMES = frozenset({"session.json", "acquisition.json"})
"""Names that the description of a session has had."""
RIG_METADATA_FILENAMES = frozenset({"rig.json", "instrument.json"})
"""Names that the description of a rig has had."""
VIDEO_SUFFIXES = (".mp4", ".avi", ".wmv", ".mov")
CAMERA_POSITIONS = ("side", "face")
"""Cameras whose videos Lightning Pose analyses."""

"""The lab's own files, where this machine has them: beside the checkout, never in it."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["REAL", "REAL_TRACKED", "needs_real"]

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
REAL_TRACKED = REAL / "tracked_sessions.yaml"
needs_real = pytest.mark.skipif(not REAL_TRACKED.is_file(), reason=f"the lab's own files are not at {REAL}")

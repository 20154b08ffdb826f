"""A browser that is there: any of the Chromium family, headless."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

__all__ = ["INSTALL", "arguments", "find_chrome"]

INSTALL = "Chromium or Chrome is not installed (Debian: apt install chromium; elsewhere Google Chrome or Edge)"
"""Why a test is skipped, and what to do about it."""

_COMMANDS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
_MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
_WINDOWS = (r"Google\Chrome\Application\chrome.exe", r"Microsoft\Edge\Application\msedge.exe")


def find_chrome() -> Path | None:
    """Where it is; None if this machine has none."""
    return next((path for path in _candidates() if path.is_file()), None)


def _candidates() -> Iterator[Path]:
    for command in _COMMANDS:
        found = shutil.which(command)
        if found:
            yield Path(found)
    for name in _MAC:
        yield Path("/Applications") / f"{name}.app" / "Contents" / "MacOS" / name
    for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        folder = os.environ.get(variable)
        if folder:
            for program in _WINDOWS:
                yield Path(folder) / program


def arguments() -> list[str]:
    """Chromium refuses its sandbox to root, as which containers often run."""
    return ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []

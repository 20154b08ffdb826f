"""Variables of the environment and of a `.env`, with their defaults."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path

from npc_lims.errors import SettingsError
from npc_lims.utils.redaction import SECRET_VARIABLES, register_secret

DOTENV = ".env"
REPO = "AllenInstitute/npc_lims"
REF = "main"
RAW_URL = "https://raw.githubusercontent.com"
TTL = 600.0
TRACKED_FILE = "tracked_sessions.yaml"
"""The name of the file of sessions that people list, beside `state/`."""
TOKEN_PREFIX = "cop_"
"""How values of Code Ocean access tokens begin: labs keep them under names of their own."""
FOLDERS = ("NPC_LIMS_STATE", "NPC_LIMS_CACHE_DIR", "NPC_LIMS_MIRROR", "NPC_LIMS_TRAINING")
"""Variables that name a local folder, or may: a relative one of a `.env` is relative to the folder of that."""
NO_PAGES = "off"
"""What NPC_LIMS_PAGES_URL says where there is no site: a variable set to nothing is not set."""


@dataclasses.dataclass(frozen=True, repr=False)
class Environment:
    """Variables that are set.

    Attributes:
        values: Those of the process, and those of the `.env` that the process does not set.
        dotenv_path: That `.env`, if there is one.
    """

    values: Mapping[str, str]
    dotenv_path: Path | None


def read_environment(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Environment:
    """Return *environ* (default: the process's) over the nearest `.env` at or above *folder* (default: working one).

    Folders of the `.env` are absolute, wherever below it a command is started.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, str] = {}
    candidates = _dotenv_candidates(Path.cwd() if folder is None else folder)
    dotenv_path = next((path for path in candidates if path.is_file()), None)
    if dotenv_path is not None:
        import dotenv

        try:
            found = dotenv.dotenv_values(dotenv_path, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"cannot read {dotenv_path}: {error}; save it as UTF-8") from None
        values.update({k: v for k, v in found.items() if v is not None})
        register_secrets(values)
        for name in FOLDERS:
            if values.get(name) and "://" not in values[name]:
                values[name] = os.path.normpath(dotenv_path.parent / values[name])
    values.update(environ)
    if "" in values.values():  # a variable set to nothing is not set
        values = {name: value for name, value in values.items() if value != ""}
    return Environment(values, dotenv_path)


@functools.lru_cache(maxsize=16)
def _dotenv_candidates(folder: Path) -> tuple[Path, ...]:
    """Return where a `.env` may be, the nearest first. Each read of a session looks there."""
    return tuple(parent / DOTENV for parent in (folder, *folder.parents))


def register_secrets(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if name in SECRET_VARIABLES or value.lower().startswith(TOKEN_PREFIX):
            register_secret(value)


def in_github_actions() -> bool:
    """Return True in a step of a workflow: errors become annotations, and remedies name what is set on GitHub."""
    return os.environ.get("GITHUB_ACTIONS") == "true"

"""The settings that reads of state need.

Reads do without pydantic, which takes a tenth of a second to import, longer than ten thousand sessions take to read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from npc_lims.config.environment import NO_PAGES, RAW_URL, REF, REPO, TTL, Environment, read_environment

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

# Values that mean what they say, whatever `Settings` would check: all others are left to it.
_ADDRESS = r"(https://|http://127\.0\.0\.1:)[A-Za-z0-9._/:-]*[A-Za-z0-9]"
_FOLDER = r"(?!.*://)[^@\n]+"
_PLAIN = {
    "NPC_LIMS_REPO": re.compile(r"(?!.*\.\.)[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*"),
    "NPC_LIMS_REF": re.compile(r"(?!.*(\.\.|/\./))[A-Za-z0-9_-][A-Za-z0-9_./@#+=-]*(?<!/\.)"),
    "NPC_LIMS_RAW_URL": re.compile(_ADDRESS),
    "NPC_LIMS_PAGES_URL": re.compile(f"{NO_PAGES}|{_ADDRESS}"),
    "NPC_LIMS_STATE": re.compile(_FOLDER),
    "NPC_LIMS_CACHE_DIR": re.compile(_FOLDER),
    "NPC_LIMS_TTL": re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?"),
}


def settings_for_reading() -> Settings:
    """Return the settings of this process, of which only those that reads need are validated at once.

    Raises:
        SettingsError: A variable has a value that cannot be used.
    """
    environment = read_environment()
    values = environment.values
    if all(pattern.fullmatch(values[name]) for name, pattern in _PLAIN.items() if name in values):
        return cast("Settings", _ReadSettings(environment))
    from npc_lims.config.settings import make_settings

    return make_settings(environment)


class _ReadSettings:
    """The settings that reads need; all others are validated when the first of them is used."""

    def __init__(self, environment: Environment) -> None:
        values = environment.values
        state, cache_dir = values.get("NPC_LIMS_STATE"), values.get("NPC_LIMS_CACHE_DIR")
        self._environment = environment
        self.repo = values.get("NPC_LIMS_REPO", REPO)
        self.ref = values.get("NPC_LIMS_REF", REF)
        self.raw_url = values.get("NPC_LIMS_RAW_URL", RAW_URL)
        self.pages_url = values.get("NPC_LIMS_PAGES_URL")
        self.ttl = float(values.get("NPC_LIMS_TTL", TTL))
        self.state = None if state is None else Path(state)
        self.cache_dir = None if cache_dir is None else Path(cache_dir)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        from npc_lims.config.settings import make_settings

        settings = make_settings(self._environment)
        self.__dict__.update({field: getattr(settings, field) for field in type(settings).model_fields})
        return getattr(settings, name)

"""What git in tests knows of the machine and of the person who runs them: nothing."""

from __future__ import annotations

import os

__all__ = ["NO_SETTINGS", "plain_environment"]

NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
"""No hooks, signatures and the like that this machine asks of every repository."""


def plain_environment() -> dict[str, str]:
    """This process's variables, and of git's only `NO_SETTINGS`.

    Inside a hook GIT_DIR and its kin name another repository.
    """
    return {**{name: value for name, value in os.environ.items() if not name.startswith("GIT_")}, **NO_SETTINGS}

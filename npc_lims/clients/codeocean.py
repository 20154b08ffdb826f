"""Code Ocean's REST API: who is asking, and what it says when it refuses."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from npc_lims.clients.http import HttpClient, HttpResponse, RetryPolicy, basic_auth
from npc_lims.config.environment import in_github_actions
from npc_lims.errors import MissingCredentials
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["READ_SCOPE", "RUN_SCOPES", "api_address", "open_session", "reason_of"]

READ_SCOPE = "the scope 'data assets: read'"
RUN_SCOPES = "the scopes 'computations: read and write' and 'data assets: read and write'"


def api_address(settings: Settings, path: str = "") -> str:
    return f"{settings.codeocean_domain}/api/v1/{path}"


def open_session(settings: Settings, scopes: str, attempts: int | None = None) -> HttpClient:
    """Connections that carry the token.

    Args:
        scopes: What a token needs for what is to be asked, for the message.

    Raises:
        MissingCredentials: There is no token.
    """
    if settings.codeocean_token is None:
        on_github = "as a secret of this job's environment, under Settings, Environments"
        where = on_github if in_github_actions() else "in the environment or .env"
        raise MissingCredentials(
            f"no Code Ocean token: set CODE_OCEAN_API_TOKEN ({where}; made under Account, Access Tokens, with {scopes})"
        )
    policy = RetryPolicy.from_settings(settings)
    if attempts is not None:
        policy = dataclasses.replace(policy, attempts=attempts)
    return HttpClient(policy, basic_auth(settings.codeocean_token.get_secret_value()))


def reason_of(response: HttpResponse) -> str:
    """Why a request was refused, in one line of at most 200 characters."""
    try:
        said = response.json()["message"]
    except (KeyError, RecursionError, TypeError, ValueError):
        said = response.reason
    return single_line(said or "", 200) or f"status {response.status}"

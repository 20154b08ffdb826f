"""Requests to Code Ocean's REST API: those that may be sent again, and those that start something."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean import RUN_SCOPES, api_address, open_session, reason_of
from npc_lims.clients.codeocean_assets import SOURCE
from npc_lims.clients.http import HttpResponse, RequestFailed
from npc_lims.errors import ComputationError, SourceError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["ask", "checked_id", "start"]


def checked_id(text: object, of_what: str) -> str:
    """*text* in the one way to write a UUID, which may be a part of an address.

    Raises:
        ComputationError: It is none.
    """
    try:
        return str(uuid.UUID(str(text)))
    except ValueError:
        raise ComputationError(
            f"{str(text)!r} is not the id of a {of_what}: one looks like 4cf0be83-2245-4bb1-a55c-a78201b14bfe"
        ) from None


def ask(settings: Settings, method: str, path: str, what: str, **more: Any) -> dict[str, Any]:
    """The answer to a request that changes nothing, or nothing more when it is sent again.

    Args:
        path: Below `/api/v1/`.
        what: What is being done, for messages.
        **more: As `requests` takes them: `json`, `params`.

    Raises:
        MissingCredentials: There is no token.
        ComputationError: Code Ocean refuses, or has no such thing.
        SourceError: The token is refused, or no answer came.
    """
    url = api_address(settings, path)
    try:
        with open_session(settings, RUN_SCOPES) as client:
            return client.request(method, url, lambda response: _content(response, what), **more)
    except RequestFailed as error:
        raise SourceError(SOURCE, f"{what}: {url} {error}") from None


def start(settings: Settings, path: str, body: dict[str, Any], what: str) -> dict[str, Any]:
    """The answer to a POST that starts something: sent once, unless Code Ocean says that it is too busy.

    Raises:
        MissingCredentials: There is no token.
        ComputationError: Code Ocean refuses, or nobody knows whether it has started.
        SourceError: The token is refused, or Code Ocean stays too busy.
    """
    url = api_address(settings, path)
    try:
        with open_session(settings, RUN_SCOPES) as client:
            return client.request(
                "POST", url, lambda response: _content(response, what), is_idempotent=False, json=body
            )
    except RequestFailed as error:
        response = error.response
        if response is not None and response.status == 429:
            message = f"{what}: Code Ocean is too busy ({reason_of(response)}); nothing was started"
            raise SourceError(SOURCE, message) from None
        if not error.is_sent:
            raise SourceError(SOURCE, f"{what}: {url} {error}") from None
        reason = f"no whole answer came ({error})" if response is None else f"Code Ocean {error}"
        raise ComputationError(
            f"{what}: {reason}; it may have been started all the same: look for it in Code Ocean before trying again"
        ) from None


def _content(response: HttpResponse, what: str) -> dict[str, Any]:
    status = response.status
    if status in (401, 403):
        raise SourceError(
            SOURCE,
            f"{what}: the token was refused ({status}: {reason_of(response)}): it has expired, or lacks the scope "
            "or permission for that; make a new one and set CODE_OCEAN_API_TOKEN",
        )
    if not 200 <= status < 300:
        raise ComputationError(f"{what}: Code Ocean answered {status}: {reason_of(response)}")
    if not response.content:
        return {}
    content = response.json()
    if not isinstance(content, dict):
        raise ValueError("the answer is not an object")
    return content

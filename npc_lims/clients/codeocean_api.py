"""Requests to Code Ocean's REST API: those that may be sent again, and those that start something."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

from npc_lims.clients.codeocean import RUN_SCOPES, api_address, open_session, reason_of
from npc_lims.clients.codeocean_assets import SOURCE
from npc_lims.errors import ComputationError, SourceError
from npc_lims.utils.ca_bundle import ca_bundle_failure
from npc_lims.utils.json_answer import parse_json

if TYPE_CHECKING:
    import requests

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
    from npc_lims.clients.http import GaveUp, Patience, request

    session, url = open_session(settings, RUN_SCOPES), api_address(settings, path)
    patience = Patience.of(settings)
    try:
        answer: dict[str, Any] = request(
            session, method, url, patience, parse=lambda response: _content(response, what), **more
        )
        return answer
    except GaveUp as error:
        raise SourceError(SOURCE, f"{what}: {url} {error}") from None


def start(settings: Settings, path: str, body: dict[str, Any], what: str) -> dict[str, Any]:
    """The answer to a POST that starts something: sent once, unless Code Ocean says that it is too busy.

    Raises:
        MissingCredentials: There is no token.
        ComputationError: Code Ocean refuses, or nobody knows whether it has started.
        SourceError: The token is refused, or Code Ocean stays too busy.
    """
    from npc_lims.clients.http import Patience, retry_after_seconds

    session, url = open_session(settings, RUN_SCOPES), api_address(settings, path)
    patience = Patience.of(settings)
    for attempt in range(2, settings.attempts + 2):
        try:
            response = session.post(url, json=body, timeout=settings.timeout, allow_redirects=False)
            if response.status_code != 429:
                return _outcome(response, what)
        except (OSError, RecursionError, ValueError) as error:
            bundle = ca_bundle_failure(error)
            if bundle is not None:  # no connection was made
                raise SourceError(SOURCE, f"{what}: {url} could not be reached: {bundle}") from None
            raise _in_doubt(what, f"no whole answer came ({type(error).__name__})") from None
        asked = retry_after_seconds(response.headers.get("Retry-After"))
        if attempt > settings.attempts or (asked or 0.0) > patience.longest:
            break
        time.sleep(patience.wait_before(attempt) if asked is None else asked)
    raise SourceError(SOURCE, f"{what}: Code Ocean is too busy ({reason_of(response)}); nothing was started")


def _outcome(response: requests.Response, what: str) -> dict[str, Any]:
    if response.status_code >= 500:
        raise _in_doubt(what, f"Code Ocean answered {response.status_code}")
    return _content(response, what)


def _in_doubt(what: str, reason: str) -> ComputationError:
    return ComputationError(
        f"{what}: {reason}; it may have been started all the same: look for it in Code Ocean before trying again"
    )


def _content(response: requests.Response, what: str) -> dict[str, Any]:
    status = response.status_code
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
    content = parse_json(response.content)
    if not isinstance(content, dict):
        raise ValueError("the answer is not an object")
    return content

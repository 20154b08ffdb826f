"""One request to a web API, tried again while trying again can help."""

from __future__ import annotations

import datetime
import email.utils
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import requests

from npc_lims.utils.ca_bundle import ca_bundle_failure
from npc_lims.utils.redaction import safe_text

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["GaveUp", "Patience", "request", "retry_after_seconds"]

# Answers that say "not now" rather than "no".
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class GaveUp(Exception):
    """No usable answer came; the message says in one line what came instead. Never holds a header or a token.

    Attributes:
        retry_after: Seconds that the last answer asks to wait; None if it does not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(safe_text(message))


class Patience:
    """How long to go on.

    Args:
        attempts: Requests sent at most, the first included.
        timeout: Seconds without an answer before a request counts as lost.
        backoff: Seconds of the first wait; each further wait may be twice as long.
        longest: Seconds of the longest wait. A server that asks for more is given up.
    """

    def __init__(self, attempts: int, timeout: float, backoff: float, longest: float = 60.0) -> None:
        self.attempts = attempts
        self.timeout = timeout
        self.longest = longest
        self._backoff = backoff

    @classmethod
    def of(cls, settings: Settings) -> Patience:
        """What NPC_LIMS_ATTEMPTS, NPC_LIMS_TIMEOUT and NPC_LIMS_BACKOFF say."""
        return cls(settings.attempts, settings.timeout, settings.backoff)

    def wait_before(self, attempt: int) -> float:
        """Seconds before *attempt* (2, 3, ...): a random part of the doubling wait, so that clients spread out."""
        longest = min(self._backoff * 2 ** (attempt - 2), self.longest)
        return random.uniform(longest / 2, longest)


def request(
    session: requests.Session,
    method: str,
    url: str,
    patience: Patience,
    *,
    parse: Callable[[requests.Response], Any] = lambda response: response,
    **more: Any,
) -> Any:
    """What *parse* makes of the answer.

    An answer of status 429 or 5xx, a reset, a timeout, a body that breaks off or that *parse*
    refuses (`ValueError`) is asked for again. Any other status is an answer: *parse* sees it.

    Raises:
        GaveUp: The attempts are used up, or the server asks for a longer wait than there is patience.
    """
    why, wait = "", 0.0
    asked: float | None = None
    for attempt in range(1, patience.attempts + 1):
        if attempt > 1:
            time.sleep(wait)
        wait, asked = patience.wait_before(attempt + 1), None
        try:
            response = _send(session, method, url, patience, more)
            if response.status_code not in _PASSING:
                if not more.get("stream"):  # then nothing has been read yet: *parse* has to see to it
                    _check_whole(response)
                return parse(response)
            why = f"answered {response.status_code} {response.reason}".strip()
            asked = retry_after_seconds(response.headers.get("Retry-After"))
            if asked is not None:
                if asked > patience.longest:
                    raise GaveUp(f"{why} and asks to wait {asked:.0f} s; try again later", asked)
                # exactly what was asked is when every client comes back: spread out after it
                wait = asked + random.uniform(0, min(1.0, wait))
        except requests.Timeout:
            why = f"gave no answer within {patience.timeout:g} s"
        except requests.RequestException as error:
            why = f"could not be reached or broke off ({type(error).__name__})"
            if isinstance(error, requests.JSONDecodeError):  # is both kinds of error
                why = f"sent an answer that cannot be read ({error})"
        except (RecursionError, ValueError) as error:
            why = f"sent an answer that cannot be read ({error})"
    raise GaveUp(f"{why}, {patience.attempts} times" if patience.attempts > 1 else why, asked)


def _send(
    session: requests.Session, method: str, url: str, patience: Patience, more: dict[str, Any]
) -> requests.Response:
    try:
        return session.request(method, url, timeout=patience.timeout, allow_redirects=False, **more)
    except OSError as error:  # requests raises none of its own kind for a CA bundle that does not exist
        bundle = ca_bundle_failure(error)
        if bundle is None and isinstance(error, requests.RequestException):
            raise
        # trying again would not help
        raise GaveUp(f"could not be reached: {bundle or error}") from None
    except ValueError as error:  # of urllib3 or http.client, for an address or a header that cannot be sent
        raise GaveUp(f"cannot be asked ({error})") from None


def _check_whole(response: requests.Response) -> None:
    """Refuse a body that broke off: urllib3 before version 2 hands it over as if it were whole."""
    if response.request.method == "HEAD" or response.status_code in (204, 304):
        return  # no body follows, whatever length is declared
    declared = response.headers.get("Content-Length")
    if declared is not None and declared.isdecimal() and response.raw.tell() < int(declared):
        raise ValueError(f"broke off after {response.raw.tell()} of {declared} bytes")


def retry_after_seconds(value: str | None, now: datetime.datetime | None = None) -> float | None:
    """Seconds that a Retry-After header asks to wait: a number, or an HTTP date. None if it says neither.

    >>> retry_after_seconds("7"), retry_after_seconds("soon")
    (7.0, None)
    """
    if value is None:
        return None
    value = value.strip()
    if value.isdecimal():
        return float(value)
    try:
        then = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if then.tzinfo is None:
        then = then.replace(tzinfo=datetime.timezone.utc)
    now = datetime.datetime.now(datetime.timezone.utc) if now is None else now
    return max(0.0, (then - now).total_seconds())

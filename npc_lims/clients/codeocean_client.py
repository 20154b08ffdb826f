"""The official SDK's client, for what npc_lims has no function for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from npc_lims.config.lazy_settings import settings_for_reading
from npc_lims.errors import MissingCredentials
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    from codeocean import CodeOcean

    from npc_lims.config.settings import Settings

__all__ = ["get_codeocean_client"]

_clients: TTLCache[CodeOcean] = TTLCache(maxsize=8, ttl=24 * 3600, survives_fork=False)


def get_codeocean_client() -> CodeOcean:
    """The SDK's client for CODE_OCEAN_DOMAIN, with the token of the environment or `.env`.

    Reads are tried again as often as NPC_LIMS_ATTEMPTS says, what starts or makes something never is.

    Raises:
        MissingCredentials: There is no token.
    """
    settings = settings_for_reading()
    if settings.codeocean_token is None:
        raise MissingCredentials(
            "no Code Ocean token: set CODE_OCEAN_API_TOKEN (in the environment or .env), or any variable to a value "
            "that begins with cop_"
        )
    question = (settings.codeocean_domain, settings.codeocean_token, settings.attempts, settings.backoff)
    return _clients.get_or_load(question, lambda: _make(settings))


def _make(settings: Settings) -> CodeOcean:
    from urllib3.util import Retry

    from npc_lims.clients.codeocean_sdk import MaskedCodeOcean

    assert settings.codeocean_token is not None
    retries = Retry(
        total=settings.attempts - 1,
        backoff_factor=settings.backoff,
        status_forcelist=(408, 425, 429, 500, 502, 503, 504),
        allowed_methods=("GET", "HEAD"),
        raise_on_status=False,  # the SDK has an error of its own, with Code Ocean's reason
    )
    return MaskedCodeOcean(settings.codeocean_domain, settings.codeocean_token.get_secret_value(), retries=retries)

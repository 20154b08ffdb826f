"""S3 paths as callers use them: `UPath` objects, opened by s3fs."""

from __future__ import annotations

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from npc_lims.errors import MissingDependency

if TYPE_CHECKING:
    import upath

    from npc_lims.config.settings import Settings

__all__ = ["named_path", "s3_path"]


def s3_path(settings: Settings, uri: str) -> upath.UPath:
    """*uri* (`s3://bucket/key`) as a path that can be opened.

    Raises:
        MissingDependency: s3fs, which opens such paths, is not installed.
    """
    if not _has_s3fs():
        raise MissingDependency(
            f"{uri}: paths on S3 are opened by s3fs, which is not installed: pip install 'npc_lims[s3]'"
        )
    return named_path(settings, uri)


def named_path(settings: Settings, uri: str) -> upath.UPath:
    """*uri* as a path: to be named in any case, and to be opened where what opens it is installed."""
    import upath

    if uri.startswith("s3://") and _has_s3fs():
        _configure_fsspec(settings)
    return upath.UPath(uri)


def _has_s3fs() -> bool:
    return importlib.util.find_spec("s3fs") is not None


def _configure_fsspec(settings: Settings) -> None:
    """Make settings of a `.env` for S3 the defaults of s3fs, which reads only the environment of the process.

    Not as options of the path: a path that is pickled would take these along, secrets included.
    """
    options = _only_in_dotenv(settings)
    if options:
        import fsspec.config  # type: ignore[import-untyped]

        fsspec.config.conf.setdefault("s3", {}).update(options)


def _only_in_dotenv(settings: Settings) -> dict[str, Any]:
    """Options of s3fs for the settings that the process's environment does not hold."""
    options: dict[str, Any] = {}
    if settings.aws_endpoint_url is not None and _unset("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        options["endpoint_url"] = settings.aws_endpoint_url
    if settings.aws_profile is not None and _unset("AWS_PROFILE"):
        options["profile"] = settings.aws_profile
    if settings.aws_default_region is not None and _unset("AWS_DEFAULT_REGION"):
        options["client_kwargs"] = {"region_name": settings.aws_default_region}
    key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
    if key is not None and secret is not None and (_unset("AWS_ACCESS_KEY_ID") or _unset("AWS_SECRET_ACCESS_KEY")):
        token = settings.aws_session_token
        options["key"], options["secret"] = key.get_secret_value(), secret.get_secret_value()
        options["token"] = None if token is None else token.get_secret_value()
    return options


def _unset(*names: str) -> bool:
    """Return True if the environment of the process has none of these variables."""
    return not any(os.environ.get(name) for name in names)

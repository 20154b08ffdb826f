"""Settings: environment variables, and a `.env` found from the working directory upward.

A variable that is set in the environment wins over the same one in `.env`. Tokens are
`SecretStr`: they print as asterisks wherever a settings object is shown.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Optional

import pydantic
from pydantic import AfterValidator, BeforeValidator, SecretStr

from npc_lims.config.environment import (
    NO_PAGES,
    RAW_URL,
    REF,
    REPO,
    TOKEN_PREFIX,
    TTL,
    Environment,
    read_environment,
    register_secrets,
)
from npc_lims.errors import SettingsError

_SCRATCH = "s3://aind-scratch-data"
_TASK = f"{_SCRATCH}/dynamic-routing/DynamicRoutingTask"
_TRAINING_COLUMNS = (
    "start_time",
    "rig_name",
    "task_version",
    "hits",
    "dprime_same_modality",
    "dprime_other_modality_go_stim",
    "pass",
    "ignore",
)
_LONGEST = 86_400.0
"""Seconds. Sockets and sleep() raise OverflowError for a time that is much longer."""
# The server of a path such as \\server\share, and a port as WebDAV shares have one: \\server@SSL@8443\folder.
_SERVER = re.compile(r"[\\/]{2}(?:[?.][\\/]UNC[\\/])?([^\\/@]*)(@[^\\/]*)?", re.IGNORECASE)
_WEBDAV_PORT = re.compile(r"(@SSL)?(@[0-9]{1,5})?", re.IGNORECASE)


def _address(value: str) -> urllib.parse.SplitResult:
    """Return the parts of a URL that holds no secret: addresses are printed, and recorded with failures.

    Raises:
        ValueError: It holds a user, a password, a query, a fragment or characters that no URL has.
    """
    if not value.isprintable() or (" " in value and not value.startswith("s3://")):
        raise ValueError("holds spaces or control characters; copy it again")
    try:
        parts = urllib.parse.urlsplit(value)
        parts.port  # noqa: B018  # raises for one that is no number
    except ValueError:
        # the message of urllib would quote it
        raise ValueError("is not a valid address; copy it again") from None
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password; tokens have variables of their own")
    if "?" in value or "#" in value:
        raise ValueError("must not hold a query or fragment (from ? or # on); tokens have variables of their own")
    return parts


def _check_url(value: str) -> str:
    parts = _address(value)
    is_local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not (parts.hostname and (parts.scheme == "https" or is_local)):
        raise ValueError("must begin with https:// (a token travels with each request)")
    return value.rstrip("/")


def _check_pages(value: str) -> str:
    return value if value == NO_PAGES else _check_url(value)


def _check_endpoint(value: str) -> str:
    parts = _address(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://s3.example.org")
    return value


def _check_s3_root(value: str) -> str:
    value = value.rstrip("/")
    parts = _address(value)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError("must be an address such as s3://bucket/folder")
    return value


def _check_folder(value: Any) -> Any:
    """Refuse the path of a folder that holds a secret, if it is a text."""
    if not isinstance(value, str):
        return value
    if "://" in value:
        raise ValueError("must be a folder, not an address")
    server = _SERVER.match(value)
    if server is not None and not _WEBDAV_PORT.fullmatch(server[2] or ""):
        raise ValueError("must not hold a user or password; connect the share first (net use)")
    return value


def _check_training(value: str) -> str:
    if "://" not in value:
        return str(_check_folder(value))
    if _address(value).scheme != "s3":
        raise ValueError("must be a folder, or an address such as s3://bucket/folder/")
    return value


def _check_name(value: str) -> str:
    # they are parts of the path of a URL, in which such a part means another repository
    if ".." in value or "." in value.split("/"):
        raise ValueError("must not hold .. (nor a part that is . alone)")
    if not value.isprintable() or re.search(r"[\s:?]", value):
        raise ValueError("holds spaces, control characters, : or ?, as no branch, tag or commit does")
    return value


def _check_token(value: SecretStr) -> SecretStr:
    token = value.get_secret_value()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError("holds characters that no token has; copy it again")
    return value


def _split_columns(value: Any) -> Any:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


_Url = Annotated[str, AfterValidator(_check_url)]
_S3Root = Annotated[str, AfterValidator(_check_s3_root)]
_Folder = Annotated[Optional[Path], BeforeValidator(_check_folder)]
_Token = Annotated[SecretStr, AfterValidator(_check_token)]


def _variable(*names: str, default: Any = None, **limits: Any) -> Any:
    """Declare a field by the names of its environment variable, the first of which takes precedence."""
    return pydantic.Field(default, validation_alias=pydantic.AliasChoices(*names), **limits)


class Settings(pydantic.BaseModel):
    """All settings, in the order of docs/settings.md."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    # Code Ocean
    codeocean_token: Optional[_Token] = _variable("CODE_OCEAN_API_TOKEN")
    codeocean_domain: _Url = _variable("CODE_OCEAN_DOMAIN", default="https://codeocean.allenneuraldynamics.org")
    # S3, as boto3 names them
    aws_access_key_id: Optional[_Token] = _variable("AWS_ACCESS_KEY_ID")
    aws_secret_access_key: Optional[_Token] = _variable("AWS_SECRET_ACCESS_KEY")
    aws_session_token: Optional[_Token] = _variable("AWS_SESSION_TOKEN")
    aws_default_region: Optional[str] = _variable("AWS_DEFAULT_REGION", "AWS_REGION")
    aws_profile: Optional[str] = _variable("AWS_PROFILE")
    aws_endpoint_url: Optional[Annotated[str, AfterValidator(_check_endpoint)]] = _variable(
        "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
    )
    # GitHub
    github_token: Optional[_Token] = _variable("GITHUB_TOKEN")
    github_api_url: _Url = _variable("GITHUB_API_URL", default="https://api.github.com")
    # where the state lives and how it is read
    repo: Annotated[str, AfterValidator(_check_name)] = _variable(
        "NPC_LIMS_REPO", default=REPO, pattern=r"^[\w.-]+/[\w.-]+$"
    )
    ref: Annotated[str, AfterValidator(_check_name)] = _variable("NPC_LIMS_REF", default=REF, min_length=1)
    raw_url: _Url = _variable("NPC_LIMS_RAW_URL", default=RAW_URL)
    pages_url: Optional[Annotated[str, AfterValidator(_check_pages)]] = _variable("NPC_LIMS_PAGES_URL")
    state: _Folder = _variable("NPC_LIMS_STATE")
    cache_dir: _Folder = _variable("NPC_LIMS_CACHE_DIR")
    ttl: float = _variable("NPC_LIMS_TTL", default=TTL, ge=0)
    mirror: _Folder = _variable("NPC_LIMS_MIRROR")
    # where the sources keep their data
    training: Annotated[str, AfterValidator(_check_training)] = _variable("NPC_LIMS_TRAINING", default=f"{_TASK}/")
    training_columns: Annotated[tuple[str, ...], BeforeValidator(_split_columns)] = _variable(
        "NPC_LIMS_TRAINING_COLUMNS", default=_TRAINING_COLUMNS
    )
    stim_root: _S3Root = _variable("NPC_LIMS_STIM_ROOT", default=f"{_TASK}/Data")
    ibl_root: _S3Root = _variable("NPC_LIMS_IBL_ROOT", default=f"{_SCRATCH}/dynamic-routing/ibl-gui-output")
    tissuecyte_root: _S3Root = _variable(
        "NPC_LIMS_TISSUECYTE_ROOT", default=f"{_SCRATCH}/arjun.sridhar/tissuecyte_cloud_processed"
    )
    parquet_root: _S3Root = _variable(
        "NPC_LIMS_PARQUET_ROOT", default=f"{_SCRATCH}/dynamic-routing/cache/nwb_components"
    )
    nwb_root: _S3Root = _variable("NPC_LIMS_NWB_ROOT", default=f"{_SCRATCH}/dynamic-routing/cache/nwb")
    codeocean_bucket: str = _variable(
        "NPC_LIMS_CODEOCEAN_BUCKET", default="codeocean-s3datasetsbucket-1u41qdg42ur9", pattern=r"^[^\s@?#/]+$"
    )
    pypi_url: _Url = _variable("NPC_LIMS_PYPI_URL", default="https://pypi.org/pypi/npc_sessions/json")
    # requests
    timeout: float = _variable("NPC_LIMS_TIMEOUT", default=30, gt=0, le=_LONGEST)
    attempts: int = _variable("NPC_LIMS_ATTEMPTS", default=5, ge=1, le=20)
    backoff: float = _variable("NPC_LIMS_BACKOFF", default=1, ge=0, le=_LONGEST)
    s3_workers: int = _variable("NPC_LIMS_S3_WORKERS", default=16, ge=1, le=64)


def load_settings(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Return settings from *environ* (default: the process's) and the nearest `.env` at or above *folder*.

    Raises:
        SettingsError: A variable has a value that cannot be used.
    """
    return make_settings(read_environment(environ, folder))


def make_settings(environment: Environment) -> Settings:
    """Return settings from variables that have been read. Raises as `load_settings`."""
    register_secrets(environment.values)
    # a variable named like a field of ours is none of our business
    values = {name: value for name, value in environment.values.items() if name not in Settings.model_fields}
    if "CODE_OCEAN_API_TOKEN" not in values:
        for value in values.values():
            if value.lower().startswith(TOKEN_PREFIX):
                values["CODE_OCEAN_API_TOKEN"] = value
                break
    try:
        return Settings.model_validate(values)
    except pydantic.ValidationError as error:
        raise SettingsError(_explain(error, environment.dotenv_path)) from None


def _explain(error: pydantic.ValidationError, dotenv_path: Path | None) -> str:
    lines = [
        f"{'.'.join(map(str, item['loc']))}: {item['msg'].replace('Value error, ', '')}"
        for item in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    where = f" (environment, or {dotenv_path})" if dotenv_path else " (environment)"
    return f"unusable settings{where}: " + "; ".join(lines)

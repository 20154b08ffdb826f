"""Settings: environment variables, and a `.env` found from the working directory upward.

A variable that is set in the environment wins over the same one in `.env`. Tokens are
`SecretStr`: they print as asterisks wherever a settings object is shown.
"""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import pydantic
from pydantic import SecretStr

from npc_lims.config.environment import (
    DOTENV,
    NO_PAGES,
    RAW_URL,
    REF,
    REPO,
    TOKEN_PREFIX,
    TTL,
    Environment,
    read_environment,
)
from npc_lims.errors import SettingsError

__all__ = ["DOTENV", "Settings", "load_settings", "make_settings"]


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


def _folder(value: str) -> str:
    """Return the path of a folder that holds no secret. Raises as `_address`."""
    if "://" in value:
        raise ValueError("must be a folder, not an address")
    server = _SERVER.match(value)
    if server is not None and not _WEBDAV_PORT.fullmatch(server[2] or ""):
        raise ValueError("must not hold a user or password; connect the share first (net use)")
    return value


def _env(*names: str) -> Any:
    return pydantic.AliasChoices(*names)


class Settings(pydantic.BaseModel):
    """Everything that can be set. Field order follows docs/settings.md."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    # Code Ocean
    codeocean_token: Optional[SecretStr] = pydantic.Field(None, validation_alias=_env("CODE_OCEAN_API_TOKEN"))
    codeocean_domain: str = pydantic.Field(
        "https://codeocean.allenneuraldynamics.org", validation_alias=_env("CODE_OCEAN_DOMAIN")
    )
    # S3, as boto3 names them
    aws_access_key_id: Optional[SecretStr] = pydantic.Field(None, validation_alias=_env("AWS_ACCESS_KEY_ID"))
    aws_secret_access_key: Optional[SecretStr] = pydantic.Field(None, validation_alias=_env("AWS_SECRET_ACCESS_KEY"))
    aws_session_token: Optional[SecretStr] = pydantic.Field(None, validation_alias=_env("AWS_SESSION_TOKEN"))
    aws_default_region: Optional[str] = pydantic.Field(None, validation_alias=_env("AWS_DEFAULT_REGION", "AWS_REGION"))
    aws_profile: Optional[str] = pydantic.Field(None, validation_alias=_env("AWS_PROFILE"))
    aws_endpoint_url: Optional[str] = pydantic.Field(
        None, validation_alias=_env("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    )
    # GitHub
    github_token: Optional[SecretStr] = pydantic.Field(None, validation_alias=_env("GITHUB_TOKEN"))
    github_api_url: str = pydantic.Field("https://api.github.com", validation_alias=_env("GITHUB_API_URL"))
    # where the state lives and how it is read
    repo: str = pydantic.Field(REPO, validation_alias=_env("NPC_LIMS_REPO"), pattern=r"^[\w.-]+/[\w.-]+$")
    ref: str = pydantic.Field(REF, validation_alias=_env("NPC_LIMS_REF"), min_length=1)
    raw_url: str = pydantic.Field(RAW_URL, validation_alias=_env("NPC_LIMS_RAW_URL"))
    pages_url: Optional[str] = pydantic.Field(None, validation_alias=_env("NPC_LIMS_PAGES_URL"))
    state: Optional[Path] = pydantic.Field(None, validation_alias=_env("NPC_LIMS_STATE"))
    cache_dir: Optional[Path] = pydantic.Field(None, validation_alias=_env("NPC_LIMS_CACHE_DIR"))
    ttl: float = pydantic.Field(TTL, validation_alias=_env("NPC_LIMS_TTL"), ge=0)
    mirror: Optional[Path] = pydantic.Field(None, validation_alias=_env("NPC_LIMS_MIRROR"))
    # where the sources keep their data
    training: str = pydantic.Field(
        "s3://aind-scratch-data/dynamic-routing/DynamicRoutingTask/", validation_alias=_env("NPC_LIMS_TRAINING")
    )
    training_columns: tuple[str, ...] = pydantic.Field(
        (
            "start_time",
            "rig_name",
            "task_version",
            "hits",
            "dprime_same_modality",
            "dprime_other_modality_go_stim",
            "pass",
            "ignore",
        ),
        validation_alias=_env("NPC_LIMS_TRAINING_COLUMNS"),
    )
    stim_root: str = pydantic.Field(
        "s3://aind-scratch-data/dynamic-routing/DynamicRoutingTask/Data", validation_alias=_env("NPC_LIMS_STIM_ROOT")
    )
    ibl_root: str = pydantic.Field(
        "s3://aind-scratch-data/dynamic-routing/ibl-gui-output", validation_alias=_env("NPC_LIMS_IBL_ROOT")
    )
    tissuecyte_root: str = pydantic.Field(
        "s3://aind-scratch-data/arjun.sridhar/tissuecyte_cloud_processed",
        validation_alias=_env("NPC_LIMS_TISSUECYTE_ROOT"),
    )
    parquet_root: str = pydantic.Field(
        "s3://aind-scratch-data/dynamic-routing/cache/nwb_components", validation_alias=_env("NPC_LIMS_PARQUET_ROOT")
    )
    nwb_root: str = pydantic.Field(
        "s3://aind-scratch-data/dynamic-routing/cache/nwb", validation_alias=_env("NPC_LIMS_NWB_ROOT")
    )
    codeocean_bucket: str = pydantic.Field(
        "codeocean-s3datasetsbucket-1u41qdg42ur9",
        validation_alias=_env("NPC_LIMS_CODEOCEAN_BUCKET"),
        pattern=r"^[^\s@?#/]+$",
    )
    pypi_url: str = pydantic.Field(
        "https://pypi.org/pypi/npc_sessions/json", validation_alias=_env("NPC_LIMS_PYPI_URL")
    )
    # patience
    timeout: float = pydantic.Field(30, validation_alias=_env("NPC_LIMS_TIMEOUT"), gt=0, le=_LONGEST)
    attempts: int = pydantic.Field(5, validation_alias=_env("NPC_LIMS_ATTEMPTS"), ge=1, le=20)
    backoff: float = pydantic.Field(1, validation_alias=_env("NPC_LIMS_BACKOFF"), ge=0, le=_LONGEST)
    s3_workers: int = pydantic.Field(16, validation_alias=_env("NPC_LIMS_S3_WORKERS"), ge=1, le=64)

    @pydantic.field_validator("training_columns", mode="before")
    @classmethod
    def _split_columns(cls, value: Any) -> Any:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @pydantic.field_validator("codeocean_domain", "raw_url", "github_api_url", "pypi_url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        parts = _address(value)
        local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        if not (parts.hostname and (parts.scheme == "https" or local)):
            raise ValueError("must begin with https:// (a token travels with each request)")
        return value.rstrip("/")

    @pydantic.field_validator("pages_url")
    @classmethod
    def _check_pages(cls, value: Optional[str]) -> Optional[str]:
        return value if value is None or value == NO_PAGES else cls._check_url(value)

    @pydantic.field_validator("aws_endpoint_url")
    @classmethod
    def _check_endpoint(cls, value: Optional[str]) -> Optional[str]:
        if value is None:
            return None
        parts = _address(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be an address such as https://s3.example.org")
        return value

    @pydantic.field_validator("state", "cache_dir", "mirror", mode="before")
    @classmethod
    def _check_folder(cls, value: Any) -> Any:
        return _folder(value) if isinstance(value, str) else value

    @pydantic.field_validator("training")
    @classmethod
    def _check_training(cls, value: str) -> str:
        if "://" not in value:
            return _folder(value)
        if _address(value).scheme != "s3":
            raise ValueError("must be a folder, or an address such as s3://bucket/folder/")
        return value

    @pydantic.field_validator("repo", "ref")
    @classmethod
    def _check_name(cls, value: str) -> str:
        # they are parts of the path of a URL, in which such a part means another repository
        if ".." in value or "." in value.split("/"):
            raise ValueError("must not hold .. (nor a part that is . alone)")
        if not value.isprintable() or re.search(r"[\s:?]", value):
            raise ValueError("holds spaces, control characters, : or ?, as no branch, tag or commit does")
        return value

    @pydantic.field_validator(
        "codeocean_token", "github_token", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"
    )
    @classmethod
    def _check_token(cls, value: Optional[SecretStr]) -> Optional[SecretStr]:
        token = "" if value is None else value.get_secret_value()
        if not (token.isascii() and token.isprintable()) or " " in token:
            raise ValueError("holds characters that no token has; copy it again")
        return value

    @pydantic.field_validator("stim_root", "ibl_root", "tissuecyte_root", "parquet_root", "nwb_root")
    @classmethod
    def _check_s3_root(cls, value: str) -> str:
        value = value.rstrip("/")
        parts = _address(value)
        if parts.scheme != "s3" or not parts.netloc:
            raise ValueError("must be an address such as s3://bucket/folder")
        return value


def load_settings(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Settings from *environ* (default: the process's) and the nearest `.env` at or above *folder*.

    Raises:
        SettingsError: A variable has a value that cannot be used.
    """
    return make_settings(read_environment(environ, folder))


def make_settings(environment: Environment) -> Settings:
    """Settings from variables that have been read. Raises as `load_settings`."""
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
    lines = []
    for item in error.errors(include_input=False, include_url=False, include_context=False):
        lines.append(f"{'.'.join(map(str, item['loc']))}: {item['msg'].replace('Value error, ', '')}")
    where = f" (environment, or {dotenv_path})" if dotenv_path else " (environment)"
    return f"unusable settings{where}: " + "; ".join(lines)

"""Settings: environment variables, and a `.env` found from the working directory upward.

A variable that is set in the environment wins over the same one in `.env`. Each setting is validated when it is first
used, by the standard library alone: a read of state needs few of them, and pydantic takes a tenth of a second to
import, longer than ten thousand sessions take to read.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import re
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Optional, TypeVar, overload

from npc_lims.errors import SettingsError
from npc_lims.utils.text import SECRET_VARIABLES, register_secret

_T = TypeVar("_T")
_Number = TypeVar("_Number", int, float)

DOTENV = ".env"
REF = "main"
RAW_URL = "https://raw.githubusercontent.com"
TRACKED_FILE = "tracked_sessions.yaml"
"""The name of the file of sessions that people list, beside `state/`."""
TOKEN_PREFIX = "cop_"
"""How values of Code Ocean access tokens begin: labs keep them under names of their own."""
FOLDERS = ("NPC_LIMS_STATE", "NPC_LIMS_CACHE_DIR", "NPC_LIMS_MIRROR", "NPC_LIMS_TRAINING")
"""Variables that name a local folder, or may: a relative one of a `.env` is relative to the folder of that."""
NO_PAGES = "off"
"""What NPC_LIMS_PAGES_URL says where there is no site: a variable set to nothing is not set."""
OFFLINE = "NPC_LIMS_OFFLINE is set, so nothing is requested"
"""Why a service was not queried."""
_SCRATCH = "s3://aind-scratch-data"
_TASK = f"{_SCRATCH}/dynamic-routing/DynamicRoutingTask"
_TRAINING_COLUMNS: tuple[str, ...] = (
    *("start_time", "rig_name", "task_version", "hits"),
    *("dprime_same_modality", "dprime_other_modality_go_stim", "pass", "ignore"),
)
_LONGEST = 86_400.0
"""Seconds. Sockets and sleep() raise OverflowError for a time that is much longer."""
# The server of a path such as \\server\share, and a port as WebDAV shares have one: \\server@SSL@8443\folder.
_SERVER = re.compile(r"[\\/]{2}(?:[?.][\\/]UNC[\\/])?([^\\/@]*)(@[^\\/]*)?", re.IGNORECASE)
_WEBDAV_PORT = re.compile(r"(@SSL)?(@[0-9]{1,5})?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, repr=False)
class Secret:
    """A token, which prints as asterisks."""

    _value: str

    def get_secret_value(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('**********')"


# --- values ---------------------------------------------------------------------------------------


def _address(value: str) -> urllib.parse.SplitResult:
    """Return the parts of a URL, which may hold no secret: addresses are printed, and recorded with failures."""
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


def _url(value: str) -> str:
    parts = _address(value)
    is_local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not (parts.hostname and (parts.scheme == "https" or is_local)):
        raise ValueError("must begin with https:// (a token travels with each request)")
    return value.rstrip("/")


def _pages(value: str) -> str:
    return value if value == NO_PAGES else _url(value)


def _endpoint(value: str) -> str:
    parts = _address(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as https://s3.example.org")
    return value


def _s3_root(value: str) -> str:
    value = value.rstrip("/")
    parts = _address(value)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError("must be an address such as s3://bucket/folder")
    return value


def _folder(value: str) -> Path:
    if "://" in value:
        raise ValueError("must be a folder, not an address")
    server = _SERVER.match(value)
    if server is not None and not _WEBDAV_PORT.fullmatch(server[2] or ""):
        raise ValueError("must not hold a user or password; connect the share first (net use)")
    return Path(value)


def _training(value: str) -> str:
    if "://" not in value:
        _folder(value)
    elif _address(value).scheme != "s3":
        raise ValueError("must be a folder, or an address such as s3://bucket/folder/")
    return value


def _name(value: str) -> str:
    # it is part of the path of a URL, in which such a part means another repository
    if ".." in value or "." in value.split("/"):
        raise ValueError("must not hold .. (nor a part that is . alone)")
    if not value.isprintable() or re.search(r"[\s:?]", value):
        raise ValueError("holds spaces, control characters, : or ?, as no branch, tag or commit does")
    return value


def _repository(value: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", value):
        raise ValueError("must be owner/name, as in AllenInstitute/npc_lims")
    return _name(value)


def _bucket(value: str) -> str:
    if not re.fullmatch(r"[^\s@?#/]+", value):
        raise ValueError("must be the name of a bucket")
    return value


def _token(value: str) -> Secret:
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise ValueError("holds characters that no token has; copy it again")
    return Secret(value)


def _columns(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _switch(value: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if value.lower() not in known:
        raise ValueError("must be 1 (or true, yes, on) or 0 (or false, no, off)")
    return known[value.lower()]


def _number(kind: Callable[[str], _Number], low: float, high: float = math.inf) -> Callable[[str], _Number]:
    def parse(value: str) -> _Number:
        try:
            number = kind(value)
        except ValueError:
            raise ValueError(f"must be {'a whole number' if kind is int else 'a number'}") from None
        if not low <= number <= high:
            raise ValueError(f"must be at least {low:g}" + ("" if high == math.inf else f", and at most {high:g}"))
        return number

    return parse


# --- the environment ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, repr=False)
class Environment:
    """Variables of the process, and those of the `.env`, if there is one, that the process does not set."""

    values: Mapping[str, str]
    dotenv_path: Path | None


def read_environment(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Environment:
    """Return *environ* (default: the process's) over the nearest `.env` at or above *folder* (default: working one).

    Folders of the `.env` are absolute, wherever below it a command is started.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, str] = {}
    candidates = _dotenv_candidates(Path.cwd() if folder is None else folder)
    dotenv_path = next((path for path in candidates if path.is_file()), None)
    if dotenv_path is not None:
        import dotenv

        try:
            found = dotenv.dotenv_values(dotenv_path, encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"cannot read {dotenv_path}: {error}; save it as UTF-8") from None
        values.update({k: v for k, v in found.items() if v is not None})
        register_secrets(values)
        for name in FOLDERS:
            if values.get(name) and "://" not in values[name]:
                values[name] = os.path.normpath(dotenv_path.parent / values[name])
    values.update(environ)
    if "" in values.values():  # a variable set to nothing is not set
        values = {name: value for name, value in values.items() if value != ""}
    tokens = register_secrets(values)
    if tokens:
        values.setdefault("CODE_OCEAN_API_TOKEN", tokens[0])
    return Environment(values, dotenv_path)


@functools.lru_cache(maxsize=16)
def _dotenv_candidates(folder: Path) -> tuple[Path, ...]:
    """Return where a `.env` may be, the nearest first. Each read of a session looks there."""
    return tuple(parent / DOTENV for parent in (folder, *folder.parents))


def register_secrets(values: Mapping[str, str]) -> list[str]:
    """Redact the secrets among *values* from now on; return those that look like tokens of Code Ocean."""
    tokens = [value for value in values.values() if value[: len(TOKEN_PREFIX)].lower() == TOKEN_PREFIX]
    for value in (*tokens, *(values[name] for name in SECRET_VARIABLES if name in values)):
        register_secret(value)
    return tokens


def in_github_actions() -> bool:
    """Return True in a step of a workflow: errors become annotations, and remedies name what is set on GitHub."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


# --- settings -------------------------------------------------------------------------------------


class Setting(Generic[_T]):
    """A setting: its variables, of which the first takes precedence, and how a text of it is parsed."""

    def __init__(self, parse: Callable[[str], _T], *variables: str, default: _T = None) -> None:  # type: ignore[assignment]
        self.variables = variables
        self.default = default
        self._parse = parse

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, settings: None, owner: type) -> Setting[_T]: ...

    @overload
    def __get__(self, settings: Settings, owner: type) -> _T: ...

    def __get__(self, settings: Settings | None, owner: type) -> Setting[_T] | _T:
        if settings is None:
            return self
        try:
            value = self.parse(settings)
        except ValueError as error:
            raise settings.failure([str(error)]) from None
        settings.__dict__[self._name] = value  # found there from now on
        return value

    def parse(self, settings: Settings) -> _T:
        """Return the value; ValueError, with its variable, if that cannot be used."""
        environment = settings.environment.values
        variable = next((name for name in self.variables if name in environment), None)
        value: Any = settings.named.get(self._name, environment[variable] if variable else self.default)
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        try:
            return self._parse(value)
        except ValueError as error:
            raise ValueError(f"{variable or self._name}: {error}") from None


class Settings:
    """All settings, in the order of docs/settings.md: those that are *named*, else variables, else defaults."""

    # Code Ocean
    codeocean_token = Setting[Optional[Secret]](_token, "CODE_OCEAN_API_TOKEN")
    codeocean_domain = Setting(_url, "CODE_OCEAN_DOMAIN", default="https://codeocean.allenneuraldynamics.org")
    # S3, as boto3 names them
    aws_access_key_id = Setting[Optional[Secret]](_token, "AWS_ACCESS_KEY_ID")
    aws_secret_access_key = Setting[Optional[Secret]](_token, "AWS_SECRET_ACCESS_KEY")
    aws_session_token = Setting[Optional[Secret]](_token, "AWS_SESSION_TOKEN")
    aws_default_region = Setting[Optional[str]](str, "AWS_DEFAULT_REGION", "AWS_REGION")
    aws_profile = Setting[Optional[str]](str, "AWS_PROFILE")
    aws_endpoint_url = Setting[Optional[str]](_endpoint, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    # GitHub
    github_token = Setting[Optional[Secret]](_token, "GITHUB_TOKEN")
    github_api_url = Setting(_url, "GITHUB_API_URL", default="https://api.github.com")
    # where the state lives and how it is read
    repo = Setting(_repository, "NPC_LIMS_REPO", default="AllenInstitute/npc_lims")
    ref = Setting(_name, "NPC_LIMS_REF", default=REF)
    raw_url = Setting(_url, "NPC_LIMS_RAW_URL", default=RAW_URL)
    pages_url = Setting[Optional[str]](_pages, "NPC_LIMS_PAGES_URL")
    state = Setting[Optional[Path]](_folder, "NPC_LIMS_STATE")
    cache_dir = Setting[Optional[Path]](_folder, "NPC_LIMS_CACHE_DIR")
    ttl = Setting(_number(float, 0), "NPC_LIMS_TTL", default=600.0)
    offline = Setting(_switch, "NPC_LIMS_OFFLINE", default=False)
    mirror = Setting[Optional[Path]](_folder, "NPC_LIMS_MIRROR")
    # where the sources keep their data
    training = Setting(_training, "NPC_LIMS_TRAINING", default=f"{_TASK}/")
    training_columns = Setting(_columns, "NPC_LIMS_TRAINING_COLUMNS", default=_TRAINING_COLUMNS)
    stim_root = Setting(_s3_root, "NPC_LIMS_STIM_ROOT", default=f"{_TASK}/Data")
    ibl_root = Setting(_s3_root, "NPC_LIMS_IBL_ROOT", default=f"{_SCRATCH}/dynamic-routing/ibl-gui-output")
    tissuecyte_root = Setting(
        _s3_root, "NPC_LIMS_TISSUECYTE_ROOT", default=f"{_SCRATCH}/arjun.sridhar/tissuecyte_cloud_processed"
    )
    parquet_root = Setting(
        _s3_root, "NPC_LIMS_PARQUET_ROOT", default=f"{_SCRATCH}/dynamic-routing/cache/nwb_components"
    )
    nwb_root = Setting(_s3_root, "NPC_LIMS_NWB_ROOT", default=f"{_SCRATCH}/dynamic-routing/cache/nwb")
    codeocean_bucket = Setting(_bucket, "NPC_LIMS_CODEOCEAN_BUCKET", default="codeocean-s3datasetsbucket-1u41qdg42ur9")
    pypi_url = Setting(_url, "NPC_LIMS_PYPI_URL", default="https://pypi.org/pypi/npc_sessions/json")
    # requests
    timeout = Setting(_number(float, 0.001, _LONGEST), "NPC_LIMS_TIMEOUT", default=30.0)
    attempts = Setting(_number(int, 1, 20), "NPC_LIMS_ATTEMPTS", default=5)
    backoff = Setting(_number(float, 0, _LONGEST), "NPC_LIMS_BACKOFF", default=1.0)
    s3_workers = Setting(_number(int, 1, 64), "NPC_LIMS_S3_WORKERS", default=16)

    def __init__(self, environment: Environment = Environment({}, None), **named: Any) -> None:
        self.environment = environment
        self.named = named

    def replace(self, **named: Any) -> Settings:
        """Return a copy in which settings have other values."""
        return Settings(self.environment, **{**self.named, **named})

    def is_set(self, name: str) -> bool:
        """Return True if the setting has a value that is not its default alone: named, or of a variable."""
        return name in self.named or any(one in self.environment.values for one in SETTINGS[name].variables)

    def failure(self, problems: Sequence[str]) -> SettingsError:
        dotenv_path = self.environment.dotenv_path
        where = f"environment, or {dotenv_path}" if dotenv_path else "environment"
        return SettingsError(f"unusable settings ({where}): {'; '.join(problems)}")


SETTINGS = {name: one for name, one in vars(Settings).items() if isinstance(one, Setting)}


def settings_for_reading() -> Settings:
    """Return the settings of this process. SettingsError if one that is used has a value that cannot be."""
    return Settings(read_environment())


def load_settings(environ: Mapping[str, str] | None = None, folder: Path | None = None) -> Settings:
    """Return settings from *environ* (default: the process's) and the nearest `.env` at or above *folder*.

    Raises:
        SettingsError: Variables have values that cannot be used; the message names all of them.
    """
    settings = Settings(read_environment(environ, folder))
    problems = []
    for setting in SETTINGS.values():
        try:
            setting.parse(settings)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise settings.failure(problems)
    return settings

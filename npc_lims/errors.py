"""Exceptions and warnings, all of them public names of `npc_lims`; and mistakes in files that people edit.

docs/reference/errors.md says what to do about each.
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import counted, safe_text, single_line


class NpcLimsError(Exception):
    """Base of every error raised on purpose by this package. Its message is one line and holds no known secret."""

    def __str__(self) -> str:
        # not super(): KeyError and OSError, which some also are, make a text of their own of their arguments
        return safe_text(Exception.__str__(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"


class SettingsError(NpcLimsError):
    """A setting has a value that cannot be used; the message names the variable."""


class MissingCredentials(NpcLimsError, KeyError):
    """A service needs credentials and none were found; the message names the variable to set."""


class NoSessionInfo(NpcLimsError, ValueError):
    """No session of that id is known; the message offers the nearest ones."""


class NoSessionData(NpcLimsError, FileNotFoundError, ValueError):
    """A session has no asset, folder or file of the requested kind; the message names where it was searched."""


class SessionIndexError(NoSessionData, IndexError):
    """A subject has fewer recordings on that day than the index of the session requires."""


class AssetError(NpcLimsError, ValueError):
    """A data asset exists and cannot be used: it is archived, failed, or stored where it cannot be read."""


class NoAssetLocation(AssetError, RuntimeError):
    """Code Ocean names no S3 bucket for the files of a data asset."""


class AmbiguousAsset(AssetError):
    """Several data assets match, and nothing distinguishes the right one."""


class MissingDependency(NpcLimsError, ImportError):
    """A package that is installed by an extra of npc_lims is needed; the message names the extra."""


class ComputationError(NpcLimsError):
    """Code Ocean refused to run something, or could not be queried about a run; the message has its reason."""


class InputFileError(NpcLimsError):
    """A file that people edit could not be used.

    Attributes:
        problems: Every problem found, errors and warnings, in file order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(problems)  # the arguments from which pickle makes it again

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no warnings."""
        return tuple(problem for problem in self.problems if problem.is_error)

    @property
    def summary(self) -> str:
        """The first error and the number of the others, in one line: `line 24: ...; and 2 more errors`."""
        first, *more = self.errors
        where = f"line {first.line}: " if first.line else ""
        others = f"; and {counted(len(more), 'more error')}" if more else ""
        return f"{where}{' '.join(first.message.split())}{others} (npc-lims validate)"


class TrackedFileError(InputFileError):
    """tracked_sessions.yaml could not be used."""


class PipelinesError(InputFileError):
    """pipelines.yaml could not be used."""


class SourceError(NpcLimsError):
    """One external system could not be queried, or its response was incomplete.

    Attributes:
        source: Name of the source (`training`, `codeocean`, `s3`).
        reason: What happened, and what to do about it, in one line.
    """

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = safe_text(reason)
        super().__init__(source, self.reason)  # see InputFileError

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class StateError(NpcLimsError):
    """A file of a state folder is missing, damaged or of a schema this version cannot read."""


class GitError(NpcLimsError):
    """git failed, or the checkout is not in a state to publish from; the message has the remedy."""


class GitHubError(NpcLimsError):
    """The REST API of GitHub refused a request, or could not be reached; the message has its reason and the remedy.

    Attributes:
        status: The HTTP status of the response; None without one.
        delay: Seconds until the limit of requests is renewed; None if that is not the reason.
    """

    def __init__(self, message: str, status: int | None = None, delay: float | None = None) -> None:
        self.status = status
        self.delay = delay
        super().__init__(message, status, delay)  # see InputFileError

    def __str__(self) -> str:
        return safe_text(self.args[0])


class HistoryError(NpcLimsError):
    """No state is known for that date, tag, branch or commit; the message says where history begins."""


class RemoteStateError(NpcLimsError):
    """The published state could not be fetched, and there is no cached snapshot to fall back to.

    Attributes:
        retry_after: Seconds after which the server permits a retry; None if it does not say.
    """

    retry_after: float | None = None


class NoRemoteState(RemoteStateError):
    """There is no published state at its URL."""


class SessionUnavailable(RemoteStateError, ValueError):
    """Neither the published state nor all sources could be queried, so it is unknown whether the session exists."""


class SelectionError(NpcLimsError, ValueError):
    """An option or argument names a source, session, process, column or value that does not exist, or a filter has a
    value that no session can have, such as `date="June"`."""


class SyncRefused(NpcLimsError):
    """A sync would remove or blank so many sessions that it is probably a mistake."""


class NpcLimsWarning(UserWarning):
    """Base of every warning given by this package."""


class StaleStateWarning(NpcLimsWarning):
    """State may be out of date: a source was not read completely for 48 hours, or GitHub is unavailable and a cached
    snapshot or the mirror is used.
    """


class LiveStateWarning(NpcLimsWarning):
    """There is no state to read: the sources that are available are queried instead."""


class UnknownStatusWarning(NpcLimsWarning):
    """A filter needs a status that was never observed for some sessions: these are left out."""


class UnknownValueWarning(NpcLimsWarning):
    """A filter names a project, platform, rig or task version that no session has: it may be misspelled."""


class AmbiguousAssetWarning(NpcLimsWarning):
    """A session has several data assets of one kind: the newest is used, and the others are named."""


class CacheWarning(NpcLimsWarning):
    """A file or folder of the cache on disk belongs to another user, or is a symbolic link: it is ignored."""


class FutureTimestampWarning(NpcLimsWarning):
    """A timestamp is more than ten minutes in the future: it is ignored, and the warning names its file."""


class HistoryWarning(NpcLimsWarning):
    """The history is incomplete: a damaged version is skipped, or the clone is shallow."""


Severity = Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file that people edit."""

    file: str
    """The file as the user named it; for a workbook, `workbook.xlsx[sheet]`."""
    line: int
    """1-based line, or row of the sheet; 0 when the whole file is meant."""
    column: int
    """1-based column; 0 when the whole line is meant."""
    severity: Severity
    """An error makes the file unusable; a warning is only listed."""
    message: str
    """What was found, what was expected and what to do."""

    def __post_init__(self) -> None:
        # both may quote the file
        object.__setattr__(self, "file", single_line(self.file))
        object.__setattr__(self, "message", safe_text(self.message))

    @property
    def is_error(self) -> bool:
        return self.severity == "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}"

    def as_github_annotation(self) -> str:
        """Return the workflow command by which GitHub shows it on the line of its file."""
        file = _in_repository(self.file)
        if file is None:
            return workflow_command(self.severity, f"{self.file}:{self.line}:{self.column}: {self.message}")
        position = {"file": file, "line": str(self.line), "col": str(self.column)}
        return workflow_command(self.severity, self.message, position)


def workflow_command(name: str, message: str, properties: Mapping[str, str] | None = None) -> str:
    """Return the line that annotates a run of GitHub Actions, for example `::error file=a.yaml::b`."""
    given = ",".join(f"{key}={_escape_property(value)}" for key, value in (properties or {}).items())
    return f"::{name}{' ' if given else ''}{given}::{_escape_data(message)}"


def _in_repository(file: str) -> str | None:
    """Return the path of *file* in its checkout, as GitHub names it; None if it is no path."""
    if "://" in file:
        return None
    path = Path(file).resolve()
    root = next((parent for parent in path.parents if (parent / ".git").exists()), None)
    return file if root is None else path.relative_to(root).as_posix()


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


_warned: TTLCache[bool] = TTLCache(maxsize=4096, ttl=24 * 3600)


def warn(message: str, category: type[NpcLimsWarning]) -> None:
    """Warn as if from the line that called into this package: there a filter finds it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").split(".")[0] == "npc_lims":
        level, frame = level + 1, frame.f_back
    warnings.warn(safe_text(message), category, stacklevel=level)


def warn_once(key: Hashable, message: str, category: type[NpcLimsWarning]) -> None:
    """Do as `warn`, once a day and process for each *key*."""
    if _warned.get(key) is None:
        _warned.put(key, True)
        warn(message, category)


def warn_future_timestamp(where: str, timestamp: str) -> None:
    """Warn once that *timestamp* is ignored, of the file and key, commit or ref *where*."""
    warn_once(
        (where, timestamp),
        f"{where}: {timestamp} is more than ten minutes in the future and is ignored; correct the clock of the machine "
        "that wrote it, or of this one",
        FutureTimestampWarning,
    )

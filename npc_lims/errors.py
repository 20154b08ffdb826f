"""Every exception that a caller of npc_lims may want to catch, every warning to filter, and problems in input.

NpcLimsError
├── SettingsError           an environment variable or .env entry makes no sense
├── MissingCredentials      (also KeyError) a token or key is needed and none is set
├── NoSessionInfo           (also ValueError) no such session is known
├── NoSessionData           (also FileNotFoundError, ValueError) the session has no such asset or file
│   └── SessionIndexError   (also IndexError) the day has fewer recordings than the index asks for
├── AssetError              (also ValueError) a data asset is there, and of no use as it is
│   ├── NoAssetLocation     (also RuntimeError) its files are in no S3 bucket that Code Ocean names
│   └── AmbiguousAsset      more than one, and nothing tells which is meant
├── MissingDependency       (also ImportError) an optional package is not installed
├── ComputationError        Code Ocean did not start, or did not give, what it was asked for
├── InputFileError          a file that people edit holds errors; carries them
│   ├── TrackedFileError    tracked_sessions.yaml
│   └── PipelinesError      pipelines.yaml
├── SourceError             one external system could not be asked; carries which one
├── StateError              a file under state/ is missing, damaged or of another schema
├── GitError                git refused, or the checkout is not in a condition to publish from
├── GitHubError             GitHub refused a request, or could not be reached
├── HistoryError            no state is known for the date, tag, branch or commit that is asked of
├── RemoteStateError        the published state could not be fetched
│   ├── NoRemoteState       GitHub answered, and there is no state at that address
│   └── SessionUnavailable  (also ValueError) nor could all sources be queried for the session
├── SelectionError          an option names a source, session or process that cannot be
└── SyncRefused             a sync would remove or blank too much at once

NpcLimsWarning              (a UserWarning)
├── StaleStateWarning       sources were last read completely too long ago, or a cached snapshot stands in for GitHub
├── LiveStateWarning        there is no state to read: the sources themselves answer
├── UnknownStatusWarning    a filter leaves out sessions whose status was never observed
├── AmbiguousAssetWarning   there are several assets of one kind for a session: the newest is used
├── CacheWarning            a file of the cache on disk is not the user's own: it is ignored
├── FutureTimestampWarning  a timestamp lies in the future by this machine's clock: it is ignored
└── HistoryWarning          the history as told is not all of it: a damaged version, a shallow clone
"""

from __future__ import annotations

import dataclasses
import sys
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.redaction import safe_text
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from collections.abc import Sequence


__all__ = [
    "AmbiguousAsset",
    "AmbiguousAssetWarning",
    "AssetError",
    "CacheWarning",
    "ComputationError",
    "FutureTimestampWarning",
    "GitError",
    "GitHubError",
    "HistoryError",
    "HistoryWarning",
    "InputFileError",
    "LiveStateWarning",
    "MissingCredentials",
    "MissingDependency",
    "NoAssetLocation",
    "NoRemoteState",
    "NoSessionData",
    "NoSessionInfo",
    "NpcLimsError",
    "NpcLimsWarning",
    "PipelinesError",
    "RemoteStateError",
    "SelectionError",
    "SessionIndexError",
    "SessionUnavailable",
    "SettingsError",
    "SourceError",
    "StaleStateWarning",
    "StateError",
    "SyncRefused",
    "TrackedFileError",
    "UnknownStatusWarning",
]


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
    """A session has no asset, folder or file of the kind asked for; the message names the places searched."""


class SessionIndexError(NoSessionData, IndexError):
    """A subject has fewer recordings on that day than the index of the session asks for."""


class AssetError(NpcLimsError, ValueError):
    """A data asset exists and cannot be used: archived, failed, or kept where it cannot be read."""


class NoAssetLocation(AssetError, RuntimeError):
    """Code Ocean names no S3 bucket for the files of a data asset."""


class AmbiguousAsset(AssetError):
    """Several data assets could be meant, and nothing tells which of them is."""


class MissingDependency(NpcLimsError, ImportError):
    """A package that is installed by an extra of npc_lims is needed; the message names the extra."""


class ComputationError(NpcLimsError):
    """Code Ocean refused to run something, or could not be asked about a run; the message has its reason."""


class InputFileError(NpcLimsError):
    """A file that people edit could not be used.

    Attributes:
        problems: Every problem found, errors and warnings, in file order.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(problems)  # what a process pool makes it from on the other side

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that make the file unusable; the others are warnings."""
        return tuple(problem for problem in self.problems if problem.is_error)

    @property
    def summary(self) -> str:
        """The first error and the number of the others, in one line: `line 24: ...; and 2 more errors`."""
        first, *more = self.errors
        where = f"line {first.line}: " if first.line else ""
        others = f"; and {len(more):,} more error{'' if len(more) == 1 else 's'}" if more else ""
        return f"{where}{' '.join(first.message.split())}{others} (npc-lims validate)"


class TrackedFileError(InputFileError):
    """tracked_sessions.yaml could not be used; `problems` tells why."""


class PipelinesError(InputFileError):
    """pipelines.yaml could not be used; `problems` tells why."""


class SourceError(NpcLimsError):
    """One external system could not be asked, or gave only part of an answer.

    Attributes:
        source: Name of the source (`training`, `codeocean`, `s3`).
        reason: What happened, and what to do about it, in one line.
    """

    def __init__(self, source: str, reason: str) -> None:
        self.source = source
        self.reason = safe_text(reason)
        super().__init__(source, self.reason)  # what a process pool makes it from on the other side

    def __str__(self) -> str:
        return f"{self.source}: {self.reason}"


class StateError(NpcLimsError):
    """A file of a state folder is missing, damaged or of a schema this version cannot read."""


class GitError(NpcLimsError):
    """git could not do what it was asked for, or the checkout is in no condition for it; the message has the remedy."""


class GitHubError(NpcLimsError):
    """GitHub's REST API refused a request, or could not be asked; the message has its reason and the remedy.

    Attributes:
        status: The HTTP status of the answer; None if there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        self.status = status
        super().__init__(message, status)  # what a process pool makes it from on the other side

    def __str__(self) -> str:
        return safe_text(self.args[0])


class HistoryError(NpcLimsError):
    """There is no state at that date, tag, branch or commit, or it cannot be told; the message says where it begins."""


class RemoteStateError(NpcLimsError):
    """The published state could not be fetched and no cached copy could stand in for it.

    Attributes:
        retry_after: Seconds for which the server asks to be left alone; None if it does not say.
    """

    retry_after: float | None = None


class NoRemoteState(RemoteStateError):
    """The address of the published state answers that nothing is there."""


class SessionUnavailable(RemoteStateError, ValueError):
    """Neither the published state nor every source could be queried, so that a session may exist or not."""


class SelectionError(NpcLimsError):
    """An option or argument names a source, session or process that cannot be: whoever named it is to correct it."""


class SyncRefused(NpcLimsError):
    """A sync would remove or blank so many sessions that a mistake is likelier than the truth."""


class NpcLimsWarning(UserWarning):
    """Base of every warning given by this package."""


class StaleStateWarning(NpcLimsWarning):
    """State may be out of date.

    A source was last read completely more than 48 hours ago (the warning names each), or GitHub is unavailable
    and a cached snapshot or the mirror answers (the warning says how old it is).
    """


class LiveStateWarning(NpcLimsWarning):
    """There is no state to read: the answer comes from the sources that could be asked."""


class UnknownStatusWarning(NpcLimsWarning):
    """A filter asks for a status that was never observed for some sessions: these are left out."""


class AmbiguousAssetWarning(NpcLimsWarning):
    """There are several data assets of one kind for a session: the newest is used, and the others are named."""


class CacheWarning(NpcLimsWarning):
    """A file or folder of the cache on disk belongs to another user, or is a symbolic link: it is ignored."""


class FutureTimestampWarning(NpcLimsWarning):
    """A timestamp is more than ten minutes in the future: it is ignored, and the warning names where it stands."""


class HistoryWarning(NpcLimsWarning):
    """The history is not all that happened: it passes over a damaged version, or the clone does not have all of it."""


Severity = Literal["error", "warning"]


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a file that people edit.

    Attributes:
        file: The file as the user named it; for a workbook, `workbook.xlsx[sheet]`.
        line: 1-based line, or row of the sheet; 0 when the whole file is meant.
        column: 1-based column; 0 when the whole line is meant.
        severity: Errors stop whatever was asked for; warnings are only listed.
        message: What was found, what was expected and what to do.
    """

    file: str
    line: int
    column: int
    severity: Severity
    message: str

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
        """The problem as a workflow command, which GitHub shows on the line of the file if it has that file."""
        file = _in_repository(self.file)
        if file is None:
            return workflow_command(self.severity, f"{self.file}:{self.line}:{self.column}: {self.message}")
        place = {"file": file, "line": str(self.line), "col": str(self.column)}
        return workflow_command(self.severity, self.message, place)


def workflow_command(name: str, message: str, properties: Mapping[str, str] | None = None) -> str:
    """Return the line that makes *message* an annotation of a run of GitHub Actions (`::error file=a.yaml::b`)."""
    given = ",".join(f"{key}={_escape_property(value)}" for key, value in (properties or {}).items())
    return f"::{name}{' ' if given else ''}{given}::{_escape_data(message)}"


def _in_repository(file: str) -> str | None:
    """*file* relative to the checkout that it lies in, as GitHub names it; None if it is no path."""
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
    """Warn once that *timestamp* is ignored.

    Args:
        where: The file and key, commit or ref that has it.
        timestamp: As it is to be shown.
    """
    warn_once(
        (where, timestamp),
        f"{where}: {timestamp} is more than ten minutes in the future and is ignored; correct the clock of the machine "
        "that wrote it, or of this one",
        FutureTimestampWarning,
    )

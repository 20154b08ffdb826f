"""Batch files of uploads, and the `session_config.json` that may lie in each uploaded folder."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from npc_lims.errors import Problem, Severity, SourceError
from npc_lims.model.session_id import day_of, parse_session_id
from npc_lims.sources.tracked.entries import ENTRY_KEYS, KNOWN_KWARGS, PLATFORMS, SessionKwargs, TrackedEntry, same_path
from npc_lims.track.planning.cells import parse_probes
from npc_lims.track.planning.workbook import decode_utf8, read_limited

CONFIG = "session_config.json"
MAX_BYTES = 1_000_000
"""Neither a batch file nor a session_config.json is larger."""

_COMMAND = re.compile(
    r"""@?\s*(?:call\s+|(?:uv|poetry|pixi|pdm)\s+run\s+)?
        (?:"[^"]*?upload_dr_ecephys(?:\.\w+)?"|(?:[^\s"]*[\\/])?upload_dr_ecephys(?:\.\w+)?)
        (?:\s+(?P<rest>.*))?""",
    re.IGNORECASE | re.VERBOSE,
)
_COMMENT = re.compile(r"#|::|@?\s*rem(?:\s|$)", re.IGNORECASE)
_QUOTED = re.compile(r"""(?P<quote>["'])(?P<path>.*?)(?P=quote)""")
# a path may hold spaces without being quoted: it ends with the folder that names subject and date
_SESSION = r"[0-9]{6,7}_20[0-9]{2}-?[0-9]{2}-?[0-9]{2}"
_UNQUOTED = re.compile(rf".*?{_SESSION}\S*")
_FULL_PATH = re.compile(r"/|[A-Za-z]:/")
# what joins commands (`&&`, `|`, `;`) counts neither in quotes nor behind a caret, nor in `2>&1`
_ONE_COMMAND = re.compile(r"""(?:"[^"]*"|(?<!\S)'[^']*'|[<>]&|\^.|[^&|;])+""")
_REDIRECTION = re.compile(r"""(?:(?<!\S)\d)?[<>]+\s*(?:"[^"]*"|\S+)""")
_OPTIONS_FIRST = re.compile(r"""^(?:--?[A-Za-z][\w-]*(?:=(?:"[^"]*"|\S*))?(?:\s+|$))+""")
_OPTIONS = re.compile(r"\s+--?[A-Za-z]")

# `folder` repeats the path; `idx` is part of a session's id, which an import never changes
_IGNORED = frozenset({"folder", "idx"})
_GROUP = frozenset({"project", "session_type"})
_LETTERS = frozenset(name for name in KNOWN_KWARGS if "probe_letters" in name)


@dataclasses.dataclass(frozen=True)
class Upload:
    """One folder that was uploaded."""

    session: str
    """Subject and date, as `626791_2022-08-15`."""
    path: str
    """With slashes, whichever the batch file has."""
    config: Mapping[str, Any]
    """Values of its `session_config.json` by the keys of entries and of `session_kwargs`, and `project`."""
    platform: str
    file: str
    """The batch file, and *line* the line of it."""
    line: int


@dataclasses.dataclass(frozen=True)
class Uploads:
    """All uploads of some batch files, each path once, and the problems in the files."""

    uploads: list[Upload] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)


class _SkippedError(Exception):
    """A command is no upload; the message has the reason."""

    def __init__(self, message: str, severity: Severity = "error") -> None:
        super().__init__(message)
        self.severity = severity


def read_batches(files: Iterable[Path]) -> Uploads:
    found = Uploads()
    seen: set[str] = set()
    for file in files:
        unreachable: list[str] = []
        for line, command in _commands(_read(file)):
            try:
                path, session = _uploaded(command)
            except _SkippedError as skipped:
                found.problems.append(Problem(file.name, line, 0, skipped.severity, str(skipped)))
                continue
            if same_path(path) not in seen:
                seen.add(same_path(path))
                values = _config(Path(path), found.problems, unreachable)
                platform = values.pop("session_type", "ephys")
                found.uploads.append(Upload(session, path, values, platform, file.name, line))
        if unreachable:
            message = (
                f"{len(unreachable)} folder(s) cannot be seen from this machine, so {CONFIG} was not looked for "
                f"in them, {unreachable[0]} being the first: import where the share is mounted if they have one"
            )
            found.problems.append(Problem(file.name, 0, 0, "warning", message))
    return found


def _read(file: Path) -> str:
    text = decode_utf8(read_limited(file, "batch", MAX_BYTES), file.name, "batch", "UTF-8")
    if "\0" in text:
        raise SourceError("batch", f"{file.name} is no text in UTF-8: save it as UTF-8")
    return text


def _commands(text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and text of each command that is not commented out."""
    for number, line in enumerate(text.splitlines(), start=1):
        for command in filter(None, map(str.strip, _ONE_COMMAND.findall(line))):
            if _COMMENT.match(command):
                # to the end of the line, whatever it joins
                break
            yield number, command


def _uploaded(command: str) -> tuple[str, str]:
    """Return the path that a command uploads, with slashes, and its subject and date."""
    match = _COMMAND.fullmatch(command)
    if match is None:
        raise _SkippedError(f"no upload_dr_ecephys command: {command[:80]!r} is skipped", "warning")
    rest = _OPTIONS_FIRST.sub("", _REDIRECTION.sub(" ", match["rest"] or "").strip())
    quoted = _QUOTED.match(rest)
    if quoted:
        path, others = quoted["path"], rest[quoted.end() :]
    else:
        arguments = _OPTIONS.split(rest, maxsplit=1)[0]
        known = _UNQUOTED.match(arguments)
        path = known[0] if known else arguments
        others = rest[len(path) :]
    path = path.strip().replace("\\", "/").rstrip("/")
    if not path:
        raise _SkippedError("upload_dr_ecephys without a path; skipped: give the session's folder")
    if not _FULL_PATH.match(path):
        raise _SkippedError(f"{path!r} is not the full path of a folder; skipped: give it before options")
    if re.search(_SESSION, others):
        raise _SkippedError("several sessions in one command; skipped: give each a line of its own")
    try:
        session = day_of(parse_session_id(path))
    except ValueError:
        message = f"no subject and date in {path!r}; skipped: a path holds <subject>_<YYYYMMDD>"
        raise _SkippedError(message) from None
    if "surface_channels" in path.rsplit("/", 1)[-1]:
        message = f"{session}: a recording of surface channels is no session of its own; skipped"
        raise _SkippedError(message, "warning")
    return path, session


def _config(folder: Path, problems: list[Problem], unreachable: list[str]) -> dict[str, Any]:
    """Return the values of the config of a folder, and note the folder if it is *unreachable*."""
    file = folder / CONFIG

    def report(severity: Severity, message: str, line: int = 0, column: int = 0) -> None:
        problems.append(Problem(file.as_posix(), line, column, severity, message))

    values = {}
    try:
        if folder.is_dir():
            with file.open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                report("error", f"has more than {MAX_BYTES} bytes, which is no {CONFIG}; skipped: correct it")
            else:
                values = json.loads(content.decode("utf-8-sig"))
        else:
            unreachable.append(folder.as_posix())
    except FileNotFoundError:
        pass
    except OSError as error:
        report("error", f"cannot be read ({error.strerror or error}); skipped")
    except json.JSONDecodeError as error:
        report("error", f"is broken JSON ({error.msg}); skipped: correct it", error.lineno, error.colno)
    except (RecursionError, ValueError):  # of the encoding, or of a number with thousands of digits
        report("error", "is no JSON in UTF-8; skipped: correct it")
    if not isinstance(values, dict):
        report("error", f"holds {type(values).__name__}, not an object of names and values; skipped")
        return {}
    return _known(values, report)


def _known(config: dict[str, Any], report: Callable[[Severity, str], None]) -> dict[str, Any]:
    """Return the values that an entry may hold; others are reported. Null and empty ones count as absent."""
    nested = config.pop("session_kwargs", None) or {}
    if not isinstance(nested, dict):
        report("error", f"session_kwargs is {nested!r}, not an object of names and values; left out")
        nested = {}
    values: dict[str, Any] = {}
    for name, value in {**config, **nested}.items():
        if value is None or value == "" or name in _IGNORED:
            continue
        if name not in _GROUP and name not in ENTRY_KEYS and name not in KNOWN_KWARGS:
            report("warning", f"{name!r} is no key of an entry; left out")
            continue
        try:
            values[name] = _checked(name, value)
        except ValueError:
            report("error", f"{name} cannot be {value!r}; left out: correct it")
    return values


def _checked(name: str, value: Any) -> Any:
    """Return a value as entries have it, or raise a ValueError (pydantic.ValidationError is one)."""
    if name in _GROUP:
        if not isinstance(value, str) or (name == "session_type" and value not in PLATFORMS):
            raise ValueError
        return value
    if name in _LETTERS:
        together = "".join(map(str, value)) if isinstance(value, list) else value
        value = "".join(sorted(parse_probes(together) or ()))
    if name == "issues" and isinstance(value, str):
        value = [value]
    (TrackedEntry if name in ENTRY_KEYS else SessionKwargs).model_validate({name: value})
    return value

"""Batch files of uploads, and the `session_config.json` that may lie in each uploaded folder."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pydantic

from npc_lims.errors import Problem, Severity, SourceError
from npc_lims.model.session_id import day_of, parse_session_id
from npc_lims.sources.tracked.schema import ENTRY_KEYS, KNOWN_KWARGS, PLATFORMS, SessionKwargs, TrackedEntry
from npc_lims.track.entry_spans import same_path
from npc_lims.track.planning.cells import parse_probes

__all__ = ["CONFIG", "Upload", "Uploads", "read_batches"]

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
_WHOLE = re.compile(r"/|[A-Za-z]:/")
# what joins commands (`&&`, `|`, `;`) counts neither in quotes nor behind a caret, nor in `2>&1`
_ONE_COMMAND = re.compile(r"""(?:"[^"]*"|(?<!\S)'[^']*'|[<>]&|\^.|[^&|;])+""")
_REDIRECTION = re.compile(r"""(?:(?<!\S)\d)?[<>]+\s*(?:"[^"]*"|\S+)""")
_OPTIONS_FIRST = re.compile(r"""(?:--?[A-Za-z][\w-]*(?:=(?:"[^"]*"|\S*))?(?:\s+|$))+""")
_OPTIONS = re.compile(r"\s+--?[A-Za-z]")

# `folder` repeats the path; `idx` is part of a session's id, which an import never changes
_IGNORED = frozenset({"folder", "idx"})
_PLACE = frozenset({"project", "session_type"})
_LETTERS = frozenset(name for name in KNOWN_KWARGS if "probe_letters" in name)


@dataclasses.dataclass(frozen=True)
class Upload:
    """One folder that was uploaded.

    Attributes:
        session: Subject and date, as `626791_2022-08-15`.
        path: As an entry of the tracked file names it: with slashes, whichever the batch file has.
        config: What its `session_config.json` says, by the names that entries and their `session_kwargs` have,
            and `project`.
        platform: Of its entry.
        file: The batch file, and `line` the line of it.
    """

    session: str
    path: str
    config: Mapping[str, Any]
    platform: str
    file: str
    line: int


@dataclasses.dataclass(frozen=True)
class Uploads:
    """All uploads of some batch files, each path once, and what was stepped over."""

    uploads: tuple[Upload, ...]
    problems: tuple[Problem, ...]


def read_batches(files: Iterable[Path]) -> Uploads:
    """
    Raises:
        SourceError: A file cannot be read, or is no text.
    """
    uploads: dict[str, Upload] = {}
    problems: list[Problem] = []
    for file in files:
        unreachable: list[str] = []
        for line, path in _paths(_read(file), file.name, problems):
            if same_path(path) in uploads:
                continue
            upload = _upload(path, file.name, line, problems, unreachable)
            if upload is not None:
                uploads[same_path(path)] = upload
        if unreachable:
            message = (
                f"{len(unreachable)} folder(s) cannot be seen from this machine, so {CONFIG} was not looked for "
                f"in them, {unreachable[0]} being the first: import where the share is mounted if they have one"
            )
            problems.append(Problem(file.name, 0, 0, "warning", message))
    return Uploads(tuple(uploads.values()), tuple(problems))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise SourceError("batch", f"there is no file {file}: give the path of a batch file") from None
    except OSError as error:
        hint = "it is a folder" if file.is_dir() else str(error.strerror or error)
        raise SourceError("batch", f"{file} cannot be read: {hint}") from error
    if len(content) > MAX_BYTES:
        raise SourceError("batch", f"{file.name} has more than {MAX_BYTES} bytes: it is no batch file")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} in line {line}"
        raise SourceError("batch", f"{file.name} is not UTF-8 ({found}): save it as UTF-8") from None
    if "\0" in text:
        raise SourceError("batch", f"{file.name} is no text in UTF-8: save it as UTF-8")
    return text


def _paths(text: str, name: str, problems: list[Problem]) -> Iterable[tuple[int, str]]:
    """Line and path of each upload that is not commented out."""

    def report(severity: Severity, message: str) -> None:
        problems.append(Problem(name, number, 0, severity, message))

    for number, line in enumerate(text.splitlines(), start=1):
        for said in filter(None, map(str.strip, _ONE_COMMAND.findall(line))):
            if _COMMENT.match(said):
                # to the end of the line, whatever it joins
                break
            command = _COMMAND.fullmatch(said)
            if command is None:
                report("warning", f"no upload_dr_ecephys command: {said[:80]!r} is passed over")
                continue
            path, others = _path(command["rest"] or "")
            if not path:
                report("error", "upload_dr_ecephys without a path; skipped: give the session's folder")
            elif not _WHOLE.match(path):
                report("error", f"{path!r} is not the whole path of a folder; skipped: give all of it, before options")
            elif re.search(_SESSION, others):
                report("error", "several sessions in one command; skipped: give each a line of its own")
            else:
                yield number, path


def _path(rest: str) -> tuple[str, str]:
    """The path among the arguments, with slashes and empty if there is none, and the arguments behind it."""
    rest = _REDIRECTION.sub(" ", rest).strip()
    first = _OPTIONS_FIRST.match(rest)
    rest = rest[first.end() :] if first else rest
    quoted = _QUOTED.match(rest)
    if quoted:
        path, others = quoted["path"], rest[quoted.end() :]
    else:
        arguments = _OPTIONS.split(rest, maxsplit=1)[0]
        known = _UNQUOTED.match(arguments)
        path = known[0] if known else arguments
        others = rest[len(path) :]
    return path.strip().replace("\\", "/").rstrip("/"), others


def _upload(path: str, name: str, line: int, problems: list[Problem], unreachable: list[str]) -> Upload | None:
    def report(severity: Severity, message: str) -> None:
        problems.append(Problem(name, line, 0, severity, message))

    try:
        session = day_of(parse_session_id(path))
    except ValueError:
        report("error", f"no subject and date in {path!r}; skipped: a path holds <subject>_<YYYYMMDD>")
        return None
    if "surface_channels" in path.rsplit("/", 1)[-1]:
        report("warning", f"{session}: a recording of surface channels is no session of its own; passed over")
        return None
    values = _config(Path(path), problems, unreachable)
    return Upload(session, path, values, values.pop("session_type", "ephys"), name, line)


def _config(folder: Path, problems: list[Problem], unreachable: list[str]) -> dict[str, Any]:
    """What the folder's config says, by name."""
    file = folder / CONFIG

    def report(severity: Severity, message: str, line: int = 0, column: int = 0) -> None:
        problems.append(Problem(file.as_posix(), line, column, severity, message))

    try:
        if not folder.is_dir():
            unreachable.append(folder.as_posix())
            return {}
        with file.open("rb") as stream:
            said = json.loads(stream.read(MAX_BYTES).decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        report("error", f"cannot be read ({error.strerror or error}); passed over")
        return {}
    except json.JSONDecodeError as error:
        report("error", f"is broken JSON ({error.msg}); passed over: correct it", error.lineno, error.colno)
        return {}
    except (RecursionError, ValueError):  # of the encoding, or of a number with thousands of digits
        report("error", "is no JSON in UTF-8; passed over: correct it")
        return {}
    if not isinstance(said, dict):
        report("error", f"holds {type(said).__name__}, not an object of names and values; passed over")
        return {}
    return _known(said, report)


def _known(said: dict[str, Any], report: Callable[[Severity, str], None]) -> dict[str, Any]:
    """The values that an entry may hold; others are reported. What is null or empty says nothing."""
    nested = said.pop("session_kwargs", None) or {}
    if not isinstance(nested, dict):
        report("error", f"session_kwargs is {nested!r}, not an object of names and values; left out")
        nested = {}
    values: dict[str, Any] = {}
    for name, value in {**said, **nested}.items():
        if value is None or value == "" or name in _IGNORED:
            continue
        if name not in _PLACE and name not in ENTRY_KEYS and name not in KNOWN_KWARGS:
            report("warning", f"{name!r} is no key of an entry; left out")
            continue
        try:
            values[name] = _checked(name, value)
        except ValueError:
            report("error", f"{name} cannot be {value!r}; left out: correct it")
    return values


def _checked(name: str, value: Any) -> Any:
    """
    Raises:
        ValueError: An entry cannot say this (pydantic.ValidationError is one).
    """
    if name in _PLACE:
        if not isinstance(value, str) or (name == "session_type" and value not in PLATFORMS):
            raise ValueError
        return value
    if name in _LETTERS:
        together = "".join(map(str, value)) if isinstance(value, list) else value
        value = "".join(sorted(parse_probes(together) or ()))
    if name == "issues" and isinstance(value, str):
        value = [value]
    model: type[pydantic.BaseModel] = TrackedEntry if name in ENTRY_KEYS else SessionKwargs
    model.model_validate({name: value})
    return value

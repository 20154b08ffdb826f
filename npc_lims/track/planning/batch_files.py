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
    """One folder that was uploaded.

    Attributes:
        session: Subject and date, as `626791_2022-08-15`.
        path: With slashes, whichever the batch file has.
        config: Values of its `session_config.json` by the keys of entries and of `session_kwargs`, and `project`.
        file: The batch file, and *line* the line of it.
    """

    session: str
    path: str
    config: Mapping[str, Any]
    platform: str
    file: str
    line: int


@dataclasses.dataclass(frozen=True)
class Uploads:
    """All uploads of some batch files, each path once, and the problems in the files."""

    uploads: tuple[Upload, ...]
    problems: tuple[Problem, ...]


def read_batches(files: Iterable[Path]) -> Uploads:
    """Return the uploads of batch files.

    Raises:
        SourceError: A file cannot be read, or is no text.
    """
    uploads: dict[str, Upload] = {}
    problems: list[Problem] = []
    for file in files:
        reader = _BatchReader(file.name)
        for line, path in reader.paths(_read(file)):
            upload = None if same_path(path) in uploads else reader.upload(line, path)
            if upload is not None:
                uploads[same_path(path)] = upload
        if reader.unreachable:
            reader.report(
                "warning",
                f"{len(reader.unreachable)} folder(s) cannot be seen from this machine, so {CONFIG} was not looked for "
                f"in them, {reader.unreachable[0]} being the first: import where the share is mounted if they have one",
            )
        problems += reader.problems
    return Uploads(tuple(uploads.values()), tuple(problems))


def _read(file: Path) -> str:
    text = decode_utf8(read_limited(file, "batch", MAX_BYTES), file.name, "batch", "UTF-8")
    if "\0" in text:
        raise SourceError("batch", f"{file.name} is no text in UTF-8: save it as UTF-8")
    return text


class _BatchReader:
    """Reads one batch file, and collects its problems and those of configs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.problems: list[Problem] = []
        self.unreachable: list[str] = []

    def report(self, severity: Severity, message: str, line: int = 0) -> None:
        self.problems.append(Problem(self._name, line, 0, severity, message))

    def paths(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the line and path of each upload that is not commented out."""
        for number, line in enumerate(text.splitlines(), start=1):
            for part in filter(None, map(str.strip, _ONE_COMMAND.findall(line))):
                if _COMMENT.match(part):
                    # to the end of the line, whatever it joins
                    break
                command = _COMMAND.fullmatch(part)
                if command is None:
                    self.report("warning", f"no upload_dr_ecephys command: {part[:80]!r} is skipped", number)
                    continue
                path, others = _path(command["rest"] or "")
                problem = _problem(path, others)
                if problem:
                    self.report("error", problem, number)
                else:
                    yield number, path

    def upload(self, line: int, path: str) -> Upload | None:
        try:
            session = day_of(parse_session_id(path))
        except ValueError:
            message = f"no subject and date in {path!r}; skipped: a path holds <subject>_<YYYYMMDD>"
            self.report("error", message, line)
            return None
        if "surface_channels" in path.rsplit("/", 1)[-1]:
            message = f"{session}: a recording of surface channels is no session of its own; skipped"
            self.report("warning", message, line)
            return None
        values = self._config(Path(path))
        return Upload(session, path, values, values.pop("session_type", "ephys"), self._name, line)

    def _config(self, folder: Path) -> dict[str, Any]:
        """Return the values of the folder's config."""
        file = folder / CONFIG

        def report(severity: Severity, message: str, line: int = 0, column: int = 0) -> None:
            self.problems.append(Problem(file.as_posix(), line, column, severity, message))

        try:
            if not folder.is_dir():
                self.unreachable.append(folder.as_posix())
                return {}
            with file.open("rb") as stream:
                values = json.loads(stream.read(MAX_BYTES).decode("utf-8-sig"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            report("error", f"cannot be read ({error.strerror or error}); skipped")
            return {}
        except json.JSONDecodeError as error:
            report("error", f"is broken JSON ({error.msg}); skipped: correct it", error.lineno, error.colno)
            return {}
        except (RecursionError, ValueError):  # of the encoding, or of a number with thousands of digits
            report("error", "is no JSON in UTF-8; skipped: correct it")
            return {}
        if not isinstance(values, dict):
            report("error", f"holds {type(values).__name__}, not an object of names and values; skipped")
            return {}
        return _known(values, report)


def _path(rest: str) -> tuple[str, str]:
    """Return the path among the arguments, with slashes and empty if there is none, and the arguments behind it."""
    rest = _OPTIONS_FIRST.sub("", _REDIRECTION.sub(" ", rest).strip())
    quoted = _QUOTED.match(rest)
    if quoted:
        path, others = quoted["path"], rest[quoted.end() :]
    else:
        arguments = _OPTIONS.split(rest, maxsplit=1)[0]
        known = _UNQUOTED.match(arguments)
        path = known[0] if known else arguments
        others = rest[len(path) :]
    return path.strip().replace("\\", "/").rstrip("/"), others


def _problem(path: str, others: str) -> str:
    """Return the mistake in the arguments of a command; empty if there is none."""
    if not path:
        return "upload_dr_ecephys without a path; skipped: give the session's folder"
    if not _FULL_PATH.match(path):
        return f"{path!r} is not the full path of a folder; skipped: give it before options"
    if re.search(_SESSION, others):
        return "several sessions in one command; skipped: give each a line of its own"
    return ""


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
    """Return a value as entries have it.

    Raises:
        ValueError: An entry cannot have it (pydantic.ValidationError is one).
    """
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

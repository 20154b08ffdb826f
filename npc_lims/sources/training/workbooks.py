"""The training workbooks: fetched when they changed, parsed, and merged into facts for sessions.

A sync of unchanged workbooks costs two `head` requests. When one changed, both are parsed, since a
subject may be in both; the one that did not change comes from the cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from npc_lims.clients.s3 import ObjectStore, open_store, split_s3_uri
from npc_lims.config.disk_cache import cache_dir, load_copy, save_copy
from npc_lims.errors import Problem, SourceError
from npc_lims.model.observation import Found, Observation
from npc_lims.model.record import Training
from npc_lims.model.session_id import make_session_id, subject_of
from npc_lims.sources.context import SourceContext
from npc_lims.sources.training.cells import slug
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.sources.training.parser import TrainingRow, Workbook

__all__ = [
    "WORKBOOKS",
    "Origin",
    "as_training",
    "check_workbooks",
    "merge_workbooks",
    "observe",
    "open_origin",
]

SOURCE = "training"
WORKBOOKS = ("DynamicRoutingTraining.xlsx", "DynamicRoutingTrainingNSB.xlsx")
"""Both must be there: facts from one alone would turn off the sessions of the other."""

PARSER = 3
"""Raise it when the same workbooks come to give other facts: it makes the next sync parse them again."""

_NAMED = 3
"""How many sheets that cannot be read a failure names."""

_FETCHES = 3
"""How often a workbook that changes while it is fetched is fetched anew."""


def observe(context: SourceContext) -> Observation:
    """Return what both workbooks say of every session; nothing is read if both are of the recorded versions.

    A sheet that cannot be read makes the observation incomplete, with a `failure` that names it: nothing is said of
    its subject, and the facts of all other sheets hold. What people typed wrong inside a sheet is a problem instead.
    Sessions of `context.records` that the sheets of their subjects do not have any more are reported as such, even if
    the sheet of another subject cannot be read.

    Raises:
        SourceError: A workbook is missing, cannot be fetched or cannot be read.
        MissingCredentials: There are no credentials for S3.
    """
    settings, previous, full = context.settings, context.versions, context.full
    with as_training():
        origin = open_origin(settings, context.store() if settings.training.startswith("s3://") else None)
        versions = {name: origin.version(name) for name in WORKBOOKS}
        versions["columns"] = _fingerprint(settings.training_columns)
        if not full and all(previous.get(key) == version for key, version in versions.items()):
            return Observation(source=SOURCE, unchanged=True, versions=versions)
        from npc_lims.sources.training.parser import parse_workbook  # openpyxl takes 0.15 s to import

        workbooks = []
        for name in WORKBOOKS:
            content, versions[name] = origin.fetch(name, versions[name], fresh=full)
            workbooks.append(parse_workbook(content, name, settings.training_columns, context.today))
    observation = merge_workbooks(workbooks, context.records)
    # a workbook that was not read completely has no version, so that the next sync tries again
    partial = {workbook.name for workbook in workbooks if workbook.unreadable}
    return dataclasses.replace(observation, versions={k: v for k, v in versions.items() if k not in partial})


def check_workbooks(settings: Settings, store: ObjectStore | None) -> tuple[str, ...]:
    """Names of the workbooks, each of which is there and may be read: two small requests.

    Raises:
        SourceError, MissingCredentials: As `observe`.
    """
    with as_training():
        origin = open_origin(settings, store)
        for name in WORKBOOKS:
            origin.version(name)
    return WORKBOOKS


def merge_workbooks(workbooks: Sequence[Workbook], recorded: Iterable[str] = ()) -> Observation:
    """Facts from all workbooks together.

    Sessions of a subject on one day get their index by start time, across workbooks. One start time in
    two workbooks is one session, told by the NSB workbook: a subject's sheet there has always replaced
    the other one. A subject with a sheet that cannot be read has no facts, and the observation is not complete.
    """
    unreadable = {f"{workbook.name}[{sheet.title}]": sheet for workbook in workbooks for sheet in workbook.unreadable}
    unknown = {sheet.subject for sheet in unreadable.values()}
    problems = [problem for workbook in workbooks for problem in workbook.problems]
    sessions: dict[tuple[str, datetime.datetime], tuple[Workbook, TrainingRow]] = {}
    for workbook in sorted(workbooks, key=lambda workbook: not workbook.nsb):
        for row in workbook.rows:
            if row.subject in unknown:
                continue
            kept, kept_row = sessions.setdefault((row.subject, row.start), (workbook, row))
            if kept_row is not row:
                message = f"the session is in {kept.name} too, row {kept_row.line}, and that one counts"
                problems.append(_problem(workbook, row, message))
    facts: dict[str, Found] = {}
    lines = {}
    # sorted by subject and start: one subject's sessions of one day are neighbours
    by_day = itertools.groupby(sorted(sessions), key=lambda key: (key[0], key[1].date()))
    for (subject, day), group in by_day:
        starts = [start for _, start in group]
        for idx, start in enumerate(starts):
            workbook, row = sessions[subject, start]
            if len(starts) > 1 and start.time() == datetime.time(0):
                message = "no time of day, so this is taken for the first of that day's sessions"
                problems.append(_problem(workbook, row, message))
            fixed = {"nsb": workbook.nsb, "row": row.row, "start_time": start.isoformat(sep=" ")}
            session_id = make_session_id(subject, day.isoformat(), idx)
            facts[session_id] = Training.model_validate({**fixed, **row.columns})
            lines[session_id] = row.line
    rows = len(facts)
    if unreadable:
        facts.update((id_, False) for id_ in recorded if id_ not in facts and subject_of(id_) not in unknown)
    return Observation(
        source=SOURCE,
        facts=facts,
        complete=not unreadable,
        problems=tuple(problems),
        lines=lines,
        counts={
            "rows": rows,
            "subjects": len({subject for subject, _ in sessions}),
            "problems": len(problems),
            "ignored": sum(workbook.ignored for workbook in workbooks),
        },
        failure=_failure({where: sheet.reason for where, sheet in unreadable.items()}),
    )


def _failure(reasons: Mapping[str, str]) -> SourceError | None:
    """The first few sheets that cannot be read, and how many there are."""
    if not reasons:
        return None
    named = "; ".join(f"{single_line(where)}: {reason}" for where, reason in itertools.islice(reasons.items(), _NAMED))
    more = f"; and {len(reasons) - _NAMED} more" if len(reasons) > _NAMED else ""
    count = "a sheet" if len(reasons) == 1 else f"{len(reasons)} sheets"
    return SourceError(
        SOURCE, f"{count} cannot be read: {named}{more} (open the workbook in Excel, repair the sheet and save it)"
    )


def _problem(workbook: Workbook, row: TrainingRow, message: str) -> Problem:
    return Problem(f"{workbook.name}[{row.subject}]", row.line, 0, "warning", message)


def _fingerprint(columns: Sequence[str]) -> str:
    """Changes whenever the same workbooks would give other facts."""
    text = json.dumps([PARSER, *map(slug, columns)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def as_training() -> Iterator[None]:
    """Failures of the object store are failures of this source."""
    try:
        yield
    except SourceError as error:
        if error.source == SOURCE:
            raise
        raise SourceError(SOURCE, error.reason) from error


class Origin(Protocol):
    """Where the workbooks are."""

    address: str
    """Of the folder: what a name is appended to, to address a file in it."""

    def names(self) -> tuple[str, ...]:
        """All files in the folder, in no order."""

    def version(self, name: str) -> str:
        """A marker that changes whenever the content does."""

    def fetch(self, name: str, version: str, fresh: bool) -> tuple[bytes, str]:
        """Content and its version, which is *version* unless it changed meanwhile."""


def open_origin(settings: Settings, store: ObjectStore | None) -> Origin:
    """The folder or bucket that the settings name; without a *store*, that of the settings."""
    if settings.training.startswith("s3://"):
        try:
            bucket, prefix = split_s3_uri(settings.training)
        except ValueError as error:
            raise SourceError(SOURCE, f"NPC_LIMS_TRAINING: {error}") from None
        return _Bucket(store or open_store(settings), bucket, prefix, cache_dir(settings) / SOURCE)
    return _LocalFolder(settings.training)


def _missing(name: str, where: str) -> SourceError:
    return SourceError(SOURCE, f"there is no {name} in {where}, and both are needed (NPC_LIMS_TRAINING)")


class _LocalFolder:
    """A folder, also of a file server (`\\\\server\\share\\...`)."""

    def __init__(self, folder: str) -> None:
        if os.name != "nt" and folder.startswith("\\\\"):
            # where such a server is mounted at all, it is mounted as //server/share
            folder = folder.replace("\\", "/")
        self._folder = Path(folder).expanduser()
        self.address = f"{self._folder}{os.sep}"

    def names(self) -> tuple[str, ...]:
        try:
            with os.scandir(self._folder) as entries:
                return tuple(entry.name for entry in entries if entry.is_file())
        except OSError as error:
            raise SourceError(SOURCE, f"cannot list {self._folder}: {error.strerror} (NPC_LIMS_TRAINING)") from error

    def version(self, name: str) -> str:
        try:
            status = (self._folder / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise _missing(name, str(self._folder)) from None
        except OSError as error:
            raise SourceError(SOURCE, f"cannot read {self._folder / name}: {error.strerror}") from error
        return f"{status.st_size}-{status.st_mtime_ns}"

    def fetch(self, name: str, version: str, fresh: bool) -> tuple[bytes, str]:
        from npc_lims.sources.training.xlsx import MAX_FILE_SIZE

        for _ in range(_FETCHES):
            try:
                with (self._folder / name).open("rb") as stream:
                    content = stream.read(MAX_FILE_SIZE + 1)  # the parser refuses one byte too many
            except OSError as error:
                raise SourceError(SOURCE, f"cannot read {self._folder / name}: {error.strerror}") from error
            version, before = self.version(name), version
            if version == before:
                return content, version
        raise SourceError(SOURCE, f"{self._folder / name} keeps changing while it is read; try again")


class _Bucket:
    """A folder in a bucket, with a cache of what was last downloaded: one file for each workbook."""

    def __init__(self, store: ObjectStore, bucket: str, prefix: str, cache: Path) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = prefix.rstrip("/") + "/" if prefix.strip("/") else ""
        self._cache = cache
        self.address = f"s3://{bucket}/{self._prefix}"

    def names(self) -> tuple[str, ...]:
        return self._store.list_folder(self._bucket, self._prefix).files

    def version(self, name: str) -> str:
        found = self._store.head(self._bucket, self._prefix + name)
        if found is None:
            raise _missing(name, self.address)
        return found.etag

    def fetch(self, name: str, version: str, fresh: bool) -> tuple[bytes, str]:
        content = None if fresh else load_copy(self._cache / name, self.address + name, version)
        return (content, version) if content is not None else self._download(name, version)

    def _download(self, name: str, version: str) -> tuple[bytes, str]:
        from npc_lims.sources.training.xlsx import MAX_FILE_SIZE

        for _ in range(_FETCHES):
            content = self._store.read(self._bucket, self._prefix + name, MAX_FILE_SIZE)
            if content is None:
                raise _missing(name, self.address)
            # content under the version of another content would be believed as long as the cache lives
            version, before = self.version(name), version
            if version == before:
                save_copy(self._cache / name, self.address + name, version, content)
                return content, version
        raise SourceError(SOURCE, f"{self.address}{name} keeps changing while it is read; try again")

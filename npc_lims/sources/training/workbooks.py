"""The training workbooks: fetched when they changed, parsed, and merged into facts of sessions.

Unchanged workbooks cost two `head` requests. When one changed, both are parsed, since a subject may be in both; the
unchanged one comes from the cache.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.clients.s3 import MirrorStore, ObjectStore, split_s3_uri
from npc_lims.config.disk_cache import CacheEntry, cache_dir, load_entry, store_entry
from npc_lims.config.error_boundary import source_failure
from npc_lims.config.settings import Settings
from npc_lims.errors import Problem, SourceError
from npc_lims.model.record import Found, Observation, Record, Training
from npc_lims.model.session_id import make_session_id, subject_of
from npc_lims.sources.context import SourceContext
from npc_lims.sources.training import MAX_FILE_SIZE
from npc_lims.sources.training.cells import slug
from npc_lims.utils.text import single_line

if TYPE_CHECKING:
    from npc_lims.sources.training.parser import TrainingRow, Workbook

SOURCE = "training"
WORKBOOKS = ("DynamicRoutingTraining.xlsx", "DynamicRoutingTrainingNSB.xlsx")
"""Both must be there: facts from one alone would turn off the sessions of the other."""

PARSER = 3
"""Raise it when the same workbooks come to give other facts: it makes the next sync parse them again."""

# Sheets that a failure names, of those that cannot be read.
_NAMED = 3
# Attempts to fetch a workbook that is changed meanwhile.
_FETCHES = 3


def observe(context: SourceContext) -> Observation:
    """Return the rows of both workbooks as facts; nothing is read if both are of the recorded versions.

    A sheet that cannot be read makes the observation incomplete, with a `failure` that names it: there are no facts
    of its subject, and those of all other sheets hold. So does a workbook that cannot be read at all, if it has been
    recorded before (else it is a SourceError): there are no facts of the subjects that have recorded rows in it, or
    have lost a row. Mistakes inside a sheet are problems instead. Recorded sessions that the readable sheets of their
    subjects lack are reported as such.
    """
    settings, previous, recorded = context.settings, context.versions, context.records
    failures: dict[str, SourceError] = {}
    versions = {"columns": _fingerprint(settings.training_columns)}
    workbooks = []
    with as_training():
        folder = open_folder(settings, context.store)
        for name in WORKBOOKS:
            try:
                versions[name] = folder.version(name)
            except SourceError as error:
                failures[name] = error
        if not context.full and not failures and all(previous.get(key) == found for key, found in versions.items()):
            return Observation(source=SOURCE, unchanged=True, versions=versions)
        from npc_lims.sources.training.parser import parse_workbook  # openpyxl takes 0.15 s to import

        for name in [name for name in WORKBOOKS if name not in failures]:
            try:
                content, versions[name] = folder.fetch(name, versions[name], fresh=context.full)
                workbooks.append(parse_workbook(content, name, settings.training_columns, context.today))
            except SourceError as error:
                failures[name] = error
        # the other workbook can be used if recorded rows name the subjects of the one that cannot be read
        if not workbooks or not all(_subjects_in(name, recorded) for name in failures):
            raise next(iter(failures.values()))
    observation = merge_workbooks(workbooks, recorded, failures)
    # a workbook that was not read completely has no version, so that the next sync tries again
    partial = {*failures, *(workbook.name for workbook in workbooks if workbook.unreadable)}
    return dataclasses.replace(observation, versions={k: v for k, v in versions.items() if k not in partial})


def _subjects_in(name: str, recorded: Mapping[str, Record]) -> set[str]:
    rows = ((session_id, record.training) for session_id, record in recorded.items())
    return {subject_of(id_) for id_, row in rows if isinstance(row, Training) and row.nsb == is_nsb(name)}


def check_workbooks(settings: Settings, store: Callable[[], ObjectStore]) -> tuple[str, ...]:
    """Return the names of the workbooks, each of which is there and may be read: two small requests."""
    with as_training():
        folder = open_folder(settings, store)
        for name in WORKBOOKS:
            folder.version(name)
    return WORKBOOKS


def merge_workbooks(
    workbooks: Sequence[Workbook],
    recorded: Mapping[str, Record] | None = None,
    failures: Mapping[str, SourceError] | None = None,
) -> Observation:
    """Return the facts of all workbooks together; *failures* of those that cannot be read are by their names.

    Sessions of a subject on one day get their index by start time, across workbooks. One start time in two workbooks
    is one session, and the row of the NSB workbook takes precedence.
    """
    recorded, failures = recorded or {}, failures or {}
    reasons = {
        f"{workbook.name}[{sheet.title}]": sheet.reason for workbook in workbooks for sheet in workbook.unreadable
    }
    unknown = {sheet.subject for workbook in workbooks for sheet in workbook.unreadable}
    unknown.update(subject for name in failures for subject in _subjects_in(name, recorded))
    problems = [problem for workbook in workbooks for problem in workbook.problems]
    sessions: dict[tuple[str, datetime.datetime], tuple[Workbook, TrainingRow]] = {}
    for workbook in sorted(workbooks, key=lambda workbook: not is_nsb(workbook.name)):
        for row in workbook.rows:
            if row.subject in unknown:
                continue
            first, first_row = sessions.setdefault((row.subject, row.start), (workbook, row))
            if first_row is not row:
                message = f"the session is in {first.name} too, row {first_row.line}, which takes precedence"
                problems.append(_problem(workbook, row, message))
    facts: dict[str, Found] = {}
    lines = {}
    # sorted by subject and start: one subject's sessions of one day are neighbours
    by_day = itertools.groupby(sorted(sessions), key=lambda key: (key[0], key[1].date()))
    for (subject, day), group in by_day:
        keys = list(group)
        for idx, key in enumerate(keys):
            workbook, row = sessions[key]
            if len(keys) > 1 and row.start.time() == datetime.time(0):
                message = "no time of day, so this is taken for the first of that day's sessions"
                problems.append(_problem(workbook, row, message))
            fixed = {"nsb": is_nsb(workbook.name), "row": row.row, "start_time": row.start.isoformat(sep=" ")}
            session_id = make_session_id(subject, day.isoformat(), idx)
            facts[session_id] = Training.model_validate({**fixed, **row.columns})
            lines[session_id] = row.line
    rows = len(facts)
    missing = [id_ for id_ in recorded if id_ not in facts and subject_of(id_) not in unknown]
    if failures:  # a row that is gone may have moved to the workbook that cannot be read
        unknown = {subject_of(id_) for id_ in missing if recorded[id_].training}
        facts = {id_: fact for id_, fact in facts.items() if subject_of(id_) not in unknown}
    elif reasons:
        facts.update(dict.fromkeys(missing, False))
    return Observation(
        source=SOURCE,
        facts=facts,
        complete=not (reasons or failures),
        problems=tuple(problems),
        lines=lines,
        counts={
            "rows": rows,
            "subjects": len({subject for subject, _ in sessions}),
            "problems": len(problems),
            "ignored": sum(workbook.ignored for workbook in workbooks),
        },
        failure=_failure(reasons, failures),
    )


def _failure(sheets: Mapping[str, str], workbooks: Mapping[str, SourceError]) -> SourceError | None:
    scope = "of the other workbook, the subjects without recorded rows in this one are updated"
    reasons = [f"{error.reason}; {scope}" for error in workbooks.values()]
    if sheets:
        named = "; ".join(f"{single_line(where)}: {why}" for where, why in itertools.islice(sheets.items(), _NAMED))
        more = f"; and {len(sheets) - _NAMED} more" if len(sheets) > _NAMED else ""
        count = "a sheet" if len(sheets) == 1 else f"{len(sheets)} sheets"
        remedy = "open the workbook in Excel, repair the sheet and save it"
        reasons.append(f"{count} cannot be read: {named}{more} ({remedy})")
    return SourceError(SOURCE, "; ".join(reasons)) if reasons else None


def _problem(workbook: Workbook, row: TrainingRow, message: str) -> Problem:
    return Problem(f"{workbook.name}[{row.subject}]", row.line, 0, "warning", message)


def is_nsb(name: str) -> bool:
    return "nsb" in name.lower()


def _fingerprint(columns: Sequence[str]) -> str:
    """Changes whenever the same workbooks would give other facts."""
    text = json.dumps([PARSER, *map(slug, columns)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextlib.contextmanager
def as_training() -> Iterator[None]:
    """Turn failures of the object store into failures of this source."""
    try:
        yield
    except SourceError as error:
        raise source_failure(SOURCE, error) from error


def open_folder(settings: Settings, store: Callable[[], ObjectStore]) -> WorkbookFolder:
    """Open the folder or bucket that the settings name; *store* opens the buckets."""
    cache = cache_dir(settings) / SOURCE
    if settings.training.startswith("s3://"):
        try:
            bucket, key = split_s3_uri(settings.training)
        except ValueError as error:
            raise SourceError(SOURCE, f"NPC_LIMS_TRAINING: {error}") from None
        prefix = key.rstrip("/") + "/" if key.strip("/") else ""
        return WorkbookFolder(f"s3://{bucket}/{prefix}", store(), bucket, prefix, cache)
    path = settings.training
    if os.name != "nt" and path.startswith("\\\\"):
        # where a file server (\\server\share\...) is mounted at all, it is mounted as //server/share
        path = path.replace("\\", "/")
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise SourceError(SOURCE, f"there is no folder {folder} (NPC_LIMS_TRAINING)")
    return WorkbookFolder(f"{folder}{os.sep}", MirrorStore(folder), "", "", cache)


@dataclasses.dataclass(frozen=True)
class WorkbookFolder:
    """The folder or bucket with the workbooks, with a cache of what was last read: one file for each workbook."""

    address: str
    """What a name is appended to."""
    store: ObjectStore
    bucket: str
    prefix: str
    cache: Path

    def names(self) -> tuple[str, ...]:
        return self.store.list_folder(self.bucket, self.prefix).files

    def version(self, name: str) -> str:
        """Return a marker that changes whenever the content does."""
        found = self.store.head(self.bucket, self.prefix + name)
        if found is None:
            raise self._missing(name)
        return found.etag

    def fetch(self, name: str, version: str, fresh: bool) -> tuple[bytes, str]:
        """Return the content and its version, which is *version* unless it changed meanwhile."""
        path, address = self.cache / name, self.address + name
        cached = None if fresh else load_entry(path, address, version)
        if cached is not None:
            return cached.content, version
        for _ in range(_FETCHES):
            content = self.store.read(self.bucket, self.prefix + name, MAX_FILE_SIZE)
            if content is None:
                raise self._missing(name)
            # content under the version of another content would be believed as long as a cache lives
            version, before = self.version(name), version
            if version == before:
                store_entry(path, CacheEntry(content, version, address))
                return content, version
        raise SourceError(SOURCE, f"{address} keeps changing while it is read; try again")

    def _missing(self, name: str) -> SourceError:
        return SourceError(SOURCE, f"there is no {name} in {self.address}, and both are needed (NPC_LIMS_TRAINING)")

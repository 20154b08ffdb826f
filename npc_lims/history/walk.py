"""The history of state: what each commit did to each session, read from git once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath

from npc_lims.clients.git import Repository
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import HistoryWarning, StateError, notify
from npc_lims.history.editors import Edits
from npc_lims.history.git_log import Changed, Commit, Logged, commits_of, literal, log_changes
from npc_lims.history.since import start_of
from npc_lims.history.transitions import Transition, changes_of, created_assets, passed_over
from npc_lims.model.session_id import ID_PATTERN, parse_session_id
from npc_lims.state.compare import Facts
from npc_lims.state.diff import SessionChange
from npc_lims.state.session_versions import Reader, Version

__all__ = ["Progress", "read_history"]

Progress = Callable[[int, int], None]
"""Is told how many commits were read, of how many."""

_BATCH = 2_000
"""Changed files that are read at a time."""
_KEPT = 15_000
"""Versions of which the text is kept: of as many sessions nothing is read twice."""
_EDIT = 50
"""How many session files a version of the tracked file counts for in a batch."""
_SEARCHED = 50
"""Older versions among which one that is whole is looked for."""
_NAMED = 10
"""Damaged versions that have a warning each; all are counted."""


def read_history(
    repository: Repository,
    *,
    ref: str = "HEAD",
    folder: str = "state",
    since: str | None = None,
    session: str | None = None,
    progress: Progress | None = None,
) -> Iterator[Transition]:
    """Every change of every session, the oldest commit first, those of one commit in id order.

    Only the commits of the branch itself count; a merge counts as what it brought. A damaged version is passed over,
    with a warning that names it: what is before it is compared with what is after it.

    Args:
        ref: Commit, branch or tag with which the history ends.
        folder: Path of the state folder in the repository, with forward slashes.
        since: Only later commits: a date (from that day on, UTC), an age such as `7d`, or a commit, branch or tag.
        session: Only this session, by any form of its id.

    Raises:
        GitError: There is no such commit, or git could not read the history.
        NpcLimsError: *since* makes no sense.
        ValueError: *session* is no session id.
    """
    if ref == "HEAD" and repository.find_commit(ref) is None:
        return iter(())  # a repository without any commit
    tip = repository.commit_of(ref)
    base = None if since is None else start_of(repository, tip, since)
    one = None if session is None else parse_session_id(session)
    return _History(repository, folder, one, progress).read(tip, base)


@dataclasses.dataclass(frozen=True)
class _Part:
    """Some of what a commit changed.

    Attributes:
        edit: How it changed the tracked file, in the first part of a commit.
        is_last: The commit changed nothing else.
    """

    logged: Logged
    files: Sequence[Changed]
    edit: Changed | None
    is_last: bool


class _History:
    def __init__(self, repository: Repository, folder: str, session: str | None, progress: Progress | None) -> None:
        root = PurePosixPath(folder)
        self._repository = repository
        self._sessions = (root / "sessions").as_posix()
        self._tracked = (root.parent / TRACKED_FILE).as_posix()
        self._wanted = self._sessions if session is None else self._path_of(session)
        self._progress = progress
        self._is_shallow = repository.is_shallow()
        self._reader = Reader()
        self._edits = Edits(repository, self._tracked)
        self._versions: dict[str, tuple[str, Version | None]] = {}  # the least recently changed first
        self._beginning: str | None = None
        self._damaged = 0

    def read(self, tip: str, base: str | None) -> Iterator[Transition]:
        numbers = {sha: n for n, sha in enumerate(commits_of(self._repository, _between(base, tip)), 1)}
        if base is not None and numbers:
            # of a commit that was merged git would leave out the merge: what counts is where the branch was before
            base = self._repository.find_commit(f"{next(iter(numbers))}^")
        # edits since the last commit of state count for the next one, which may be the first that is asked for
        start = None if base is None else self._last_state(base)
        logged = log_changes(self._repository, [_between(start, tip)], [self._wanted, self._tracked])
        for part, blobs in self._with_blobs(_parts(logged, self._tracked)):
            number = numbers.get(part.logged.commit.sha)
            self._note_edit(part, blobs)
            if number is None:
                continue
            yield from self._transitions(part, blobs)
            if part.is_last and self._progress is not None:
                self._progress(number, len(numbers))
        if self._damaged > _NAMED:
            notify(f"{self._damaged:,} damaged versions of session files are passed over", HistoryWarning)

    def _last_state(self, commit: str) -> str | None:
        return self._repository.line("rev-list", "--first-parent", "-1", commit, "--", literal(self._sessions)) or None

    def _with_blobs(self, parts: Iterator[_Part]) -> Iterator[tuple[_Part, Mapping[str, bytes]]]:
        """Each part and contents by blob id, which are read some parts at a time, and while others are looked at."""
        with ThreadPoolExecutor(1) as pool:
            batches = _batches(parts)
            reading: list[tuple[list[_Part], Future[dict[str, bytes]]]] = []
            for batch in batches:
                reading.append((batch, pool.submit(self._repository.read_blobs, _contents_of(batch))))
                if len(reading) > 1:
                    yield from self._completed(*reading.pop(0))
            for one in reading:
                yield from self._completed(*one)

    def _completed(
        self, batch: list[_Part], reading: Future[dict[str, bytes]]
    ) -> Iterator[tuple[_Part, Mapping[str, bytes]]]:
        """What was before is known but for versions of which the text is kept no more."""
        blobs = reading.result()
        before = {file.before for part in batch for file in part.files if file.before and not self._is_kept(file)}
        blobs.update(self._repository.read_blobs(before - blobs.keys()))
        for part in batch:
            yield part, blobs

    def _is_kept(self, file: Changed) -> bool:
        return self._versions.get(file.path, (None, None))[0] == file.before

    def _note_edit(self, part: _Part, blobs: Mapping[str, bytes]) -> None:
        # what a shallow clone begins with was not written by whoever made that commit
        if part.edit is not None and (part.logged.parents or not self._is_shallow):
            self._edits.add(part.logged, *(blobs.get(id_ or "", b"") for id_ in (part.edit.before, part.edit.after)))

    def _transitions(self, part: _Part, blobs: Mapping[str, bytes]) -> Iterator[Transition]:
        old, new = self._facts(part, blobs)
        begins = bool(new.keys() - old.keys()) and self._is_beginning(part.logged)
        for change in changes_of(old, new, begins=begins):
            editors = self._edits.take(change.id, part.logged.commit) if _is_of_tracking(change) else ()
            created = created_assets(old.get(change.id), new.get(change.id))
            yield Transition(change.id, part.logged.commit, change, editors, created)

    def _facts(self, part: _Part, blobs: Mapping[str, bytes]) -> tuple[dict[str, Facts], dict[str, Facts]]:
        """What a commit changed, before and after, without what stayed as it was."""
        old: dict[str, Facts] = {}
        new: dict[str, Facts] = {}
        for file in part.files:
            session_id = file.path[file.path.rfind("/") + 1 : -len(".yaml")]
            if file.path != self._path_of(session_id) or not ID_PATTERN.fullmatch(session_id):
                continue  # nothing of ours, whatever it is
            before, after = self._two_versions(part.logged.commit, file, blobs)
            if after is not None:
                facts, new[session_id] = self._reader.differing(before, after)
                if facts is not None:
                    old[session_id] = facts
            elif before is not None:
                old[session_id] = {}
        return old, new

    def _two_versions(
        self, commit: Commit, file: Changed, blobs: Mapping[str, bytes]
    ) -> tuple[Version | None, Version | None]:
        """Those that a commit lies between; of a damaged one the last that was whole stands in for it."""
        kept, version = self._versions.pop(file.path, (None, None))
        before = version if kept == file.before else self._first_version(commit, file, blobs)
        if file.after is None:
            return before, None
        after = self._read(commit, file.path, blobs.get(file.after), before)
        self._versions[file.path] = (file.after, after or before)
        if len(self._versions) > _KEPT:
            del self._versions[next(iter(self._versions))]
        return before, after or before

    def _first_version(self, commit: Commit, file: Changed, blobs: Mapping[str, bytes]) -> Version | None:
        """A version from before what was read."""
        if file.before is None:
            return None
        found = self._read(None, file.path, blobs.get(file.before), None)
        if found is not None:
            return found
        older = list(log_changes(self._repository, [f"{commit.sha}^"], [file.path]))[-_SEARCHED:]
        for logged in reversed(older):
            blob = logged.changed[0].before
            if blob is None:
                return None
            found = self._read(None, file.path, self._repository.read_blobs([blob]).get(blob), None)
            if found is not None:
                return found
        return None

    def _read(self, commit: Commit | None, path: str, content: bytes | None, before: Version | None) -> Version | None:
        """The version, None if it is damaged; then there is a warning, if *commit* made it so."""
        try:
            if content is None:
                raise StateError(f"{path}: no file, or its content is not in this clone")
            return self._reader.read(content, path, before)
        except StateError as error:
            if commit is not None:
                self._damaged += 1
                if self._damaged <= _NAMED:
                    notify(passed_over(commit, error), HistoryWarning)
            return None

    def _is_beginning(self, logged: Logged) -> bool:
        """Whether the state that the history tells of begins with this commit; asked of the first that adds any."""
        if self._beginning is None:
            had_some = any(self._last_state(parent) for parent in logged.parents[:1])
            self._beginning = "" if had_some else logged.commit.sha
        return self._beginning == logged.commit.sha

    def _path_of(self, session_id: str) -> str:
        return f"{self._sessions}/{session_id.partition('_')[0]}/{session_id}.yaml"


def _is_of_tracking(change: SessionChange) -> bool:
    return not change.fields or any(field.field.partition(".")[0] == "tracked" for field in change.fields)


def _between(base: str | None, tip: str) -> str:
    return tip if base is None else f"{base}..{tip}"


def _parts(history: Iterator[Logged], tracked: str) -> Iterator[_Part]:
    """What each commit changed, in parts that fit into a batch."""
    for logged in history:
        edit = next((file for file in logged.changed if file.path == tracked), None)
        files = [file for file in logged.changed if file.path != tracked]
        for start in range(0, max(len(files), 1), _BATCH):
            is_last = start + _BATCH >= len(files)
            yield _Part(logged, files[start : start + _BATCH], edit if start == 0 else None, is_last)


def _batches(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    batch: list[_Part] = []
    size = 0
    for part in parts:
        batch.append(part)
        size += len(part.files) + (part.edit is not None) * _EDIT
        if size >= _BATCH:
            yield batch
            batch, size = [], 0
    yield batch


def _contents_of(batch: Iterable[_Part]) -> set[str]:
    """What the files were changed to, and how the tracked file was before and after."""
    blobs = {file.after for part in batch for file in part.files}
    blobs |= {blob for part in batch if part.edit is not None for blob in (part.edit.before, part.edit.after)}
    return {blob for blob in blobs if blob is not None}

"""The history of state: what each commit did to each session, read from git once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import PurePosixPath

from npc_lims.clients.git import Repository
from npc_lims.config.environment import TRACKED_FILE
from npc_lims.errors import HistoryWarning, StateError, warn
from npc_lims.history.editors import EntryEdits
from npc_lims.history.git_log import FileChange, LoggedCommit, commits_of, literal, log_changes, start_of
from npc_lims.history.transitions import Transition, changes_of, created_assets, skipped_message
from npc_lims.model.session_id import ID_PATTERN, parse_session_id
from npc_lims.state.compare import Facts
from npc_lims.state.revision import Commit
from npc_lims.state.session_versions import SessionVersion, VersionReader

Progress = Callable[[int, int], None]
"""Takes how many commits were read, of how many."""

_BATCH = 2_000
"""Changed files that are read at a time."""
_CACHED = 15_000
"""Sessions whose latest version is cached: of as many, nothing is read twice."""
_EDIT_WEIGHT = 50
"""Session files that a version of the tracked file counts as in a batch."""
_SEARCHED = 50
"""Older versions among which a valid one is looked for."""
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
    """Yield every change of every session, the oldest commit first, those of one commit in id order.

    Only the commits of the branch itself count; a merge counts as what it brought. A damaged version is skipped, with
    a warning that names it: the version before it is compared with the one after it.

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
    return _HistoryWalk(repository, folder, one, progress).read(tip, base)


class _HistoryWalk:
    def __init__(self, repository: Repository, folder: str, session: str | None, progress: Progress | None) -> None:
        root = PurePosixPath(folder)
        self._repository = repository
        self._sessions = (root / "sessions").as_posix()
        self._tracked = (root.parent / TRACKED_FILE).as_posix()
        self._wanted = self._sessions if session is None else self._path_of(session)
        self._progress = progress
        self._is_shallow = repository.is_shallow()
        self._reader = VersionReader()
        self._edits = EntryEdits(repository, self._tracked)
        # blob and version of each session file, the least recently changed first
        self._versions: dict[str, tuple[str, SessionVersion | None]] = {}
        self._first_commit: str | None = None
        self._damaged = 0

    def read(self, tip: str, base: str | None) -> Iterator[Transition]:
        numbers = {sha: n for n, sha in enumerate(commits_of(self._repository, _between(base, tip)), 1)}
        if base is not None and numbers:
            # of a commit that was merged git would leave out the merge: what counts is where the branch was before
            base = self._repository.find_commit(f"{next(iter(numbers))}^")
        # edits since the last commit of state count for the next one, which may be the first that is wanted
        start = None if base is None else self._last_state(base)
        history = log_changes(self._repository, [_between(start, tip)], [self._wanted, self._tracked])
        for logged, blobs in self._with_blobs(history):
            number = numbers.get(logged.commit.sha)
            self._note_edit(logged, blobs)
            if number is None:
                continue
            files = [file for file in logged.changed if file.path != self._tracked]
            for first in range(0, len(files), _BATCH):
                yield from self._transitions(logged, files[first : first + _BATCH], blobs)
            if self._progress is not None:
                self._progress(number, len(numbers))
        if self._damaged > _NAMED:
            warn(f"{self._damaged:,} damaged versions of session files are passed over", HistoryWarning)

    def _last_state(self, commit: str) -> str | None:
        return self._repository.line("rev-list", "--first-parent", "-1", commit, "--", literal(self._sessions)) or None

    def _with_blobs(self, history: Iterator[LoggedCommit]) -> Iterator[tuple[LoggedCommit, Mapping[str, bytes]]]:
        """Yield each commit and contents by blob id, which are read in batches, one ahead of the caller."""
        with ThreadPoolExecutor(1) as pool:
            waiting: tuple[list[LoggedCommit], Future[dict[str, bytes]]] | None = None
            for batch in self._batches(history):
                reading = pool.submit(self._repository.read_blobs, set(self._new_blobs(batch)))
                if waiting is not None:
                    yield from self._completed(*waiting)
                waiting = (batch, reading)
            if waiting is not None:
                yield from self._completed(*waiting)

    def _batches(self, history: Iterator[LoggedCommit]) -> Iterator[list[LoggedCommit]]:
        batch: list[LoggedCommit] = []
        size = 0
        for logged in history:
            batch.append(logged)
            size += sum(_EDIT_WEIGHT if file.path == self._tracked else 1 for file in logged.changed)
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
        yield batch

    def _new_blobs(self, batch: Iterable[LoggedCommit]) -> Iterator[str]:
        """Yield the blobs to which files were changed; of the tracked file also those before."""
        for file in (file for logged in batch for file in logged.changed):
            if file.after is not None:
                yield file.after
            if file.before is not None and file.path == self._tracked:
                yield file.before

    def _completed(
        self, batch: list[LoggedCommit], reading: Future[dict[str, bytes]]
    ) -> Iterator[tuple[LoggedCommit, Mapping[str, bytes]]]:
        blobs = reading.result()
        files = [file for logged in batch for file in logged.changed]
        before = {file.before for file in files if file.before and not self._is_cached(file)}
        blobs.update(self._repository.read_blobs(before - blobs.keys()))
        for logged in batch:
            yield logged, blobs

    def _is_cached(self, file: FileChange) -> bool:
        return self._versions.get(file.path, (None, None))[0] == file.before

    def _note_edit(self, logged: LoggedCommit, blobs: Mapping[str, bytes]) -> None:
        edit = next((file for file in logged.changed if file.path == self._tracked), None)
        # what a shallow clone begins with was not written by whoever made that commit
        if edit is not None and (logged.parents or not self._is_shallow):
            self._edits.add(logged, blobs.get(edit.before or "", b""), blobs.get(edit.after or "", b""))

    def _transitions(
        self, logged: LoggedCommit, files: Sequence[FileChange], blobs: Mapping[str, bytes]
    ) -> Iterator[Transition]:
        old: dict[str, Facts] = {}
        new: dict[str, Facts] = {}
        for file in files:
            session_id = file.path[file.path.rfind("/") + 1 : -len(".yaml")]
            if file.path != self._path_of(session_id) or not ID_PATTERN.fullmatch(session_id):
                continue  # nothing of ours, whatever it is
            before, after = self._two_versions(logged.commit, file, blobs)
            if after is not None:
                facts, new[session_id] = self._reader.differing(before, after)
                if facts is not None:
                    old[session_id] = facts
            elif before is not None:
                old[session_id] = {}
        begins = bool(new.keys() - old.keys()) and self._begins_with(logged)
        for change in changes_of(old, new, begins=begins):
            is_of_tracking = not change.fields or any(field.field.startswith("tracked") for field in change.fields)
            editors = self._edits.take(change.id, logged.commit) if is_of_tracking else ()
            created = created_assets(old.get(change.id), new.get(change.id))
            yield Transition(change.id, logged.commit, change, editors, created)

    def _two_versions(
        self, commit: Commit, file: FileChange, blobs: Mapping[str, bytes]
    ) -> tuple[SessionVersion | None, SessionVersion | None]:
        """Return the versions before and after a commit; the last valid one stands in for a damaged one."""
        blob, version = self._versions.pop(file.path, (None, None))
        before = version if blob == file.before else self._first_version(commit, file, blobs)
        if file.after is None:
            return before, None
        after = self._read(commit, file.path, blobs.get(file.after), before)
        self._versions[file.path] = (file.after, after or before)
        if len(self._versions) > _CACHED:
            del self._versions[next(iter(self._versions))]
        return before, after or before

    def _first_version(self, commit: Commit, file: FileChange, blobs: Mapping[str, bytes]) -> SessionVersion | None:
        """Return the version before the first commit that is read."""
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

    def _read(
        self, commit: Commit | None, path: str, content: bytes | None, before: SessionVersion | None
    ) -> SessionVersion | None:
        """Return a version, or None if it is damaged; then warn, if *commit* is what changed it."""
        try:
            if content is None:
                raise StateError(f"{path}: no file, or its content is not in this clone")
            return self._reader.read(content, path, before)
        except StateError as error:
            if commit is not None:
                self._damaged += 1
                if self._damaged <= _NAMED:
                    warn(skipped_message(commit, error), HistoryWarning)
            return None

    def _begins_with(self, logged: LoggedCommit) -> bool:
        """Return whether state begins with this commit; called for the first that adds a session."""
        if self._first_commit is None:
            had_some = any(self._last_state(parent) for parent in logged.parents[:1])
            self._first_commit = "" if had_some else logged.commit.sha
        return self._first_commit == logged.commit.sha

    def _path_of(self, session_id: str) -> str:
        return f"{self._sessions}/{session_id.partition('_')[0]}/{session_id}.yaml"


def _between(base: str | None, tip: str) -> str:
    return tip if base is None else f"{base}..{tip}"

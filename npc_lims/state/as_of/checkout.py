"""State of a commit, from the checkout that holds the state folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.clients.git import Repository, find_repository
from npc_lims.clients.git_tree import CommitTree
from npc_lims.errors import GitError, HistoryError, StateError
from npc_lims.state.as_of.revision import AsOf, Commit, Revision, check_schema
from npc_lims.state.compare import parse_facts
from npc_lims.state.reader import Origin, SessionLines, Snapshot
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, digest_of, make_line, newest_first
from npc_lims.state.store import session_id_of
from npc_lims.state.tree import Tree
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.timestamps import utc_text

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

_snapshots: TTLCache[Snapshot] = TTLCache(maxsize=4, ttl=24 * 3600)
_commits: TTLCache[Commit] = TTLCache(maxsize=1024, ttl=24 * 3600)
# Seconds. HEAD moves, and with it the commit that a time or a branch means, but a loop need not run git each time.
_UNSETTLED = 5.0


def snapshot_of_checkout(settings: Settings, state: Path, revision: Revision) -> Snapshot:
    """Return the state of the folder *state* at a revision. Raises as `snapshot_at`."""
    where = str(state.absolute())
    key = (where, revision)
    commit = _commits.get(key)
    is_settled = commit is not None and isinstance(revision, str) and commit.sha.startswith(revision)
    commit = commit if is_settled else _commits.get(key, _UNSETTLED)
    snapshot = None if commit is None else _snapshots.get((where, commit.sha))
    if snapshot is not None:
        return snapshot
    try:
        repository = find_repository(state)
    except GitError as error:
        raise HistoryError(
            f"{error}: only what is committed has a past; without NPC_LIMS_STATE GitHub is queried"
        ) from None
    folder = repository.path_of(state)
    found = _find(repository, folder, revision)
    _commits.put((where, found.sha), found)
    _commits.put(key, found)

    def read() -> Snapshot:
        lines = _read(repository, folder, found, settings.repo)
        return Snapshot(SessionLines(lines), Origin("past", str(state), commit=found.sha, when=found.when))

    return _snapshots.get_or_load((where, found.sha), read)


def _find(repository: Repository, folder: str, revision: Revision) -> Commit:
    return _find_time(repository, folder, revision) if isinstance(revision, AsOf) else _find_name(repository, revision)


def _find_name(repository: Repository, name: str) -> Commit:
    try:
        sha = repository.commit_of(name)
    except GitError as error:
        raise GitError(f"{error}; a date is written 2024-06-01") from None
    (commit,) = _list_commits(repository, "--no-walk", sha)
    return commit


def _find_time(repository: Repository, folder: str, as_of: AsOf) -> Commit:
    head = repository.commit_of("HEAD")
    # git has no commits from before 1970
    found = _list_commits(repository, "-1", "--first-parent", f"--min-age={max(as_of.last, 0)}", head, "--", folder)
    if not found:
        raise HistoryError(f"there is no state at {as_of.text}: {_begin(repository, folder)}")
    return found[0]


def _list_commits(repository: Repository, *arguments: str) -> list[Commit]:
    listed = repository.run("--literal-pathspecs", "rev-list", "--timestamp", *arguments).decode().splitlines()
    return [Commit(sha, utc_text(int(seconds))) for seconds, sha in (line.split() for line in listed)]


def _begin(repository: Repository, folder: str) -> str:
    """Return where the state of the branch begins, as a clause."""
    commits = _list_commits(repository, "--first-parent", "HEAD", "--", folder)
    clause = f"here {folder}/ begins with {commits[-1]}" if commits else f"no commit of HEAD has {folder}/"
    if repository.is_shallow():
        clause += ", since this is a shallow clone: git fetch --unshallow brings all commits"
    return clause


def _read(repository: Repository, folder: str, commit: Commit, repo: str) -> list[bytes]:
    tree = CommitTree(repository, commit.sha, folder)
    content = tree.read_files([SNAPSHOT]).get(SNAPSHOT)
    try:
        lines = [] if content is None else checked_lines(content)
        check_schema(lines, commit, repo)
    except (ValueError, RecursionError):
        lines = []  # damaged: the session files are authoritative
    if not lines:
        lines = _lines_of_files(tree, commit, repo)
    if not lines and content is None:
        raise HistoryError(f"{commit} has no state in {folder}/: {_begin(repository, folder)}")
    return lines


def _lines_of_files(tree: Tree, commit: Commit, repo: str) -> list[bytes]:
    names = {session_id: name for name in tree.list_files() if (session_id := session_id_of(name)) is not None}
    contents = tree.read_files(names.values())
    lines = []
    for session_id in newest_first(names):
        content = contents[names[session_id]]
        try:
            facts = parse_facts(content, tree.path(names[session_id]))
        except StateError as error:
            raise StateError(f"{commit}: {error}") from None
        lines.append(make_line(facts, digest_of(content)))
        check_schema(lines[-1:], commit, repo)
    return lines

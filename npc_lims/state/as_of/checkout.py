"""State at a point of the past, of the checkout that holds the state folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from npc_lims.clients.git import Repository, find_repository
from npc_lims.clients.git_tree import CommitTree
from npc_lims.errors import GitError, HistoryError, StateError
from npc_lims.state.as_of.revision import Asked, Moment, Point
from npc_lims.state.as_of.schemas import check_schema
from npc_lims.state.compare import parse_facts
from npc_lims.state.reader import Origin, SessionLines, Snapshot
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, digest_of, make_line, newest_first
from npc_lims.state.store import session_id_of
from npc_lims.state.tree import Tree
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.timestamps import utc_text

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["snapshot_of_checkout"]

_snapshots: TTLCache[Snapshot] = TTLCache(maxsize=4, ttl=24 * 3600)
_settled: TTLCache[Point] = TTLCache(maxsize=1024, ttl=24 * 3600)
# Branches move, but a loop over ids need not ask git ten thousand times.
_passing: TTLCache[Point] = TTLCache(maxsize=64, ttl=5)


def snapshot_of_checkout(settings: Settings, state: Path, asked: Asked) -> Snapshot:
    """State of the folder *state* as it was then. Raises as `snapshot_at`."""
    where = str(state.absolute())
    point = _settled.get((where, asked)) or _passing.get((where, asked))
    kept = None if point is None else _snapshots.get((where, point.sha))
    if kept is not None:
        return kept
    try:
        repository = find_repository(state)
    except GitError as error:
        raise HistoryError(
            f"{error}: only what is committed has a past; without NPC_LIMS_STATE GitHub is asked"
        ) from None
    folder = repository.path_of(state)
    found = _find(repository, folder, asked)
    _settled.put((where, found.sha), found)
    # HEAD moves, and with it the commit that a moment means: a pull brings older ones, a checkout those of a branch
    is_settled = isinstance(asked, str) and found.sha.startswith(asked)
    (_settled if is_settled else _passing).put((where, asked), found)

    def read() -> Snapshot:
        lines = _read(repository, folder, found, settings.repo)
        return Snapshot(SessionLines(lines), Origin("past", str(state), commit=found.sha, when=found.when))

    return _snapshots.get_or_load((where, found.sha), read)


def _find(repository: Repository, folder: str, asked: Asked) -> Point:
    return _find_moment(repository, folder, asked) if isinstance(asked, Moment) else _find_name(repository, asked)


def _find_name(repository: Repository, name: str) -> Point:
    try:
        sha = repository.commit_of(name)
    except GitError as error:
        raise GitError(f"{error}; a date is written 2024-06-01") from None
    (point,) = _points(repository, "--no-walk", sha)
    return point


def _find_moment(repository: Repository, folder: str, moment: Moment) -> Point:
    head = repository.commit_of("HEAD")
    # git has no commits from before 1970
    found = _points(repository, "-1", "--first-parent", f"--min-age={max(moment.last, 0)}", head, "--", folder)
    if not found:
        raise HistoryError(f"there is no state at {moment.text}: {_begin(repository, folder)}")
    return found[0]


def _points(repository: Repository, *arguments: str) -> list[Point]:
    listed = repository.run("--literal-pathspecs", "rev-list", "--timestamp", *arguments).decode().splitlines()
    return [Point(sha, utc_text(int(seconds))) for seconds, sha in (line.split() for line in listed)]


def _begin(repository: Repository, folder: str) -> str:
    """Where the state of the branch begins, as a clause."""
    points = _points(repository, "--first-parent", "HEAD", "--", folder)
    clause = f"here {folder}/ begins with {points[-1]}" if points else f"no commit of HEAD has {folder}/"
    if repository.is_shallow():
        clause += ", since this is a shallow clone: git fetch --unshallow brings all commits"
    return clause


def _read(repository: Repository, folder: str, point: Point, repo: str) -> list[bytes]:
    tree = CommitTree(repository, point.sha, folder)
    content = tree.read_files([SNAPSHOT]).get(SNAPSHOT)
    try:
        lines = [] if content is None else checked_lines(content)
        check_schema(lines, point, repo)
    except (ValueError, RecursionError):
        lines = []  # damaged: the session files are authoritative
    if not lines:
        lines = _lines_of_files(tree, point, repo)
    if not lines and content is None:
        raise HistoryError(f"{point} has no state in {folder}/: {_begin(repository, folder)}")
    return lines


def _lines_of_files(tree: Tree, point: Point, repo: str) -> list[bytes]:
    names = {session_id: name for name in tree.list_files() if (session_id := session_id_of(name)) is not None}
    contents = tree.read_files(names.values())
    lines = []
    for session_id in newest_first(names):
        content = contents[names[session_id]]
        try:
            facts = parse_facts(content, tree.path(names[session_id]))
        except StateError as error:
            raise StateError(f"{point}: {error}") from None
        lines.append(make_line(facts, digest_of(content)))
        check_schema(lines[-1:], point, repo)
    return lines

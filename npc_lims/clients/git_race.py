"""Push a commit to a branch that others push to as well: it is made anew on whatever they pushed first."""

from __future__ import annotations

import dataclasses
import datetime
import os
import random
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from npc_lims.clients.git import Repository
from npc_lims.clients.git_branch import REMOTE, explained, newest, push, worktree
from npc_lims.errors import GitError, StateError

__all__ = ["Pushed", "push_to_newest"]

_T = TypeVar("_T")
_LONGEST_WAIT = 30.0
# A lock that somebody holds is gone at the next try, and the branch has moved.
_STUCK_AFTER = 3


@dataclasses.dataclass(frozen=True)
class Pushed(Generic[_T]):
    """What was pushed.

    Attributes:
        made: What was made for it.
        commit: The newest commit that was pushed; None if nothing was to be pushed.
        parent: The commit that it was made on.
        attempts: Pushes it took.
    """

    made: _T
    commit: str | None
    parent: str
    attempts: int


def push_to_newest(
    repository: Repository,
    target: str,
    make: Callable[[Repository, str], tuple[_T, bool]],
    *,
    since: datetime.datetime,
    attempts: int,
    backoff: float,
) -> Pushed[_T]:
    """Push what *make* commits on top of the newest commit of the branch *target*; of HEAD, if the remote has none.

    Args:
        repository: The checkout.
        target: The branch.
        make: Told of a worktree and of the commit that is checked out in it: what it made, and whether to push that.
            It is called again when others have pushed first; what it committed before is gone then.
        since: In a shallow clone, only what was committed after this is fetched of the branch.
        attempts: Pushes tried at most.
        backoff: Seconds of the longest first wait between two of them; it doubles.

    Raises:
        GitError: The remote refused, or could not be asked, or others were always quicker. Nothing was pushed.
        StateError: As *make*, with the names of files as they are on the branch.
    """
    start = repository.commit_of("HEAD")
    last, stuck = "", 0
    with worktree(repository) as tree:
        for attempt in range(1, attempts + 1):
            # what talks to the remote runs in the checkout: its address may be a path from there
            parent = newest(repository, target, since) or start
            tree.run("checkout", "--quiet", "--force", "--detach", parent)
            try:
                made, is_to_push = make(tree, parent)
            except StateError as error:
                # the worktree is gone by the time that anybody looks for its files
                raise StateError(str(error).replace(f"{tree.root}{os.sep}", f"{REMOTE}/{target}:")) from None
            if not is_to_push:
                return Pushed(made, None, parent, attempt)
            pushed = tree.commit_of("HEAD")
            refusal = push(repository, target, pushed)
            if refusal is None:
                return Pushed(made, pushed, parent, attempt)
            stuck = stuck + 1 if parent == last else 0
            if stuck >= _STUCK_AFTER:
                raise explained(refusal, target, "nothing was pushed")
            last = parent
            time.sleep(random.uniform(0, min(backoff * 2**attempt, _LONGEST_WAIT)))
    raise GitError(
        f"{REMOTE}/{target}: others pushed first {attempts} times in a row; nothing was pushed. What was seen is "
        "kept: publish again"
    )

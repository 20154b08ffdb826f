"""Looks that were written to the files of a checkout, and wait there to be published."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from npc_lims.clients.git import Repository, find_repository
from npc_lims.model.record import SECTIONS
from npc_lims.sync.observation_file import SUFFIX, Observed, file_name, read_observed, write_observed

__all__ = ["Waiting", "held", "hold", "replace_older"]


@dataclasses.dataclass(frozen=True)
class Waiting:
    """A look, and the file that holds it."""

    path: Path
    observed: Observed


def hold(state: Path, observed: Observed) -> Waiting:
    """Keep *observed* until it is published from the checkout of *state*.

    It is kept in the folder of git, where neither status nor clean look.

    Raises:
        GitError: *state* does not lie in a checkout.
    """
    folder = _folder(find_repository(state), state)
    path = folder / f"{observed.at:%Y%m%dT%H%M%S.%fZ}-{file_name(observed.scope)}"
    write_observed(path, observed)
    return Waiting(path, observed)


def held(state: Path) -> list[Waiting]:
    """Looks that wait to be published from the checkout of *state*, the oldest first.

    Raises:
        GitError: It is not in one.
        NpcLimsError: One of them is damaged.
    """
    folder = _folder(find_repository(state), state)
    return [Waiting(path, read_observed(path)) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def replace_older(waiting: Waiting) -> None:
    """Forget the looks before one that leaves nothing of them: else they would gather where nobody publishes."""
    if _is_whole(waiting.observed):
        for path in waiting.path.parent.glob(f"*{SUFFIX}"):
            if path.name < waiting.path.name:
                path.unlink(missing_ok=True)


def _is_whole(observed: Observed) -> bool:
    """Whether it saw all that there is to see.

    What is as it was when it was last recorded is no news to the state that it was recorded in, and to no other.
    """
    seen = {one.source for one in observed.observations if not one.unchanged}
    return observed.scope.is_full and seen == set(SECTIONS) and not observed.failures


def _folder(repository: Repository, state: Path) -> Path:
    return repository.git_folder / "npc-lims" / "held" / repository.path_of(state)

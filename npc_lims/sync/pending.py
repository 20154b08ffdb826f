"""Observations that were applied to the files of a checkout, and are not published yet."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from npc_lims.clients.git import Repository, find_repository
from npc_lims.model.record import SECTIONS
from npc_lims.sync.observation_file import SUFFIX, ObservationSet, file_name, read_observations, write_observations

__all__ = ["Pending", "load_pending", "remove_superseded", "save_pending"]


@dataclasses.dataclass(frozen=True)
class Pending:
    """An observation set, and its file."""

    path: Path
    observed: ObservationSet


def save_pending(state: Path, observed: ObservationSet) -> Pending:
    """Keep *observed* until it is published from the checkout of *state*: in the folder of git, which no status lists.

    Raises:
        GitError: *state* is not in a checkout.
    """
    folder = _folder(find_repository(state), state)
    path = folder / f"{observed.at:%Y%m%dT%H%M%S.%fZ}-{file_name(observed.scope)}"
    write_observations(path, observed)
    return Pending(path, observed)


def load_pending(state: Path) -> list[Pending]:
    """Return the pending observations of the checkout of *state*, the oldest first.

    Raises:
        GitError: It is not in one.
        NpcLimsError: One of them is damaged.
    """
    folder = _folder(find_repository(state), state)
    return [Pending(path, read_observations(path)) for path in sorted(folder.glob(f"*{SUFFIX}"))]


def remove_superseded(pending: Pending) -> None:
    """Remove older ones if *pending* replaces all of their facts: they would pile up where nobody publishes."""
    observed = pending.observed
    # an unchanged source repeats nothing of what the others have
    replaced = {one.source for one in observed.observations if not one.unchanged}
    if observed.scope.is_full and replaced == set(SECTIONS) and not observed.failures:
        for path in pending.path.parent.glob(f"*{SUFFIX}"):
            if path.name < pending.path.name:
                path.unlink(missing_ok=True)


def _folder(repository: Repository, state: Path) -> Path:
    return repository.git_folder / "npc-lims" / "held" / repository.path_of(state)

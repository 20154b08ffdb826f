"""Which sessions a sync may change: all, some by name, or the share of one runner."""

from __future__ import annotations

import dataclasses
import hashlib
import re

from npc_lims.errors import NpcLimsError
from npc_lims.model.session_id import subject_of

__all__ = ["EVERYTHING", "Scope", "parse_shard", "shard_of"]


@dataclasses.dataclass(frozen=True)
class Scope:
    """A set of sessions that needs no list of all of them: `session_id in scope`.

    Attributes:
        sessions: Ids of those meant; None for all.
        shards: Numbers, from 1, of the shards meant; None for all. A subject is always in the same shard.
        of: How many shards there are.
    """

    sessions: frozenset[str] | None = None
    shards: frozenset[int] | None = None
    of: int = 1

    def __contains__(self, session_id: object) -> bool:
        if not isinstance(session_id, str) or (self.sessions is not None and session_id not in self.sessions):
            return False
        return self.shards is None or shard_of(session_id, self.of) in self.shards

    @property
    def is_whole(self) -> bool:
        """Whether every session is meant."""
        return self.sessions is None and (self.shards is None or len(self.shards) == self.of)


EVERYTHING = Scope()


def shard_of(session_id: str, of: int) -> int:
    """The shard, from 1, that a session is in: by its subject, and the same on every machine and day."""
    return int.from_bytes(hashlib.sha256(subject_of(session_id).encode()).digest()[:8], "big") % of + 1


def parse_shard(text: str) -> tuple[int, int]:
    """Number and count of `2/3`.

    >>> parse_shard("2/3")
    (2, 3)

    Raises:
        NpcLimsError: It is not of that form, or there is no such shard.
    """
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise NpcLimsError(f"--shard {text}: expected NUMBER/COUNT from 1/COUNT to COUNT/COUNT, such as 1/4")
    return number, of

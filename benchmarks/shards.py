"""Ways to cut the snapshot, and what a reader fetches under each of them.

Every way has the same lines; what differs is the file that a line is in. A file is fetched whole, compressed.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from benchmarks.growing import Kept
from npc_lims.model.session_id import split_session_id
from npc_lims.state.snapshot import digest_of, newest_first

__all__ = ["WAYS", "Cut", "Fetch", "Way"]


@dataclass(frozen=True)
class Way:
    """A way to cut: `key` names the file of a session, `key_of_subject` the one of a whole subject, if there is one."""

    name: str
    key: Callable[[str], str]
    key_of_subject: Callable[[str], str] | None


def _subject(session_id: str) -> str:
    return session_id.partition("_")[0]


def _date(session_id: str) -> str:
    return split_session_id(session_id)[1]


WAYS = (
    Way("one file", lambda session: "", lambda subject: ""),
    Way("1,000 subjects", lambda session: _subject(session)[:-3], lambda subject: subject[:-3]),
    Way("100 subjects", lambda session: _subject(session)[:-2], lambda subject: subject[:-2]),
    Way("year", lambda session: _date(session)[:4], None),
    Way("month", lambda session: _date(session)[:7], None),
)


@dataclass(frozen=True)
class Fetch:
    """What a reader asks for: requests that send something, those answered by 304, and the bytes that come."""

    requests: int
    bytes: int
    unchanged: int = 0


class Cut:
    """A snapshot that is cut in one way, and is kept so by syncs."""

    def __init__(self, way: Way, lines: Mapping[str, bytes]) -> None:
        self.way = way
        self.lines = dict(lines)
        self.shards: dict[str, Shard] = {}
        by_key: dict[str, dict[str, bytes]] = {}
        for session, line in lines.items():
            by_key.setdefault(way.key(session), {})[session] = line
        self.shards = {key: Shard(found) for key, found in by_key.items()}

    def change(self, changes: Iterable[Kept]) -> set[str]:
        """Take over what a sync changed; the keys of the shards that are other files now."""
        by_key: dict[str, dict[str, bytes]] = {}
        for kept in changes:
            by_key.setdefault(self.way.key(kept.id), {})[kept.id] = kept.line
        for key, lines in by_key.items():
            before = self.shards[key].lines if key in self.shards else {}
            self.shards[key] = Shard({**before, **lines})
        return set(by_key)

    @property
    def index(self) -> bytes:
        """The file that names each shard with its digest."""
        shards = {
            key: {"sha256": digest_of(shard.content), "bytes": len(shard.content), "sessions": len(shard.lines)}
            for key, shard in sorted(self.shards.items())
        }
        return json.dumps({"format": 1, "shards": shards}, separators=(",", ":")).encode()

    def fetch_all(self) -> Fetch:
        """All sessions, empty cache: the index and each shard; a single file needs no index."""
        return self._with_index(sum(shard.sent for shard in self.shards.values()), len(self.shards))

    def fetch_subject(self, subject: str) -> Fetch:
        """All sessions of a subject, empty cache: where the subject does not name the file, every file is needed."""
        if self.way.key_of_subject is None:
            return self.fetch_all()
        return Fetch(1, self.shards[self.way.key_of_subject(subject)].sent)

    def fetch_changed(self, changed: set[str]) -> Fetch:
        """What is new, with everything kept from before the shards *changed*: the index, and these."""
        return self._with_index(sum(self.shards[key].sent for key in changed), len(changed))

    def fetch_changed_without_index(self, changed: set[str]) -> Fetch:
        """The same where nothing names digests: each shard is asked whether it is another."""
        sent = sum(self.shards[key].sent for key in changed)
        return Fetch(len(changed), sent, len(self.shards) - len(changed))

    def stored(self, changed: Iterable[str]) -> int:
        """Bytes that a commit of these shards adds to a repository until it is packed."""
        return sum(self.shards[key].stored for key in changed)

    @property
    def largest(self) -> int:
        """Bytes of the largest file."""
        return max(len(shard.content) for shard in self.shards.values())

    def _with_index(self, sent: int, files: int) -> Fetch:
        if len(self.shards) == 1:
            return Fetch(files, sent)
        return Fetch(files + 1, sent + len(gzip.compress(self.index)))


@dataclass(frozen=True)
class Shard:
    """One file: lines by session id."""

    lines: Mapping[str, bytes]

    @cached_property
    def content(self) -> bytes:
        return b"".join(self.lines[session] + b"\n" for session in newest_first(self.lines))

    @property
    def packed(self) -> bytes:
        return gzip.compress(self.content, 6, mtime=0)

    @cached_property
    def sent(self) -> int:
        """Bytes as a web server sends the file."""
        return len(self.packed)

    @cached_property
    def stored(self) -> int:
        return len(zlib.compress(self.content))

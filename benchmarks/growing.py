"""An invented lab that goes on working: what state holds at any size, and what each sync changes in it.

Subjects follow one another over `YEARS` years, each with 50 sessions, one each weekday, one in twenty of them tracked
(as in `world.py`, which says what is known of a session). A larger lab is a busier one, not an older one. The next
sessions come at the same rate, four syncs a day:

- each session that is new in a sync is a new file;
- one and a half times as many sessions of the last sixty days get new facts: a row filled in, a sorting, a cache;
- one in twenty of these is of any age instead: sorted again, corrected by hand.
"""

from __future__ import annotations

import datetime
import os
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from benchmarks.world import SESSIONS_OF_A_SUBJECT, Session, World, asset_id
from npc_lims.state.snapshot import digest_of, make_line
from npc_lims.utils.yaml import render_yaml

__all__ = ["SYNCS_A_DAY", "GrowingLab", "Kept", "session_file"]

YEARS = 4
SYNCS_A_DAY = 4
FOLLOW_UPS = 1.5
RECENT_DAYS = 60
ANY_AGE = 0.05
_FIRST_DAY = datetime.datetime(2022, 1, 3)
_FIRST_SUBJECT = 600_000
_BATCH = 2_000
# in a small lab most syncs change nothing, and those that do still bring a session each
_SPARE = 500


@dataclass(frozen=True)
class Kept:
    """What state keeps of one session: the content of its file, and its line of the snapshot."""

    id: str
    content: bytes
    line: bytes


class GrowingLab:
    """A lab that has *size* sessions, and those of the days to come.

    Attributes:
        present: Sessions that state has, by date.
    """

    def __init__(self, size: int, days_to_come: int = 60) -> None:
        self._random = random.Random(size)
        self._a_day = size / (YEARS * 365)
        known_and_to_come = _sessions(size, size + int(self._a_day * days_to_come) + _SPARE)
        known_and_to_come.sort(key=lambda session: session.start)
        self.present = known_and_to_come[:size]
        self._to_come = iter(known_and_to_come[size:])
        self._due = 0.0
        self._turn = 0

    def keep_all(self) -> Iterator[Kept]:
        """What state keeps of the present sessions, in no particular order."""
        batches = [self.present[begin : begin + _BATCH] for begin in range(0, len(self.present), _BATCH)]
        if len(batches) < 10:
            yield from (kept for batch in batches for kept in _keep(batch))
            return
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            for answer in pool.map(_keep, batches):
                yield from answer

    def sync(self) -> list[Kept]:
        """What the next sync changes that changes anything."""
        arrived: list[Session] = []
        while not arrived:
            self._due += self._a_day / SYNCS_A_DAY
            arrived = [next(self._to_come) for _ in range(int(self._due))]
            self._due -= len(arrived)
        self._turn += 1
        self.present += arrived
        changed: dict[str, Kept] = {}
        for _ in range(round(len(arrived) * FOLLOW_UPS)):
            session = self._some_session()
            changed[session.id] = _changed(session, self._turn)
        changed.update((kept.id, kept) for kept in _keep(arrived))
        return list(changed.values())

    def _some_session(self) -> Session:
        """One that gets new facts: mostly a recent one."""
        is_any = self._random.random() < ANY_AGE
        reach = len(self.present) if is_any else max(1, int(self._a_day * RECENT_DAYS))
        return self.present[-self._random.randint(1, min(reach, len(self.present)))]

    def new_cache_version(self) -> Iterator[Kept]:
        """What a sync changes after the caches of all tracked sessions were made anew."""
        self._turn += 1
        for session in self.present:
            if session.is_tracked:
                yield _changed(session, self._turn)

    def subject_in_the_middle(self) -> str:
        return str(self.present[len(self.present) // 2].subject)


def session_file(session_id: str) -> str:
    """Path of the file of a session in the repository."""
    return f"state/sessions/{session_id.partition('_')[0]}/{session_id}.yaml"


def _sessions(size: int, count: int) -> list[Session]:
    """The first *count* sessions of a lab that has *size* of them in the time of `YEARS`."""
    weeks = YEARS * 52
    subjects = max(1, size // SESSIONS_OF_A_SUBJECT)
    found = []
    for number in range(count):
        subject, row = divmod(number, SESSIONS_OF_A_SUBJECT)
        week, weekday = divmod(row, 5)
        start = _FIRST_DAY + datetime.timedelta(weeks=weeks * subject // subjects + week, days=weekday)
        start += datetime.timedelta(hours=9 + subject % 8, minutes=subject % 60, seconds=row)
        found.append(Session(number, _FIRST_SUBJECT + subject, row + 1, start))
    return found


def _keep(sessions: Sequence[Session]) -> list[Kept]:
    records = World(sessions=sessions).records().values()
    return [_kept(record.as_dict()) for record in records]


def _changed(session: Session, turn: int) -> Kept:
    """The session with other facts than before: results and caches where it is tracked, else its row."""
    (record,) = World(sessions=[session]).records().values()
    facts = record.as_dict()
    if session.is_tracked:
        facts["codeocean"]["sorted"]["id"] = asset_id(f"{session.id} {turn}")
        facts["s3"]["nwb_cache"] = [*facts["s3"]["nwb_cache"], f"v0.1.{turn}"]
    else:
        facts["training"]["hits"] = f"[8, 9, 7, 10, 6, {turn}]"
    return _kept(facts)


def _kept(facts: dict[str, Any]) -> Kept:
    content = render_yaml(facts).encode()
    return Kept(facts["id"], content, make_line(facts, digest_of(content)))

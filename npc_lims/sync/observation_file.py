"""Serialised observations, so that one job can query the sources and another can write state.

A file has observations, the sessions that they are about, and the time at which they were made. It is applied to the
state of that moment (`npc_lims.sync.run.apply`); applying it twice changes nothing the second time.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union

import pydantic
from pydantic_core import to_json

from npc_lims.clients.git import find_repository
from npc_lims.errors import NpcLimsError, Problem, SourceError
from npc_lims.model.record import SECTION_MODELS, Found, Observation, validate_model
from npc_lims.model.sections import DISCOVERING, SECTIONS
from npc_lims.model.session_id import parse_session_id, subject_of
from npc_lims.model.unlisted import Unlisted, UnlistedAsset
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text

SUFFIX = ".observed.json"
_FORMAT = 1
_MAX_DEPTH = 64
# Ten thousand sessions take about 30.
_MAX_BYTES = 512 << 20


@dataclasses.dataclass(frozen=True)
class Scope:
    """A set of sessions that needs no list of all of them: `session_id in scope`."""

    sessions: frozenset[str] | None = None
    shards: frozenset[int] | None = None
    """Numbers, from 1, of shards; None for all. A subject is always in the same shard."""
    of: int = 1

    def __contains__(self, session_id: object) -> bool:
        if not isinstance(session_id, str) or (self.sessions is not None and session_id not in self.sessions):
            return False
        return self.shards is None or shard_of(session_id, self.of) in self.shards

    @property
    def is_full(self) -> bool:
        return self.sessions is None and (self.shards is None or len(self.shards) == self.of)


EVERYTHING = Scope()


def shard_of(session_id: str, of: int) -> int:
    """The shard, from 1, that a session is in: by its subject, and the same on every machine and day."""
    return int.from_bytes(hashlib.sha256(subject_of(session_id).encode()).digest()[:8], "big") % of + 1


def parse_shard(text: str) -> tuple[int, int]:
    """Return number and count of `2/3`.

    >>> parse_shard("2/3")
    (2, 3)
    """
    match = re.fullmatch(r"([0-9]{1,4})/([0-9]{1,4})", text.strip())
    number, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= number <= of:
        raise NpcLimsError(f"--shard {text}: expected NUMBER/COUNT from 1/COUNT to COUNT/COUNT, such as 1/4")
    return number, of


@dataclasses.dataclass(frozen=True)
class ObservationSet:
    """The observations of one run, of each source one at most. With `allow_removals` the breaker does not refuse it."""

    observations: tuple[Observation, ...]
    scope: Scope
    at: datetime.datetime
    allow_removals: bool = False

    @property
    def failures(self) -> tuple[SourceError, ...]:
        return tuple(one.failure for one in self.observations if one.failure is not None)


def file_name(scope: Scope) -> str:
    """Return a file name that is unique among the shards of a run."""
    shards = "all" if scope.shards is None else f"{'-'.join(map(str, sorted(scope.shards)))}-of-{scope.of}"
    return shards + SUFFIX


def write_observations(path: Path, observed: ObservationSet) -> None:
    scope = observed.scope
    content = {
        "format": _FORMAT,
        "at": observed.at.astimezone(datetime.timezone.utc).isoformat(),
        "sessions": None if scope.sessions is None else sorted(scope.sessions),
        "shards": None if scope.shards is None else sorted(scope.shards),
        "of": scope.of,
        "allow_removals": observed.allow_removals,
        "observations": [
            {name: value for name, value in vars(one).items() if name in _Section.model_fields}
            for one in observed.observations
        ],
    }
    write_atomically(path, to_json(content, fallback=lambda failure: failure.reason))


def read_observations(path: Path) -> ObservationSet:
    """Return the observations in a file; an NpcLimsError if it is damaged, of another version, or from the future."""
    remedy = "delete it, and observe again with this version of npc_lims"
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES >> 20} MiB")
        data = json.loads(path.read_bytes(), object_pairs_hook=_unique)
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise NpcLimsError(f"{path}: not a file of observations that this version reads; {remedy}")
        _check_values(data)
        observed = validate_model(_File, data).observed()
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ArithmeticError, RecursionError, ValueError) as error:
        raise NpcLimsError(f"{path}: damaged ({single_line(error, 200)}); {remedy}") from None
    check_time(observed.at, str(path), "delete the file, and observe again (npc-lims sync)")
    return observed


def check_time(at: datetime.datetime, where: str, remedy: str = "observe again") -> None:
    """Raise NpcLimsError if the time *at* is in the future: no newer observation could ever replace these."""
    if is_future(at):
        raise NpcLimsError(
            f"{where}: observed at {utc_text(at)}, which is more than ten minutes in the future; nothing is published. "
            f"Correct the clock of the machine that observed, or of this one, {remedy}"
        )


def read_observation_folder(folder: Path) -> list[ObservationSet]:
    """Return the observations in *folder* and the folders in it, the shards of a run merged."""
    paths = sorted(folder.rglob(f"*{SUFFIX}"), key=lambda path: path.name)
    if not paths:
        raise NpcLimsError(f"{folder}: holds no observations (*{SUFFIX}); npc-lims observe --out {folder} makes them")
    return merge_shards(map(read_observations, paths))


def merge_shards(parts: Iterable[ObservationSet]) -> list[ObservationSet]:
    """Return the observation sets with the shards of each run merged, the oldest first."""
    runs: dict[Any, list[ObservationSet]] = {}
    for number, part in enumerate(parts):
        is_shard = part.scope.shards is not None
        key = (part.scope.of, part.scope.sessions, part.allow_removals) if is_shard else number
        runs.setdefault(key, []).append(part)
    return sorted(map(_merge, runs.values()), key=lambda one: one.at)


def _merge(parts: Sequence[ObservationSet]) -> ObservationSet:
    first, *others = parts
    if not others:
        return first
    numbers = [number for part in parts for number in part.scope.shards or ()]
    if len(set(numbers)) != len(numbers):
        raise NpcLimsError("two files hold the observations of one shard; gather those of one run only")
    found = {one.source for part in parts for one in part.observations}
    return dataclasses.replace(
        first,
        observations=tuple(_merge_source(source, parts) for source in SECTIONS if source in found),
        scope=dataclasses.replace(first.scope, shards=frozenset(numbers)),
        at=min(part.at for part in parts),
    )


def _merge_source(source: str, parts: Sequence[ObservationSet]) -> Observation:
    """Return the observation of one source by all shards: complete only if all of them are."""
    # of the sessions of its share, all: which training row is whose is decided among those of a day
    shares = [
        (one, dataclasses.replace(part.scope, sessions=None))
        for part in parts
        for one in part.observations
        if one.source == source
    ]
    ones = [one for one, _ in shares]
    has_all = len(ones) == len(parts)
    same_version = all(one.versions == ones[0].versions and one.unchanged == ones[0].unchanged for one in ones)
    counts: Counter[str] = Counter()
    for one in ones[:1] if source in DISCOVERING else ones:
        counts.update(one.counts)
    return Observation(
        source=source,
        facts={id_: found for one, share in shares for id_, found in one.facts.items() if id_ in share},
        complete=has_all and all(one.complete for one in ones),
        unchanged=has_all and all(one.unchanged for one in ones),
        problems=tuple(dict.fromkeys(problem for one in ones for problem in one.problems)),
        versions=ones[0].versions if same_version else {},
        counts=counts,
        failure=next((one.failure for one in ones if one.failure is not None), None),
        unlisted=_merge_unlisted(shares) if has_all else None,
    )


def _merge_unlisted(shares: Iterable[tuple[Observation, Scope]]) -> Unlisted | None:
    found = []
    for one, share in shares:
        if one.unlisted is None:
            return None
        found += [recording for recording in one.unlisted if recording.session in share]
    return tuple(found)


# --- pending in a checkout ------------------------------------------------------------------------


class Pending(NamedTuple):
    path: Path
    observed: ObservationSet


def save_pending(state: Path, observed: ObservationSet) -> Pending:
    """Save *observed* until it is published from the checkout of *state*: in the folder of git."""
    path = _pending_folder(state) / f"{observed.at:%Y%m%dT%H%M%S.%fZ}-{file_name(observed.scope)}"
    write_observations(path, observed)
    return Pending(path, observed)


def load_pending(state: Path) -> list[Pending]:
    """Return the pending observations of the checkout of *state*, the oldest first."""
    return [Pending(path, read_observations(path)) for path in sorted(_pending_folder(state).glob(f"*{SUFFIX}"))]


def remove_superseded(pending: Pending) -> None:
    """Remove older ones if *pending* replaces all of their facts: they would pile up where nobody publishes."""
    observed = pending.observed
    # an unchanged source repeats nothing of what the others have
    replaced = {one.source for one in observed.observations if not one.unchanged}
    if observed.scope.is_full and replaced == set(SECTIONS) and not observed.failures:
        for path in pending.path.parent.glob(f"*{SUFFIX}"):
            if path.name < pending.path.name:
                path.unlink(missing_ok=True)


def _pending_folder(state: Path) -> Path:
    repository = find_repository(state)
    return repository.git_folder / "npc-lims" / "held" / repository.path_of(state)


# --- the schema of a file --------------------------------------------------------------------------


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key is there twice")
    return data


def _check_values(data: Any) -> None:
    if _depth(data) > _MAX_DEPTH:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    # numbers that are not finite, and text that is not Unicode, can be in no file of state
    json.dumps(data, ensure_ascii=False, allow_nan=False).encode()


def _depth(value: Any) -> int:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inside), default=0)


def _check_id(text: str) -> str:
    if len(text) > 40 or parse_session_id(text) != text:
        raise ValueError(f"{text[:40]!r} is not a session id such as 626791_2022-08-15")
    return text


def _parse_at(text: object) -> datetime.datetime:
    at = datetime.datetime.fromisoformat(text if isinstance(text, str) else "")
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    at = at.astimezone(datetime.timezone.utc)
    if at.year < 2000:
        raise ValueError("the time is before 2000: the clock was wrong")
    return at


_Id = Annotated[str, pydantic.AfterValidator(_check_id)]
_Number = Annotated[int, pydantic.Field(ge=0)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")


class _Problem(_Strict):
    file: str
    line: _Number
    column: _Number
    severity: Literal["error", "warning"]
    message: str


def _check_source(name: str) -> str:
    if name not in SECTIONS:
        raise ValueError(f"the sources are {', '.join(SECTIONS)}")
    return name


class _Unlisted(_Strict):
    id: str
    name: str
    created: str
    location: Optional[str]


class _Section(_Strict):
    """An observation, with the reason of its failure."""

    source: Annotated[str, pydantic.AfterValidator(_check_source)]
    facts: dict[_Id, Union[Literal[False], dict[str, Any]]]
    complete: bool
    unchanged: bool
    problems: list[_Problem]
    versions: dict[str, str]
    counts: dict[str, Annotated[int, pydantic.Field(ge=0, le=10**12)]]
    failure: Optional[str]
    unlisted: Optional[list[_Unlisted]] = None

    def observation(self) -> Observation:
        model = SECTION_MODELS[self.source]
        facts: dict[str, Found] = {
            session_id: False if found is False else model.model_validate(found, strict=True)
            for session_id, found in self.facts.items()
        }
        problems = tuple(Problem(**vars(problem)) for problem in self.problems)
        failure = None if self.failure is None else SourceError(self.source, single_line(self.failure))
        unlisted = None if self.unlisted is None else tuple(UnlistedAsset(**vars(one)) for one in self.unlisted)
        read = {"facts": facts, "problems": problems, "failure": failure, "unlisted": unlisted}
        return Observation(**{**vars(self), **read})


class _File(_Strict):
    format: Literal[1]
    at: Annotated[datetime.datetime, pydantic.BeforeValidator(_parse_at)]
    sessions: Optional[list[_Id]]
    shards: Optional[list[_Number]]
    of: Annotated[int, pydantic.Field(ge=1, le=9999)]
    allow_removals: bool
    observations: list[_Section]

    def observed(self) -> ObservationSet:
        sessions = None if self.sessions is None else frozenset(self.sessions)
        shards = None if self.shards is None else frozenset(self.shards)
        if shards is not None and not (shards and shards <= set(range(1, self.of + 1))):
            raise ValueError(f"there are no shards {sorted(shards)[:5]} of {self.of}")
        if len({section.source for section in self.observations}) != len(self.observations):
            raise ValueError("two observations of one source")
        observations = tuple(section.observation() for section in self.observations)
        return ObservationSet(observations, Scope(sessions, shards, self.of), self.at, self.allow_removals)

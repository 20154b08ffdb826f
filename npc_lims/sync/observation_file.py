"""Serialised observations, so that one job can query the sources and another can write state.

A file holds observations, which sessions they are about, and when they were made. It is applied to whatever
state there is by then (`npc_lims.sync.run.apply`); applying it twice changes nothing the second time.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union

import pydantic

from npc_lims.clients.git import Repository, find_repository
from npc_lims.errors import NpcLimsError, Problem, SourceError
from npc_lims.model.observation import EVERYTHING, Found, Observation, Scope
from npc_lims.model.record import SECTION_MODELS, SECTIONS
from npc_lims.model.session_id import parse_session_id
from npc_lims.utils.atomic_write import write_atomically
from npc_lims.utils.text import single_line
from npc_lims.utils.timestamps import is_future, utc_text

FORMAT = 1
SUFFIX = ".observed.json"
# Sources that each shard reads whole; of the others it reads its share.
_READ_WHOLE = ("tracked", "training")


@dataclasses.dataclass(frozen=True)
class ObservationSet:
    """The observations of one run.

    Attributes:
        observations: At most one of each source.
        scope: Sessions that may change by it.
        at: When it began.
        allow_removals: The breaker is not to stop it.
    """

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
    write_atomically(path, json.dumps(_as_json(observed), ensure_ascii=False, separators=(",", ":")).encode())


def read_observations(path: Path) -> ObservationSet:
    """Return what `write_observations` wrote to *path*.

    Raises:
        NpcLimsError: The file is damaged, of another version, or from the future.
    """
    remedy = "delete it, and observe again with this version of npc_lims"
    try:
        data = json.loads(_read(path), object_pairs_hook=_unique)
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise NpcLimsError(f"{path}: not a file of observations that this version reads; {remedy}")
        _check_values(data)
        observed = _from_file(_File.model_validate(data))
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise NpcLimsError(f"{path}: damaged ({single_line(f'{where}: ' + first['msg'], 200)}); {remedy}") from None
    except (ArithmeticError, RecursionError, ValueError) as error:
        raise NpcLimsError(f"{path}: damaged ({single_line(error, 200)}); {remedy}") from None
    check_time(observed.at, str(path), "delete the file, and observe again (npc-lims sync)")
    return observed


def _read(path: Path) -> bytes:
    """
    Raises:
        ValueError: It is larger than any observations are.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES >> 20} MiB")
        return file.read()


def check_time(at: datetime.datetime, where: str, remedy: str = "observe again") -> None:
    """
    Raises:
        NpcLimsError: The time *at* is in the future: no newer observation could ever replace these.
    """
    if is_future(at):
        raise NpcLimsError(
            f"{where}: observed at {utc_text(at)}, which is more than ten minutes in the future; nothing is published. "
            f"Correct the clock of the machine that observed, or of this one, {remedy}"
        )


def read_observation_folder(folder: Path) -> list[ObservationSet]:
    """Return the observations in *folder* and the folders in it, the shards of a run merged (see `merge_shards`).

    Raises:
        NpcLimsError: There is nothing, or a file is damaged.
    """
    paths = sorted(folder.rglob(f"*{SUFFIX}"), key=lambda path: path.name)
    if not paths:
        raise NpcLimsError(f"{folder}: holds no observations (*{SUFFIX}); npc-lims observe --out {folder} makes them")
    return merge_shards(read_observations(path) for path in paths)


def merge_shards(parts: Iterable[ObservationSet]) -> list[ObservationSet]:
    """Return the observation sets with the shards of each run merged, the oldest first."""
    runs: dict[Any, list[ObservationSet]] = {}
    for number, part in enumerate(parts):
        is_shard = part.scope.shards is not None
        key = (part.scope.of, part.scope.sessions, part.allow_removals) if is_shard else number
        runs.setdefault(key, []).append(part)
    return sorted(map(_merge, runs.values()), key=lambda one: one.at)


def _merge(parts: Sequence[ObservationSet]) -> ObservationSet:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    shards = frozenset(number for part in parts for number in part.scope.shards or ())
    if len(shards) != sum(len(part.scope.shards or ()) for part in parts):
        raise NpcLimsError("two files hold the observations of one shard; gather those of one run only")
    sources = [
        source for source in SECTIONS if any(one.source == source for part in parts for one in part.observations)
    ]
    return ObservationSet(
        observations=tuple(_merge_source(source, parts) for source in sources),
        scope=dataclasses.replace(first.scope, shards=shards),
        at=min(part.at for part in parts),
        allow_removals=first.allow_removals,
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
    counts: dict[str, int] = {}
    for one in ones[:1] if source in _READ_WHOLE else ones:
        for name, count in one.counts.items():
            counts[name] = counts.get(name, 0) + count
    return Observation(
        source=source,
        facts={id_: found for one, share in shares for id_, found in one.facts.items() if id_ in share},
        complete=has_all and all(one.complete for one in ones),
        unchanged=has_all and all(one.unchanged for one in ones),
        problems=tuple(dict.fromkeys(problem for one in ones for problem in one.problems)),
        versions=ones[0].versions if same_version else {},
        counts=counts,
        failure=next((one.failure for one in ones if one.failure is not None), None),
    )


# --- pending in a checkout ------------------------------------------------------------------------


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


# --- as JSON --------------------------------------------------------------------------------------


def _as_json(observed: ObservationSet) -> dict[str, Any]:
    scope = observed.scope
    return {
        "format": FORMAT,
        "at": observed.at.astimezone(datetime.timezone.utc).isoformat(),
        "sessions": None if scope.sessions is None else sorted(scope.sessions),
        "shards": None if scope.shards is None else sorted(scope.shards),
        "of": scope.of,
        "allow_removals": observed.allow_removals,
        "observations": [_observation_as_json(one) for one in observed.observations],
    }


def _observation_as_json(one: Observation) -> dict[str, Any]:
    return {
        "source": one.source,
        "facts": {id_: found if found is False else found.model_dump() for id_, found in one.facts.items()},
        "complete": one.complete,
        "unchanged": one.unchanged,
        "problems": [dataclasses.asdict(problem) for problem in one.problems],
        "versions": dict(one.versions),
        "counts": dict(one.counts),
        "failure": None if one.failure is None else one.failure.reason,
    }


_MAX_DEPTH = 64
# Ten thousand sessions take about 30.
_MAX_BYTES = 512 << 20


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a key is there twice")
    return data


def _check_values(data: Any) -> None:
    """
    Raises:
        ValueError: It nests too deep, or holds what no file of state can: numbers that are not finite, text that is not
            Unicode.
    """
    level = [data]
    for _ in range(_MAX_DEPTH):
        level = [
            value
            for one in level
            if isinstance(one, (dict, list))
            for value in (one.values() if isinstance(one, dict) else one)
        ]
        if not level:
            break
    else:
        raise ValueError(f"nested deeper than {_MAX_DEPTH} levels")
    json.dumps(data, ensure_ascii=False, allow_nan=False).encode()


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


Id = Annotated[str, pydantic.AfterValidator(_check_id)]
Number = Annotated[int, pydantic.Field(ge=0)]
Count = Annotated[int, pydantic.Field(ge=0, le=10**12)]


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True, extra="forbid")


class _Problem(_Strict):
    file: str
    line: Number
    column: Number
    severity: Literal["error", "warning"]
    message: str


class _Section(_Strict):
    """One observation."""

    source: Literal["tracked", "training", "codeocean", "s3"]
    facts: dict[Id, Union[Literal[False], dict[str, Any]]]
    complete: bool
    unchanged: bool
    problems: list[_Problem]
    versions: dict[str, str]
    counts: dict[str, Count]
    failure: Optional[str]


class _File(_Strict):
    format: Literal[1]
    at: Annotated[datetime.datetime, pydantic.BeforeValidator(_parse_at)]
    sessions: Optional[list[Id]]
    shards: Optional[list[Number]]
    of: Annotated[int, pydantic.Field(ge=1, le=9999)]
    allow_removals: bool
    observations: list[_Section]


def _from_file(file: _File) -> ObservationSet:
    if file.shards is not None and not (file.shards and set(file.shards) <= set(range(1, file.of + 1))):
        raise ValueError(f"there are no shards {file.shards[:5]} of {file.of}")
    if len({section.source for section in file.observations}) != len(file.observations):
        raise ValueError("two observations of one source")
    scope = EVERYTHING
    if file.sessions is not None or file.shards is not None:
        scope = Scope(
            None if file.sessions is None else frozenset(file.sessions),
            None if file.shards is None else frozenset(file.shards),
            file.of,
        )
    return ObservationSet(tuple(map(_observation, file.observations)), scope, file.at, file.allow_removals)


def _observation(section: _Section) -> Observation:
    model = SECTION_MODELS[section.source]
    facts: dict[str, Found] = {
        id_: False if found is False else model.model_validate(found, strict=True)
        for id_, found in section.facts.items()
    }
    failure = None if section.failure is None else SourceError(section.source, single_line(section.failure))
    return Observation(
        source=section.source,
        facts=facts,
        complete=section.complete,
        unchanged=section.unchanged,
        problems=tuple(Problem(**problem.model_dump()) for problem in section.problems),
        versions=section.versions,
        counts=section.counts,
        failure=failure,
    )

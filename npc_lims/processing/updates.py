"""What happened to runs, and what is to be recorded of it.

Each update adds to what is recorded and takes nothing back, so updates may come late, twice or in any order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from npc_lims.errors import NpcLimsError
from npc_lims.model.session_id import split_session_id
from npc_lims.processing.pipelines_schema import PROCESS_NAME
from npc_lims.processing.runs import Key, Run, Update, Updates, Withdrawn, in_order
from npc_lims.utils.atomic_write import write_atomically

__all__ = ["apply_updates", "read_updates", "write_updates"]

FORMAT = 1


def apply_updates(runs: Iterable[Run], updates: Iterable[Update]) -> tuple[Run, ...]:
    """What is to be recorded after *updates*, in whatever order they came.

    - A run only moves on: claimed, started, ended, captured, shared. Of two that ended otherwise, errored wins,
      unless the other is shared.
    - A recorded computation stays, whatever somebody else's claim says. It gives way to an elder one only where that
      has the same claim: its owner found that two had started at once, and stopped the younger.
    - While nothing is known to be started, the later claim counts.
    - A claim is withdrawn if its token is the one recorded, and nothing is known to be started.
    """
    updates = tuple(updates)
    withdrawn = {(update.key, update.claim) for update in updates if isinstance(update, Withdrawn)}
    versions: dict[Key, tuple[list[Run], list[Run]]] = {}
    for place, some in ((0, runs), (1, updates)):
        for run in some:
            if isinstance(run, Run) and not (run.is_claim and (run.key, run.claim) in withdrawn):
                versions.setdefault(run.key, ([], []))[place].append(run)
    return tuple(in_order(_merge(recorded, news) for recorded, news in versions.values()))


def _merge(recorded: Sequence[Run], news: Sequence[Run]) -> Run:
    """One run of all that is said of it."""
    every = [*recorded, *news]
    started = [run for run in every if run.computation is not None]
    if not started:
        # a verdict counts more than a claim; of two claims, the later one took over
        return max(every, key=lambda run: (run.outcome is not None, run.claimed, run.claim, _text(run)))
    known = [run for run in recorded if run.computation is not None]
    claims, ids = {run.claim for run in known}, {run.computation for run in known}
    eligible = [run for run in started if not known or run.claim in claims or run.computation in ids]
    elder = min(eligible, key=lambda run: (run.started is None, run.started or "", run.computation or ""))
    same = [run for run in started if run.computation == elder.computation]
    return _furthest(same)


def _furthest(runs: Sequence[Run]) -> Run:
    """The same computation, seen several times: all that is known of it."""
    first = min(runs, key=lambda run: (run.claimed, run.claim, run.by))
    last = min(runs, key=lambda run: (-_progress(run), run.asset.id if run.asset else "", _text(run)))
    started = min((run.started for run in runs if run.started is not None), default=None)
    return last.model_copy(update={"claim": first.claim, "claimed": first.claimed, "by": first.by, "started": started})


def _progress(run: Run) -> int:
    if run.shared:
        return 4
    if run.outcome == "errored":
        return 3
    return (run.outcome is not None) + (run.asset is not None)


def _text(run: Run) -> str:
    return json.dumps(run.as_dict(), sort_keys=True)


def write_updates(path: Path, updates: Updates) -> None:
    """Updates as a file, for the job that may record them."""
    data = {
        "format": FORMAT,
        "updates": {process: [_update_as_json(update) for update in some] for process, some in updates.items()},
    }
    write_atomically(path, json.dumps(data, ensure_ascii=False, indent=1).encode())


def read_updates(path: Path) -> dict[str, tuple[Update, ...]]:
    """
    Raises:
        NpcLimsError: The file is missing, damaged, or of another version.
    """
    try:
        data = json.loads(path.read_bytes())
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise NpcLimsError(f"{path}: not a file of runs that this version reads; make it with this version")
        return {_process_name(process): tuple(map(_update, some)) for process, some in data["updates"].items()}
    except OSError as error:
        raise NpcLimsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise NpcLimsError(f"{path}: damaged ({' '.join(str(error).split())[:200]})") from None


def _update_as_json(update: Update) -> dict[str, Any]:
    if isinstance(update, Withdrawn):
        return {"withdrawn": list(update.key), "claim": update.claim}
    return update.as_dict()


def _update(data: Mapping[str, Any]) -> Update:
    if "withdrawn" not in data:
        return Run.model_validate(data)
    session, input_, attempt = data["withdrawn"]
    split_session_id(session)
    if not (isinstance(input_, str) and isinstance(attempt, int)):
        raise ValueError("a claim that is withdrawn names a session, an input and a try")
    return Withdrawn((session, input_, attempt), str(data["claim"]))


def _process_name(name: str) -> str:
    # it becomes the name of a file
    if not PROCESS_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a process")
    return name

"""`npc-lims sessions --watch`: each session that changes, as it does, until the sync that is running is over."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Callable, NamedTuple, Optional

from rich.text import Text

from npc_lims.cli import ExitCode
from npc_lims.cli.actions import RunLines, exit_code_of
from npc_lims.cli.output import err, out, print_note, print_warning, status_line
from npc_lims.clients.github_actions import WorkflowRun, find_active_run, get_run
from npc_lims.config.settings import RAW_URL, Settings
from npc_lims.errors import GitHubError, NpcLimsError
from npc_lims.sessions.filters import SessionFilters
from npc_lims.state.as_of import snapshot_at
from npc_lims.state.diff import SessionChange, compare_sessions, headline
from npc_lims.state.freshness import describe_age
from npc_lims.state.reader import SessionLines, Snapshot, read_snapshot
from npc_lims.state.snapshot import parse_line
from npc_lims.utils.text import counted, one_line
from npc_lims.utils.timestamps import utc_text

_STYLES = {**dict.fromkeys(("removed", "lost"), "red"), **dict.fromkeys(("new", "uploaded", "sorted"), "green")}
# Seconds: nobody sees more than twenty reads a second, and nobody waits for longer than a day.
_MIN_INTERVAL, _MAX_INTERVAL = 0.05, 86400.0


class WatchedState(NamedTuple):
    """State to be read every *interval* seconds by default. *has_runs*: it changes by runs that can be followed."""

    name: str
    read: Callable[[], Snapshot]
    interval: float
    min_interval: float = 0.0
    has_runs: bool = False


def watch_sessions(settings: Settings, filters: SessionFilters, interval: Optional[float], *, as_json: bool) -> int:
    """Print changes until the run of the sync is over, or Ctrl-C. Return the exit code: that of a failed run, too."""
    watched = state_to_watch(settings)
    seconds = watched.interval if interval is None else interval
    if not _MIN_INTERVAL <= seconds <= _MAX_INTERVAL:  # nor nan or inf, which are floats, too
        raise NpcLimsError(f"--interval {seconds:g}: give seconds from {_MIN_INTERVAL:g} to {_MAX_INTERVAL:g}")
    if seconds < watched.min_interval:
        print_note(f"looking every {watched.min_interval:g} s: more often is more than GitHub answers")
        seconds = watched.min_interval
    lines = watched.read().lines
    filters.check_values(map(parse_line, lines.all))
    watch = _Watch(settings, watched, filters, as_json, lines)
    count = f"{len(watch.sessions.all):,} sessions in {watched.name}"
    print_note(f"{count}; looking every {seconds:g} s, Ctrl-C ends it")
    began = time.monotonic()
    run = None
    with contextlib.suppress(KeyboardInterrupt):  # the usual end where there is no run
        run = watch.until_over(seconds)
    took, changes = describe_age(time.monotonic() - began), watch.changes
    if as_json:
        _write("end", reason="stopped" if run is None else "run over", changes=len(changes))
    print_note(f"{counted(len(changes), 'change')} in {took}: {headline(changes)}")
    return ExitCode.DONE if run is None else exit_code_of(run)


def state_to_watch(settings: Settings) -> WatchedState:
    if settings.state is not None:
        return WatchedState(str(settings.state), lambda: read_snapshot(settings), 2.0)
    name = f"{settings.ref} of {settings.repo}"
    always = settings.replace(ttl=0.0)
    is_public = settings.raw_url == RAW_URL
    if settings.github_token is None:
        # raw GitHub keeps files for five minutes, and answers some 60 requests an hour to everybody behind one address
        return WatchedState(name, lambda: read_snapshot(always), 120.0, 75.0 if is_public else 0.0)
    # by its commit: of a branch, raw GitHub may send what it was before; four requests, of the thousands an hour
    min_interval = 3.0 if is_public else 0.0
    return WatchedState(name, lambda: snapshot_at(always, settings.ref), 15.0, min_interval, has_runs=True)


def changes_between_lines(before: SessionLines, after: SessionLines, filters: SessionFilters) -> list[SessionChange]:
    """Return the sessions that differ and were selected before, or are now."""
    ids = {*before.ids(), *after.ids()}
    differing = [session_id for session_id in ids if before.find(session_id) != after.find(session_id)]
    old, new = _facts(before, differing), _facts(after, differing)
    selected = {session_id for facts in (old, new) for session_id, session in facts.items() if filters.matches(session)}
    return [change for change in compare_sessions(old, new) if change.id in selected]


def _facts(lines: SessionLines, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = {session_id: lines.facts(session_id) for session_id in ids}
    return {session_id: facts for session_id, facts in found.items() if facts is not None}


@dataclasses.dataclass
class _Watch:
    settings: Settings
    watched: WatchedState
    filters: SessionFilters
    as_json: bool
    sessions: SessionLines
    run: Optional[WorkflowRun] = None
    warning: str = ""
    changes: list[SessionChange] = dataclasses.field(default_factory=list)

    def until_over(self, interval: float) -> WorkflowRun:
        """Read again and again. Return the run, once it is over and its changes have been seen."""
        print_run = RunLines(err())
        while True:
            # the run first: the changes of a run that is over can be read
            if self.watched.has_runs:
                self._read_run(print_run)
            over = self.run if self.run is not None and self.run.is_over else None
            is_read = self._read()
            if over is not None and is_read:
                return over
            self._sleep(interval)

    def _sleep(self, seconds: float) -> None:
        with contextlib.ExitStack() as stack:
            if err().is_terminal and seconds >= 1:
                show = stack.enter_context(status_line())
                show(f"watching {self.watched.name}: {counted(len(self.changes), 'change')} so far")
            time.sleep(seconds)

    def _read_run(self, print_run: Callable[[WorkflowRun], None]) -> None:
        try:
            found = self.run or find_active_run(self.settings)
            run = None if found is None else get_run(self.settings, found.id)
        except GitHubError as error:
            self._warn(str(error))
            return
        if run is None or run == self.run:
            return
        if self.as_json:
            _write("run", id=run.id, url=run.url, status=run.status, conclusion=run.conclusion)
        else:
            if self.run is None:
                print_note(f"following {run.url}")
            print_run(run)
        self.run = run

    def _read(self) -> bool:
        """Print changes; return False if the state cannot be read."""
        try:
            sessions = self.watched.read().lines
            found = changes_between_lines(self.sessions, sessions, self.filters)
        except NpcLimsError as error:
            self._warn(str(error))
            return False
        self.warning = ""
        self.sessions = sessions
        for change in found:
            self.changes.append(change)
            if self.as_json:
                _write("change", **change.as_dict())
            else:
                _print(change)
        return True

    def _warn(self, message: str) -> None:
        """Warn once, however many reads fail for the same reason."""
        if message != self.warning:
            self.warning = message
            print_warning(f"{message}; looking on")


def _print(change: SessionChange) -> None:
    words = Text(", ".join(change.what), _STYLES.get(change.group, ""))
    details = "; ".join(one_line(detail) for detail in change.details)
    line = Text.assemble((f"{datetime.datetime.now():%H:%M:%S}  ", "dim"), (f"{change.id}  ", "bold"), words)
    out().print(line + Text(f": {details}" if details else "", "dim"), soft_wrap=True)
    sys.stdout.flush()


def _write(event: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"event": event, "seen": utc_text(time.time()), **values}) + "\n")
    sys.stdout.flush()

"""Every exit code of `npc-lims`, and what it means."""

from __future__ import annotations

import enum

__all__ = ["MEANINGS", "ExitCode"]


class ExitCode(enum.IntEnum):
    """What a script may act on."""

    DONE = 0
    PROBLEMS = 1
    MISTAKE = 2
    INCOMPLETE = 3
    REFUSED = 4
    UNEXPECTED = 70
    STOPPED = 130
    UNREAD = 141
    ENDED = 143


MEANINGS = {
    ExitCode.DONE: "Done.",
    ExitCode.PROBLEMS: "A check found problems. They are listed.",
    ExitCode.MISTAKE: "Bad input or usage: nothing was done, unless the message says so.",
    ExitCode.INCOMPLETE: "A source could not be asked, and the rest was done; or a run that was waited for failed.",
    ExitCode.REFUSED: "Refused by the breaker: a sync would remove or blank too many sessions.",
    ExitCode.UNEXPECTED: "An error that nobody planned for: the message names a file with its details.",
    ExitCode.STOPPED: "Stopped by Ctrl-C.",
    ExitCode.UNREAD: "Whoever read the output went away, as `head` does.",
    ExitCode.ENDED: "Ended by somebody else (SIGTERM): `timeout`, `kill`, a job that is cancelled.",
}
"""The same in a sentence, for `--help` and the documentation."""

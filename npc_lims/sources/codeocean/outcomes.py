"""Whether a run that has finished is any good: `completed` only says that it came to an end. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from npc_lims.sources.codeocean.validity import errored_output

__all__ = ["RunState", "is_finished", "why_errored"]

_FINISHED = ("completed", "failed")
# Files that every run leaves, whether it made anything or not.
_LEFT_BY_EVERY_RUN = frozenset({"nextflow", "output"})
_SORTING_WORDS = ("sorting", "kilosort", "n e x t f l o w")


class RunState(Protocol):
    """What Code Ocean says of a run: the SDK's `Computation` is one, as is anything with these attributes."""

    @property
    def state(self) -> str:
        """`initializing`, `running`, `finalizing`, `completed` or `failed`."""

    @property
    def end_status(self) -> str | None:
        """`succeeded`, `failed` or `stopped`; None before the end."""

    @property
    def has_results(self) -> bool | None:
        """False if there are none; None or True where that must be seen."""


def is_finished(run: RunState) -> bool:
    """Whether the run has come to its end, good or bad."""
    return _value(run.state) in _FINISHED


def why_errored(run: RunState, list_names: Callable[[], Sequence[str]], read_output: Callable[[], bytes | None]) -> str:
    """Why a run that has finished is of no use, in one line; empty if it is good, or is still going on.

    Args:
        run: What Code Ocean says of it.
        list_names: Names of the files and folders at the top of its results. Called only if *run* leaves it open.
        read_output: Content of its `output` file, None if there is none. Called only if there is one of that name and
            the names leave it open.
    """
    if not is_finished(run):
        return ""
    return _said_of_itself(run) or _shown_by_results(list_names(), read_output)


def _said_of_itself(run: RunState) -> str:
    if _value(run.state) == "failed":
        return "the run failed"
    end = _value(run.end_status)
    if end == "failed":
        return "the run ended as failed"
    if end == "stopped":
        return "the run was stopped"
    return "it has no results" if run.has_results is False else ""


def _shown_by_results(names: Sequence[str], read_output: Callable[[], bytes | None]) -> str:
    if not names:
        return "it has no results"
    if _LEFT_BY_EVERY_RUN.issuperset(names):
        return f"its results hold nothing but {' and '.join(sorted(names))}"
    if "output" not in names:
        return ""
    output = read_output()
    mark = errored_output(output)
    if mark:
        return f"its output says {mark!r}"
    text = (output or b"").decode("utf-8", "replace").lower()
    if "nwb" not in names and all(word in text for word in _SORTING_WORDS):
        return "it sorted spikes, and its results hold no nwb folder"
    return ""


def _value(word: str | None) -> str | None:
    """What an enumeration of the SDK stands for; a plain word as it is."""
    return getattr(word, "value", word)

"""Whether a data asset counts, by what stands among its files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from npc_lims.clients.codeocean import OUTPUT_LIMIT
from npc_lims.clients.s3 import ObjectStore
from npc_lims.errors import MissingCredentials, Problem, SourceError
from npc_lims.model.data_asset import DataAsset
from npc_lims.sources.s3.query import asset_root, asset_uri

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["Judge", "errored_output"]

_FINISHED = ("completed", "failed")
# Files that every run leaves, whether it made anything or not.
_LEFT_BY_EVERY_RUN = frozenset({"nextflow", "output"})
_SORTING_WORDS = ("sorting", "kilosort", "n e x t f l o w")
_ERROR_MARKS = ("Out of memory.", "Command error:", "Traceback (most recent call last)")


def errored_output(output: bytes | None) -> str:
    """The first mark of failure in the log of a run, or an empty string.

    >>> errored_output(b"... Out of memory.")
    'Out of memory.'
    """
    text = (output or b"").decode("utf-8", "replace")
    return next((mark for mark in _ERROR_MARKS if mark in text), "")


class Judge:
    """Tells sorting results that are good from errored ones, and main recordings from those of surface channels.

    A `Verdict`, safe to ask from several threads.
    """

    def __init__(self, settings: Settings, store: Callable[[], ObjectStore]) -> None:
        self._settings = settings
        self._store = store
        self._passed_over: dict[str, Problem] = {}
        self._failures: dict[tuple[str, str], SourceError] = {}
        self.lacking: MissingCredentials | None = None  # what one of them was for want of

    def __call__(self, asset: DataAsset) -> str | None:
        """Why *asset* does not count, empty if it does, None if that cannot be told now."""
        judge = self._judge_sorting if asset.is_sorted else self._judge_recording
        try:
            return judge(asset)
        except (SourceError, MissingCredentials) as error:
            reason = error.reason if isinstance(error, SourceError) else str(error)
            self.lacking = error if isinstance(error, MissingCredentials) else self.lacking
            what = "judge the sorting result" if asset.is_sorted else "look into the raw data"
            self._failures[asset.name, asset.id] = SourceError("codeocean", f"cannot {what} {asset.name}: {reason}")
            return None

    @property
    def failure(self) -> SourceError | None:
        """Why an asset could not be judged: the same one of several, whichever thread met it first."""
        return self._failures[min(self._failures)] if self._failures else None

    def passed_over(self) -> dict[str, Problem]:
        """Recordings that do not count, and should not be there, by the ids of their assets."""
        return dict(sorted(self._passed_over.items()))

    def _judge_sorting(self, asset: DataAsset) -> str:
        bucket, root = asset_root(asset.as_fact(), self._settings.codeocean_bucket)
        return errored_output(self._store().read(bucket, f"{root}output", OUTPUT_LIMIT))

    def _judge_recording(self, asset: DataAsset) -> str:
        """A recording of surface channels alone has no behavior beside it.

        If the main recording of the day was lost it is the first one there, and nothing else tells it from that.
        """
        fact, codeocean_bucket = asset.as_fact(), self._settings.codeocean_bucket
        if not asset_uri(fact, codeocean_bucket).startswith("s3:"):
            return ""  # not to be looked into
        top = self._store().list_folder(*asset_root(fact, codeocean_bucket))
        has_arrived = any(name.startswith("ecephys") for name in top.names)
        if not has_arrived or any(name.startswith("behavior") for name in top.folders):
            return ""
        reason = "no folder 'behavior' or 'behavior-videos', as the main recording of a session has"
        message = f"{asset.name} ({asset.id}) holds {reason}: it is not used as the session's own raw data"
        self._passed_over[asset.id] = Problem(asset.day, 0, 0, "warning", message)
        return reason


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

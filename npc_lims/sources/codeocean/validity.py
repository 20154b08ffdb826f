"""Validity of data assets and runs, by their files, logs and states."""

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

_FINISHED = ("completed", "failed")
# Files that every run leaves, whether it has results or not.
_FILES_OF_EVERY_RUN = frozenset({"nextflow", "output"})
_SORTING_WORDS = ("sorting", "kilosort", "n e x t f l o w")
_ERROR_MARKS = ("Out of memory.", "Command error:", "Traceback (most recent call last)")


def errored_output(output: bytes | None) -> str:
    """Return the first mark of failure in the log of a run, or an empty string.

    >>> errored_output(b"... Out of memory.")
    'Out of memory.'
    """
    text = (output or b"").decode("utf-8", "replace")
    return next((mark for mark in _ERROR_MARKS if mark in text), "")


class AssetValidator:
    """Tells good sorting results from errored ones, and main recordings from those of surface channels.

    A `Validate`, safe to call from several threads.
    """

    def __init__(self, settings: Settings, store: Callable[[], ObjectStore]) -> None:
        self._settings = settings
        self._store = store
        self._rejected: dict[str, Problem] = {}
        self._failures: dict[tuple[str, str], SourceError] = {}
        self.missing_credentials: MissingCredentials | None = None

    def __call__(self, asset: DataAsset) -> str | None:
        """Return why *asset* is not used, empty if it is, None while that is unknown."""
        validate = self._validate_sorting if asset.is_sorted else self._validate_recording
        try:
            return validate(asset)
        except (SourceError, MissingCredentials) as error:
            reason = error.reason if isinstance(error, SourceError) else str(error)
            if isinstance(error, MissingCredentials):
                self.missing_credentials = error
            what = "validate the sorting result" if asset.is_sorted else "look into the raw data"
            self._failures[asset.name, asset.id] = SourceError("codeocean", f"cannot {what} {asset.name}: {reason}")
            return None

    @property
    def failure(self) -> SourceError | None:
        """Return why an asset could not be validated: of several the first by name, whatever thread met it first."""
        return self._failures[min(self._failures)] if self._failures else None

    def rejected(self) -> dict[str, Problem]:
        """Return why recordings are not used as the session's own, by the ids of their assets."""
        return dict(sorted(self._rejected.items()))

    def _validate_sorting(self, asset: DataAsset) -> str:
        bucket, root = asset_root(asset.as_fact(), self._settings.codeocean_bucket)
        return errored_output(self._store().read(bucket, f"{root}output", OUTPUT_LIMIT))

    def _validate_recording(self, asset: DataAsset) -> str:
        """Reject a recording of surface channels alone, which has no behavior beside it.

        If the main recording of the day was lost it is the first one, and nothing else tells it apart.
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
        self._rejected[asset.id] = Problem(asset.day, 0, 0, "warning", message)
        return reason


class RunState(Protocol):
    """The state of a run: the SDK's `Computation` is one, as is anything with these attributes."""

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
    """Tell whether the run has come to its end, good or bad."""
    return _value(run.state) in _FINISHED


def why_errored(run: RunState, list_names: Callable[[], Sequence[str]], read_output: Callable[[], bytes | None]) -> str:
    """Return why a finished run is of no use, in one line; empty if it is good, or is still going on.

    Args:
        list_names: Names of the files and folders at the top of its results. Called only if *run* leaves it open.
        read_output: Content of its `output` file, None if there is none. Called only if there is one of that name and
            the names leave it open.
    """
    if not is_finished(run):
        return ""
    return _failed_state(run) or _failed_results(list_names(), read_output)


def _failed_state(run: RunState) -> str:
    if _value(run.state) == "failed":
        return "the run failed"
    end = _value(run.end_status)
    if end == "failed":
        return "the run ended as failed"
    if end == "stopped":
        return "the run was stopped"
    return "it has no results" if run.has_results is False else ""


def _failed_results(names: Sequence[str], read_output: Callable[[], bytes | None]) -> str:
    if not names:
        return "it has no results"
    if _FILES_OF_EVERY_RUN.issuperset(names):
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
    """Return the value of an enumeration of the SDK; a plain word as it is."""
    return getattr(word, "value", word)

"""Runs of capsules and pipelines in Code Ocean, their results, and the data assets made of them."""

from __future__ import annotations

import dataclasses
import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, TypeVar

import pydantic

from npc_lims.clients.codeocean import OUTPUT_LIMIT, RUN_SCOPES, CodeOceanClient, CodeOceanError
from npc_lims.clients.http import HttpClient, HttpResponse, RequestFailed
from npc_lims.config.settings import Settings
from npc_lims.model.data_asset import LATEST_SECOND, ApiModel, Line
from npc_lims.model.record import validate_model

# A server may send more of a file than the requested end.
_MOST_SENT = 2**32
# Files that every run leaves, whether it has results or not.
_FILES_OF_EVERY_RUN = frozenset({"nextflow", "output"})
_SORTING_WORDS = ("sorting", "kilosort", "n e x t f l o w")
_ERROR_MARKS = ("Out of memory.", "Command error:", "Traceback (most recent call last)")

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class RunTarget:
    """What is run: `kind` is `capsule` or `pipeline`."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """A run to start."""

    target: RunTarget
    assets: tuple[tuple[str, Optional[str]], ...]
    """Id of each data asset to attach, and where it is mounted; None for where it usually is."""
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the body of `POST computations`."""
        assets = [{"id": id_} if mount is None else {"id": id_, "mount": mount} for id_, mount in self.assets]
        named = [{"param_name": name, "value": value} for name, value in self.parameters.items()]
        body: dict[str, Any] = {f"{self.target.kind}_id": self.target.id, "data_assets": assets}
        return {**body, "named_parameters": named} if named else body


class _Attached(ApiModel, frozen=True):
    id: str


class _Parameter(ApiModel, frozen=True):
    value: Optional[str] = None


class Computation(ApiModel, frozen=True):
    """A run."""

    id: str = pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")
    name: str
    created: int = pydantic.Field(ge=0, le=LATEST_SECOND)
    """Seconds since 1970."""
    state: str
    end_status: Optional[str] = None
    has_results: Optional[bool] = None
    cloud_workstation: Optional[bool] = None
    run_time: Any = None
    data_assets: Optional[tuple[_Attached, ...]] = pydantic.Field(None, strict=False)
    parameters: Optional[tuple[_Parameter, ...]] = pydantic.Field(None, strict=False)

    @property
    def began(self) -> datetime.datetime:
        return datetime.datetime.fromtimestamp(self.created, datetime.timezone.utc)

    @property
    def seconds(self) -> int | None:
        """How long it has run; None if Code Ocean does not say."""
        is_known = type(self.run_time) in (int, float) and 0 < self.run_time <= LATEST_SECOND
        return round(self.run_time) if is_known else None

    def matches(self, request: RunRequest) -> bool:
        """Tell whether this run of the target of *request* is for the same data, whoever started it."""
        attached = {asset.id for asset in self.data_assets or ()}
        values = {parameter.value for parameter in self.parameters or ()}
        return (
            not self.cloud_workstation
            and attached.issuperset(id_ for id_, _ in request.assets)
            and values.issuperset(request.parameters.values())
        )


class MadeAsset(ApiModel, frozen=True):
    """A data asset that was made of the result of a run."""

    id: str = pydantic.Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z-]*$")
    name: Line
    state: str
    created: Optional[int] = pydantic.Field(None, ge=0, le=LATEST_SECOND)
    """Seconds since 1970."""
    failure_reason: Optional[str] = None


parse_run = functools.partial(validate_model, Computation)
"""Parse a run; ValueError, in one line, if it is not as the API describes it."""
parse_asset = functools.partial(validate_model, MadeAsset)
"""Parse a data asset; ValueError as `parse_run`."""


def _parse_runs(content: Any) -> list[Computation]:
    if not isinstance(content, list):
        raise ValueError("not a list of runs")
    runs = [parse_run(item) for item in content]
    if len({run.id for run in runs}) != len(runs):
        raise ValueError("a list of runs with one of them twice")
    return runs


def _parse_names(content: Any) -> list[str]:
    try:
        names = [item["name"] for item in content["items"]]
    except (KeyError, TypeError):
        names = [None]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("no items with names in it")
    return sorted(names)


def _parse_url(content: Any) -> str:
    url = content.get("download_url") if isinstance(content, dict) else None
    if not isinstance(url, str):
        raise ValueError("no download_url in it")
    return url


class RunsClient(CodeOceanClient):
    """Requests that start, follow and stop runs, and that make data assets of their results.

    *parse* is `parse_run`, `parse_asset`, or builds objects of the official SDK. *attempts* are those of `send_once`.
    """

    def __init__(self, settings: Settings, attempts: int = 1) -> None:
        super().__init__(settings, RUN_SCOPES)
        self._attempts = attempts

    def start(self, request: RunRequest, parse: Callable[[Any], _T]) -> _T:
        """Start a run. Raises as `send_once`."""
        return self.send_once(f"running the {request.target}", "computations", request.as_json(), parse, self._attempts)

    def rename_run(self, computation_id: str, name: str) -> None:
        doing, path = f"naming the run {computation_id}", f"computations/{computation_id}"
        self.send(doing, "PATCH", path, params={"name": name})

    def get_run(self, computation_id: str, parse: Callable[[Any], _T]) -> _T | None:
        """Return a run as it is now; None if there is none of this id."""
        return self.query(f"fetching the run {computation_id}", "GET", f"computations/{computation_id}", parse)

    def list_runs(self, target: RunTarget) -> list[Computation]:
        doing, path = f"listing the runs of {target}", f"{target.kind}s/{target.id}/computations"
        found = self.query(doing, "GET", path, _parse_runs)
        if found is None:
            reason = f"Code Ocean has no {target}, or not for this token: correct its id in pipelines.yaml"
            raise CodeOceanError(doing, f"{reason}, or have it shared", 404)
        return found

    def stop_run(self, computation_id: str) -> None:
        """Stop a run and delete it, if it is still there."""
        doing, path = f"stopping the run {computation_id}", f"computations/{computation_id}"
        self.send(doing, "DELETE", path, may_be_gone=True)

    def list_results(self, computation_id: str) -> list[str] | None:
        """Return the names of files and folders at the top of the results, in order; None if there are no results."""
        doing, path = f"listing the results of the run {computation_id}", f"computations/{computation_id}/results"
        return self.query(doing, "POST", path, _parse_names, json={"path": ""})

    def read_output(self, computation_id: str, limit: int = OUTPUT_LIMIT) -> bytes | None:
        """Return the file `output` of the results, or the last *limit* bytes of it; None if there is none.

        Its address is signed: the token must not go there, nor the address into a message.
        """
        doing = f"reading the output of the run {computation_id}"
        path = f"computations/{computation_id}/results/urls"
        url = self.query(doing, "GET", path, _parse_url, params={"path": "output"})
        if url is None:
            return None

        def read(response: HttpResponse) -> bytes | None:
            if response.status == 416:
                return b""  # nothing has no last bytes
            if response.status == 404:
                return None
            if response.status not in (200, 206):
                raise CodeOceanError(doing, f"its address answered {response.status}")
            return response.content

        headers = {"Range": f"bytes=-{limit}", "Accept-Encoding": "identity"}
        try:
            return HttpClient(self.policy).request("GET", url, read, headers=headers, max_bytes=_MOST_SENT, tail=limit)
        except RequestFailed as error:
            raise CodeOceanError(doing, f"its address {error}") from None

    def make_asset(
        self,
        computation_id: str,
        name: str,
        tags: Sequence[str],
        metadata: Mapping[str, str],
        parse: Callable[[Any], _T],
    ) -> _T:
        """Make a data asset of the results of a run. Raises as `send_once`."""
        body = {
            "name": name,
            "mount": name,
            "tags": list(tags),
            "custom_metadata": dict(metadata),
            "source": {"computation": {"id": computation_id}},
        }
        return self.send_once(f"making the data asset {name}", "data_assets", body, parse, self._attempts)

    def find_asset_of(self, computation_id: str, name: str, subject: str) -> MadeAsset | None:
        """Return the oldest data asset that was made of a run; of those made in one second, the ids decide."""
        # by its name it is found at once; made by somebody else, from the same run, it has another one
        searches: tuple[dict[str, str], ...] = ({"query": f'name:"{name}"'}, {"query": subject})
        for params in searches:
            found = (asset for page in self.search(**params) for asset in page)
            made = [_found_asset(asset) for asset in found if _is_made_of(asset, computation_id, name)]
            if made:
                return min(made, key=lambda asset: (asset.created or 0, asset.id))
        return None

    def get_made_asset(self, asset_id: str) -> MadeAsset | None:
        """Return a data asset as it is now; None if there is none of this id."""
        return self.query(f"fetching the data asset {asset_id}", "GET", f"data_assets/{asset_id}", parse_asset)

    def share(self, asset_id: str) -> None:
        """Let everyone see a data asset, and what it was made from."""
        doing, path = f"sharing the data asset {asset_id}", f"data_assets/{asset_id}/permissions"
        self.send(doing, "POST", path, json={"everyone": "viewer", "share_assets": True})


def _is_made_of(asset: Mapping[str, Any], computation_id: str, name: str) -> bool:
    provenance = asset.get("provenance")
    source = provenance.get("computation") if isinstance(provenance, dict) else None
    # without a source it is known by its name, which holds the second in which the run began
    return bool(source == computation_id if source else asset.get("name") == name)


def _found_asset(content: Mapping[str, Any]) -> MadeAsset:
    try:
        return parse_asset(content)
    except ValueError as error:
        asset_id = content.get("id")
        raise CodeOceanError("searching data assets", f"{asset_id} is not as the API describes it: {error}") from None


# --- validity of runs -----------------------------------------------------------------------------


def is_finished(run: Computation) -> bool:
    """Return True if the run, ours or one of the SDK, has come to its end, good or bad."""
    return _plain(run.state) in ("completed", "failed")


def why_errored(
    run: Computation, list_names: Callable[[], Sequence[str]], read_output: Callable[[], bytes | None]
) -> str:
    """Return why a finished run, ours or one of the SDK, is of no use; empty if it is good, or is still going on.

    If *run* leaves it open, the names at the top of its results decide; if these do, too, its `output` file.
    """
    if not is_finished(run):
        return ""
    state, end = _plain(run.state), _plain(run.end_status)
    if state == "failed":
        return "the run failed"
    if end in ("failed", "stopped"):
        return "the run ended as failed" if end == "failed" else "the run was stopped"
    names = () if run.has_results is False else list_names()
    if not names:
        return "it has no results"
    if _FILES_OF_EVERY_RUN.issuperset(names):
        return f"its results hold nothing but {' and '.join(sorted(names))}"
    return _why_output_errored(read_output(), has_nwb="nwb" in names) if "output" in names else ""


def _why_output_errored(output: bytes | None, *, has_nwb: bool) -> str:
    mark = find_error_mark(output)
    if mark:
        return f"its output says {mark!r}"
    text = (output or b"").decode("utf-8", "replace").lower()
    if not has_nwb and all(word in text for word in _SORTING_WORDS):
        return "it sorted spikes, and its results hold no nwb folder"
    return ""


def find_error_mark(output: bytes | None) -> str:
    """Return the first mark of failure in the log of a run, or an empty string.

    >>> find_error_mark(b"... Out of memory.")
    'Out of memory.'
    """
    text = (output or b"").decode("utf-8", "replace")
    return next((mark for mark in _ERROR_MARKS if mark in text), "")


def _plain(word: str | None) -> str | None:
    """Return the value of an enumeration of the SDK; a plain word as it is."""
    return getattr(word, "value", word)

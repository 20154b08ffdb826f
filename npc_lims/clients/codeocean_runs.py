"""Code Ocean, as far as running things needs it: the one module of this room that talks to it, and that writes there.

What has an effect is sent once: an answer that is lost says nothing of whether it took effect, so whoever asked has to
look. What only reads, or may be said twice, is tried again as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from npc_lims.clients.codeocean import RUN_SCOPES, api_address, open_session, reason_of
from npc_lims.clients.codeocean_assets import CodeOceanClient
from npc_lims.clients.codeocean_limits import OUTPUT_LIMIT
from npc_lims.clients.codeocean_models import (
    Computation,
    MadeAsset,
    Place,
    RunRequest,
    as_computation,
    as_computations,
    as_download_url,
    as_made_asset,
    as_names,
    parsed,
)
from npc_lims.clients.codeocean_result_file import read_end
from npc_lims.clients.http import HttpResponse, RequestFailed, RetryPolicy
from npc_lims.errors import ComputationError

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings

__all__ = ["Busy", "NotAllowed", "Refused", "RunService", "Unconfirmed"]


class Unconfirmed(Exception):
    """Something was asked for once, and no answer says whether it was done; the message says what came instead."""


class Busy(Exception):
    """Code Ocean takes no more runs now; nothing was started."""


class Refused(Exception):
    """Code Ocean refused this one request, for the reason in the message; nothing was done."""


class NotAllowed(ComputationError):
    """The token is refused, whatever is asked."""


_T = TypeVar("_T")
_Made = TypeVar("_Made", Computation, MadeAsset)


class RunService:
    """Runs, their results and the data assets made of them.

    Raises:
        MissingCredentials: No token is set.
    """

    def __init__(self, settings: Settings) -> None:
        self._client = open_session(settings, RUN_SCOPES)
        self._sender = open_session(settings, RUN_SCOPES, attempts=1)
        self._base = api_address(settings)
        self._assets = CodeOceanClient(settings)

    @property
    def policy(self) -> RetryPolicy:
        """How often and how long it tries."""
        return self._client.policy

    # -- runs

    def start(self, asked: RunRequest) -> Computation:
        """Start a run.

        Raises:
            Unconfirmed: It may have been started, or not.
            Busy: Nothing was started: too much is running.
            Refused: Nothing was started, and would not be if asked again.
            ComputationError: Nothing may be started there with this token.
        """
        return self._send_once("computations", asked.as_json(), Computation, str(asked.place))

    def rename(self, computation_id: str, name: str) -> None:
        """Give a run its name.

        Raises:
            ComputationError: Code Ocean does not do it.
        """
        self._tell("PATCH", f"computations/{computation_id}", params={"name": name})

    def get(self, computation_id: str) -> Computation | None:
        """A run as it is now; None if Code Ocean has none of this id.

        Raises:
            ComputationError: It cannot be asked.
        """
        return self._find("GET", f"computations/{computation_id}", as_computation)

    def list_runs(self, place: Place) -> list[Computation]:
        """Every run of a capsule or pipeline.

        Raises:
            ComputationError: It cannot be asked, or has no such capsule or pipeline.
        """
        found = self._find("GET", f"{place.kind}s/{place.id}/computations", as_computations)
        if found is None:
            raise ComputationError(
                f"Code Ocean has no {place}, or not for this token: correct its id in pipelines.yaml, or have it shared"
            )
        return found

    def stop(self, computation_id: str) -> None:
        """Stop a run and forget it: also one that is gone already.

        Raises:
            ComputationError: Code Ocean does not do it.
        """
        self._tell("DELETE", f"computations/{computation_id}", may_be_gone=True)

    # -- results

    def list_results(self, computation_id: str) -> list[str]:
        """Names of the files and folders at the top of the results; none if there are no results.

        Raises:
            ComputationError: It cannot be asked.
        """
        path = f"computations/{computation_id}/results"
        return self._find("POST", path, as_names, json={"path": ""}) or []

    def read_output(self, computation_id: str, limit: int = OUTPUT_LIMIT) -> bytes | None:
        """The file `output` of the results, or the last *limit* bytes of it; None if there is none.

        Raises:
            ComputationError: It cannot be had.
        """
        path = f"computations/{computation_id}/results/urls"
        url = self._find("GET", path, as_download_url, params={"path": "output"})
        try:
            return None if url is None else read_end(url, self.policy, limit)
        except RequestFailed as error:
            raise ComputationError(f"Code Ocean: the file `output` of a run {error}") from None

    # -- data assets

    def make_asset(self, computation_id: str, name: str, tags: Sequence[str], metadata: Mapping[str, str]) -> MadeAsset:
        """Make a data asset of the result of a run.

        Raises:
            Unconfirmed: It may have been made, or not.
            Busy: It was not made: Code Ocean asks to wait.
            Refused: It was not made, and would not be if asked again.
            ComputationError: Nothing may be made with this token.
        """
        body = {
            "name": name,
            "mount": name,
            "tags": list(tags),
            "custom_metadata": dict(metadata),
            "source": {"computation": {"id": computation_id}},
        }
        return self._send_once("data_assets", body, MadeAsset, "data assets")

    def find_asset_of(self, computation_id: str, name: str, subject: str) -> MadeAsset | None:
        """The data asset that was made of a run, if there is one: by its name, else among those of the subject.

        Of several, the eldest; of those made in one second, the ids decide.

        Raises:
            SourceError: It cannot be searched.
            ComputationError: What it has is not as the API describes it.
        """
        # by its name it is found at once; made by somebody else, from the same run, it has another one
        searches: tuple[dict[str, str], ...] = ({"query": f'name:"{name}"'}, {"query": subject})
        for params in searches:
            made = [
                _found_asset(asset)
                for page in self._assets.search(**params)
                for asset in page
                if _is_made_of(asset, computation_id, name)
            ]
            if made:
                return min(made, key=lambda asset: (asset.created or 0, asset.id))
        return None

    def get_asset(self, asset_id: str) -> MadeAsset | None:
        """A data asset as it is now; None if there is none of this id.

        Raises:
            ComputationError: It cannot be asked.
        """
        return self._find("GET", f"data_assets/{asset_id}", as_made_asset)

    def share(self, asset_id: str) -> None:
        """Let everyone see a data asset.

        Raises:
            ComputationError: Code Ocean does not do it.
        """
        self._tell("POST", f"data_assets/{asset_id}/permissions", json={"everyone": "viewer", "share_assets": True})

    # -- how

    def _send_once(self, path: str, body: Mapping[str, Any], made: type[_Made], about: str) -> _Made:
        def read(response: HttpResponse) -> _Made:
            status = response.status
            if status in (400, 409, 413, 422):
                raise Refused(reason_of(response))
            if not 200 <= status < 300:
                raise _refusal(response, about)
            return parsed(made, response.json())

        try:
            return self._sender.request("POST", self._base + path, read, is_idempotent=False, json=body)
        except RequestFailed as error:
            if error.response is not None and error.response.status == 429:
                raise Busy(reason_of(error.response)) from None
            if not error.is_sent:
                raise ComputationError(f"Code Ocean: {about}: {error}") from None
            raise Unconfirmed(str(error)) from None

    def _find(self, method: str, path: str, parse: Callable[[Any], _T], **more: Any) -> _T | None:
        """What *parse* makes of the content; None if there is nothing."""

        def read(response: HttpResponse) -> _T | None:
            if response.status == 404:
                return None
            if response.status != 200:
                raise _refusal(response, path)
            return parse(response.json())

        found: _T | None = self._request(method, path, read, more)
        return found

    def _tell(self, method: str, path: str, *, may_be_gone: bool = False, **more: Any) -> None:
        """Ask for something that may be asked for twice."""

        def read(response: HttpResponse) -> None:
            allowed = (200, 204, 404) if may_be_gone else (200, 204)
            if response.status not in allowed:
                raise _refusal(response, path)

        self._request(method, path, read, more)

    def _request(self, method: str, path: str, read: Callable[[HttpResponse], Any], more: dict[str, Any]) -> Any:
        try:
            return self._client.request(method, self._base + path, read, **more)
        except RequestFailed as error:
            raise ComputationError(f"Code Ocean: {path} {error}") from None


def _refusal(response: HttpResponse, about: str) -> ComputationError:
    if response.status == 401:
        return NotAllowed(
            "Code Ocean refused the token (401): it has expired; make a new one and set CODE_OCEAN_API_TOKEN"
        )
    if response.status == 403:
        return ComputationError(
            f"Code Ocean: {about}: not allowed with this token (403): it needs {RUN_SCOPES}, and its owner the right "
            "to do this"
        )
    return ComputationError(f"Code Ocean: {about} answered {response.status}: {reason_of(response)}")


def _is_made_of(asset: Mapping[str, Any], computation_id: str, name: str) -> bool:
    provenance = asset.get("provenance")
    told = provenance.get("computation") if isinstance(provenance, dict) else None
    # one of which it is not told is known by its name, that holds the second in which the run began
    return bool(told == computation_id if told else asset.get("name") == name)


def _found_asset(content: Mapping[str, Any]) -> MadeAsset:
    try:
        return as_made_asset(content)
    except ValueError as error:
        about = f"Code Ocean: data asset {content.get('id')}"
        raise ComputationError(f"{about} is not as the API describes it: {error}") from None

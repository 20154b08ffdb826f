"""The data assets and computations of the Code Ocean REST API v1, as the official SDK (`codeocean`) calls them."""

from __future__ import annotations

import base64
import re
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.asset_search import PRIVATE, Asset, BadRequestError, public, search
from tests.servers.codeocean_files import FOLDER, Downloads, Files, NotFoundError, Tree, content, listing, tree
from tests.servers.codeocean_results import Draft, new_asset, permissions_of, private, settled, source_of
from tests.servers.codeocean_runs import OWNER, Json, Known, Runs, check_known, fields_of, text, wanted_place
from tests.servers.web import Request, Response, Server, json_response

API = "/api/v1/"
# Fields that only some assets have, and those that only the server knows.
OPTIONAL = PRIVATE | {
    "app_parameters",
    "contained_data_assets",
    "failure_reason",
    "last_transferred",
    "nextflow_profile",
    "owner_email",
    "provenance",
    "transfer_error",
}


class CodeOceanServer(Server):
    """Serves data assets (search, read, make of results, share, list files) and computations; `url` is the domain.

    Attributes without an underscore may change meanwhile. `prefixes` lets query words find longer names that begin
    with them: see asset_search. `capsules` and `pipelines` are those that exist, each with the data assets that all
    its runs have; None: every id is one. While `busy`, no run can be started. A data asset that a client makes is a
    draft for `draft_reads` reads (None: until `settle`), then ready, or failed for the reason `asset_failure`.
    `clock` tells when runs and assets are made.
    """

    def __init__(self, assets: Sequence[Asset] = (), token: str = "cop_test", *, prefixes: bool = False) -> None:
        super().__init__()
        self._assets = tuple(assets)
        self.token = token
        self.prefixes = prefixes
        self.capsules: Known = None
        self.pipelines: Known = None
        self.busy = False
        self.draft_reads: int | None = 0
        self.asset_failure: str | None = None
        self.clock: Callable[[], float] = time.time
        # Guards all that follows, and additions to the assets.
        self._world = threading.RLock()
        self._runs = Runs()
        self._drafts: dict[str, Draft] = {}
        self._files: dict[str, Tree] = {}
        self._permissions: dict[str, Json] = {}
        self._downloads = Downloads()

    # -- what a test says ------------------------------------------------------------------------

    @property
    def assets(self) -> tuple[Asset, ...]:
        """What there is to find. Replace it as a whole; each request sees it either before or after."""
        return self._assets

    @assets.setter
    def assets(self, assets: Sequence[Asset]) -> None:
        with self._world:
            self._assets = tuple(assets)

    @property
    def computations(self) -> tuple[Json, ...]:
        """Every run as clients get it, newest first (copies)."""
        with self._world:
            return tuple(run.sent() for run in self._runs.newest_first())

    def add_computation(
        self, *, capsule_id: str = "", pipeline_id: str = "", files: Files | None = None, **fields: Any
    ) -> str:
        """A run that is there already, of a capsule or a pipeline; answers its id.

        `fields` are those of its record, the others being as for one that has just begun; TypeError for a field that
        no computation has.
        """
        if bool(capsule_id) == bool(pipeline_id):
            raise ValueError("a computation belongs to either a capsule or a pipeline")
        place = ("capsules", capsule_id) if capsule_id else ("pipelines", pipeline_id)
        with self._world:
            return str(self._runs.add(place, tree(files or {}), self.clock(), fields).record["id"])

    def advance(self) -> None:
        """Every run under way goes one state further: initializing, running, finalizing. `finish` ends one."""
        with self._world:
            self._runs.advance(self.clock())

    def finish(
        self,
        computation_id: str,
        end_status: str | None = "succeeded",
        files: Files | None = None,
        *,
        state: str = "completed",
        exit_code: int | None = None,
        run_time: int | None = None,
    ) -> None:
        """The run has ended and `files` are its results; None leaves a field out of the record."""
        ending = {"state": state, "end_status": end_status, "exit_code": exit_code, "run_time": run_time}
        with self._world:
            self._runs.finish(self._runs.find(computation_id), tree(files or {}), ending, self.clock())

    def settle(self, asset_id: str, failure_reason: str | None = None) -> None:
        """The draft becomes ready, or failed for this reason; KeyError where it is none."""
        with self._world:
            draft = self._drafts.pop(asset_id)
            draft.failure = failure_reason
            # Searches under way keep the assets that they have: so these are replaced, not changed.
            self._assets = tuple(settled(asset, draft) if asset["id"] == asset_id else asset for asset in self._assets)

    def put_files(self, asset_id: str, files: Files) -> None:
        """These are the files of a data asset."""
        with self._world:
            self._files[asset_id] = tree(files)

    def permissions(self, asset_id: str) -> Json:
        """With whom a data asset is shared, as clients get it (a copy)."""
        with self._world:
            return dict(self._permissions.get(asset_id) or private())

    def revoke_urls(self) -> None:
        """All URLs of files that clients have got so far have expired."""
        with self._world:
            self._downloads.revoke()

    # -- what clients get ------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        path = urlsplit(request.path).path
        if path.startswith(FOLDER):
            with self._world:
                return self._downloads.answer(request)
        expected = "Basic " + base64.b64encode(f"{self.token}:".encode()).decode()
        if request.headers.get("authorization") != expected:
            return message(401, "Unauthorized")
        try:
            if (request.method, path) == ("POST", API + "data_assets/search"):
                return self._search(request)
            return self._route(request, path)
        except BadRequestError as error:
            return message(400, str(error))
        except NotFoundError:
            return message(404, "Not found")

    def _search(self, request: Request) -> Response:
        return json_response(search(self._assets, body(request), prefixes=self.prefixes))

    def _route(self, request: Request, path: str) -> Response:
        for method, template, call in ROUTES:
            match = re.fullmatch(API + template, path)
            if match and method == request.method:
                with self._world:
                    return call(self, request, *match.groups())
        raise NotFoundError(path)

    # -- computations

    def _run(self, request: Request) -> Response:
        if self.busy:
            return message(429, "Too many requests: no computation can be started now")
        params = body(request)
        known = {"capsules": self.capsules, "pipelines": self.pipelines}
        place = wanted_place(params, known)
        if resumed := text(params, "resume_run_id"):
            self._runs.find(resumed)
        fields = fields_of(params, (known[place[0]] or {}).get(place[1], ()), self._attachable)
        return json_response(self._runs.add(place, {}, self.clock(), fields).sent())

    def _attachable(self, asset_id: str) -> Asset:
        try:
            asset = self._asset(asset_id)
        except NotFoundError:
            raise BadRequestError(f"there is no data asset {asset_id}") from None
        if asset["state"] != "ready" or asset.get("archived"):
            raise BadRequestError(f"data asset {asset_id} is {'archived' if asset.get('archived') else 'not ready'}")
        return asset

    def _computation(self, _: Request, run_id: str) -> Response:
        return json_response(self._runs.find(run_id).sent())

    def _rename(self, request: Request, run_id: str) -> Response:
        self._runs.find(run_id).record["name"] = query(request, "name")
        return Response(204)

    def _delete(self, _: Request, run_id: str) -> Response:
        self._runs.delete(run_id)
        return Response(204)

    def _runs_of(self, _: Request, kind: str, place_id: str) -> Response:
        check_known((kind, place_id), {"capsules": self.capsules, "pipelines": self.pipelines})
        return json_response([run.sent() for run in self._runs.newest_first((kind, place_id))])

    # -- files

    def _list(self, request: Request, kind: str, owner_id: str) -> Response:
        return json_response(listing(self._tree(kind, owner_id), text(body(request), "path")))

    def _urls(self, request: Request, kind: str, owner_id: str, answered: str) -> Response:
        path = query(request, "path")
        # The client's own name for this server, so that a proxy in between sees the download too.
        base = f"http://{request.headers['host']}"
        urls = self._downloads.urls(base, path, content(self._tree(kind, owner_id), path))
        return json_response(urls if answered == "urls" else {"url": urls["download_url"]})

    def _tree(self, kind: str, owner_id: str) -> Tree:
        if kind == "computations":
            run = self._runs.find(owner_id)
            if run.record["has_results"]:
                return run.files
        elif owner_id in self._files:
            return self._files[owner_id]
        raise NotFoundError(owner_id)

    # -- data assets

    def _asset(self, asset_id: str) -> Asset:
        for asset in self._assets:
            if asset["id"] == asset_id:
                return asset
        raise NotFoundError(asset_id)

    def _read(self, _: Request, asset_id: str) -> Response:
        draft = self._drafts.get(asset_id)
        if draft is not None and draft.reads == 0:
            self.settle(asset_id, draft.failure)
        elif draft is not None and draft.reads is not None:
            draft.reads -= 1
        return json_response(public(self._asset(asset_id)))

    def _make(self, request: Request) -> Response:
        params = body(request)
        run, files = source_of(params, self._runs)
        asset = new_asset(params, run, self.clock())
        self._drafts[asset["id"]] = Draft(files, self.draft_reads, self.asset_failure)
        self._files[asset["id"]] = files
        self._assets = (*self._assets, asset)
        return json_response(public(asset))

    def _shared(self, _: Request, asset_id: str) -> Response:
        self._asset(asset_id)
        return json_response(self.permissions(asset_id))

    def _share(self, request: Request, asset_id: str) -> Response:
        self._asset(asset_id)
        self._permissions[asset_id] = {**self.permissions(asset_id), **permissions_of(body(request))}
        return Response(204)


ID = "([^/]+)"
ROUTES: tuple[tuple[str, str, Callable[..., Response]], ...] = (
    ("POST", "computations", CodeOceanServer._run),
    ("GET", f"computations/{ID}", CodeOceanServer._computation),
    ("PATCH", f"computations/{ID}", CodeOceanServer._rename),
    ("DELETE", f"computations/{ID}", CodeOceanServer._delete),
    ("GET", f"(capsules|pipelines)/{ID}/computations", CodeOceanServer._runs_of),
    ("POST", f"(computations)/{ID}/results", CodeOceanServer._list),
    ("GET", f"(computations)/{ID}/results/(urls|download_url)", CodeOceanServer._urls),
    ("POST", "data_assets", CodeOceanServer._make),
    ("GET", f"data_assets/{ID}", CodeOceanServer._read),
    ("POST", f"(data_assets)/{ID}/files", CodeOceanServer._list),
    ("GET", f"(data_assets)/{ID}/files/(urls|download_url)", CodeOceanServer._urls),
    ("GET", f"data_assets/{ID}/permissions", CodeOceanServer._shared),
    ("POST", f"data_assets/{ID}/permissions", CodeOceanServer._share),
)


def body(request: Request) -> Json:
    """The object that was sent, empty where nothing was; BadRequestError for anything else."""
    try:
        params = request.json() if request.body else {}
    except ValueError:
        raise BadRequestError("The request body is not valid JSON") from None
    if not isinstance(params, dict):
        raise BadRequestError("The request body is not a JSON object")
    return params


def query(request: Request, name: str) -> str:
    """A parameter of the address; BadRequestError where it is missing or empty."""
    values = parse_qs(urlsplit(request.path).query).get(name)
    if not values:
        raise BadRequestError(f"{name} is required")
    return values[0]


def message(status: int, text: str) -> Response:
    """An error as the SDK's `Error` reads it."""
    return json_response({"message": text}, status)


def asset_id(name: str) -> str:
    """The id that `make_asset` gives to an asset of this name."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"asset/{name}"))


def make_asset(name: str, **overrides: Any) -> Asset:
    """An asset with every field that such a one has, all derived from its name; `overrides` replace fields.

    `ecephys_626791_2022-08-15_13-07-32` gives raw data kept in a bucket outside; more after the time, such as
    `..._sorted_2023-07-11_09-00-00`, gives a result computed from it. Times are those in the name. TypeError
    for a field that no asset has.
    """
    times = list(re.finditer(r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}", name))
    raw_name = name[: times[0].end()] if times else name
    made = datetime.strptime(times[-1][0], "%Y-%m-%d_%H-%M-%S") if times else datetime(2023, 1, 1)
    created = int(made.replace(tzinfo=timezone.utc).timestamp())
    subject = re.search(r"(?<!\d)\d{6,7}(?!\d)", raw_name)
    derived = name != raw_name
    level = "derived" if derived else "raw"
    seed = uuid.UUID(asset_id(name)).int
    asset: Asset = {
        "id": asset_id(name),
        "created": created,
        "name": name,
        "mount": name,
        "last_used": created + 86_400,
        "owner": OWNER,
        "state": "ready",
        "type": "result" if derived else "dataset",
        "files": 100 + seed % 900,
        "size": 10**9 + seed % 10**11,
        "description": "",
        "tags": [raw_name.split("_")[0], level, *([subject[0]] if subject else [])],
        "custom_metadata": {
            "data level": f"{level} data",
            "experiment type": raw_name.split("_")[0],
            **({"subject id": subject[0]} if subject else {}),
        },
        "source_bucket": {"origin": "aws", "bucket": "aind-ephys-data", "prefix": name, "external": True},
    }
    if derived:
        asset["source_bucket"] = {"origin": "local", "bucket": "", "prefix": "", "external": False}
        asset["provenance"] = {
            "commit": f"{seed:032x}"[:32] + "0" * 8,
            "run_script": "code/run",
            "docker_image": "registry.example.org/capsule:1",
            "capsule": asset_id("capsule"),
            "data_assets": [asset_id(raw_name)],
            "computation": asset_id(f"computation/{name}"),
        }
    unknown = overrides.keys() - asset.keys() - OPTIONAL
    if unknown:
        raise TypeError(f"a data asset has no {', '.join(sorted(unknown))}")
    return {**asset, **overrides}

"""The data assets of the Code Ocean REST API v1, as the official SDK (`codeocean`) documents and calls it."""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any
from urllib.parse import urlsplit

from tests.servers.asset_search import PRIVATE, Asset, BadRequestError, public, search
from tests.servers.web import Request, Response, Server, json_response

API = "/api/v1/"
OWNER = "d3a6a2f5-0b3e-4f0e-9d9c-7a1f2b6c8e10"
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
    """Serves `POST data_assets/search` and `GET data_assets/{id}`; `assets` and `token` may change meanwhile.

    `url` is the domain. `prefixes` lets query words find longer names that begin with them: see asset_search.
    """

    def __init__(self, assets: Sequence[Asset] = (), token: str = "cop_test", *, prefixes: bool = False) -> None:
        super().__init__()
        self._assets = tuple(assets)
        self.token = token
        self.prefixes = prefixes

    @property
    def assets(self) -> tuple[Asset, ...]:
        """What there is to find. Replace it as a whole; each request sees it either before or after."""
        return self._assets

    @assets.setter
    def assets(self, assets: Sequence[Asset]) -> None:
        self._assets = tuple(assets)

    def answer(self, request: Request) -> Response:
        expected = "Basic " + base64.b64encode(f"{self.token}:".encode()).decode()
        if request.headers.get("authorization") != expected:
            return message(401, "Unauthorized")
        path = urlsplit(request.path).path
        if request.method == "POST" and path == API + "data_assets/search":
            return self._search(request)
        if request.method == "GET" and path.startswith(API + "data_assets/"):
            wanted = path[len(API + "data_assets/") :]
            for asset in self._assets:
                if asset["id"] == wanted:
                    return json_response(public(asset))
        return message(404, "Not found")

    def _search(self, request: Request) -> Response:
        try:
            params = request.json() if request.body else {}
        except ValueError:
            return message(400, "The request body is not valid JSON")
        if not isinstance(params, dict):
            return message(400, "The request body is not a JSON object")
        try:
            return json_response(search(self._assets, params, prefixes=self.prefixes))
        except BadRequestError as error:
            return message(400, str(error))


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

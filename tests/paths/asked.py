"""What S3 was asked, and short names for the sessions that tests look at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from urllib.parse import parse_qs, unquote, urlsplit

from tests.integration.world import Cloud

OLD = "901001_2024-03-11"
OLD_ROOT = "s3://aind-ephys-data/ecephys_901001_2024-03-11_13-10-05"
NEW = "901003_2024-10-21"
NEW_ROOT = "s3://aind-ephys-data/ecephys_901003_2024-10-21_11-20-03"
SURFACE = "901001_2024-03-13"
NOT_UPLOADED = "901004_2024-06-05"
RESULTS = "codeocean-s3datasetsbucket-1u41qdg42ur9"
SCRATCH = "aind-scratch-data"


def listings(cloud: Cloud) -> list[str]:
    """`bucket/prefix` of each LIST that S3 was asked for, in order; all else it was asked for as it is."""
    return [_place(request.path) for request in cloud.s3_proxy.requests]


def _place(path: str) -> str:
    parts = urlsplit(path)
    query = parse_qs(parts.query)
    bucket = unquote(parts.path).strip("/")
    return f"{bucket}/{query['prefix'][0]}" if "list-type" in query else path


def below(root: str, paths: Iterable[PurePath]) -> list[str]:
    """The paths without their root, in their order."""
    texts = [str(path) for path in paths]
    assert all(text.startswith(f"{root}/") for text in texts), texts
    return [text[len(root) + 1 :] for text in texts]


def asset_id(cloud: Cloud, part: str) -> str:
    """Id of the ready, not archived asset with that in its name."""
    found = [a["id"] for a in cloud.codeocean.assets if part in a["name"] and not a.get("archived")]
    assert len(found) == 1, found
    return str(found[0])

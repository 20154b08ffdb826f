"""No object that holds a token shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from npc_lims.clients.codeocean import CodeOceanClient, get_codeocean_client
from npc_lims.clients.codeocean_runs import RunsClient
from npc_lims.clients.github import GitHubClient
from npc_lims.clients.s3 import S3Store
from npc_lims.clients.s3_cached import S3Folder
from npc_lims.config.settings import Settings, load_settings, read_environment, settings_for_reading

_TOKEN = "an-invented-secret"
_HOLDERS: dict[str, Callable[[Settings], object]] = {
    "settings": lambda settings: settings,
    "settings for reading": lambda _: settings_for_reading(),
    "environment": lambda _: read_environment(),
    "sdk client": lambda _: get_codeocean_client(),
    "sdk data assets": lambda _: get_codeocean_client().data_assets,
    "code ocean client": CodeOceanClient,
    "run service": RunsClient,
    "github client": lambda settings: GitHubClient.authorized(settings, "contents: read"),
    "s3 store": S3Store,
    "s3 folder": lambda settings: S3Folder(settings, "bucket", ""),
}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.chdir(tmp_path)
    secrets = (
        "CODE_OCEAN_API_TOKEN",
        "GITHUB_TOKEN",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    )
    for name in secrets:
        monkeypatch.setenv(name, _TOKEN)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    return load_settings()


@pytest.mark.parametrize("make", _HOLDERS.values(), ids=_HOLDERS)
def test_the_token_is_not_in_the_repr(settings: Settings, make: Callable[[Settings], object]) -> None:
    holder = make(settings)
    assert _TOKEN not in f"{holder!r} {holder} {[holder]!r}"

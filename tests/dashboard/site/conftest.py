"""Sites of the demo's state, made once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from npc_lims.config.settings import Settings
from npc_lims.dashboard.site.build import BuiltSite, SiteOptions, build_site
from npc_lims.state.sync_file import read_sync_file
from npc_lims.utils.timestamps import utc_time
from tests.dashboard.site.lab import NOW


def build(state: Path, out: Path, **options: Any) -> BuiltSite:
    """A site as it is made at the last sync of the lab, or at that of *state* if that was later."""
    read = (utc_time(source.last_complete) for source in read_sync_file(state).sources.values() if source.last_complete)
    return build_site(Settings(), SiteOptions(out, state, **options), max([NOW, *read]))


@pytest.fixture(scope="session")
def demo_site(demo_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of it, as if it was on GitHub; to be read, never changed."""
    out = tmp_path_factory.mktemp("sites") / "demo"
    build(demo_repository / "state", out, repository="AllenInstitute/npc_lims")
    return out

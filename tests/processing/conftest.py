"""A Code Ocean with three sessions to process."""

from __future__ import annotations

import pytest

from tests.processing.rig import Rig, make_rig
from tests.servers.fixtures import Serve


@pytest.fixture
def rig(serve: Serve) -> Rig:
    return make_rig(serve)

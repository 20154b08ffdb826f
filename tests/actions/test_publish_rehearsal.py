"""publish.yml, run as it stands for a tag: what would be uploaded, and that a wrong tag uploads nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

import npc_lims
from tests.actions.conftest import Lab
from tests.actions.events import NotTriggered, push
from tests.actions.remote import NOTHING
from tests.actions.world import Environment, Run


def release(lab: Lab, tag: str) -> Run:
    lab.remote.git("tag", tag, "main")
    lab.world = replace(lab.world, environments={"pypi": Environment(branches=("v*",))})
    return lab.run("publish", push(lab.remote, NOTHING, f"refs/tags/{tag}"))


def test_a_tag_is_built_tried_and_uploaded(lab: Lab) -> None:
    run = release(lab, f"v{npc_lims.__version__}").expect()
    assert list(run.results) == [
        "build",
        "the wheel on Python 3.9",
        "the wheel on Python 3.14",
        "upload to PyPI",
    ]
    version = npc_lims.__version__
    assert [file.name for file in run.published] == [
        f"npc_lims-{version}-py3-none-any.whl",
        f"npc_lims-{version}.tar.gz",
    ]
    assert [job.permissions for job in run.jobs] == [{"contents": "read"}, {}, {}, {"id-token": "write"}]


def test_a_tag_that_is_not_the_version_uploads_nothing(lab: Lab) -> None:
    run = release(lab, "v0.0.1").expect("failure")
    assert run.job("upload to PyPI").result == "skipped"
    assert run.published == []


def test_other_tags_and_branches_release_nothing(lab: Lab) -> None:
    with pytest.raises(NotTriggered):
        release(lab, "before-the-move")
    with pytest.raises(NotTriggered):
        lab.run("publish", push(lab.remote, NOTHING))

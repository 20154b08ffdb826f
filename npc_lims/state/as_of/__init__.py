"""State as it was: at a date, a tag, a branch or a commit.

    2024-06-01, a `datetime.date`    the end of that day, UTC
    20240601                         the same: eight digits that are a day of the calendar are no abbreviated commit
    2024-06-01T12:00, a `datetime`   that time; UTC without a time zone
    anything else                    a tag, a branch or a commit, which may be abbreviated

State at a time is that of the last commit of the branch that changed it until then: of HEAD in a checkout, of
NPC_LIMS_REF on GitHub. A tag or branch that is named like a date is written `tags/2024-06-01` or `heads/...`.

Commits never change, so their snapshots are cached without expiry. So is the commit of a time on GitHub, once the time
is more than an hour ago: a commit that is pushed later with an earlier date is ignored, as nobody could read it at
that time. A checkout is read again, since a pull brings commits that were made before.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from npc_lims.state.as_of.checkout import snapshot_of_checkout
from npc_lims.state.as_of.github import snapshot_of_github
from npc_lims.state.as_of.revision import parse_at

if TYPE_CHECKING:
    from npc_lims.config.settings import Settings
    from npc_lims.model.types import At
    from npc_lims.state.reader import Snapshot


def snapshot_at(settings: Settings, at: At) -> Snapshot:
    """Return all sessions as state had them at *at*, of the checkout that holds the state folder, else of GitHub.

    Its origin names the commit.

    Raises:
        HistoryError: There is no state at *at*: no such tag or branch, before state began, in the future, or in a
            folder that is in no checkout.
        GitError: There is no such commit in the checkout, or git could not read it.
        StateError: State of that commit is damaged, or of a schema that this version cannot read.
        GitHubError, RemoteStateError: GitHub could not be queried.
    """
    revision = parse_at(at, time.time())
    if settings.state is not None:
        return snapshot_of_checkout(settings, settings.state, revision)
    return snapshot_of_github(settings, revision)

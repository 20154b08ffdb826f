"""State as it was: at a date, a tag, a branch or a commit.

    2024-06-01, a `datetime.date`    the end of that day, UTC
    20240601                         the same: eight digits that are a day of the calendar are no abbreviated commit
    2024-06-01T12:00, a `datetime`   that time; UTC without a time zone
    anything else                    a tag, a branch or a commit, which may be abbreviated

State at a time is that of the last commit of the branch that changed it until then: of HEAD in a checkout, of
NPC_LIMS_REF on GitHub. A tag or branch that is named like a date is written `tags/2024-06-01` or `heads/...`.

A commit never changes, so its state is cached for good. So is which commit a time means on GitHub, once the time
is over by more than an hour. A commit that is pushed later than that, with a date before it, is not seen any more: a
sync pushes what it commits at once, and what nobody could read at that time was not the state then. A checkout is
read again, since a pull brings what was committed before.
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

__all__ = ["snapshot_at"]


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

"""What an import did, session by session, for the terminal and for the pull request. Pure."""

from __future__ import annotations

from npc_lims.state.diff import SessionChange
from npc_lims.state.diff_format import Chapter, Group
from npc_lims.track.edits import Changed
from npc_lims.track.planning.changes import ImportPlan

__all__ = ["import_chapter"]


def import_chapter(plan: ImportPlan, changed: Changed, title: str) -> Chapter:
    """
    Args:
        changed: What the changes of *plan* came to.
        title: What was imported.
    """
    added, edited = (
        [
            SessionChange(one.session, one.fields or ("nothing but its path",))
            for one in changed.sessions
            if one.what == what
        ]
        for what in ("added", "edited")
    )
    groups = (
        _group("added", added),
        _group("edited", edited),
        _group("conflicts", [SessionChange(conflict.session, (conflict.gist,)) for conflict in plan.conflicts]),
        _group("skipped", [SessionChange(skip.session, (f"{skip.reason} ({skip.where})",)) for skip in plan.skipped]),
    )
    unchanged = _group("unchanged", [SessionChange(session, ()) for session in plan.unchanged])
    summary = ", ".join(group.title for group in (*groups, unchanged) if group.changes) or "no sessions"
    return Chapter(title, summary, changed.notes, tuple(group for group in groups if group.changes))


def _group(name: str, changes: list[SessionChange]) -> Group:
    return Group(f"{len(changes)} {name.rstrip('s') if len(changes) == 1 else name}", changes)

"""The commit message of a sync: a subject, the list of changes, trailers for programs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from npc_lims.clients.git_tree import compose_message, escape_mentions
from npc_lims.model.session_id import subject_of
from npc_lims.state.diff import GROUPS, SessionChange, grouped, word_counts

_WIDTH = 72
_SUBJECTS_NAMED = 4
_DETAILS = 6


def commit_message(
    changes: Sequence[SessionChange], trailers: Mapping[str, str | Sequence[str]], failed: Sequence[str] = ()
) -> str:
    """Return the message.

    Args:
        failed: Sources that could not be queried, for the subject if no session changed.
        trailers: Token (letters, digits and hyphens) to value; for several lines of one token, several values.

    Raises:
        ValueError: A token is none that git reads as one.
    """
    lists = {f"{len(members):,} {name}:": list(map(_line, members)) for name, members in grouped(changes).items()}
    return compose_message(commit_subject(changes, failed), lists, trailers)


def commit_subject(changes: Sequence[SessionChange], failed: Sequence[str] = ()) -> str:
    """Return one line of at most 72 characters.

    >>> commit_subject([SessionChange("726088_2024-06-24", ("sorted",)), SessionChange("728916_2024-06-25", ("new",))])
    'state: 1 new, 1 sorted (726088, 728916)'
    """
    if not changes:
        return f"state: no session changed{'; failed: ' + ', '.join(failed) if failed else ''}"
    counts = word_counts(changes)
    subjects = sorted({subject_of(change.id) for change in changes})
    where = ", ".join(subjects) if len(subjects) <= _SUBJECTS_NAMED else f"{len(subjects):,} subjects"
    parts = {word: f"{count:,} {word}" for word, count in counts.items()}
    subject = f"state: {', '.join(parts.values())} ({where})"
    if len(subject) <= _WIDTH:
        return subject
    # what does not fit goes, the least important first; the body has it
    kept: list[str] = []
    for word in sorted(parts, key=_importance):
        trial = [parts[one] for one in parts if one in (*kept, word)]
        if len(f"state: {', '.join(trial)} ... ({where})") <= _WIDTH:
            kept.append(word)
    shown = ", ".join(part for word, part in parts.items() if word in kept) or f"{len(changes):,} sessions changed"
    return f"state: {shown} ... ({where})"


def _importance(word: str) -> int:
    return GROUPS.index(SessionChange("", (word,)).group)


def _line(change: SessionChange) -> str:
    details = list(change.details[:_DETAILS])
    if len(change.details) > _DETAILS:
        details.append(f"and {len(change.details) - _DETAILS} more")
    text = "; ".join([", ".join(change.what), *(escape_mentions(detail) for detail in details)])
    return f"{change.id}: {text}"

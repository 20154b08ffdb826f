"""The issue that says that a workflow fails: one at most of each, kept up to date while it lasts, closed at success."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from npc_lims.errors import GitHubError
from npc_lims.github.client import Client, Json
from npc_lims.settings import Settings

__all__ = ["ALERTS", "Alert", "Cleared", "Failure", "clear_alert", "raise_alert"]

_NEEDS = "issues: write"
# GitHub takes bodies of 65,536 characters.
_MOST_FAILURES, _MOST_RUNS, _LONGEST_NAME, _LONGEST_REASON = 20, 20, 80, 700
# The record in the body is for the next run; an issue without one was written by a person, and is left alone.
_RECORD = re.compile(r"<!-- npc-lims-alert (\{.*\}) -->")


@dataclasses.dataclass(frozen=True)
class Alert:
    """What the issue of a workflow looks like; it is known by its label."""

    label: str
    description: str
    title: str
    introduction: str


ALERTS = {
    "sync": Alert(
        label="sync-failure",
        description="A sync fails: opened and closed by the sync workflow",
        title="The sync fails",
        introduction="The facts below could not be brought up to date; what was recorded of them stays. "
        "The sync workflow rewrites this issue at each failed run, and closes it when all of it has answered.",
    ),
    "process": Alert(
        label="process-failure",
        description="Processing fails: opened and closed by the process workflow",
        title="Processing fails",
        introduction="Computations may not have been started, or their results not collected; what was recorded stays. "
        "The process workflow rewrites this issue at each failed run, and closes it at one in which all jobs succeed.",
    ),
}
"""The alerts there are, by the name of the workflow."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """What failed (a source, or a job of the workflow), and why."""

    source: str
    reason: str


@dataclasses.dataclass(frozen=True)
class _Record:
    """What an issue says, and remembers."""

    first: str
    last: str
    count: int
    failures: Mapping[str, str]
    runs: tuple[str, ...]


def raise_alert(
    settings: Settings, alert: Alert, failures: Sequence[Failure], run_url: str, *, now: datetime | None = None
) -> str:
    """Tell of a failed run: the address of the one open issue, opened or updated.

    A comment is written, and so people are notified, only when something else fails than before.

    Raises:
        MissingCredentials: There is no token.
        GitHubError: GitHub refused.
    """
    client = Client(settings, _NEEDS)
    moment = f"{now or datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    reasons: dict[str, str] = {}
    for failure in failures[:_MOST_FAILURES]:
        source = _cut(failure.source, _LONGEST_NAME)
        before = f"{reasons[source]}\n" if source in reasons else ""
        reasons[source] = _cut(before + failure.reason, _LONGEST_REASON)
    issues = _open_issues(client, alert)
    if not issues:
        _ensure_label(client, alert)
        body = _body(alert, _Record(moment, moment, 1, reasons, (run_url,)))
        wanted = {"title": alert.title, "body": body, "labels": [alert.label]}
        issue = client.ask("opening an issue", "POST", f"/repos/{settings.repo}/issues", wanted)
        issues = _open_issues(client, alert) or [issue]  # another run may have opened one in the same moment
    else:
        _update(client, alert, issues[0], moment, reasons, run_url)
    for other in issues[1:]:
        text = f"The same as #{issues[0]['number']}, which stays open."
        _close(client, other, text, "duplicate")
    return str(issues[0]["html_url"])


@dataclasses.dataclass(frozen=True)
class Cleared:
    """What came of a success.

    Attributes:
        url: Address of the issue; None if there is none open.
        waits_for: What the issue names and was not asked this time: it stays open until it has answered.
    """

    url: str | None
    waits_for: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.url is None:
            return ""
        if self.waits_for:
            return f"; {self.url} stays open until it is known of {', '.join(self.waits_for)}"
        return f": closed {self.url}"


def clear_alert(settings: Settings, alert: Alert, run_url: str, answered: Collection[str]) -> Cleared:
    """Close the open issue, if there is one and all that it names (sources and jobs) is among *answered*.

    Raises as `raise_alert`.
    """
    client = Client(settings, _NEEDS)
    issues = _open_issues(client, alert)
    waits_for = [name for issue in issues for name in _read(issue).failures if name not in answered]
    if not waits_for:
        for issue in reversed(issues):
            _close(client, issue, f"A run succeeded: {run_url}", "completed")
    return Cleared(str(issues[0]["html_url"]) if issues else None, tuple(dict.fromkeys(waits_for)))


def _open_issues(client: Client, alert: Alert) -> list[Json]:
    """Those that were opened here, the oldest first."""
    path = f"/repos/{client.settings.repo}/issues"
    found = client.every(
        f"looking for issues labelled {alert.label}", path, {"state": "open", "labels": alert.label, "direction": "asc"}
    )
    ours = [item for item in found if "pull_request" not in item and _RECORD.search(item["body"] or "")]
    return sorted(ours, key=lambda item: int(item["number"]))


def _ensure_label(client: Client, alert: Alert) -> None:
    labels = f"/repos/{client.settings.repo}/labels"
    doing = f"looking for the label {alert.label}"
    if client.find(doing, f"{labels}/{alert.label}") is not None:
        return
    about = {"name": alert.label, "color": "d73a4a", "description": alert.description}
    try:
        client.ask(f"making the label {alert.label}", "POST", labels, about)
    except GitHubError as error:
        if error.status != 422 or "already_exists" not in str(error):
            raise


def _update(client: Client, alert: Alert, issue: Json, moment: str, reasons: Mapping[str, str], run_url: str) -> None:
    before = _read(issue)
    # a run that is repeated is the same run
    is_new_run = run_url not in before.runs
    runs = (run_url, *before.runs)[:_MOST_RUNS] if is_new_run else before.runs
    after = _Record(before.first, moment, before.count + is_new_run, reasons, runs)
    path = f"/repos/{client.settings.repo}/issues/{issue['number']}"
    client.ask(f"updating issue #{issue['number']}", "PATCH", path, {"body": _body(alert, after)})
    if set(after.failures) != set(before.failures):
        text = f"Now fails: {_names(after.failures)}. Before: {_names(before.failures)}. See {run_url}"
        client.ask(f"commenting on issue #{issue['number']}", "POST", f"{path}/comments", {"body": text})


def _close(client: Client, issue: Json, comment: str, reason: str) -> None:
    doing, path = f"closing issue #{issue['number']}", f"/repos/{client.settings.repo}/issues/{issue['number']}"
    client.ask(doing, "POST", f"{path}/comments", {"body": comment})
    client.ask(doing, "PATCH", path, {"state": "closed", "state_reason": reason})


def _read(issue: Json) -> _Record:
    """What the issue remembers; from its own dates where somebody has edited that away."""
    found = _RECORD.findall(issue["body"] or "")
    try:
        read: dict[str, Any] = json.loads(found[-1])  # the last one: a reason may look like one, too
        return _Record(
            first=str(read["first"]),
            last=str(read["last"]),
            count=int(read["count"]),
            failures={str(name): "" for name in read["failures"]},
            runs=tuple(map(str, read["runs"])),
        )
    except (LookupError, ValueError, TypeError):
        return _Record(str(issue["created_at"]), str(issue["updated_at"]), 1, {}, ())


def _body(alert: Alert, record: _Record) -> str:
    kept = {**dataclasses.asdict(record), "failures": list(record.failures)}
    # neither the end of the comment nor anything that a reader of HTML would take for a tag
    hidden = json.dumps(kept).replace("<", "\\u003c").replace(">", "\\u003e")
    parts = [
        alert.introduction,
        f"First failed: {record.first}  \nLast failed: {record.last}  \nFailed runs: {record.count}",
        *(f"**{source}**\n{_fenced(reason)}" for source, reason in record.failures.items()),
        "Runs, the newest first:\n" + "\n".join(f"- {url}" for url in record.runs),
        f"<!-- npc-lims-alert {hidden} -->",
    ]
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    """As it is, whatever Markdown it may look like, and without notifying anybody it seems to mention."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[:longest]} ..."


def _names(failures: Mapping[str, str]) -> str:
    return ", ".join(failures) or "unknown"

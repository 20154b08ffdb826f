"""The issue about a failing workflow: at most one of each kind, updated while it lasts, closed on recovery.

Takes the standard library alone: scripts/alert.py and scripts/watchdog.py run it where nothing is installed.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, NamedTuple

from npc_lims.clients.github_plain import PlainGitHubClient
from npc_lims.errors import GitHubError
from npc_lims.utils.text import single_line

# GitHub takes bodies of 65,536 characters. The record has shorter reasons, as its JSON may take six characters for one.
_MAX_FAILURES, _MAX_RUNS, _MAX_NAME, _MAX_REASON, _MAX_RECORDED = 20, 20, 80, 700, 200
_MAX_OUTCOME = 100_000
# The record in the body is for the next run; an issue without one was written by a person, and is left alone.
_RECORD = re.compile(r"<!-- npc-lims-alert (\{.*\}) -->")
# A name stands outside of code fences: nothing in it may be a mention, a link or another sign of Markdown.
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 _.-]+")


@dataclasses.dataclass(frozen=True)
class Alert:
    """The texts of an issue, which is known by its label."""

    label: str
    description: str
    title: str
    introduction: str
    found: str = "failed"
    counted: str = "Failed runs"
    recovery: str = "A run succeeded"


ALERTS = {
    "sync": Alert(
        label="sync-failure",
        description="A sync fails: opened and closed by the sync workflow",
        title="The sync fails",
        introduction="The sources below could not be queried; their recorded facts are unchanged. "
        "The sync workflow rewrites this issue at each failed run, and closes it after a complete sync.",
    ),
    "process": Alert(
        label="process-failure",
        description="Processing fails: opened and closed by the process workflow",
        title="Processing fails",
        introduction="Computations may not have been started, or results not collected; recorded runs are unchanged. "
        "The process workflow rewrites this issue at each failed run, and closes it after a complete run.",
    ),
}
"""By the name of the workflow."""

STALE = Alert(
    label="state-stale",
    description="The state is stale: opened and closed by the watchdog workflow",
    title="The state is stale",
    introduction="The committed state is older than it should be, whether or not a sync has failed. "
    "The watchdog workflow rewrites this issue while that lasts, and closes it when the state is fresh again.",
    found="found stale",
    counted="Checks",
    recovery="The state is fresh",
)


@dataclasses.dataclass(frozen=True)
class Failure:
    """A source or a job of the workflow that failed."""

    source: str
    reason: str


@dataclasses.dataclass(frozen=True)
class RunReport:
    """Outcome of a run of a workflow.

    Attributes:
        failures: Sources and jobs that failed.
        answered: Names of sources that answered and of jobs that succeeded.
        is_complete: It did all that a scheduled run does. A run about some sessions or sources closes no issue, and
            removes no row of one.
    """

    failures: Sequence[Failure]
    answered: Collection[str]
    is_complete: bool


class Raised(NamedTuple):
    """An issue after a failed run: opened now, or updated."""

    url: str
    is_new: bool


@dataclasses.dataclass(frozen=True)
class _Record:
    """Content of an issue, which is also recorded in it for the next run."""

    first: str
    last: str
    count: int
    failures: Mapping[str, str]
    runs: Sequence[str]


def parse_outcome(text: str) -> RunReport:
    """Read what `npc-lims observe` and `publish` write with `--outcome`; ValueError if it is something else."""
    if len(text) > _MAX_OUTCOME:
        raise ValueError(f"longer than {_MAX_OUTCOME:,} characters")
    try:
        read = json.loads(text)
        failures = [Failure(str(item["source"]), str(item["reason"])) for item in read["failed"]]
        return RunReport(failures, [str(source) for source in read["answered"]], read.get("complete", True) is True)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"no outcome of a run: {type(error).__name__}") from None


def update_alert(
    client: PlainGitHubClient,
    alert: Alert,
    results: Mapping[str, str],
    report: RunReport,
    run_url: str,
    errors: Mapping[str, str] | None = None,
) -> str:
    """Open, update or close the issue after a run. Return a line for the log.

    Args:
        results: Of the jobs by name. A skipped job neither fails nor succeeds.
        errors: Error lines of jobs by name, as far as these are known.
    """
    failures = list(report.failures)
    for job, result in results.items():
        if result == "cancelled":
            failures.append(Failure(f"job {job}", "The job was stopped, most likely by its time limit."))
        elif result == "failure":
            error = (errors or {}).get(job)
            reason = f"The job failed: {error}" if error else "The job failed; see its log."
            failures.append(Failure(f"job {job}", reason))
    if failures:
        raised = raise_alert(client, alert, failures, run_url, replaces=report.is_complete)
        return f"{', '.join(dict.fromkeys(_name(one.source) for one in failures))}: reported in {raised.url}"
    if not results or set(results.values()) != {"success"}:
        return "no job failed, and not all of them succeeded: nothing is changed"
    if not report.is_complete:
        return "all succeeded; this run was about a part of the sessions or sources, so no issue is closed"
    return f"all succeeded{clear_alert(client, alert, run_url, {*report.answered, *(f'job {job}' for job in results)})}"


def raise_alert(
    client: PlainGitHubClient,
    alert: Alert,
    failures: Iterable[Failure],
    run_url: str,
    *,
    replaces: bool = True,
    now: datetime | None = None,
) -> Raised:
    """Report a failed run in the one open issue, which is opened or updated.

    A comment is written, and so people are notified, only when something else fails than before.

    Args:
        replaces: The run was complete: what failed before and not now is removed from the issue.
    """
    moment = f"{now or datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC"
    reasons = _reasons(failures)
    issues = _open_issues(client, alert)
    is_new = not issues
    if is_new:
        _ensure_label(client, alert)
        body = _body(alert, _Record(moment, moment, 1, reasons, (run_url,)))
        wanted = {"title": alert.title, "body": body, "labels": [alert.label]}
        issue = client.request("opening an issue", "POST", "/issues", wanted)
        issues = _open_issues(client, alert) or [issue]  # another run may have opened one in the same moment
        is_new = issues[0]["number"] == issue["number"]
    else:
        _update(client, alert, issues[0], reasons, run_url, moment, replaces)
    for other in issues[1:]:
        _close(client, other, f"The same as #{issues[0]['number']}, which stays open.", "duplicate")
    return Raised(str(issues[0]["html_url"]), is_new)


def clear_alert(client: PlainGitHubClient, alert: Alert, run_url: str, answered: Iterable[str] | None = None) -> str:
    """Close the open issue, if there is one and all that it names (sources and jobs) is among *answered* (None: it is).

    Return what was done, to append to a sentence: empty if there is no issue.
    """
    issues = _open_issues(client, alert)
    if not issues:
        return ""
    url = issues[0]["html_url"]
    if answered is not None:
        names = set(map(_name, answered))
        unanswered = [name for issue in issues for name in _read(issue).failures if name not in names]
        if unanswered:
            return f"; {url} stays open until it is known of {', '.join(dict.fromkeys(unanswered))}"
    for issue in reversed(issues):
        _close(client, issue, f"{alert.recovery}: {run_url}", "completed")
    return f": closed {url}"


def _reasons(failures: Iterable[Failure]) -> dict[str, str]:
    """Return reasons by name, a line each, all made harmless: they may quote servers, files and people."""
    reasons: dict[str, str] = {}
    for failure in failures:
        name = _name(failure.source)
        if name not in reasons and len(reasons) == _MAX_FAILURES:
            break
        before = f"{reasons[name]}\n" if name in reasons else ""
        reasons[name] = _cut(before + single_line(failure.reason, _MAX_REASON), _MAX_REASON)
    return reasons


def _name(source: str) -> str:
    return _NOT_IN_NAMES.sub("-", single_line(source))[:_MAX_NAME].strip() or "unknown"


def _open_issues(client: PlainGitHubClient, alert: Alert) -> list[dict[str, Any]]:
    """Return the issues that were opened here, the oldest first."""
    query = {"state": "open", "labels": alert.label, "direction": "asc"}
    found = client.list_items(f"looking for issues labelled {alert.label}", "/issues", query)
    ours = [item for item in found if "pull_request" not in item and _RECORD.search(item["body"] or "")]
    return sorted(ours, key=lambda item: int(item["number"]))


def _ensure_label(client: PlainGitHubClient, alert: Alert) -> None:
    if client.find(f"looking for the label {alert.label}", f"/labels/{alert.label}") is not None:
        return
    about = {"name": alert.label, "color": "d73a4a", "description": alert.description}
    try:
        client.request(f"making the label {alert.label}", "POST", "/labels", about)
    except GitHubError as error:
        if error.status != 422 or "already_exists" not in str(error):
            raise


def _update(
    client: PlainGitHubClient,
    alert: Alert,
    issue: Mapping[str, Any],
    reasons: Mapping[str, str],
    run_url: str,
    moment: str,
    replaces: bool,
) -> None:
    before = _read(issue)
    is_new_run = run_url not in before.runs  # a run that is repeated is the same run
    runs = (run_url, *before.runs) if is_new_run else before.runs
    failures = dict(reasons) if replaces else {**before.failures, **reasons}
    failures = dict(list(failures.items())[:_MAX_FAILURES])
    after = _Record(before.first, moment, before.count + is_new_run, failures, runs[:_MAX_RUNS])
    number, path = issue["number"], f"/issues/{issue['number']}"
    client.request(f"updating issue #{number}", "PATCH", path, {"body": _body(alert, after)})
    if set(failures) != set(before.failures):
        now, then = (", ".join(failing) or "unknown" for failing in (failures, before.failures))
        text = f"Now fails: {now}. Before: {then}. See {run_url}"
        client.request(f"commenting on issue #{number}", "POST", f"{path}/comments", {"body": text})


def _close(client: PlainGitHubClient, issue: Mapping[str, Any], comment: str, reason: str) -> None:
    action, path = f"closing issue #{issue['number']}", f"/issues/{issue['number']}"
    client.request(action, "POST", f"{path}/comments", {"body": comment})
    client.request(action, "PATCH", path, {"state": "closed", "state_reason": reason})


def _read(issue: Mapping[str, Any]) -> _Record:
    """Return the record in an issue; one of its own dates if somebody has edited it away."""
    found = _RECORD.findall(issue["body"] or "")
    try:
        read: dict[str, Any] = json.loads(found[-1])  # the last one: a reason may look like one, too
        failures = {str(name): str(reason) for name, reason in read["failures"].items()}
        runs = tuple(map(str, read["runs"]))
        return _Record(str(read["first"]), str(read["last"]), int(read["count"]), failures, runs)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return _Record(str(issue["created_at"]), str(issue["updated_at"]), 1, {}, ())


def _body(alert: Alert, record: _Record) -> str:
    recorded = {name: _cut(reason, _MAX_RECORDED) for name, reason in record.failures.items()}
    # neither the end of the comment nor anything that a reader of HTML would take for a tag
    hidden = json.dumps({**dataclasses.asdict(record), "failures": recorded}, ensure_ascii=False)
    hidden = hidden.replace("<", "\\u003c").replace(">", "\\u003e")
    parts = [
        alert.introduction,
        f"First {alert.found}: {record.first}  \nLast {alert.found}: {record.last}  \n{alert.counted}: {record.count}",
        *(f"**{source}**\n{_fenced(reason)}" for source, reason in record.failures.items()),
        "Runs, the newest first:\n" + "\n".join(f"- {url}" for url in record.runs),
        f"<!-- npc-lims-alert {hidden} -->",
    ]
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    """Return text in a code fence, in which nothing is Markdown or a mention."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."

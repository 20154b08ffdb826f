"""The quick and the complete set of tests, and what the end of a run says of tests that did not run."""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter

import hypothesis
import pytest

__all__ = ["ALL", "group_of", "missing_tools"]

ALL = "--all"
GROUPS = {
    "tests/actions/": "rehearsals of whole workflows",
    "tests/browser/": "pages in a browser",
    "tests/servers/": "tests of the test servers",
}
"""Folders that belong to the complete set as a whole, and what they hold."""
OTHERS = "fault matrices, killed processes and other slow tests"
MISSING_TOOL = re.compile(r"^(?:Skipped: )?(.*(?:is not installed|could not import).*)$", re.DOTALL)

_left_out: pytest.StashKey[Counter[str]] = pytest.StashKey()


def group_of(path: str) -> str | None:
    """Return the group of a test file that the quick set leaves out as a whole; None for any other file."""
    return next((name for folder, name in GROUPS.items() if path.startswith(folder)), None)


def missing_tools(reasons: list[str]) -> Counter[str]:
    """Return those reasons of skipped tests that name a missing tool, with the number of tests."""
    return Counter(match[1] for reason in reasons if (match := MISSING_TOOL.match(reason)))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(ALL, action="store_true", help="run the complete set, also the tests marked slow")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_left_out] = Counter[str]()
    # the complete set tries as many examples of a property as hypothesis does by default
    hypothesis.settings.register_profile("quick", max_examples=10)
    if not config.getoption(ALL):
        hypothesis.settings.load_profile("quick")


def pytest_collection(session: pytest.Session) -> None:
    """Keep coverage of Python 3.11 to the main thread.

    There a thread cannot begin to be traced while another one does, which may be suspended in the meantime, as
    loopback_guard is told of it.
    """
    if sys.version_info[:2] == (3, 11) and session.config.pluginmanager.hasplugin("_cov"):
        threading.settrace(None)  # type: ignore[arg-type]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption(ALL):
        return
    chosen: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        group = group_of(item.nodeid) or (OTHERS if "slow" in item.keywords else None)
        if group:
            config.stash[_left_out][group] += 1
        (left_out if group else chosen).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = chosen


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of xdist hands its count to the process that reports."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        left_out = session.config.stash[_left_out]
        output["left_out"] = dict(left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Each worker collects all tests, so the count of any of them is that of the run."""
    output = getattr(node, "workeroutput", None) or {}
    config: pytest.Config = node.config  # type: ignore[attr-defined]
    config.stash[_left_out] = Counter(output.get("left_out", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    tools = missing_tools(reasons)
    if tools:
        terminalreporter.section("skipped for a missing tool")
        for reason, count in sorted(tools.items()):
            terminalreporter.write_line(f"{count:5,}  {reason}")
    left_out = config.stash[_left_out]
    if left_out:
        terminalreporter.section("left out of the quick set")
        for group, count in sorted(left_out.items()):
            terminalreporter.write_line(f"{count:5,}  {group}")
        terminalreporter.write_line("Run everything: python scripts/test.py --all")

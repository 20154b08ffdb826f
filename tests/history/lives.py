"""A repository in which much has happened to a few sessions, for tests of all that tells of it."""

from __future__ import annotations

from pathlib import Path

from npc_lims.model.record import Record
from tests import builders
from tests.history.past import Step, state_files, write_history

ONE, TWO, THREE = "626791_2022-08-15", "626791_2022-08-16", "668755_2023-08-31"
RUN = "https://github.com/lab/state/actions/runs/7"
NOTE = "<script>alert('x')</script> & more"

RAW = builders.asset()
SORTED = builders.asset("x_sorted", created="2024-02-01T10:00:00Z")
AGAIN = builders.asset("x_sorted_again", created="2024-05-01T10:00:00Z")

one = builders.record(ONE)
two = builders.record(TWO, codeocean=builders.no_assets(raw=RAW))
noted = builders.record(ONE, tracked=builders.tracked(notes=NOTE))
sorted_ = builders.record(
    ONE, tracked=builders.tracked(notes=NOTE), codeocean=builders.no_assets(raw=RAW, sorted=SORTED)
)
again = sorted_.model_copy(update={"codeocean": builders.no_assets(raw=RAW, sorted=AGAIN)})
three = builders.record(THREE, tracked=None, training=builders.training())
three_tracked = builders.record(THREE, tracked=builders.tracked(), training=builders.training())

LISTED = """\
ephys:
  DynamicRouting:
    - //allen/DRpilot_626791_20220815:
        day: 1 # surely
    - //allen/DRpilot_626791_20220816
"""
NOTED = LISTED.replace("day: 1 # surely\n", f'day: 1\n        notes: "{NOTE}"\n')
ADDED = NOTED + "    - //allen/DRpilot_668755_20230831\n"


def files(tracked: str, *records: Record, **broken: bytes) -> dict[str, bytes]:
    """All files of a commit; *broken* is what stands in place of session files (`s626791_2022_08_15`)."""
    found = {"tracked_sessions.yaml": tracked.encode(), **state_files(*records)}
    for name, content in broken.items():
        session = name[1:].replace("_", "-").replace("-", "_", 1)
        found[f"state/sessions/{session[:6]}/{session}.yaml"] = content
    return found


MARKS = b"<<<<<<< ours\nschema: 1\n=======\nschema: 1\n>>>>>>> theirs\n"
STEPS = (
    Step("list the sessions", "2024-01-01T09:00:00", {"tracked_sessions.yaml": LISTED.encode()}, author="Ann Smith"),
    Step("state: begin", "2024-01-02T09:00:00", files(LISTED, one, two), ["list the sessions"]),
    Step("only layout", "2024-01-03T09:00:00", files(LISTED.replace("    - ", "  - "), one, two), ["state: begin"]),
    Step("a note", "2024-01-04T09:00:00", files(NOTED, one, two), ["only layout"], author="Bob Jones"),
    Step("state: edited", "2024-01-05T09:00:00", files(NOTED, noted, two), ["a note"], trailer=f"Npc-Lims-Run: {RUN}"),
    Step("state: sorted", "2024-02-02T09:00:00", files(NOTED, sorted_, two, three), ["state: edited"]),
    Step(
        "a slip",
        "2024-03-01T09:00:00",
        files(NOTED, sorted_, two, three, s626791_2022_08_15=MARKS, s668755_2023_08_31=b"\xff\xfe\n"),
        ["state: sorted"],
    ),
    Step("add one", "2024-04-01T09:00:00", files(ADDED, sorted_, two, three), ["state: sorted"], "side", author="Cleo"),
    Step("typo", "2024-04-02T09:00:00", files(ADDED, sorted_, two, three), ["add one"], "side", author="Cleo"),
    Step(
        "Merge pull request",
        "2024-04-03T09:00:00",
        files(ADDED, sorted_, two, three, s626791_2022_08_15=MARKS, s668755_2023_08_31=b"\xff\xfe\n"),
        ["a slip", "typo"],
        author="Dan",
    ),
    Step("state: again", "2024-05-02T09:00:00", files(ADDED, again, two, three_tracked), ["Merge pull request"]),
    Step("state: removed", "2024-06-01T09:00:00", files(ADDED, again, three_tracked), ["state: again"], tag="v1"),
    Step("state: back", "2024-06-02T09:00:00", files(ADDED, again, two, three_tracked), ["state: removed"]),
)


def write_lives(path: Path) -> dict[str, str]:
    """The repository, with its files checked out. Subject to commit."""
    from tests.history.past import run_git

    commits = write_history(path, STEPS)
    run_git(path, "reset", "--quiet", "--hard")
    return commits

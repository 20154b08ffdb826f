"""The runner does with small workflows what GitHub would: triggers, jobs, steps, files, tokens, secrets and actions."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.actions.events import (
    Event,
    NotTriggered,
    matches,
    pull_request,
    push,
    repository_dispatch,
    schedule,
    workflow_dispatch,
)
from tests.actions.expressions import ExpressionError
from tests.actions.remote import NOTHING, Remote
from tests.actions.runner import run_workflow
from tests.actions.workflow import WorkflowError, legs_of
from tests.actions.world import App, Environment, JobRun, Role, Run, World
from tests.git_environment import plain_environment

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the rehearsed jobs run on Linux")

PATH = ".github/workflows/w.yml"
PIN = "0123456789abcdef0123456789abcdef01234567"
CHECKOUT = f"actions/checkout@{PIN}"
UPLOAD = f"actions/upload-artifact@{PIN}"
DOWNLOAD = f"actions/download-artifact@{PIN}"
SECRET = "cop_1234567890"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[Remote]:
    files = {"README.md": b"hello\n", "data/one.txt": b"1\n"}
    with Remote(tmp_path / "remote", "lab/thing", files) as remote:
        yield remote


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(
        tmp_path / "world",
        vars={"SHARDS": "[1, 2]"},
        secrets={"COMMON": "common-secret"},
        environments={"sync": Environment(secrets={"TOKEN": SECRET}, vars={"WHERE": "cloud"})},
        roles={"arn:aws:iam::1:role/sync": Role("repo:lab/thing:environment:sync", {"AWS_ACCESS_KEY_ID": "AKIA"})},
        apps={"7": App("-----BEGIN KEY-----\nabc", {"contents": "write", "issues": "write"})},
    )


class Rehearse:
    """Commits a workflow of some jobs and runs it for a push."""

    def __init__(self, repo: Remote, world: World) -> None:
        self.repo = repo
        self.world = world

    def __call__(self, text: str, event: Event | None = None) -> Run:
        before = self.repo.head()
        self.commit(text)
        return run_workflow(self.repo, PATH, event or push(self.repo, before), self.world)

    def commit(self, text: str) -> None:
        self.repo.commit({PATH: textwrap.dedent(text).encode()}, "A workflow")

    def steps(self, text: str, extra: str = "", event: Event | None = None) -> JobRun:
        """The only job of a workflow with these steps."""
        steps = textwrap.indent(textwrap.dedent(text), " " * 6)
        head = "name: w\non: {push: , schedule: [{cron: 17 */6 * * *}]}\njobs:\n  one:\n    runs-on: ubuntu-latest\n"
        return self(f"{head}{textwrap.indent(textwrap.dedent(extra), ' ' * 4)}\n    steps:\n{steps}", event).jobs[0]


@pytest.fixture
def rehearse(repo: Remote, world: World) -> Rehearse:
    return Rehearse(repo, world)


# -- what starts a run -------------------------------------------------------------------------------

TRIGGERS = """
    name: w
    on:
      push:
        branches: [main, "release/**"]
        paths: [tracked.yaml, "data/*.txt", "!data/skip.txt"]
      pull_request:
        branches: [main]
      schedule:
        - cron: 17 */6 * * *
        - cron: 41 3 * * 0
      workflow_dispatch:
        inputs:
          sources: {type: choice, options: [all, s3], default: all}
          sessions: {required: false}
          full: {type: boolean}
          must: {type: string, required: true}
      repository_dispatch: {types: [session-changed]}
    jobs:
      show:
        runs-on: ubuntu-latest
        steps:
          - run: echo "$WHAT"
            env: {WHAT: "${{ toJSON(inputs) }} ${{ github.event.schedule == '41 3 * * 0' && 'weekly' || 'light' }}"}
"""


def test_push_is_filtered_by_branches_and_paths(repo: Remote, world: World, rehearse: Rehearse) -> None:
    rehearse.commit(TRIGGERS)

    def pushed(path: str, branch: str = "main") -> Run:
        before = repo.head()
        repo.commit({path: b"new"}, "Change", branch, base="main")
        return run_workflow(repo, PATH, push(repo, before, f"refs/heads/{branch}"), world)

    assert pushed("tracked.yaml").expect().results == {"show": "success"}
    assert pushed("data/two.txt", "release/1/2").expect()
    for path, branch in [
        ("README.md", "main"),
        ("data/skip.txt", "main"),
        ("data/a/b.txt", "main"),
        ("tracked.yaml", "x"),
    ]:
        with pytest.raises(NotTriggered):
            pushed(path, branch)


def test_schedules_inputs_and_types(repo: Remote, world: World, rehearse: Rehearse) -> None:
    rehearse.commit(TRIGGERS)

    def log(event: Event) -> str:
        return run_workflow(repo, PATH, event, world).expect().log

    assert "weekly" in log(schedule(repo, "41 3 * * 0"))
    assert "light" in log(schedule(repo, "17 */6 * * *"))
    assert '"sources": "s3",\n  "sessions": "",\n  "full": true' in log(
        workflow_dispatch(repo, PATH, sources="s3", full="true", must="x")
    )
    assert log(repository_dispatch(repo, "session-changed", {"session": "1_2024-01-01"}))
    refused = [
        schedule(repo, "0 0 * * *"),
        workflow_dispatch(repo, PATH),
        workflow_dispatch(repo, PATH, must="x", other="y"),
        workflow_dispatch(repo, PATH, must="x", sources="nonsense"),
        workflow_dispatch(repo, PATH, must="x", full="yes"),
        repository_dispatch(repo, "other", {}),
    ]
    for event in refused:
        with pytest.raises(NotTriggered):
            run_workflow(repo, PATH, event, world)


@pytest.mark.parametrize(
    ("name", "patterns", "fits"),
    [
        ("docs/a/b.md", ["docs/**"], True),
        ("docs/a/b.md", ["docs/*"], False),
        ("b.md", ["**/b.md"], True),
        ("v1.2", ["v[0-9]+.[0-9]+"], True),
        ("v1x2", ["v[0-9]+.[0-9]+"], False),
        ("state/x", ["**", "!state/**"], False),
        ("a", [], False),
    ],
)
def test_filter_patterns(name: str, patterns: list[str], fits: bool) -> None:
    assert matches(name, patterns) is fits


# -- what GitHub would refuse ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "error", "message"),
    [
        ("{steps: []}", WorkflowError, "has no 'runs-on'"),
        ("{runs-on: x, step: [], steps: []}", WorkflowError, "step"),
        ("{runs-on: x, needs: b, steps: []}", WorkflowError, "no job"),
        ("{runs-on: x, needs: a, steps: []}", WorkflowError, "need each other"),
        ("{runs-on: x, steps: [{name: nothing}]}", WorkflowError, "either run or uses"),
        ("{runs-on: x, permissions: {content: read}, steps: []}", WorkflowError, "unknown permissions"),
        ("{runs-on: x, if: secrets.X, steps: []}", ExpressionError, "unknown context 'secrets'"),
        ("{runs-on: x, steps: [{run: x, if: secrets.X}]}", ExpressionError, "unknown context 'secrets'"),
        ("{runs-on: x, strategy: {matrix: {a: []}}, steps: []}", WorkflowError, "matrix is empty"),
    ],
)
def test_bad_workflow(job: str, error: type[Exception], message: str, rehearse: Rehearse) -> None:
    with pytest.raises(error, match=message):
        rehearse(f"on: push\njobs:\n  a: {job}\n")


# -- steps -------------------------------------------------------------------------------------------


def test_steps_pass_on_outputs_variables_and_paths(rehearse: Rehearse) -> None:
    job = rehearse.steps(
        """
        - id: first
          run: |
            echo "one=1" >> "$GITHUB_OUTPUT"
            printf 'many<<EOF\\na=b\\nc\\nEOF\\n' >> "$GITHUB_OUTPUT"
            echo "KEPT=from first" >> "$GITHUB_ENV"
            mkdir "$RUNNER_TEMP/tools" && echo "$RUNNER_TEMP/tools" >> "$GITHUB_PATH"
            printf '#!/bin/sh\\necho tool ran' > "$RUNNER_TEMP/tools/tool" && chmod +x "$RUNNER_TEMP/tools/tool"
        - name: second
          env: {MANY: "${{ steps.first.outputs.many }}", ONE: "${{ steps.first.outputs.one }}"}
          if: env.KEPT == 'from first' && env.ONE == 1
          run: |
            test "$MANY" = "$(printf 'a=b\\nc')"
            tool
        - {name: third, if: failure(), run: exit 9}
        """,
        "outputs: {one: '${{ steps.first.outputs.one }}'}",
    )
    assert [step.conclusion for step in job.steps] == ["success", "success", "skipped"], job
    assert job.outputs == {"one": "1"}
    assert "tool ran" in job.step("second").raw_log


def test_failure_stops_all_but_what_asks_for_it(rehearse: Rehearse) -> None:
    job = rehearse.steps(
        """
        - {id: soft, run: exit 3, continue-on-error: true}
        - {name: goes on, if: steps.soft.outcome == 'failure' && steps.soft.conclusion == 'success', run: "true"}
        - {name: pipes may fail, run: false | true}
        - {name: not in bash, shell: bash, run: false | true}
        - {name: left out, run: "true"}
        - {name: told, if: failure(), run: "true"}
        - {name: always, if: "${{ !cancelled() }}", run: "true"}
        """
    )
    outcomes = ["failure", "success", "success", "failure", "skipped", "success", "success"]
    assert [step.outcome for step in job.steps] == outcomes
    assert job.result == "failure"


def test_environment_of_a_step_is_github_s_and_no_more(
    rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch, repo: Remote
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of the developer")
    job = rehearse.steps(
        """
        - {name: show, run: "env; pwd; git config --list; cat $GITHUB_EVENT_PATH", env: {CI: mine, GITHUB_REF: mine}}
        - {name: below, working-directory: nowhere, run: pwd}
        """,
        "env: {A: '${{ vars.SHARDS }}', GITHUB_TOKEN: '${{ secrets.GITHUB_TOKEN }}'}",
    )
    log = job.step("show").raw_log
    for line in ("GITHUB_REF=refs/heads/main", "GITHUB_REPOSITORY=lab/thing", f"GITHUB_SHA={repo.head()}", "CI=mine"):
        assert f"\n{line}\n" in f"\n{log}"
    for line in ("A=[1, 2]", "GITHUB_EVENT_NAME=push", "RUNNER_OS=Linux", "GITHUB_TOKEN=ghs_"):
        assert line in log
    assert '"after"' in log
    assert "of the developer" not in log
    assert "user.name" not in log
    assert "no working directory" in job.step("below").raw_log


def test_commands_annotations_masks_and_summary(rehearse: Rehearse) -> None:
    run = rehearse(
        """
        on: push
        jobs:
          one:
            runs-on: ubuntu-latest
            env: {COMMON: "${{ secrets.COMMON }}"}
            steps:
              - name: talk
                run: |
                  echo "::warning file=$PWD/a.yaml,line=3,title=Odd::50%25 of%0Atwo lines"
                  echo "::error::plain: text"
                  echo "::add-mask::hidden-word"
                  echo "hidden-word and $COMMON"
                  echo "::stop-commands::pause"
                  echo "::error::not taken"
                  echo "::pause::"
                  echo "# Title" >> "$GITHUB_STEP_SUMMARY"
              - name: too long
                run: head -c 1048577 /dev/zero | tr '\\0' x > "$GITHUB_STEP_SUMMARY"
              - name: old
                run: echo "::set-output name=a::b"
        """
    )
    warning, error, aborted = run.annotations
    assert (warning.level, warning.message) == ("warning", "50% of\ntwo lines")
    # names of files become relative to the repository, as annotations have them
    assert warning.place == {"file": "a.yaml", "line": "3", "title": "Odd"}
    assert (error.level, error.message) == ("error", "plain: text")
    assert "upload aborted" in aborted.message
    assert run.summary == "# Title\n"
    assert run.job("one").step("too long").conclusion == "success"
    assert run.job("one").step("old").conclusion == "failure"
    assert "*** and ***" in run.log
    assert "common-secret" in run.raw_log
    assert "common-secret" not in run.log


def test_a_step_that_takes_too_long_is_ended(rehearse: Rehearse) -> None:
    job = rehearse.steps(
        """
        - {name: slow, timeout-minutes: 0.002, run: echo before; sleep 30}
        - {name: clean up, if: always(), run: "true"}
        """
    )
    assert job.result == "failure"
    assert "before" in job.step("slow").raw_log
    assert job.step("clean up").outcome == "success"


def test_a_script_that_reaches_outside_fails_the_test(rehearse: Rehearse) -> None:
    with pytest.raises(AssertionError, match="tried to reach outside"):
        rehearse.steps(
            f"""
            - uses: actions/setup-python@{PIN}
            - run: python -c "import socket; socket.create_connection(('192.0.2.1', 443))" || true
            """
        )


# -- jobs --------------------------------------------------------------------------------------------


def test_jobs_need_each_other(rehearse: Rehearse) -> None:
    run = rehearse(
        """
        on: push
        jobs:
          last:
            needs: [bad, good]
            if: always() && needs.bad.result == 'failure'
            runs-on: x
            steps: [{run: "true"}]
          bad: {runs-on: x, steps: [{run: exit 1}]}
          good: {runs-on: x, steps: [{run: "true"}]}
          after_bad: {needs: bad, runs-on: x, steps: [{run: "true"}]}
          told: {needs: after_bad, if: failure(), runs-on: x, steps: [{run: "true"}]}
          skipped: {if: "false", runs-on: x, steps: [{run: "true"}]}
          past_skipped: {needs: skipped, if: "!failure()", runs-on: x, steps: [{run: "true"}]}
          after_past: {needs: past_skipped, runs-on: x, steps: [{run: "true"}]}
        """
    )
    assert run.results == {
        "bad": "failure",
        "good": "success",
        "skipped": "skipped",
        "last": "success",
        "after_bad": "skipped",
        "told": "success",
        "past_skipped": "success",
        "after_past": "skipped",  # GitHub looks at all ancestors
    }
    assert run.result == "failure"


def test_matrix_of_what_another_job_found(rehearse: Rehearse) -> None:
    run = rehearse(
        """
        on: push
        jobs:
          plan:
            runs-on: x
            outputs: {shards: "${{ steps.p.outputs.shards }}"}
            steps: [{id: p, run: 'echo "shards=[1, 2, 3]" >> "$GITHUB_OUTPUT"'}]
          work:
            needs: plan
            runs-on: x
            strategy:
              matrix: {shard: "${{ fromJSON(needs.plan.outputs.shards) }}"}
            steps:
              - run: test "$SHARD" != 2
                env: {SHARD: "${{ matrix.shard }}"}
          all:
            needs: work
            name: each ${{ matrix.shard }} of ${{ strategy.job-total }}
            if: always()
            strategy: {fail-fast: false, matrix: {shard: "${{ fromJSON(vars.SHARDS) }}"}}
            runs-on: x
            steps: [{run: exit 1}]
        """
    )
    assert run.results == {
        "plan": "success",
        "work (1)": "success",
        "work (2)": "failure",
        "work (3)": "cancelled",
        "each 1 of 2": "failure",
        "each 2 of 2": "failure",
    }


@pytest.mark.parametrize(
    ("matrix", "legs"),
    [
        (None, [{}]),
        ({"a": [1, 2], "b": [3], "exclude": [{"a": 2}]}, [{"a": 1, "b": 3}]),
        ({"a": [1, 2], "include": [{"a": 1, "c": 9}, {"a": 3}]}, [{"a": 1, "c": 9}, {"a": 2}, {"a": 3}]),
        ({"include": [{"x": 1}]}, [{"x": 1}]),
        ({"a": [1, 2], "include": [{"c": 9}]}, [{"a": 1, "c": 9}, {"a": 2, "c": 9}]),
    ],
)
def test_legs_of_a_matrix(matrix: Mapping[str, Any] | None, legs: list[dict[str, Any]]) -> None:
    assert legs_of(matrix) == legs


def test_names_concurrency_and_permissions(rehearse: Rehearse) -> None:
    run = rehearse(
        """
        name: w
        run-name: "w for ${{ github.event_name }}"
        on: push
        permissions: {}
        concurrency: {group: "state-${{ github.ref }}", cancel-in-progress: false}
        jobs:
          none: {runs-on: x, steps: []}
          some: {runs-on: x, permissions: {issues: write, contents: none}, steps: []}
        """
    )
    assert run.name == "w for push"
    assert run.concurrency == {"group": "state-refs/heads/main", "cancel-in-progress": False}
    assert [job.permissions for job in run.jobs] == [{}, {"issues": "write"}]


# -- secrets and tokens ------------------------------------------------------------------------------

SECRETS = """
    on: [push, pull_request]
    permissions: {}
    env: {COMMON: "${{ secrets.COMMON }}", TOKEN: "${{ secrets.TOKEN }}", WHERE: "${{ vars.WHERE }}"}
    jobs:
      observe: {environment: sync, runs-on: x, steps: [{name: show, run: 'echo "<$COMMON|$TOKEN|$WHERE>"'}]}
      commit: {if: always(), needs: observe, runs-on: x, steps: [{name: show, run: 'echo "<$COMMON|$TOKEN|$WHERE>"'}]}
"""


def test_secrets_of_an_environment_are_for_jobs_that_name_it(rehearse: Rehearse) -> None:
    run = rehearse(SECRETS).expect()
    assert run.job("observe").step("show").raw_log == f"<common-secret|{SECRET}|cloud>\n"
    assert run.job("commit").step("show").raw_log == "<common-secret||>\n"
    assert SECRET not in run.log


def test_pull_requests_get_no_environment_and_those_of_forks_no_secret(repo: Remote, rehearse: Rehearse) -> None:
    rehearse.commit(SECRETS)
    repo.commit({"new": b""}, "New", "topic", base="main")
    for from_fork, shown in [(False, "<common-secret||>\n"), (True, "<||>\n")]:
        run = run_workflow(repo, PATH, pull_request(repo, 1, "topic", from_fork=from_fork), rehearse.world)
        assert run.job("observe").result == "failure"
        assert "not allowed to deploy" in run.log
        assert run.job("commit").step("show").raw_log == shown


@pytest.mark.parametrize(
    ("permissions", "inputs", "pushed"),
    [
        ("{contents: write}", "", True),
        ("{contents: read}", "", False),
        ("{contents: write}", "with: {persist-credentials: false}", False),
        ("{contents: read}", "with: {token: '${{ steps.app.outputs.token }}'}", True),
    ],
)
def test_who_may_push(permissions: str, inputs: str, pushed: bool, repo: Remote, rehearse: Rehearse) -> None:
    job = rehearse.steps(
        f"""
        - uses: actions/create-github-app-token@{PIN}
          id: app
          with: {{app-id: 7, private-key: "-----BEGIN KEY-----\\nabc", permission-contents: write}}
        - uses: {CHECKOUT}
          {inputs}
        - run: |
            git -c user.name=bot -c user.email=bot@example.org commit --allow-empty --message 'By a bot'
            git push
        """,
        f"permissions: {permissions}",
    )
    assert (job.result == "success") is pushed, job.steps[-1].raw_log
    assert repo.log()[0].startswith("By a bot") is pushed


@pytest.mark.parametrize(("bypass", "pushed"), [((), False), (("state-writer[bot]",), True)])
def test_a_protected_branch_takes_an_app_that_may_bypass_its_rule(
    bypass: tuple[str, ...], pushed: bool, repo: Remote, rehearse: Rehearse
) -> None:
    repo.protect("main", *bypass)
    job = rehearse.steps(
        f"""
        - uses: actions/create-github-app-token@{PIN}
          id: app
          with: {{app-id: 7, private-key: "-----BEGIN KEY-----\\nabc"}}
        - uses: {CHECKOUT}
          with: {{token: "${{{{ steps.app.outputs.token }}}}"}}
        - run: git -c user.name=bot -c user.email=b@example.org commit --allow-empty -m 'By a bot' && git push
        """
    )
    assert (job.result == "success") is pushed
    assert ("GH013" in job.steps[-1].raw_log) is not pushed


def test_tokens_end_with_their_job(repo: Remote, rehearse: Rehearse) -> None:
    job = rehearse.steps("[{run: 'echo ${{ github.token }}'}]")
    token = job.steps[0].raw_log.strip()
    header = f"AUTHORIZATION: basic {base64.b64encode(f'x:{token}'.encode()).decode()}"
    done = subprocess.run(
        ["git", "-c", f"http.extraheader={header}", "ls-remote", f"{repo.url}/lab/thing"],
        env={**plain_environment(), "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Authentication failed" in done.stderr or "could not read Username" in done.stderr


def test_an_app_grants_no_more_than_it_has(rehearse: Rehearse) -> None:
    job = rehearse.steps(
        f"""
        - uses: actions/create-github-app-token@{PIN}
          with: {{app-id: 7, private-key: "-----BEGIN KEY-----\\nabc", permission-actions: write}}
        """
    )
    assert "not granted to this installation" in job.steps[0].raw_log


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("permissions: {id-token: write}\nenvironment: sync", ""),
        ("environment: sync", "id-token: write"),
        ("permissions: {id-token: write}", "Not authorized"),
    ],
)
def test_aws_trusts_one_environment(extra: str, message: str, rehearse: Rehearse) -> None:
    job = rehearse.steps(
        f"""
        - uses: aws-actions/configure-aws-credentials@{PIN}
          with: {{aws-region: us-west-2, role-to-assume: "arn:aws:iam::1:role/sync"}}
        - run: test "$AWS_ACCESS_KEY_ID $AWS_REGION" = "AKIA us-west-2"
        """,
        extra,
    )
    assert message in job.steps[0].raw_log
    assert (job.result == "success") is not bool(message)


# -- actions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uses", "message"),
    [
        ("actions/checkout@v4", "not pinned"),
        (f"someone/something@{PIN}", "no local stand-in"),
        (f"{CHECKOUT}\n  with: {{fetchdepth: 0}}", "Unexpected input"),
        (f"{CHECKOUT}\n  with: {{path: ../..}}", "is not under"),
        (f"{DOWNLOAD}\n  with: {{name: nothing}}", "Artifact not found"),
        (f"{UPLOAD}\n  with: {{name: a/b, path: x}}", "not valid"),
        (f"{UPLOAD}\n  with: {{path: nowhere, if-no-files-found: error}}", "No files were found"),
        (f"pypa/gh-action-pypi-publish@{PIN}", "id-token: write"),
    ],
)
def test_an_action_used_wrongly_fails(uses: str, message: str, rehearse: Rehearse) -> None:
    job = rehearse.steps(f"- uses: {uses}")
    assert job.result == "failure"
    assert message in job.steps[0].raw_log


def test_checkout_of_a_branch_is_shallow_and_on_it(repo: Remote, rehearse: Rehearse) -> None:
    job = rehearse.steps(
        f"""
        - uses: {CHECKOUT}
        - {{name: shallow, run: git rev-list --count HEAD; git branch --show-current; git status -sb}}
        - {{uses: {CHECKOUT}, with: {{fetch-depth: 0, path: whole}}}}
        - {{name: whole, run: git rev-list --count HEAD, working-directory: whole}}
        """,
        event=None,
    )
    assert job.step("shallow").raw_log.startswith("1\nmain\n## main...origin/main\n"), job.step("shallow").raw_log
    assert job.step("whole").raw_log == "2\n"


def test_checkout_takes_the_commit_of_the_event_and_fetches_later_ones(repo: Remote, rehearse: Rehearse) -> None:
    rehearse.commit("on: push\njobs: {}\n")
    job_steps = f"""
        - uses: {CHECKOUT}
        - {{name: show, run: git rev-parse HEAD; git fetch --quiet origin main; git rev-parse FETCH_HEAD}}
        """
    before = repo.head()
    rehearse.commit(
        f"on: push\njobs:\n  one:\n    runs-on: x\n    steps:\n{textwrap.indent(textwrap.dedent(job_steps), '      ')}"
    )
    event = push(repo, before)
    later = repo.commit({"later.txt": b""}, "Later")
    job = run_workflow(repo, PATH, event, rehearse.world).expect().job("one")
    assert job.step("show").raw_log.split() == [event.sha, later]


def test_checkout_of_a_pull_request_is_its_merge(repo: Remote, rehearse: Rehearse) -> None:
    rehearse.commit(
        f"""
        on: pull_request
        jobs:
          one:
            runs-on: x
            steps:
              - {{uses: {CHECKOUT}, with: {{fetch-depth: 2, persist-credentials: false}}}}
              - run: |
                  git symbolic-ref --quiet HEAD && exit 1
                  test "$(git rev-parse HEAD^1)" = "$BASE" && test "$(git rev-parse HEAD^2)" = "$HEAD"
                  ls; echo "$GITHUB_BASE_REF <- $GITHUB_HEAD_REF in $GITHUB_REF"
                env:
                  BASE: ${{{{ github.event.pull_request.base.sha }}}}
                  HEAD: ${{{{ github.event.pull_request.head.sha }}}}
        """
    )
    repo.commit({"topic.txt": b""}, "Topic", "topic", base="main")
    repo.commit({"main.txt": b""}, "Meanwhile")
    run = run_workflow(repo, PATH, pull_request(repo, 4, "topic"), rehearse.world).expect()
    assert "main.txt\ntopic.txt\nmain <- topic in refs/pull/4/merge" in run.log


def test_artifacts_go_from_job_to_job(rehearse: Rehearse) -> None:
    run = rehearse(
        f"""
        on: push
        jobs:
          make:
            runs-on: x
            strategy: {{matrix: {{n: [1, 2]}}}}
            steps:
              - run: mkdir -p out/sub; echo $N > out/sub/$N.txt; touch out/.hidden
                env: {{N: "${{{{ matrix.n }}}}"}}
              - {{uses: {UPLOAD}, with: {{name: "part-${{{{ matrix.n }}}}", path: out}}}}
              - {{uses: {UPLOAD}, with: {{name: "texts-${{{{ matrix.n }}}}", path: "out/**/*.txt\\n!out/sub/9.txt"}}}}
          use:
            needs: make
            runs-on: x
            steps:
              - {{uses: {DOWNLOAD}, with: {{pattern: part-*, path: merged, merge-multiple: true}}}}
              - {{uses: {DOWNLOAD}, with: {{pattern: part-*, path: apart}}}}
              - {{uses: {DOWNLOAD}, with: {{name: texts-2, path: one}}}}
              - {{name: list, run: find . -type f | sort}}
          again:
            runs-on: x
            steps:
              - {{run: touch x}}
              - {{uses: {UPLOAD}, with: {{name: same, path: x}}}}
              - {{name: twice, uses: {UPLOAD}, with: {{name: same, path: x}}}}
        """
    )
    listed = ["./apart/part-1/sub/1.txt", "./apart/part-2/sub/2.txt", "./merged/sub/1.txt", "./merged/sub/2.txt"]
    assert run.job("use").step("list").raw_log.split() == [*listed, "./one/sub/2.txt"]
    assert "already exists" in run.job("again").step("twice").raw_log


def test_jobs_share_no_files(rehearse: Rehearse) -> None:
    run = rehearse(
        """
        on: push
        jobs:
          one: {runs-on: x, steps: [{run: touch left ~/left "$RUNNER_TEMP/left"}]}
          two: {needs: one, runs-on: x, steps: [{run: '! ls left ~/left "$RUNNER_TEMP/left"'}]}
        """
    )
    run.expect()


PACKAGE = {
    "pyproject.toml": b'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
    b'[project]\nname = "tiny-thing"\nversion = "1.2"\ndependencies = ["requests"]\n'
    b'[project.scripts]\ntiny-thing = "tiny_thing:main"\n',
    "tiny_thing/__init__.py": b"import requests\n\ndef main() -> None:\n    print('tiny', __file__)\n",
}


def test_python_of_a_job_installs_the_clone_without_a_network(repo: Remote, rehearse: Rehearse) -> None:
    repo.commit(PACKAGE, "A package")
    job = rehearse.steps(
        f"""
        - {{uses: {CHECKOUT}, with: {{persist-credentials: false}}}}
        - {{uses: actions/setup-python@{PIN}, with: {{python-version: "3.11"}}}}
        - python -m pip install .
        - {{name: run, working-directory: .., run: "which python tiny-thing; tiny-thing"}}
        """.replace("- python", "- run: python")
    )
    assert job.result == "success", job
    python, script, said = job.step("run").raw_log.splitlines()
    tools = Path(python).parent
    assert tools == Path(script).parent
    assert said.startswith(f"tiny {tools.parent}")


def test_a_second_job_installs_what_pip_made_of_the_same_files(repo: Remote, rehearse: Rehearse) -> None:
    repo.commit(PACKAGE, "A package")
    steps = f"""
        - {{uses: {CHECKOUT}, with: {{persist-credentials: false}}}}
        - {{uses: actions/setup-python@{PIN}, with: {{python-version: "3.11"}}}}
        - run: python -m pip install --quiet .
        - {{name: run, working-directory: .., run: "which tiny-thing; tiny-thing; python -m pip --version"}}
        - {{name: list, run: "python -m pip list"}}
        """
    scripts = set()
    for _ in range(2):
        job = rehearse.steps(steps)
        script, tiny, version = job.step("run").raw_log.splitlines()
        assert tiny.startswith(f"tiny {Path(script).parents[1]}")
        assert version.startswith("pip "), "the real one"
        assert re.search(r"^tiny-thing +1\.2$", job.step("list").raw_log, re.MULTILINE)
        scripts.add(script)
    assert len(scripts) == 2


def test_nothing_of_a_push_event_is_missing_for_a_new_branch(repo: Remote) -> None:
    assert set(push(repo, NOTHING).changed) == {"README.md", "data/one.txt"}

"""One job (or one of its matrix): its steps run in order, with what GitHub gives them."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.actions.emulated import use_action
from tests.actions.expressions import Function, Scope, as_number, as_text, fill, fill_text, is_true, truth
from tests.actions.machine import ActionFailed, Machine
from tests.actions.world import Annotation, StepRun

SUMMARY_LIMIT = 1024 * 1024
SHELLS = {
    "": "bash -e {0}",
    "bash": "bash --noprofile --norc -eo pipefail {0}",
    "sh": "sh -e {0}",
    "python": "python {0}",
}
COMMAND = re.compile(r"\s*::(?P<name>[\w-]+)(?: (?P<properties>[^:]*(?::(?!:)[^:]*)*?))?::(?P<value>.*)")
DEFAULT_MINUTES = 360


def run_steps(machine: Machine, job: Mapping[str, Any], contexts: Mapping[str, Any]) -> dict[str, str]:
    """Run a job's steps; the job's outputs. `machine.status` is how it ended."""
    machine.build()
    minutes = as_number(fill(job.get("timeout-minutes", DEFAULT_MINUTES), Scope(contexts)))
    machine.deadline = time.monotonic() + 60 * minutes
    steps: dict[str, Any] = {}
    for number, step in enumerate(job["steps"]):
        record = StepRun(str(step.get("name") or step.get("uses") or f"Run {step['run'].splitlines()[0]}"))
        record.id = step.get("id", "")
        machine.record.steps.append(record)
        scope = _step_scope(machine, contexts, steps)
        try:
            record.name = fill_text(record.name, scope) if "name" in step else record.name
            env = {name: as_text(value) for name, value in fill(step.get("env", {}), scope).items()}
            scope = _step_scope(machine, contexts, steps, env)
            no_secrets = {name: value for name, value in scope.contexts.items() if name != "secrets"}
            if not is_true(step.get("if", "success()"), Scope(no_secrets, scope.functions)):
                continue
            record.outcome = "success"
            if "uses" in step:
                inputs = {name: as_text(value) for name, value in fill(step.get("with", {}), scope).items()}
                use_action(machine, record, step["uses"], inputs)
            else:
                _run_script(machine, record, step, job, scope, env, number)
        except (ActionFailed, subprocess.TimeoutExpired) as error:
            record.raw_log += f"{error}\n"
            record.outcome = "failure"
        _conclude(machine, record, fill(step.get("continue-on-error", False), scope))
        if record.id:
            steps[record.id] = {name: getattr(record, name) for name in ("outputs", "outcome", "conclusion")}
    scope = _step_scope(machine, contexts, steps)
    return {name: fill_text(value, Scope(scope.contexts)) for name, value in job.get("outputs", {}).items()}


def _conclude(machine: Machine, record: StepRun, goes_on: Any) -> None:
    record.conclusion = "success" if record.outcome == "failure" and truth(goes_on) else record.outcome
    if record.conclusion == "failure":
        machine.status = "failure"
    if time.monotonic() > machine.deadline:
        machine.status = "cancelled"


def _step_scope(
    machine: Machine, contexts: Mapping[str, Any], steps: Mapping[str, Any], env: Mapping[str, str] | None = None
) -> Scope:
    """What expressions in a step may name."""
    status = machine.status
    functions: dict[str, Function] = {
        "success": lambda: status == "success",
        "failure": lambda: status == "failure",
        "cancelled": lambda: status == "cancelled",
        "always": lambda: True,
        "hashFiles": lambda *patterns: hash_files(machine.workspace, patterns),
    }
    runner = {"os": "Linux", "arch": "X64", "name": "rehearsal", "temp": str(machine.temp), "debug": ""}
    runner |= {"tool_cache": str(machine.folder / "tools"), "environment": "github-hosted"}
    here = {"env": {**machine.env, **(env or {})}, "steps": steps, "runner": runner, "job": {"status": status}}
    return Scope({**contexts, **here}, functions)


def hash_files(workspace: Path, patterns: tuple[str, ...]) -> str:
    """`hashFiles`: a digest of the digests of files, empty where there are none."""
    whole = hashlib.sha256()
    files = sorted({path for pattern in patterns for path in workspace.glob(pattern) if path.is_file()})
    for path in files:
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest() if files else ""


# -- scripts -----------------------------------------------------------------------------------------


def _run_script(
    machine: Machine,
    record: StepRun,
    step: Mapping[str, Any],
    job: Mapping[str, Any],
    scope: Scope,
    env: Mapping[str, str],
    number: int,
) -> None:
    """A `run:` step, and what it wrote for later ones."""
    defaults = fill(job.get("defaults", {}).get("run", {}), scope)
    folder = machine.workspace / fill_text(step.get("working-directory", defaults.get("working-directory", "")), scope)
    shell = step.get("shell", defaults.get("shell", ""))
    command = SHELLS.get(shell, shell)
    if "{0}" not in command:
        raise ActionFailed(f"unknown shell {shell!r}")
    if not folder.is_dir():
        raise ActionFailed(f"An error occurred trying to start process: no working directory {folder}")
    script = machine.temp / f"step{number}.{'py' if shell == 'python' else 'sh'}"
    script.write_text(fill_text(step["run"], scope), encoding="utf-8")
    files = {name: machine.temp / f"{name.lower()}_{number}" for name in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
    for path in files.values():
        path.touch()
    record.env = {
        **machine.env,
        **env,
        **{name: value for name, value in machine.base_environment().items() if _is_fixed(name, machine.env, env)},
        **{f"GITHUB_{name}": str(path) for name, path in files.items()},
    }
    timeout = 60 * as_number(fill(step.get("timeout-minutes", DEFAULT_MINUTES), scope))
    code = _execute(machine, record, command, script, folder, timeout)
    record.outcome = "success" if code == 0 else "failure"
    if code:
        record.raw_log += f"Error: Process completed with exit code {code}.\n"
    _take_over(machine, record, files)


def _is_fixed(name: str, *said: Mapping[str, str]) -> bool:
    """Whether a variable of the machine stands: nobody can set GITHUB_* and RUNNER_* anew, but all others."""
    return name.startswith(("GITHUB_", "RUNNER_")) or not any(name in each for each in said)


def _execute(machine: Machine, record: StepRun, command: str, script: Path, folder: Path, timeout: float) -> int:
    """The exit code of a script; what it prints goes to the log, with the commands in it carried out."""
    words = [word.replace("{0}", str(script)) for word in shlex.split(command)]
    program = shutil.which(words[0], path=record.env["PATH"])
    if program is None:
        raise ActionFailed(f"{words[0]}: command not found")
    process = subprocess.Popen(
        [program, *words[1:]],
        cwd=folder,
        env=record.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        left = max(0.0, machine.deadline - time.monotonic())
        printed, _ = process.communicate(timeout=min(timeout, left))
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        printed, _ = process.communicate()
        record.raw_log += printed.decode(errors="replace")
        raise
    record.raw_log += printed.decode(errors="replace")
    _carry_out(machine, record)
    outside = machine.temp / "outside.txt"
    assert not outside.exists(), f"{record.name} tried to reach outside: {outside.read_text()}\n{record.raw_log}"
    return process.returncode


def _carry_out(machine: Machine, record: StepRun) -> None:
    """Commands in the log of a step: annotations and masks."""
    stopped = ""
    for line in record.raw_log.splitlines():
        match = COMMAND.fullmatch(line)
        if match is None:
            continue
        name, value = match["name"], _unescape(match["value"])
        if stopped:
            stopped = "" if name == stopped else stopped
        elif name == "stop-commands":
            stopped = value
        elif name == "add-mask":
            machine.mask(value)
        elif name in ("error", "warning", "notice"):
            place = dict(pair.split("=", 1) for pair in (match["properties"] or "").split(",") if "=" in pair)
            place = {key.strip(): _unescape(text, "%3A:", "%2C,") for key, text in place.items()}
            if "file" in place:
                place["file"] = place["file"].removeprefix(f"{machine.workspace}/")
            record.annotations.append(Annotation(name, value, place))
        elif name not in ("debug", "group", "endgroup", "echo", "add-matcher", "remove-matcher"):
            raise ActionFailed(f"Unable to process command '{line.strip()}': unknown or no longer allowed")


def _unescape(text: str, *more: str) -> str:
    for code in (*more, "%0D\r", "%0A\n", "%25%"):
        text = text.replace(code[:3], code[3:])
    return text


def _take_over(machine: Machine, record: StepRun, files: Mapping[str, Path]) -> None:
    """What a step wrote to the files that GitHub gave it."""
    record.outputs = dict(read_pairs(files["OUTPUT"]))
    for name, value in read_pairs(files["ENV"]):
        if name.startswith(("GITHUB_", "RUNNER_")) or name == "NODE_OPTIONS":
            raise ActionFailed(f"Can't store {name} output parameter using '$GITHUB_ENV' command.")
        machine.env[name] = value
    for line in files["PATH"].read_text(encoding="utf-8").splitlines():
        machine.path.insert(0, line)
    written = files["STEP_SUMMARY"].read_bytes()
    if len(written) > SUMMARY_LIMIT:
        kilobytes = len(written) // 1024
        text = f"$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got {kilobytes}k."
        record.annotations.append(Annotation("error", text, {}))
    else:
        record.summary = written.decode()


def read_pairs(path: Path) -> Iterator[tuple[str, str]]:
    """Lines `name=value`, and `name<<END` with lines up to END.

    Raises:
        ActionFailed: a line is neither, or a text has no end.
    """
    lines = iter(path.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if not line:
            continue
        single, multiple = line.find("="), line.find("<<")
        if multiple >= 0 and (single < 0 or multiple < single):
            name, end = line[:multiple], line[multiple + 2 :]
            value: list[str] = []
            for text in lines:
                if text == end:
                    break
                value.append(text)
            else:
                raise ActionFailed(f"Invalid value. Matching delimiter not found '{end}'")
            yield name, "\n".join(value)
        elif single >= 0:
            yield line[:single], line[single + 1 :]
        else:
            raise ActionFailed(f"Unable to process file command '{path.name}': Invalid format '{line}'")

"""Examples of the documentation: found in its pages, and run as a reader would run them, in a checkout of the demo.

What a fenced block is says its language: `console` shows commands and what they print, `sh` only commands, `python`
with prompts is a doctest, `yaml` and `json` name by their title the file that they stand for. What cannot be run has a
line `<!-- not run: why -->` above it; its `npc-lims` commands are parsed all the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import doctest
import functools
import io
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import typer.main
import yaml
from markdown_it import MarkdownIt

from npc_lims.config.settings import SETTINGS, load_settings

_ROOT = Path(__file__).resolve().parent.parent
_TITLE = re.compile(r'title="([^"]*)"')
_FENCE = re.compile(r"^[ >]*(```|~~~)")
_MARKER = re.compile(r"<!--\s*(?P<kind>not run|exit code):\s*(?P<text>.+?)\s*-->")
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_IN_HTML = re.compile(r'(?:src|srcset|href)="([^"]*)"')
_IDENTITY = ("-c", "user.name=reader", "-c", "user.email=reader@example.org", "-c", "commit.gpgsign=false")
_TEXT = {"text", "mermaid"}
"""Languages of blocks that are no examples."""


@dataclasses.dataclass(frozen=True)
class Example:
    """A fenced block.

    Attributes:
        line: Line of its fence, from 1.
        title: The file it stands for, if it names one.
        not_run: Why it is not run; None if it is.
        code: Exit code that its last command ends with.
    """

    page: str
    line: int
    language: str
    title: str
    text: str
    not_run: str | None = None
    code: int = 0

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def examples(text: str, page: str) -> list[Example]:
    """Fenced blocks of a Markdown page, in its order."""
    found: list[Example] = []
    markers: dict[str, str] = {}
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "html_block":
            match = _MARKER.fullmatch(token.content.strip())
            markers = {match["kind"]: match["text"]} if match else {}
        elif token.type == "fence":
            assert token.map is not None
            language, _, rest = token.info.strip().partition(" ")
            title = _TITLE.search(rest)
            found.append(
                Example(
                    page=page,
                    line=token.map[0] + 1,
                    language=language,
                    title=title[1] if title else "",
                    text=token.content,
                    not_run=markers.get("not run"),
                    code=int(markers.get("exit code", "0")),
                )
            )
            markers = {}
        elif token.type not in ("paragraph_close", "list_item_close"):
            markers = {}
    fences = sum(1 for line in text.splitlines() if _FENCE.match(line))
    assert fences == 2 * len(found), f"{page}: {fences} lines of fences for {len(found)} blocks: one is not seen"
    return found


class Reader:
    """Follows a page from its top: commands, files and names of one example are there for the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[str, Any] = {"__name__": "__main__"}

    def follow(self, example: Example) -> None:
        """Try an example. Raises AssertionError, with its place, if it is not as the page says."""
        if example.not_run is not None:
            self._check(example)
            return
        assert example.language in _RUNNERS, (
            f"{example.place}: a block of {example.language or 'no language'} is not run: use one of "
            f"{', '.join(sorted(_RUNNERS))}, or write '<!-- not run: why -->' above it"
        )
        getattr(self, _RUNNERS[example.language])(example)

    def _check(self, example: Example) -> None:
        """What can be said of an example that is not run."""
        if example.language == "python" and ">>>" not in example.text:
            compile(example.text, example.place, "exec")
        if example.language in ("sh", "console", "powershell"):
            for line, _ in commands(example):
                for arguments in _npc_lims_commands(line):
                    parse_command(arguments, example.place)

    # --- by language

    def shell(self, example: Example) -> None:
        steps = commands(example)
        for number, (line, expected) in enumerate(steps):
            code, output = self._run_line(line, example)
            wanted = example.code if number == len(steps) - 1 else 0
            assert code == wanted, f"{example.place}: {line}\nended with {code}, and not {wanted}:\n{output}"
            if example.language == "console" and expected.strip():
                told = doctest.OutputChecker().check_output(expected, output, _FLAGS)
                assert told, f"{example.place}: {line}\nprints\n{output}\nthe page says\n{expected}"

    def _run_line(self, line: str, example: Example) -> tuple[int, str]:
        code, output = 0, ""
        for part in line.split(" && "):
            words = shlex.split(part, comments=True)
            target = None
            if ">" in words:
                words, target = words[: words.index(">")], words[-1]
            code, out, shown = self._run(words, example)
            if target is not None:
                Path(target).write_text(out, encoding="utf-8")
            output += shown if target is None else shown.replace(out, "")
            if code:
                break
        return code, output

    def _run(self, words: list[str], example: Example) -> tuple[int, str, str]:
        if words[0] == "npc-lims":
            parse_command(words[1:], example.place)
            return run_npc_lims(words[1:])
        if words[0] == "git":
            done = subprocess.run(["git", *_IDENTITY, *words[1:]], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stdout + done.stderr
        if words[0] == "python":
            # in a process of its own, as a reader has it: no coverage of ours
            done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stdout + done.stderr
        if words[0] == "cd":
            os.chdir(words[1])
            return 0, "", ""
        raise AssertionError(f"{example.place}: {words[0]} is not run here: write '<!-- not run: why -->' above")

    def python(self, example: Example) -> None:
        if ">>>" not in example.text:
            exec(compile(example.text, example.place, "exec"), self._names)
            return
        test = doctest.DocTestParser().get_doctest(example.text, {}, example.place, example.page, example.line)
        test.globs = self._names
        told = io.StringIO()
        runner = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
        runner.run(test, out=told.write, clear_globs=False)
        assert not runner.failures, f"{example.place}:\n{told.getvalue()}"

    def text(self, example: Example) -> None:
        """Do nothing: it is no example."""

    def diff(self, example: Example) -> None:
        raise AssertionError(f"{example.place}: a change of the code is for pages in CHANGES_CODE")

    def yaml(self, example: Example) -> None:
        check_yaml(example)

    def json(self, example: Example) -> None:
        content = json.loads(example.text)
        if example.title.endswith("policy.json"):
            check_policy(content, example)

    def dotenv(self, example: Example) -> None:
        path = self.folder.parent / "dotenv"
        path.mkdir(exist_ok=True)
        (path / ".env").write_text(example.text, encoding="utf-8")
        load_settings({}, path)
        names = [line.partition("=")[0] for line in example.text.splitlines() if line and not line.startswith("#")]
        unknown = [name for name in names if name not in settings_names() and not name.startswith("AWS_")]
        assert not unknown, f"{example.place}: no such settings: {', '.join(unknown)}"

    def sql(self, example: Example) -> None:
        assert Path(example.title).is_file(), f"{example.place}: give the database that is asked as title"
        with contextlib.closing(sqlite3.connect(example.title)) as database:
            database.execute(example.text).fetchall()


class Developer(Reader):
    """Follows a page that changes the code: in a copy of the clone, `npc_lims` beside the checkout.

    Its blocks of `diff` are applied to the copy, those of `python` with a title are a new file of it.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.clone = folder.parent / "npc_lims"
        for name in ("npc_lims", "scripts", "docs/schemas", "docs/reference"):
            shutil.copytree(_ROOT / name, self.clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        self._environment = {**os.environ, "PYTHONPATH": str(self.clone), "PYTHONWARNINGS": "default"}

    def _run(self, words: list[str], example: Example) -> tuple[int, str, str]:
        if words[0] == "npc-lims":
            words = ["python", "-m", "npc_lims", *words[1:]]
        if words[0] != "python":
            return super()._run(words, example)
        command = [sys.executable, *words[1:]]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=self._environment)
        return done.returncode, done.stdout, done.stdout + done.stderr

    def python(self, example: Example) -> None:
        path = self.clone / example.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.text, encoding="utf-8")

    def diff(self, example: Example) -> None:
        """Apply a diff whose hunks need no line numbers."""
        path = self.clone / example.title
        for hunk in re.split(r"^@@.*\n", example.text, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if not line.startswith("+"))
            after = "".join(line[1:] for line in lines if not line.startswith("-"))
            content = path.read_text(encoding="utf-8")
            assert content.count(before) == 1, f"{example.place}: {example.title} has no such lines:\n{before}"
            path.write_text(content.replace(before, after), encoding="utf-8")


_RUNNERS: Mapping[str, str] = {
    "console": "shell",
    "sh": "shell",
    "python": "python",
    "yaml": "yaml",
    "json": "json",
    "ini": "dotenv",
    "sql": "sql",
    "diff": "diff",
    **dict.fromkeys(_TEXT, "text"),
}
"""Methods that follow a block, by its language."""


def commands(example: Example) -> list[tuple[str, str]]:
    """Commands of a block of the shell, each with what the page says that it prints."""
    if example.language != "console":
        lines = example.text.replace("\\\n", " ").splitlines()
        return [(line, "") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    found: list[tuple[str, str]] = []
    for line in example.text.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            assert found, f"{example.place}: a block of console begins with '$ ' and a command"
            found[-1] = (found[-1][0], f"{found[-1][1]}{line}\n")
    return found


def _npc_lims_commands(line: str) -> Iterator[list[str]]:
    """Arguments of each `npc-lims` in a line that is not run."""
    for part in re.split(r"&&|\|", line):
        words = shlex.split(part, comments=True)
        if words[:1] == ["npc-lims"]:
            end = next((place for place, word in enumerate(words) if word in (">", ">>")), len(words))
            yield words[1:end]


@functools.lru_cache(maxsize=1)
def npc_lims_command() -> Any:
    """All commands, as click has them: made once, not for each of the hundreds that the pages name."""
    from npc_lims.cli.app import app

    return typer.main.get_command(app)


def parse_command(arguments: list[str], place: str) -> None:
    """Check that the command, its options and arguments exist, without running it."""
    command = npc_lims_command()
    context: Any = None
    name, rest = "npc-lims", list(arguments)
    try:
        while True:
            with mock.patch.object(sys, "stdout", io.StringIO()):
                context = command.make_context(name, rest, parent=context)
            # older releases of click have it without the underscore
            name_of_command = context.__dict__.get("_protected_args") or context.__dict__.get("protected_args", ())
            left = [*name_of_command, *context.args]
            if not hasattr(command, "resolve_command") or not left:
                return
            name, command, rest = command.resolve_command(context, list(left))
    except SystemExit:
        return
    except Exception as error:
        if type(error).__name__ == "Exit":  # --help and --version end here
            return
        raise AssertionError(f"{place}: npc-lims {shlex.join(arguments)}: {error}") from None


def mentions(text: str) -> list[str]:
    """Commands of ours that stand in the text of a page, not in its blocks."""
    inline = (child for token in MarkdownIt("commonmark").enable("table").parse(text) for child in token.children or ())
    return [token.content for token in inline if token.type == "code_inline" and token.content.startswith("npc-lims ")]


def broken_links(page: Path) -> list[str]:
    """Addresses of files and headings of the repository, in the order of the page, that are not there."""
    tokens = MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))
    inline = [child for token in tokens for child in token.children or ()]
    found = [str(token.attrs.get("href") or token.attrs.get("src") or "") for token in inline]
    found += [address for token in tokens for address in _IN_HTML.findall(token.content) if token.type == "html_block"]
    return [
        address
        for address in found
        if address and not re.match(r"https?:|mailto:", address) and not _leads(page, address)
    ]


def _leads(page: Path, address: str) -> bool:
    path, _, anchor = address.partition("#")
    target = page.parent / path if path else page
    if not anchor:
        return target.exists()
    tokens = MarkdownIt("commonmark").parse(target.read_text(encoding="utf-8")) if target.is_file() else []
    titles = (title.content for opening, title in zip(tokens, tokens[1:]) if opening.type == "heading_open")
    return anchor in (re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles)


def unknown_in(mention: str) -> list[str]:
    """Words of a command that name no command or option.

    Arguments may be anything, such as `SESSION`; `add|edit` is either of two commands, and an option of a group that of
    any command in it.
    """
    commands = [npc_lims_command()]
    options = {"--help", "--install-completion", "--show-completion"}
    unknown: list[str] = []
    for word in shlex.split(mention)[1:]:
        groups = [command.commands for command in commands if hasattr(command, "commands")]
        below = [command for group in groups for command in group.values()]
        known = options.union(*map(_options, [*commands, *below]))
        if word.startswith("-"):
            unknown += [] if word.partition("=")[0] in known else [word]
        elif groups and not word.isupper():
            names = word.split("|")
            missing = [name for name in names if not any(name in group for group in groups)]
            if missing:
                return [*unknown, *missing]
            options.update(*map(_options, commands))
            commands = [group[name] for group in groups for name in names]
    return unknown


def _options(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


class _Stream(io.StringIO):
    """Text that a terminal which knows UTF-8 would get, by itself and in *terminal* with that of other streams."""

    encoding = "utf-8"

    def __init__(self, terminal: list[str]) -> None:
        super().__init__()
        self._terminal = terminal

    def write(self, text: str) -> int:
        written = super().write(text)
        self._terminal.append(text)
        return written


def run_npc_lims(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code and standard output of the command, run in this process, and what a terminal would show."""
    from npc_lims.cli import main

    terminal: list[str] = []
    out, err = _Stream(terminal), _Stream(terminal)
    code: Any = 0
    argv = mock.patch.object(sys, "argv", ["npc-lims", *arguments])
    with warnings.catch_warnings(), argv, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        warnings.simplefilter("default")
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
    return int(code), out.getvalue(), "".join(terminal)


def settings_names() -> set[str]:
    """Every variable that settings are made of."""
    return {name for setting in SETTINGS.values() for name in setting.variables}


def check_yaml(example: Example) -> None:
    """Validate YAML as the file that it stands for."""
    from npc_lims.processing.pipelines import parse_pipelines
    from npc_lims.processing.runs import parse_runs
    from npc_lims.sources.tracked.parser import parse_tracked
    from npc_lims.state.store import parse_record

    problems: list[str] = []
    title = example.title
    if title == "tracked_sessions.yaml":
        problems = [str(problem) for problem in parse_tracked(example.text).problems]
    elif title == "pipelines.yaml":
        problems = [str(problem) for problem in parse_pipelines(example.text)[1]]
    elif title.startswith("state/sessions/"):
        record = parse_record(example.text.encode(), Path(title))
        assert Path(title).name == f"{record.id}.yaml", example.place
    elif title.startswith("state/runs/"):
        assert parse_runs(example.text.encode(), Path(title))
    elif title.startswith(".github/"):
        check_workflow(example)
    else:
        # of any other file only that it is YAML is known
        assert title, f"{example.place}: give the file that it stands for as title"
        yaml.safe_load(example.text)
    assert not problems, f"{example.place}: {problems}"


def check_workflow(example: Example) -> None:
    content = yaml.safe_load(textwrap.dedent(example.text))
    steps = content if isinstance(content, list) else _steps(content)
    for step in steps:
        assert "uses" in step or "run" in step, f"{example.place}: a step runs or uses something: {step}"
        unknown = {name for name in step.get("env", {}) if name.startswith("NPC_LIMS_")} - settings_names()
        assert not unknown, f"{example.place}: no such settings: {unknown}"
        for line in str(step.get("run", "")).splitlines():
            scripts = [word for word in line.split() if word.startswith("scripts/")]
            assert all((_ROOT / script).is_file() for script in scripts), f"{example.place}: {line}"
            for arguments in _npc_lims_commands(line):
                parse_command(arguments, example.place)


def _steps(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    jobs = content.get("jobs", {}).values()
    return [step for job in jobs for step in job["steps"]]


def check_policy(content: Mapping[str, Any], example: Example) -> None:
    """What every IAM policy has; of one that trusts GitHub also the conditions without which anybody is trusted."""
    assert content["Version"] == "2012-10-17", example.place
    for statement in content["Statement"]:
        assert statement["Effect"] in ("Allow", "Deny"), example.place
        assert statement["Action"], example.place
        assert "Resource" in statement or "Principal" in statement, example.place
        if statement["Action"] == "sts:AssumeRoleWithWebIdentity":
            asked = statement["Condition"]["StringEquals"]
            assert asked["token.actions.githubusercontent.com:aud"] == "sts.amazonaws.com", example.place
            subject = asked["token.actions.githubusercontent.com:sub"]
            # newer repositories have their numbers in it
            repository = r"repo:[\w.-]+(@\d+)?/[\w.-]+(@\d+)?"
            assert re.fullmatch(rf"{repository}:(environment:\w+|ref:refs/heads/\w+)", subject), example.place

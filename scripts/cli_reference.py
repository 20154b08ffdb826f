"""docs/reference/cli.md: render every command with its help, arguments and options, read from the commands themselves.

Nothing of it is what some release of typer renders, so any of them writes the same.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from npc_lims.cli import ExitCode
from npc_lims.cli.app import SECTIONS, app

NAME = "npc-lims"
# their place and their words differ between releases of typer
_OF_TYPER = ("help", "install_completion", "show_completion")
_KINDS = {Path: "PATH", typer.FileTextWrite: "PATH", int: "NUMBER", float: "NUMBER", str: "TEXT"}

HEAD = f"""\
# Command line

<!-- Written by scripts/generate.py from the commands: change their help, and run it. -->

`{NAME} COMMAND --help` prints the same in the terminal.

## Exit codes

| code | meaning |
| --- | --- |
"""
CONVENTIONS = f"""
Results go to standard output; progress, notes, warnings and errors go to standard error. An error is a line that begins
with `{NAME}: error:`, states what was found, and ends with what to do. A warning begins with `{NAME}: warning:`.

## Lists

Every command that prints a list can also print it for programs, with nothing else on standard output and the same exit
code. `--json` and `--csv` exclude each other.

- `--json` prints everything: an array with one object per item, or one object if there is more than a list. Unknown
  values are `null`. Non-ASCII characters are escaped.
- `--csv` prints a table in UTF-8, quoted as in RFC 4180: a header line (the help of the option lists its columns), then
  one line per item. Unknown values are empty, flags are `true` and `false`, the parts of a list are separated by `; `,
  and the column `input.id` is the `id` of `input` in JSON. (`not_applicable` of `{NAME} sessions` is separated by
  spaces.)

Cells contain exactly what is recorded: cells that a spreadsheet could take for a formula are not escaped, since a
program could not distinguish that from the text. To open such a file in a spreadsheet, import its columns as text.

Keys and columns keep their names; new ones may be added at the end.

## Shell

`{NAME} --install-completion` completes commands and options in bash, zsh, fish and PowerShell. `NO_COLOR` turns colours
off; in a pipe there are none.
"""


@dataclasses.dataclass(frozen=True)
class Command:
    """One command or group.

    Attributes:
        path: What is typed for it, such as `npc-lims track add`.
        found: As typer has it.
    """

    path: str
    found: Any

    @property
    def is_group(self) -> bool:
        return hasattr(self.found, "commands")

    @property
    def text(self) -> str:
        """What its help says, without arguments and options."""
        return inspect.cleandoc(self.found.help or "")

    @property
    def examples(self) -> list[str]:
        """The lines of its examples."""
        _, _, block = self.text.partition("\b\nExample")
        return [line.strip() for line in block.partition("\n\n")[0].splitlines()[1:]]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """An argument or an option of a command.

    Attributes:
        name: As it is typed, with what it takes.
        help: What it is for.
        note: That it is needed, or may be repeated; its default.
    """

    name: str
    help: str
    note: str


_NOT_RUN = "<!-- not run: examples of the lab's own data, whose options are checked -->"


def walk(found: Any = None, path: str = NAME) -> Iterator[Command]:
    """Every command, groups before what is in them, in the order of the help."""
    found = get_command(app) if found is None else found
    yield Command(path, found)
    if not hasattr(found, "commands"):
        return
    order = [name for names in SECTIONS.values() for name in names]
    names = list(found.commands)
    if path == NAME:
        names.sort(key=lambda name: order.index(name) if name in order else len(order))
    for name in names:
        command = found.commands[name]
        if not command.hidden:
            yield from walk(command, f"{path} {name}")


def parameters(command: Command) -> list[Parameter]:
    """What can be given with a command, arguments first."""
    hints = typing.get_type_hints(inspect.unwrap(command.found.callback)) if command.found.callback else {}
    return [
        _parameter(one, hints.get(one.name, str))
        for one in sorted(command.found.params, key=lambda one: one.param_type_name)
        if one.name not in _OF_TYPER and not getattr(one, "hidden", False)
    ]


def _parameter(one: Any, hint: Any) -> Parameter:
    kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
    is_list = any(typing.get_origin(kind) is list for kind in (hint, *kinds))
    kind = next(iter(typing.get_args(kinds[0])), kinds[0])
    notes = ["needed"] if one.required else []
    if is_list:
        notes.append("may be repeated")
    if one.param_type_name == "argument":
        name = getattr(one, "metavar", None) or one.name.upper()
        return Parameter(f"{name} ..." if is_list else name, one.help or "", ", ".join(notes))
    is_flag = kind is bool
    takes = "" if is_flag else getattr(one, "metavar", None) or _takes(kind)
    default = one.default.value if isinstance(one.default, enum.Enum) else one.default
    if not is_flag and default not in (None, "") and not one.required:
        notes.append(f"default: {default}")
    return Parameter(
        " ".join([", ".join([*one.opts, *one.secondary_opts]), *takes.split(" ")]).strip(),
        one.help or "",
        ", ".join(notes),
    )


def _takes(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return "|".join(str(member.value) for member in kind)
    return _KINDS[kind]


def usage(command: Command, given: Sequence[Parameter]) -> str:
    """How it is typed, in one line."""
    words = [command.path]
    if any(one.name.startswith("-") for one in given):
        words.append("[OPTIONS]")
    words += [one.name if "needed" in one.note else f"[{one.name}]" for one in given if not one.name.startswith("-")]
    return " ".join([*words, "COMMAND"] if command.is_group else words)


def _section(command: Command) -> Iterator[str]:
    given = parameters(command)
    yield f"{'##' if command.path.count(' ') < 2 else '###'} {command.path}"
    yield f"```text\n{usage(command, given)}\n```"
    for paragraph in command.text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, *lines = paragraph[2:].splitlines()
            # tests/test_docs.py parses them
            yield f"{title}\n\n{_NOT_RUN}\n```sh\n" + "\n".join(line.strip() for line in lines) + "\n```"
        else:
            yield _escaped(" ".join(paragraph.split()))
    if command.is_group:
        yield "\n".join(
            f"- [`{one.path}`](#{one.path.replace(' ', '-')}): {_escaped(one.text.partition(chr(10))[0])}"
            for one in walk(command.found, command.path)
            if one.path.count(" ") == command.path.count(" ") + 1
        )
    if given:
        rows = [f"| `{_cell(one.name)}` | {_cell(_escaped(one.help))} | {_cell(one.note)} |" for one in given]
        yield "\n".join(["| argument or option | meaning | |", "| --- | --- | --- |", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text as Markdown says it: outside of code, nothing in it means anything."""
    parts = text.split("`")
    # an underscore inside a word is one
    parts[::2] = [re.sub(r"[\\*<>\[\]]|(?<!\w)_|_(?!\w)", r"\\\g<0>", part) for part in parts[::2]]
    return "`".join(parts)


def render() -> str:
    """The page."""
    codes = "".join(f"| {int(code)} | {code.meaning} |\n" for code in ExitCode)
    sections = "\n\n".join(part for command in walk() for part in _section(command))
    return f"{HEAD}{codes}{CONVENTIONS}\n{sections}\n"

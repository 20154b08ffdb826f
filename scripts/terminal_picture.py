"""Draw docs/images/terminal.svg: what the command line shows of the demo's sample data.

The picture names only fonts of the system: rich's own template would fetch one from another host. For Linux and macOS.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
WIDTH = 104
COMMANDS: tuple[list[str], ...] = ([], ["sessions", "--ephys", "--is", "uploaded", "--missing", "sorted"])
PLACE = "~/npc-lims-demo"
"""What the folder of the demo is called in the picture."""

_ERASED = (re.compile(r"[^\n]*\n(?:\x1b\[\?25[lh])*\r(?:\x1b\[1A\x1b\[2K)"), re.compile(r"[^\n]*\r\x1b\[2K"))
"""Progress: the line above, and the line itself, that the terminal was told to erase."""
FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"


def make_demo(folder: Path) -> Path:
    command = [sys.executable, "-m", "npc_lims", "demo", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "repository"


def shown(arguments: list[str], repository: Path) -> str:
    """What the command prints on a terminal with colours."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("NPC_LIMS_", "NO_COLOR"))}
    command = [sys.executable, "-m", "npc_lims", *arguments]
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 200, WIDTH, 0, 0))
    environment = {**ours, "TERM": "xterm-256color", "PAGER": "cat", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, cwd=repository, env=environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
    ) as process:
        os.close(terminal)
        output = b"".join(iter(lambda: _read(screen), b""))
    os.close(screen)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output.decode()}")
    text = output.decode().replace("\r\n", "\n")
    for erased in _ERASED:
        text = erased.sub("", text)
    return text


def _read(screen: int) -> bytes:
    try:
        return os.read(screen, 65536)
    except OSError:  # Linux says so when the other side is closed
        return b""


def draw(screens: list[tuple[str, str]]) -> str:
    """The picture of some commands and what they print."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(
            record=True, width=WIDTH, file=nowhere, force_terminal=True, color_system="truecolor", highlight=False
        )
        for command, output in screens:
            console.print(Text.assemble(("$ ", "green"), (command, "bold")))
            for line in output.rstrip("\n").split("\n"):
                console.print(Text.from_ansi(line.rstrip()), no_wrap=True, crop=True)
            console.print()
    picture = console.export_svg(title="npc-lims", theme=DIMMED_MONOKAI, unique_id="terminal")
    return without_other_hosts(picture)


def without_other_hosts(picture: str) -> str:
    picture = re.sub(r"@font-face\s*{[^}]*}", "", picture)
    picture = picture.replace("Fira Code, monospace", FONT)
    outside = re.findall(r"(?:url\(|href=|src=)[\"']?(https?:[^\"')]+)", picture)
    assert not outside, f"the picture would fetch {outside}"
    return re.sub(r"[ \t]+$", "", picture, flags=re.MULTILINE)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        demo = Path(folder).resolve() / "demo"
        repository = make_demo(demo)
        screens = [
            (" ".join(["npc-lims", *arguments]), shown(arguments, repository).replace(str(demo), PLACE))
            for arguments in COMMANDS
        ]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_bytes(draw(screens).encode())


if __name__ == "__main__":
    main()

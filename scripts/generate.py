"""Write every file that is generated from the code, after a change of flags, models or commands.

python scripts/generate.py
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import cli_reference
import schema_reference
import schemas

from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS

ROOT = Path(__file__).resolve().parent.parent
FLAG_PROPERTIES = "npc_lims/sessions/flag_properties.pyi"


def generated_files() -> Iterator[tuple[str, str]]:
    """Yield path and content of each generated file; a file may depend on those before it."""
    yield FLAG_PROPERTIES, flag_properties()
    for name in schemas.SCHEMAS:
        yield f"docs/schemas/{name}", schemas.render(name)
    yield "docs/reference/schemas.md", schema_reference.render()
    yield "docs/reference/cli.md", cli_reference.render()


def flag_properties() -> str:
    """Return the stub by which type checkers and editors know the flags as attributes of a session."""
    lines = [
        "# Written by `python scripts/generate.py` from npc_lims/model/flags.py.",
        "from npc_lims.sessions.info import StatusProperty",
        "",
        "class FlagProperties:",
    ]
    for name in BOOLEAN_FLAGS:
        lines.append(f"    {name}: StatusProperty" + ("" if name.islower() else "  # noqa: N815"))
        text = textwrap.wrap(f'"""{FLAGS[name].meaning}"""', 110)
        lines += [f"    {line}" for line in text]
    return "\n".join(lines) + "\n"


def main() -> None:
    for name, content in generated_files():
        path = ROOT / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8", newline="\n")
            print(f"wrote {name}")


if __name__ == "__main__":
    main()

"""docs/reference/schemas.md: render each field of each file, from docs/schemas and the models behind it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS
from npc_lims.model.sections import SOURCES

ROOT = Path(__file__).resolve().parent.parent
# what the files are, and the models whose docstrings say what their fields mean
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "tracked_sessions": ("tracked_sessions.yaml", ()),
    "pipelines": ("pipelines.yaml", ()),
    "session": ("state/sessions/SUBJECT/SESSION.yaml", ("npc_lims/model/record.py",)),
    "runs": ("state/runs/PROCESS.yaml", ("npc_lims/processing/runs.py",)),
}
# of fields that need no docstring where they are defined
OBVIOUS = {
    ("", "schema"): "Version of this layout.",
    ("", "id"): "`<subject>_<YYYY-MM-DD>`, with `_1`, `_2` ... for later sessions of the day.",
    **{("", name): f"Written by the source {source.label} alone." for name, source in SOURCES.items()},
    ("", "status"): "Computed from the sections above: [below](#status).",
    ("", "process"): "Name of the process in pipelines.yaml, and of this file.",
    ("", "runs"): "By session and try.",
    ("Tracked", "allen_path"): "As listed.",
    ("CodeOcean", "sorted"): "Spike-sorting result that is not errored.",
    ("CodeOcean", "surface_sorted"): "The same of the surface-channel recording.",
    ("RawListing", "videos"): "Video files.",
    ("RawListing", "settings_xml"): "Files `settings.xml` of Open Ephys.",
    ("Run", "session"): "Session id.",
    ("Run", "try"): "1 for the first try with this input.",
    ("Run", "claimed"): "When the claim was made, UTC.",
    ("Run", "outcome"): "null until it ended.",
    ("Run", "asset"): "null until a data asset was made.",
}
IGNORED = "Ignored here: move it under session_kwargs."
HEAD = """\
# Schemas

<!-- Written by scripts/generate.py from the models: change these, and run it. -->

Each file has a JSON Schema (draft 2020-12), by which editors complete and check it. *Needed* says whether a field must
be there. A type that ends with *or null* has [three values](../state.md#the-values-of-a-fact).
"""


def render() -> str:
    parts = [HEAD]
    for name, (file, sources) in FILES.items():
        schema = json.loads((ROOT / "docs" / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))
        said = dict(item for source in sources for item in docstrings(ROOT / source))
        parts.append(f"\n## {file}\n\n[{name}.schema.json](../schemas/{name}.schema.json)\n")
        parts += (table(title, part, {**OBVIOUS, **said}) for title, part in objects(schema))
        if name == "session":
            parts.append(flags())
    return "".join(parts)


def flags() -> str:
    rows = "".join(f"| `{name}` | {cell(flag.meaning)} |\n" for name, flag in FLAGS.items())
    head = "\n### status\n\nA flag that does not apply is absent.\n\n| flag | true where |\n| --- | --- |\n"
    return head + rows


def docstrings(path: Path) -> Iterator[tuple[tuple[str, str], str]]:
    """Class and field to the docstring below the field."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            for field, below in zip(node.body, node.body[1:]):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    text = below.value if isinstance(below, ast.Expr) else None
                    if isinstance(text, ast.Constant) and isinstance(text.value, str):
                        yield (node.name, field.target.id), text.value


def objects(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The file itself, and every kind of object in it that has fields."""
    yield "", schema
    for name, part in schema.get("$defs", {}).items():
        if "properties" in part:
            yield name, part


def table(title: str, part: Mapping[str, Any], said: Mapping[tuple[str, str], str]) -> str:
    lines = [f"\n### {title}\n"] if title else []
    if title and part.get("description"):
        lines.append(f"\n{cell(part['description'])}\n")
    lines += ["\n| field | type | needed | meaning |\n| --- | --- | --- | --- |\n"]
    ignored: list[str] = []
    for name, field in part["properties"].items():
        if field.get("description") == IGNORED:
            ignored.append(f"`{name}`")
            continue
        meaning = cell(field.get("description") or said.get((title, name), ""))
        if field.get("default") not in (None, [], {}, ""):
            meaning += f"{' ' if meaning else ''}Default: `{json.dumps(field['default'])}`."
        needed = "yes" if name in part.get("required", ()) else ""
        lines.append(f"| `{name}` | {cell(kind(field))} | {needed} | {meaning} |\n")
    if ignored:
        lines.append(f"\nKeys of *SessionKwargs* are ignored here, with a warning: {', '.join(ignored)}.\n")
    return "".join(lines)


def kind(field: Mapping[str, Any]) -> str:
    """The type of a field, in words."""
    if "$ref" in field:
        return f"*{field['$ref'].rpartition('/')[2]}*"
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if set(field.get("enum", ())) == set(BOOLEAN_FLAGS):
        return "a [status flag](#status)"
    if "enum" in field:
        return " or ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    for choice in ("anyOf", "oneOf"):
        if choice in field:
            return " or ".join(dict.fromkeys(kind(one) for one in field[choice]))
    if field.get("type") == "array":
        return f"list of {kind(field.get('items', {}))}"
    names = field.get("type", "anything")
    return " or ".join(names) if isinstance(names, list) else str(names)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")

"""Check that the package keeps its levels, or measure its structure.

python scripts/check_layout.py                    list what breaks the rules; exit code 1 if anything does
python scripts/check_layout.py --measure DIR ...  print a table with a column for each checkout
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "npc_lims"
LEVELS = (
    ("__init__", "demo", "errors", "old_paths", "utils"),
    ("config", "model"),
    ("clients",),
    ("sources", "state"),
    ("history", "metadata", "processing", "sessions", "sync", "track"),
    ("codeocean", "dashboard"),
    ("cli", "paths"),
    ("__main__", "benchmarks", "scripts"),
)
"""Units (a folder or a loose module) from the lowest level up. Within a level, imports form no cycle."""
LOOSE = 4
"""Modules that may lie in the package's root."""
NETWORK = frozenset({"boto3", "botocore", "github", "http.client", "requests", "socket", "urllib.request", "urllib3"})
"""What opens connections: only `clients` imports it to do so."""
SERVERS = frozenset({"npc_lims.dashboard.site.serve"})
"""Modules that serve on this machine."""


@dataclasses.dataclass(frozen=True)
class Module:
    """A module of the package, of scripts or of benchmarks."""

    name: str
    lines: int
    imports: frozenset[str]
    """Modules and names that it imports, anywhere in it."""
    classes: tuple[str, ...]

    @property
    def unit(self) -> str:
        first, _, rest = self.name.partition(".")
        return first if first != PACKAGE else rest.partition(".")[0] or "__init__"


def read_modules(root: Path) -> dict[str, Module]:
    """Return the modules of a checkout by name."""
    files = [path for folder in (PACKAGE, "scripts", "benchmarks") for path in sorted((root / folder).rglob("*.py"))]
    return {module.name: module for module in (_read_module(root, path) for path in files)}


def _read_module(root: Path, path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    parts = path.relative_to(root).with_suffix("").parts
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
    classes = tuple(node.name for node in tree.body if isinstance(node, ast.ClassDef))
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, text.count("\n"), frozenset(imports), classes)


def unit_imports(modules: dict[str, Module]) -> dict[str, dict[str, list[str]]]:
    """Return for each unit the units it imports, each with the modules that do so."""
    graph: dict[str, dict[str, list[str]]] = {module.unit: {} for module in modules.values()}
    for module in modules.values():
        for imported in module.imports:
            target = modules.get(imported) or modules.get(imported.rpartition(".")[0])
            if target is not None and target.unit != module.unit:
                graph[module.unit].setdefault(target.unit, []).append(module.name)
    return graph


def find_problems(root: Path) -> Iterator[str]:
    """Yield what breaks the rules about levels, loose modules, names of types and connections."""
    modules = read_modules(root)
    graph = unit_imports(modules)
    yield from _upward_imports(graph)
    for cycle in _cycles(graph):
        yield f"{', '.join(cycle)}: import each other"
    loose = sorted(path.name for path in (root / PACKAGE).glob("*.py"))
    if len(loose) > LOOSE:
        yield f"{PACKAGE}/: {len(loose)} loose modules ({', '.join(loose)}); at most {LOOSE}: move one into a folder"
    yield from _repeated_classes(modules)
    for module in sends_requests(modules):
        if module.unit != "clients":
            yield f"{module.name}: opens connections; only {PACKAGE}/clients may"


def _upward_imports(graph: dict[str, dict[str, list[str]]]) -> Iterator[str]:
    level = {unit: number for number, units in enumerate(LEVELS, 1) for unit in units}
    for unit, targets in sorted(graph.items()):
        if unit not in level:
            yield f"{unit}: is on no level; add it to LEVELS in scripts/check_layout.py"
            continue
        for target, sources in sorted(targets.items()):
            if level.get(target, 0) > level[unit]:
                yield f"{', '.join(sorted(set(sources)))}: imports {target}, which is on a higher level than {unit}"


def _repeated_classes(modules: dict[str, Module]) -> Iterator[str]:
    homes = defaultdict(list)
    for module in modules.values():
        if module.name.startswith(PACKAGE):
            for name in module.classes:
                homes[name].append(module.name)
    for name, found in sorted(homes.items()):
        if len(found) > 1:
            yield f"class {name}: in {', '.join(found)}; rename all but one"


def sends_requests(modules: dict[str, Module]) -> list[Module]:
    """Return the modules of the package that import what opens connections."""
    return [
        module
        for module in modules.values()
        if module.name.startswith(PACKAGE)
        and module.name not in SERVERS
        and any(name == lib or name.startswith(f"{lib}.") for name in module.imports for lib in NETWORK)
    ]


def _cycles(graph: dict[str, dict[str, list[str]]]) -> list[list[str]]:
    """Return the groups of units that can reach each other."""
    reach = {unit: _reachable(graph, unit) for unit in graph}
    groups = {tuple(sorted({unit} | {o for o in reach[unit] if unit in reach[o]})) for unit in graph}
    return [list(group) for group in sorted(groups) if len(group) > 1]


def _reachable(graph: dict[str, dict[str, list[str]]], unit: str) -> set[str]:
    found: set[str] = set()
    waiting = [unit]
    while waiting:
        for target in graph[waiting.pop()]:
            if target not in found:
                found.add(target)
                waiting.append(target)
    return found


def count_levels(graph: dict[str, dict[str, list[str]]]) -> int:
    """Return the length of the longest chain of units that import one another; a cycle is one link."""
    group = {unit: frozenset({unit}) for unit in graph}
    for cycle in _cycles(graph):
        group.update(dict.fromkeys(cycle, frozenset(cycle)))
    depths: dict[frozenset[str], int] = {}

    def depth(members: frozenset[str]) -> int:
        if members not in depths:
            below = {group[target] for unit in members for target in graph[unit]} - {members}
            depths[members] = 1 + max((depth(each) for each in below), default=0)
        return depths[members]

    return max(depth(members) for members in group.values())


def measure(root: Path) -> dict[str, str]:
    """Return the figures of a checkout by what they count."""
    modules = read_modules(root)
    graph = unit_imports(modules)
    ours = [module for module in modules.values() if module.name.startswith(PACKAGE)]
    return {
        "units": f"{len(graph)}",
        "levels": f"{count_levels(graph)}",
        "units in import cycles": f"{sum(map(len, _cycles(graph)))}",
        "loose modules": f"{len(list((root / PACKAGE).glob('*.py')))}",
        "modules": f"{len(ours)}",
        "lines": f"{sum(module.lines for module in ours):,}",
        "modules that open connections": f"{len(sends_requests(modules))}",
        "class names used twice": f"{len(list(_repeated_classes(modules)))}",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", metavar="DIR", nargs="+", type=Path, help="checkouts to compare")
    options = parser.parse_args()
    if options.measure:
        columns = [measure(folder) for folder in options.measure]
        print("| | " + " | ".join(folder.resolve().name for folder in options.measure) + " |")
        print("| --- |" + " --- |" * len(columns))
        for what in columns[0]:
            print(f"| {what} | " + " | ".join(column[what] for column in columns) + " |")
        return 0
    problems = list(find_problems(ROOT))
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

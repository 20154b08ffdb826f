"""The files of a site: what they say, what they look like, and that they are the same for the same state."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import PIL.Image
import pytest

from npc_lims.config.settings import Settings
from npc_lims.dashboard.site.build import SiteOptions, build_site
from npc_lims.dashboard.site.pages import PAGES, render_page
from npc_lims.errors import NpcLimsError, StateError
from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.model.record import Record
from npc_lims.model.rows import session_row
from npc_lims.processing.runs import Run, write_runs
from npc_lims.state.snapshot import SNAPSHOT, make_line, parse_line, split_lines
from npc_lims.state.sync_file import SourceSync, SyncFile, write_sync_file
from tests.builders import SESSION, asset, no_assets, record, tracked, training
from tests.dashboard.site.conftest import build
from tests.dashboard.site.formats import OVERVIEW, PROCESSING, SESSIONS, SUBJECT
from tests.dashboard.site.lab import AWKWARD, NOW, write_lab
from tests.integration.world import run_git
from tests.real import REAL_TRACKED, needs_real

ROOT = Path(__file__).resolve().parents[3]


def read(site: Path, name: str) -> Any:
    return json.loads((site / "data" / f"{name}.json").read_bytes())


def check_formats(site: Path) -> None:
    for name, schema in (("overview", OVERVIEW), ("processing", PROCESSING), ("sessions", SESSIONS)):
        jsonschema.validate(read(site, name), schema)
    validator = jsonschema.Draft202012Validator(SUBJECT)
    for path in (site / "data" / "subjects").iterdir():
        content = read(site, f"subjects/{path.stem}")
        validator.validate(content)
        assert content["subject"] == path.stem


def check_columns(site: Path) -> None:
    """All columns of the sessions are equally long, and say what their rows say."""
    table = read(site, "sessions")
    rows = [session_row(parse_line(line)) for line in split_lines((site / SNAPSHOT).read_bytes())]
    assert table["count"] == len(rows)
    assert table["id"] == [row["id"] for row in rows], "the newest first, as in the mirror"
    for name in ("project", "platform", "rig", "task_version"):
        column = table[name]
        assert [column["values"][place] for place in column["index"]] == [str(row[name]) for row in rows]
    assert table["experiment_day"] == [row["experiment_day"] for row in rows]
    assert list(table["status"]) == table["flags"] == list(table["labels"]) == list(BOOLEAN_FLAGS)
    meaning: dict[str, Any] = {"y": True, "n": False, "?": None, "-": False}
    for flag, column in table["status"].items():
        assert [meaning[mark] for mark in column] == [row[flag] for row in rows]
        assert [mark == "-" for mark in column] == [flag in row["not_applicable"] for row in rows]


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by path."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_state(folder: Path, *records: Record) -> Path:
    folder.mkdir(parents=True)
    lines = [make_line(one.as_dict(), "") + b"\n" for one in records]
    (folder / SNAPSHOT).write_bytes(b"".join(lines))
    return folder


# --- the demo


def test_the_demo(demo_site: Path, demo_repository: Path) -> None:
    check_formats(demo_site)
    check_columns(demo_site)
    assert (demo_site / SNAPSHOT).read_bytes() == (demo_repository / "state" / SNAPSHOT).read_bytes()
    assert (demo_site / ".nojekyll").read_bytes() == b""
    overview = read(demo_site, "overview")
    assert overview["commit"] == run_git(demo_repository, "rev-parse", "HEAD").strip()
    assert overview["commit_url"] == f"https://github.com/AllenInstitute/npc_lims/commit/{overview['commit']}"
    assert (overview["totals"]["sessions"], overview["totals"]["tracked"]) == (29, 20)
    assert [source["name"] for source in overview["sources"]] == ["tracked", "training", "codeocean", "s3"]
    assert {"errored", "stalled"} <= {finding["kind"] for finding in overview["attention"]}


def test_what_happened_is_recent_and_in_timelines(demo_site: Path) -> None:
    """That a session was there when the history began is no event of these days."""
    recent = read(demo_site, "overview")["recent"]
    assert [(one["session"], one["what"][0]) for one in recent] == [
        ("901005_2024-11-04", "new"),
        ("901003_2024-10-24", "uploaded"),
        ("901002_2024-05-15", "sorted"),
    ]
    subject = read(demo_site, "subjects/901002")
    (session,) = (one for one in subject["sessions"] if one["id"] == "901002_2024-05-15")
    assert [one["what"] for one in session["timeline"]] == [["sorted"], ["already present at first sync"]]


def test_facts_of_a_session_are_those_of_state(demo_site: Path, demo_repository: Path) -> None:
    facts = {one["id"]: one for path in (demo_site / "data/subjects").iterdir() for one in read_subject(path)}
    lines = [parse_line(line) for line in split_lines((demo_repository / "state" / SNAPSHOT).read_bytes())]
    assert set(facts) == {line["id"] for line in lines}
    for line in lines:
        shown = facts[line["id"]]
        assert shown["facts"] == {name: line[name] for name in ("tracked", "training", "codeocean", "s3")}
        assert shown["allen_path"] == session_row(line)["allen_path"]


def read_subject(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_bytes())["sessions"]
    return found


def test_the_line_to_edit_is_that_of_the_entry(demo_site: Path, demo_repository: Path) -> None:
    lines = (demo_repository / "tracked_sessions.yaml").read_text(encoding="utf-8").splitlines()
    for path in (demo_site / "data/subjects").iterdir():
        for session in read_subject(path):
            number = session["links"]["tracked_line"]
            assert (number is None) == (session["facts"]["tracked"] is False)
            if number is not None:
                assert session["allen_path"] in lines[number - 1]
                assert session["links"]["edit"].endswith(f"/edit/main/tracked_sessions.yaml#L{number}")


def test_the_same_commit_makes_the_same_site(demo_repository: Path, demo_site: Path, tmp_path: Path) -> None:
    """Apart from the moment at which it was made, which is the same here."""
    build(demo_repository / "state", tmp_path / "again", repository="AllenInstitute/npc_lims")
    assert contents(tmp_path / "again") == contents(demo_site)


def test_what_was_never_pushed_has_no_links(demo_repository: Path, tmp_path: Path) -> None:
    build(demo_repository / "state", tmp_path / "here")
    assert read(tmp_path / "here", "overview")["repository"] is None
    sessions = [one for path in (tmp_path / "here/data/subjects").iterdir() for one in read_subject(path)]
    names = ("state_file", "state_history", "edit", "new_issue")
    assert {one["links"][name] for one in sessions for name in names} == {None}
    assert any(file["codeocean"] for one in sessions for file in one["files"]), "these are there all the same"
    folder = shutil.copytree(demo_repository, tmp_path / "clone")
    run_git(folder, "remote", "add", "origin", "https://github.com/AllenInstitute/npc_lims")
    build(folder / "state", tmp_path / "there", with_history=False)
    assert read(tmp_path / "there", "overview")["repository"] == "AllenInstitute/npc_lims"


def test_feeds_are_named_where_they_are(demo_repository: Path, tmp_path: Path) -> None:
    build(demo_repository / "state", tmp_path / "site")
    named = dict(read(tmp_path / "site", "sessions")["feeds"])
    assert set(named) == {"DynamicRouting", "TempletonPilotSession"}
    named.update((path.stem, read(tmp_path / "site", f"subjects/{path.stem}")["feed"])
                 for path in (tmp_path / "site/data/subjects").iterdir())  # fmt: skip
    assert {tmp_path / "site" / path for path in named.values()} == set((tmp_path / "site/feeds").iterdir())
    assert b"901002_2024-05-15: sorted" in (tmp_path / "site" / named["901002"]).read_bytes()
    assert b"901002_2024-05-15: sorted" in (tmp_path / "site" / named["DynamicRouting"]).read_bytes()
    assert b"901002" not in (tmp_path / "site" / named["TempletonPilotSession"]).read_bytes()
    build(demo_repository / "state", tmp_path / "site", with_history=False)
    assert not (tmp_path / "site/feeds").exists()
    assert read(tmp_path / "site", "sessions")["feeds"] == {}


def test_without_history(demo_repository: Path, tmp_path: Path) -> None:
    built = build(demo_repository / "state", tmp_path / "site", with_history=False)
    assert built.events is None
    check_formats(tmp_path / "site")
    overview = read(tmp_path / "site", "overview")
    assert (overview["commit"], overview["history_begins"], overview["recent"]) == (None, None, [])


def test_outside_of_a_checkout(demo_state: Path, tmp_path: Path) -> None:
    built = build(demo_state, tmp_path / "site")
    assert (built.events, built.sessions) == (None, 29)
    assert built.size == sum(path.stat().st_size for path in (tmp_path / "site").rglob("*") if path.is_file())
    check_formats(tmp_path / "site")


def test_the_page_for_what_is_not_there_leads_to_the_site_from_everywhere(demo_state: Path, tmp_path: Path) -> None:
    build(demo_state, tmp_path / "site", base_url="https://lab.example/a&b")
    page = (tmp_path / "site" / "404.html").read_text(encoding="utf-8")
    places = set(re.findall(r'(?:href|src)="([^"]*)"', page))
    assert {place for place in places if not place.startswith("/a&amp;b/")} == {"#main"}
    assert "/a&amp;b/static/pages/missing.js" in places
    assert 'href="static/' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_state_and_site_keep_apart(demo_state: Path, tmp_path: Path) -> None:
    """A site is replaced whole, with whatever is in it; and what is in the state folder is committed."""
    build(demo_state, tmp_path / "site")
    state = Path(shutil.copytree(demo_state, tmp_path / "site" / "state"))
    before = contents(tmp_path / "site")
    for out in (tmp_path / "site", state / "site", tmp_path / "site/state/../state/deep/er"):
        with pytest.raises(NpcLimsError, match="name another folder"):
            build(state, out)
    assert contents(tmp_path / "site") == before


def test_a_shallow_clone_is_reported(demo_repository: Path, tmp_path: Path) -> None:
    run_git(tmp_path, "clone", "--quiet", "--depth=1", demo_repository.as_uri(), "clone")
    built = build(tmp_path / "clone" / "state", tmp_path / "site")
    assert built.is_shallow
    assert read(tmp_path / "site", "overview")["shallow"] is True


def test_runs_and_their_workflow(tmp_path: Path) -> None:
    state = write_state(tmp_path / "state", record(codeocean=no_assets(raw=asset())))
    failed = {"outcome": "errored", "reason": "exit code 137", "computation": "computation-1"}
    run = Run.model_validate(
        {
            "session": SESSION,
            "input": "raw-1",
            "attempt": 1,
            "claim": "c1",
            "claimed": "2026-11-20T10:00:00Z",
            "by": "javascript:alert(1)",
            **failed,
        }
    )
    write_runs(state, "dlc_eye", [run])
    build(state, tmp_path / "site")
    (finding,) = (one for one in read(tmp_path / "site", "overview")["attention"] if one["kind"] == "runs")
    assert (finding["items"][0]["text"], finding["items"][0]["link"]) == ("try 1: exit code 137", None)


NAN_ROW = b'{"nsb":false,"row":1,"start_time":"","hits":NaN}'
SECTIONS = b'"schema":1,"tracked":false,"codeocean":false,"s3":false,"status":{}'


# --- what nobody should write


def hostile_records() -> list[Record]:
    says = [
        {"notes": note, "issues": ["javascript:alert(1)", f"https://example.org/{place}", "see below"]}
        for place, note in enumerate(AWKWARD)
    ]
    records = [record(f"{SESSION}_{place + 1}", tracked=tracked(**more)) for place, more in enumerate(says)]
    nasty = '"><script>alert(1)</script>\u2028\u202e'
    return [
        *records,
        record(
            "626791_2022-08-16",
            tracked=tracked(project=nasty, allen_path=nasty, session_kwargs={nasty: [nasty, 1.5, None]}),
            training=training(rig_name=nasty, task_version=7),
            codeocean=no_assets(raw=asset(nasty, id="../../x", location="javascript:alert(1)"), errored={nasty: nasty}),
        ),
    ]


def test_hostile_values_stay_text(tmp_path: Path) -> None:
    state = write_state(tmp_path / "state", *hostile_records())
    build(state, tmp_path / "site")
    check_formats(tmp_path / "site")
    check_columns(tmp_path / "site")
    for path in (tmp_path / "site" / "data").rglob("*.json"):
        assert path.read_bytes().isascii(), "no character ends a line, or turns the direction of writing"
    table = read(tmp_path / "site", "sessions")
    assert list(table["notes"].values()) == list(AWKWARD), "as people wrote them"
    assert list(table["issues"].values()) == [[f"https://example.org/{place}"] for place in range(len(AWKWARD))]
    subject = read(tmp_path / "site", "subjects/626791")
    assert subject["sessions"][0]["facts"]["tracked"]["issues"][0] == "javascript:alert(1)", "shown, and no link"
    last = subject["sessions"][-1]
    assert (last["rig"], last["task_version"]) == ('"><script>alert(1)</script>\u2028\u202e', "7")
    [raw] = [one for one in last["files"] if one["what"] == "raw data"]
    assert raw["codeocean"] == "https://codeocean.allenneuraldynamics.org/data-assets/..%2F..%2Fx"
    assert raw["s3"] is None


def test_pages_hold_nothing_of_state(demo_site: Path) -> None:
    """So that no value can ever become markup: they are the same for every state."""
    folder = ROOT / "npc_lims/dashboard/site/static"
    static = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    pages = {page.name: page.read_bytes() for page in demo_site.glob("*.html")}
    assert pages == {name: render_page(name, static) for name in PAGES}


# --- what others show of the site


def previewed(page: Path) -> dict[str, str]:
    """The properties of a page that previews of links show."""
    return dict(re.findall(r'<meta (?:property|name)="([\w:]+)" content="([^"]*)">', page.read_text(encoding="utf-8")))


def test_a_preview_needs_the_address_of_the_site(demo_state: Path, demo_site: Path, tmp_path: Path) -> None:
    build(demo_state, tmp_path / "site", base_url="https://lab.example/a&b/")
    for page in PAGES:
        there, here = previewed(tmp_path / "site" / page), previewed(demo_site / page)
        assert there["og:image"] == "https://lab.example/a&amp;b/og.png"
        assert there["twitter:card"] == "summary_large_image"
        assert set(there) - set(here) == {name for name in there if "image" in name} | {"twitter:card"}
        assert here["og:title"].endswith(" · npc_lims")
        assert here["og:description"] == here["description"]


def test_the_picture_shows_the_pipeline(demo_site: Path) -> None:
    def is_done(colour: object) -> bool:
        assert isinstance(colour, tuple)
        return colour[0] < 60 and colour[2] < 160

    with PIL.Image.open(demo_site / "og.png") as image:
        assert (image.format, image.size) == ("PNG", (1200, 630))
        pixels = image.convert("RGB")
    for number, stage in enumerate(read(demo_site, "overview")["funnel"][:6]):
        bar = [is_done(pixels.getpixel((x, 330 + 47 * number))) for x in range(330, 881)]
        assert sum(bar) == pytest.approx(551 * stage["yes"] / stage["applies"], abs=2)
        assert bar == sorted(bar, reverse=True)
    assert (demo_site / "og.png").stat().st_size < 40_000


def test_without_pillow_there_is_no_picture(demo_state: Path, tmp_path: Path) -> None:
    run = "import sys; sys.modules['PIL'] = None; from npc_lims.cli import main; main()"
    command = [sys.executable, "-c", run, "site", "build", str(tmp_path / "site"), "--state", str(demo_state)]
    base = ["--base-url", "https://lab.example"]
    for more, is_reported in ((base, True), ([], False)):
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=True)
        assert ('pip install "npc_lims[site]"' in done.stderr) == is_reported
        assert not (tmp_path / "site" / "og.png").exists()
        assert "og:image" not in previewed(tmp_path / "site" / "index.html")


def test_the_badge(demo_site: Path, tmp_path: Path) -> None:
    def badge(site: Path) -> Any:
        found = json.loads((site / "badge.json").read_bytes())
        assert (found.pop("schemaVersion"), found.pop("label")) == (1, "sessions")
        return found

    items = len(read(demo_site, "overview")["attention"])
    made = read(demo_site, "overview")["made"][:10]
    assert badge(demo_site) == {"message": f"29 on {made}, {items} items need attention", "color": "yellow"}
    state = write_state(tmp_path / "state", record())
    build(state, tmp_path / "never")
    assert badge(tmp_path / "never")["color"] == "red", "no source was ever read"
    names = [source["name"] for source in read(demo_site, "overview")["sources"]]
    fresh = {name: SourceSync(last_complete=f"{NOW:%Y-%m-%dT%H:%M:%SZ}") for name in names}
    write_sync_file(state, SyncFile(sources=fresh))
    build(state, tmp_path / "fresh")
    assert badge(tmp_path / "fresh") == {"message": f"1 on {NOW:%Y-%m-%d}", "color": "brightgreen"}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b'{"id":"../../x","digest":"","schema":1,"status":{}}', "its id is not one of a session"),
        (b'{"id":"626791_2022-08-15","digest":"","schema":1,"tracked":7,"status":{}}', "is damaged"),
        (b'{"id":"626791_2022-08-15","digest":"","schema":9}', "schema 9"),
        (b'{"id":"626791_2022-08-15","digest":"","schema":1,"status":{"is_sorted":NaN}}', "is damaged"),
        (b'{"id":"626791_2022-08-15","digest":"",' + SECTIONS + b',"training":' + NAN_ROW + b"}", "NaN is no number"),
        (b'{"id":"626791_2022-08-15",}', "is damaged"),
        (b"<html>", "not a line of a session snapshot"),
    ],
)
def test_a_damaged_snapshot_is_refused(line: bytes, complaint: str, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / SNAPSHOT).write_bytes(line + b"\n")
    with pytest.raises(StateError, match=complaint):
        build(state, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["state"], "nothing is left behind"


def test_no_state(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="there is no state folder"):
        build(tmp_path / "state", tmp_path / "site")
    (tmp_path / "state").mkdir()
    with pytest.raises(StateError, match="run npc-lims sync to make it"):
        build(tmp_path / "state", tmp_path / "site")


# --- the lab's own file, and a large lab


@pytest.mark.slow
@needs_real
def test_the_lab_s_own_file(tmp_path: Path) -> None:
    from npc_lims.sync.run import SyncOptions, sync

    tracked_file = Path(shutil.copy(REAL_TRACKED, tmp_path))
    options = SyncOptions(state=tmp_path / "state", tracked=tracked_file, sources=("tracked",))
    sync(Settings(cache_dir=tmp_path / "cache"), options)
    build(tmp_path / "state", tmp_path / "site")
    check_formats(tmp_path / "site")
    check_columns(tmp_path / "site")
    (warnings,) = (one for one in read(tmp_path / "site", "overview")["attention"] if one["kind"] == "warnings")
    assert warnings["total"] == 47
    lines = tracked_file.read_text(encoding="utf-8").splitlines()
    for path in (tmp_path / "site/data/subjects").iterdir():
        for session in read_subject(path):
            assert session["id"].split("_")[0] in lines[session["links"]["tracked_line"] - 1]


def check_size(site: Path, sessions: int) -> None:
    content = (site / "data" / "sessions.json").read_bytes()
    assert json.loads(content)["count"] == sessions
    assert len(content) < 110 * sessions
    assert len(gzip.compress(content, 6, mtime=0)) < 30 * sessions
    assert (site / "data" / "overview.json").stat().st_size < 200_000


@pytest.mark.slow
def test_a_lab_where_sessions_stand_everywhere(tmp_path: Path) -> None:
    write_lab(tmp_path / "state", 400)
    build(tmp_path / "state", tmp_path / "site")
    check_size(tmp_path / "site", 400)
    check_formats(tmp_path / "site")
    check_columns(tmp_path / "site")


@pytest.mark.slow
def test_ten_thousand_sessions_are_less_than_a_megabyte(tmp_path: Path) -> None:
    write_lab(tmp_path / "state", 10_000)
    build(tmp_path / "state", tmp_path / "site")
    check_size(tmp_path / "site", 10_000)


# --- as it is installed


@pytest.mark.slow
def test_a_wheel_has_the_pages_and_they_come_out_of_a_zip(demo_state: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    static = ROOT / "npc_lims" / "dashboard" / "site" / "static"
    inside = {path.relative_to(ROOT).as_posix() for path in static.rglob("*") if path.is_file()}
    assert inside
    assert inside <= set(zipfile.ZipFile(wheel).namelist())
    build_site(Settings(), SiteOptions(tmp_path / "site", demo_state), NOW)
    # a wheel is a zip that can be imported from
    code = (
        "import sys, datetime, pathlib; sys.path.insert(0, sys.argv[1])\n"
        "import npc_lims; assert '.whl' in npc_lims.__file__, npc_lims.__file__\n"
        "from npc_lims.dashboard.site.build import SiteOptions, build_site\n"
        "from npc_lims.config.settings import Settings\n"
        "state, out, now = pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), sys.argv[4]\n"
        "build_site(Settings(), SiteOptions(out, state), datetime.datetime.fromisoformat(now))\n"
    )
    arguments = [str(wheel), str(demo_state), str(tmp_path / "zipped"), NOW.isoformat()]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, cwd=tmp_path)
    assert contents(tmp_path / "zipped") == contents(tmp_path / "site")

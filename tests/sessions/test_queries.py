"""What notebooks show of sessions, and the plain rows that feed tables elsewhere."""

from __future__ import annotations

import copy
import datetime
import html.parser
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies

import npc_lims
from npc_lims.config.settings import load_settings
from npc_lims.model.rows import COLUMNS, session_row
from npc_lims.sessions.filter_values import YES_OR_NO
from npc_lims.sessions.html import render_session, render_sessions, session_links
from npc_lims.sessions.info import SessionInfo
from npc_lims.sessions.queries import Sessions, to_records
from npc_lims.utils.urls import Links
from tests.integration.world import GitHub

HOSTILE = "<script>alert(1)</script> \" ' & </td>"
LINKS = Links("lab/state", site="https://lab.github.io/state")


class Page(html.parser.HTMLParser):
    """The elements, addresses and text of a piece of HTML; fails where elements are not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self._open:
            self.text += data


@pytest.fixture
def sessions(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions[SessionInfo]:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return npc_lims.get_session_info()


@pytest.fixture(scope="module")
def records(demo_state: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (demo_state / "sessions.jsonl").read_text().splitlines()]


# --- the tuple


def test_it_is_a_tuple_as_ever(sessions: Sessions[SessionInfo]) -> None:
    assert isinstance(sessions, tuple)
    assert isinstance(npc_lims.get_session_info(is_ephys=True), Sessions)
    assert sessions == tuple(sessions)
    assert hash(sessions) == hash(tuple(sessions))
    first, *_, last = sessions
    assert (sessions[0], sessions[-1]) == (first, last)
    assert sorted(sessions, key=str)
    assert repr(sessions[:1]) == repr((first,)), "outside of notebooks it looks like one"


def test_a_part_of_it_is_shown_likewise(sessions: Sessions[SessionInfo]) -> None:
    assert isinstance(sessions[:5], Sessions)
    assert sessions[2:8:3] == (sessions[2], sessions[5])
    assert sessions[:0]._repr_html_().count("<tr") == 0


def test_it_travels(sessions: Sessions[SessionInfo]) -> None:
    for arrived in (pickle.loads(pickle.dumps(sessions)), copy.copy(sessions), copy.deepcopy(sessions)):
        assert type(arrived) is Sessions
        assert arrived == sessions
        assert arrived._repr_html_() == sessions._repr_html_()


# --- what notebooks show


def test_a_list_shows_the_first_ones_and_how_many_there_are(sessions: Sessions[SessionInfo]) -> None:
    page = Page(sessions._repr_html_())
    assert page.tags.count("tr") == 21
    assert "29 sessions, 9 of which are not shown" in page.text
    assert str(sessions[0].id) in page.text
    assert str(sessions[20].id) not in page.text
    assert "29 sessions" in Page(Sessions(sessions[:1] * 29)._repr_html_()).text
    assert Page(sessions[:1]._repr_html_()).text.endswith("1 session")


def test_a_session_shows_all_that_is_known(sessions: Sessions[SessionInfo]) -> None:
    info = npc_lims.get_session_info("901001_2024-03-13")
    page = Page(info._repr_html_())
    for words in ("901001_2024-03-13", "DynamicRouting", "ephys", "NP2", "uploaded", "sorted", "surface"):
        assert words in page.text
    assert any("/data-assets/" in link for link in page.links)


def test_a_session_made_by_hand_is_shown(sessions: Sessions[SessionInfo]) -> None:
    info = sessions[0]
    made = SessionInfo(
        id=info.id, project=HOSTILE, is_ephys=True, is_sync=True, allen_path=info.allen_path, notes=HOSTILE
    )
    for shown in (made._repr_html_(), Sessions([made])._repr_html_()):
        assert HOSTILE in Page(shown).text


def test_showing_sessions_sends_no_request(
    github: GitHub, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is looked up for a status that is unknown, and nothing heavy is loaded."""
    monkeypatch.setenv("NPC_LIMS_PAGES_URL", "off")
    unknown = copy.deepcopy(records[0])
    unknown["status"].update(dict.fromkeys(unknown["status"]))
    found = npc_lims.get_session_info()
    asked, loaded = len(github.paths), {*sys.modules}
    info = SessionInfo.from_record(unknown, load_settings())
    for shown in (found, Sessions([info]), info):
        assert "never observed" in shown._repr_html_() or shown is found
    assert to_records([info])[0]["is_uploaded"] is None
    assert len(github.paths) == asked
    assert "pandas" not in {*sys.modules} - loaded


def test_published_sessions_have_their_pages(github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    found = npc_lims.get_session_info()
    assert (
        f"https://github.com/lab/state/blob/main/state/sessions/{found[0].subject}/{found[0].id}.yaml"
        in Page(found._repr_html_()).links
    )
    monkeypatch.setenv("NPC_LIMS_PAGES_URL", "https://lab.github.io/state")
    (link, *_) = Page(render_sessions([found[0].parse_without_caching()], 0, session_links(load_settings()))).links
    assert link == f"https://lab.github.io/state/session.html?id={found[0].id}"


def test_a_folder_has_no_pages(sessions: Sessions[SessionInfo]) -> None:
    assert not any("github.com/AllenInstitute/npc_lims/blob" in link for link in Page(sessions._repr_html_()).links)


def test_issues_are_links_if_they_are_addresses(records: list[dict[str, Any]]) -> None:
    record = copy.deepcopy(next(record for record in records if record["tracked"]))
    good = "https://github.com/AllenInstitute/npc_lims/issues/12"
    record["tracked"]["issues"] = [good, "javascript:alert(1)", f'"{HOSTILE}', "https://user@evil.example/issues/1"]
    for shown in (render_session(record, LINKS), render_sessions([record], 0, LINKS)):
        page = Page(shown)
        assert good in page.links
        assert "#12" in page.text
        assert all(link.startswith("https://") and "evil" not in link for link in page.links)
        assert f'"{HOSTILE}' in page.text


@hypothesis.given(text=strategies.text(max_size=50))
@hypothesis.example(HOSTILE)
@hypothesis.example("\x1b[31m\x00\u202e]]>-->")
def test_whatever_people_type_stays_text(records: list[dict[str, Any]], text: str) -> None:
    plain = copy.deepcopy(next(record for record in records if record["tracked"] and record["training"]))
    plain["tracked"].update(project="p", notes="n", issues=["i"], allen_path="a")
    plain["training"].update(rig_name="r", task_version="t")
    typed = copy.deepcopy(plain)
    typed["tracked"].update(project=text or "p", notes=text or "n", issues=[text], allen_path=text)
    typed["training"].update(rig_name=text or "r", task_version=text or "t")
    typed["tracked"]["experiment_day"] = text  # of a line that no sync wrote
    for render in (lambda one: render_session(one, LINKS), lambda one: render_sessions([one], 0, LINKS)):
        shown = Page(render(typed))
        wanted = [tag for tag in Page(render(plain)).tags if tag != "a"]
        assert [tag for tag in shown.tags if tag not in ("a",)] == wanted or not text
        assert "script" not in shown.tags


# --- rows


def test_records_are_the_rows_of_the_command_line(
    sessions: Sessions[SessionInfo], records: list[dict[str, Any]]
) -> None:
    found = to_records()
    assert found == [session_row(record) for record in records]
    assert all(tuple(row) == COLUMNS for row in found)
    assert json.loads(json.dumps(found)) == found
    assert to_records(sessions[:3]) == found[:3]
    assert to_records(sessions[1]) == [found[1]]
    assert to_records(iter(sessions)) == found
    assert to_records([]) == []
    ephys = to_records(is_ephys=True, is_sorted=True)
    assert ephys == [row for row in found if row["is_ephys"] and row["is_sorted"]]


def test_records_are_the_callers_own(sessions: Sessions[SessionInfo]) -> None:
    to_records(sessions)[0]["not_applicable"].append("x")
    assert "x" not in to_records(sessions)[0]["not_applicable"]


def test_filters_and_sessions_exclude_each_other(sessions: Sessions[SessionInfo]) -> None:
    with pytest.raises(TypeError, match="give either them or sessions"):
        to_records(sessions, is_ephys=True)
    with pytest.raises(TypeError, match="unknown filter colour"):
        to_records(colour="red")


def test_every_column_is_of_one_kind(sessions: Sessions[SessionInfo]) -> None:
    """What pandas and polars make columns of: values of one type, None for what is not known, dates that parse."""
    found = to_records()
    for name in COLUMNS:
        assert len({type(row[name]) for row in found} - {type(None)}) <= 1, name
    assert all(datetime.date.fromisoformat(row["date"]).isoformat() == row["date"] for row in found)


# --- tables of pandas and polars


@pytest.fixture
def unobserved(demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions[SessionInfo]:
    """Sessions of which the sorting of the newest was never observed."""
    lines = [json.loads(line) for line in (demo_state / "sessions.jsonl").read_text(encoding="utf-8").splitlines()]
    lines[0]["status"]["is_sorted"] = None
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (tmp_path / "sessions.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.setenv("NPC_LIMS_STATE", str(tmp_path))
    return npc_lims.get_session_info()


@pytest.mark.filterwarnings("ignore")  # theirs
def test_a_table_of_pandas(unobserved: Sessions[SessionInfo]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = unobserved.to_pandas()
    assert list(frame.columns) == list(COLUMNS)
    assert frame.date.dt.year.max() == 2024
    assert len(frame[frame.is_ephys & frame.is_uploaded & ~frame.is_sorted]) == 4
    assert {str(frame[name].dtype) for name in YES_OR_NO} == {"boolean"}
    # unknown, does not apply, no
    assert frame.is_sorted.isna().tolist() == [True] + [False] * 28
    absent = ["is_sorted" in names for names in frame.not_applicable]
    assert sum(absent) == 12
    assert not frame[absent].is_sorted.any()
    assert frame.experiment_day.isna().sum() == sum(info.experiment_day is None for info in unobserved)
    for row, made in zip(to_records(unobserved), frame.to_dict("records")):
        date = made.pop("date")
        assert row.pop("date") == f"{date:%Y-%m-%d}"
        assert {name: None if value is pandas.NA else value for name, value in made.items()} == row
    empty = unobserved[:0].to_pandas()
    assert (len(empty), list(empty.dtypes)) == (0, list(frame.dtypes))


@pytest.mark.filterwarnings("ignore")  # theirs
def test_a_table_of_polars(unobserved: Sessions[SessionInfo]) -> None:
    polars = pytest.importorskip("polars")
    frame = unobserved.to_polars()
    assert frame.columns == list(COLUMNS)
    assert frame.filter(polars.col("is_ephys") & polars.col("is_uploaded") & ~polars.col("is_sorted")).height == 4
    assert frame.filter(polars.col("is_sorted").is_null()).height == 1
    assert frame.filter(polars.col("not_applicable").list.contains("is_sorted")).height == 12
    rows = [{**row, "date": row["date"].isoformat()} for row in frame.to_dicts()]
    assert rows == to_records(unobserved)
    empty = unobserved[:0].to_polars()
    assert (empty.height, empty.schema) == (0, frame.schema)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_without_the_library_the_error_names_the_extra(library: str, demo_state: Path) -> None:
    code = f"import sys; sys.modules[{library!r}] = None; import npc_lims; npc_lims.get_session_info().to_{library}()"
    environment = {**os.environ, "NPC_LIMS_STATE": str(demo_state)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    expected = f'MissingDependency: to_{library}() needs {library}: pip install "npc_lims[{library}]"'
    assert done.stderr.splitlines()[-1] == f"npc_lims.errors.{expected}"


# --- what a session shows of itself


def test_a_session_shows_its_progress_as_recorded(unobserved: Sessions[SessionInfo]) -> None:
    shown = {str(info.id): repr(info).partition("progress=")[2] for info in unobserved}
    assert shown["901005_2024-11-04"] == "'next: uploaded; unknown: sorted')"
    assert shown["901003_2024-10-16"] == "'not uploaded')"
    assert shown["901004_2024-06-06"] == "'uploaded; next: sorted, parquet cached')"
    assert shown["901003_2024-10-22"].startswith("'uploaded, sorted, annotated, DLC eye, ")


def test_a_session_explains_its_flags(sessions: Sessions[SessionInfo]) -> None:
    session = next(one for one in sessions if str(one.id) == "901002_2024-05-14")
    assert session.next_steps() == ["is_sorted", "is_parquet_cached"]
    assert "Out of memory" in session.explain("sorted") == session.explain("is_sorted")
    with pytest.raises(ValueError, match=r"no flag 'sortd' \(did you mean 'is_sorted'\?\)"):
        session.explain("sortd")

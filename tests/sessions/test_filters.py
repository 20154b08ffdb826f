"""Filters of `get_session_info()`: every attribute, as in 0.1.203, and collections of values."""

from __future__ import annotations

import datetime
import json
import pathlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import upath

import npc_lims
from npc_lims.config.settings import load_settings
from npc_lims.model.flags import BOOLEAN_FLAGS
from npc_lims.model.rows import COLUMNS, flag_value, session_row
from npc_lims.sessions.filter_values import ANSWERS, FILTERS
from npc_lims.sessions.info import RecordedSessionInfo, SessionInfo
from npc_lims.sessions.queries import Sessions, to_records
from tests.integration.world import SORTED, Cloud, GitHub, commit_all, run_cli, write_tracked

RECORDED = [name for name in FILTERS if name != "raw_data_paths"]
ISSUE = "https://github.com/AllenInstitute/npc_sessions/issues/26"


@pytest.fixture
def sessions(demo_state: Path, monkeypatch: pytest.MonkeyPatch) -> Sessions[SessionInfo]:
    monkeypatch.setenv("NPC_LIMS_STATE", str(demo_state))
    return npc_lims.get_session_info()


@pytest.fixture
def edit(demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Answer from a copy of the state in which one session has other tracked facts."""

    def edit(session_id: str, **facts: Any) -> None:
        lines = (demo_state / "sessions.jsonl").read_text(encoding="utf-8").splitlines()
        records = [json.loads(line) for line in lines]
        [edited] = [record for record in records if record["id"] == session_id]
        edited["tracked"].update(facts)
        folder = tmp_path / "state"
        folder.mkdir()
        text = "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)
        (folder / "sessions.jsonl").write_text(text, encoding="utf-8")
        monkeypatch.setenv("NPC_LIMS_STATE", str(folder))

    return edit


def value_of(info: SessionInfo, name: str) -> Any:
    """What a filter compares, by the attributes themselves."""
    if name in COLUMNS:
        return session_row(info.parse_without_caching())[name]
    try:
        return getattr(RecordedSessionInfo.from_record(info.record, load_settings()), name)
    except ValueError:  # the id of surface channels that were not recorded
        return None


def ids(found: Iterable[SessionInfo]) -> list[str]:
    return [str(info.id) for info in found]


def select(**filters: Any) -> list[str]:
    return ids(npc_lims.get_session_info(**filters))


# --- every attribute, and where state comes from


def test_every_public_attribute_is_a_filter() -> None:
    properties = {name for name, value in vars(SessionInfo).items() if isinstance(value, property)}
    public = {name for name in {*SessionInfo.__dataclass_fields__, *properties} if not name.startswith("_")}
    assert {"issues", "notes", "session_kwargs", "behavior_day", "cloud_path", "training_info"} <= public
    assert public <= set(FILTERS)


@pytest.mark.parametrize("at", [None, "HEAD"])
@pytest.mark.parametrize("name", RECORDED)
def test_an_attribute_selects_the_sessions_that_have_the_value(
    name: str, at: str | None, published_once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NPC_LIMS_STATE", str(published_once / "state"))
    values = {str(info.id): value_of(info, name) for info in npc_lims.get_session_info()}
    tried: list[Any] = []
    for value in values.values():
        if value in tried:
            continue
        tried.append(value)
        wanted = [session_id for session_id, other in values.items() if other == value]
        assert select(at=at, **{name: value}) == wanted, value
        if name != "issues":
            assert select(at=at, **{name: [value]}) == wanted, value
    assert tried


def test_state_on_github_is_selected_from_likewise(
    github: GitHub, sessions: Sessions[SessionInfo], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = select(issues=[], notes=["", "x"], is_ephys=True)
    monkeypatch.delenv("NPC_LIMS_STATE")
    assert npc_lims.state_origin().kind != "folder"
    assert select(issues=[], notes=["", "x"], is_ephys=True) == expected != []
    asked = len(github.paths)
    for name in RECORDED:
        npc_lims.get_session_info(**{name: ()})
    assert len(github.paths) == asked, "a filter costs no request"


@pytest.mark.parametrize("name", sorted({*SessionInfo.__dataclass_fields__, "subject", "date", "cloud_path"}))
def test_the_value_of_a_session_finds_it_again(name: str, sessions: Sessions[SessionInfo]) -> None:
    """Whatever type the attribute has, such as a date record or a UPath."""
    for info in sessions[::5]:
        assert str(info.id) in select(**{name: getattr(info, name)})


@pytest.mark.filterwarnings("ignore::npc_lims.LiveStateWarning")
def test_without_state_the_sources_are_selected_from(cloud: Cloud, tmp_path: Path, github: GitHub) -> None:
    """A repository with the tracked file alone: sessions are those of the sources, and flags are looked up once."""
    github.raw.repo_dir = tmp_path / "repository"
    write_tracked(github.raw.repo_dir, 2)
    commit_all(github.raw.repo_dir)
    assert select(cloud_path=f"s3://aind-ephys-data/ecephys_{SORTED}_12-44-26") == [SORTED]
    assert SORTED in select(issues=[], is_sorted=[True])


# --- lists, dicts and texts, compared as a whole


def test_issues_are_compared_as_a_whole(sessions: Sessions[SessionInfo], edit: Callable[..., None]) -> None:
    """npc_sessions_cache asks for all sessions without issues."""
    edit(SORTED, issues=[ISSUE, "https://github.com/lab/state/issues/3"])
    without = [str(info.id) for info in npc_lims.get_session_info() if not info.issues]
    assert select(issues=[]) == select(issues=()) == select(issues=set()) == without
    assert SORTED not in without != []
    assert select(issues=[ISSUE]) == []
    assert select(issues=[ISSUE, "https://github.com/lab/state/issues/3"]) == [SORTED]
    assert select(issues={"https://github.com/lab/state/issues/3", ISSUE}) == [SORTED]
    with pytest.raises(ValueError, match=r"filter issues: '.*' is not a list"):
        npc_lims.get_session_info(issues=ISSUE)


def test_dicts_are_compared_as_a_whole(sessions: Sessions[SessionInfo]) -> None:
    kwargs = {"probe_letters_to_skip": "DE"}
    assert "901001_2024-03-12" in select(session_kwargs=kwargs)
    assert SORTED in select(session_kwargs={})
    assert not set(select(session_kwargs=kwargs)) & set(select(session_kwargs={}))
    assert set(select(session_kwargs=[kwargs, {}])) == {*select(session_kwargs=kwargs), *select(session_kwargs={})}
    info = npc_lims.get_session_info(SORTED)
    assert select(training_info=info.training_info) == [SORTED]
    assert SORTED in select(status=info.status)


def test_notes_are_compared(sessions: Sessions[SessionInfo], edit: Callable[..., None]) -> None:
    edit(SORTED, notes="probe B moved")
    assert select(notes="probe B moved") == [SORTED]
    assert SORTED not in select(notes="")


# --- collections of values


class Column:
    """What columns of pandas and polars and numpy arrays have in common: they can be iterated over."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def __iter__(self) -> Any:
        return iter(self.values)


@pytest.mark.parametrize(
    "collect",
    [list, tuple, set, frozenset, iter, lambda values: dict.fromkeys(values).keys(), lambda values: Column(*values)],
    ids=["list", "tuple", "set", "frozenset", "iterator", "keys", "column"],
)
def test_any_value_of_a_collection_matches(collect: Callable[[Any], Any], sessions: Sessions[SessionInfo]) -> None:
    expected = [str(info.id) for info in sessions if info.rig in ("NP2", "NP3")]
    assert select(rig=collect(["NP2", "NP3"])) == expected
    assert select(rig="NP2") + select(rig="NP3") != []
    assert set(expected) == {*select(rig="NP2"), *select(rig="NP3")}


@pytest.mark.parametrize("name", sorted(set(FILTERS) - {"issues", "raw_data_paths"}))
def test_an_empty_collection_matches_nothing(name: str, sessions: Sessions[SessionInfo]) -> None:
    assert select(**{name: []}) == select(**{name: iter(())}) == []


@pytest.mark.parametrize("name", ["is_ephys", "is_sorted", "raw_asset_id", "experiment_day", "behavior_day", "idx"])
def test_collections_may_hold_what_a_single_value_may_be(name: str, sessions: Sessions[SessionInfo]) -> None:
    values = [value_of(info, name) for info in sessions]
    assert select(**{name: values}) == ids(sessions)


def test_collections_of_ids_take_every_form(sessions: Sessions[SessionInfo]) -> None:
    first, second, third = sessions[:3]
    wanted = [first, second.id, f"{third.subject}_{str(third.date).replace('-', '')}", "100000_2020-01-01"]
    assert select(id=wanted) == ids(sessions[:3])
    assert select(subject=[int(first.subject), str(second.subject)]) == select(subject={first.subject, second.subject})
    assert select(id=sessions) == ids(sessions)


def test_missing_values_of_a_table_are_none(sessions: Sessions[SessionInfo]) -> None:
    """pandas makes NaN of None, and floats of whole numbers beside it; its NA is neither equal nor unequal."""
    nan = float("nan")

    class NA:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> Any:
            return self

        __ne__ = __eq__

        def __bool__(self) -> bool:
            raise TypeError("boolean value of NA is ambiguous")

    for missing in (nan, NA()):
        assert select(experiment_day=[2.0, missing]) == select(experiment_day=[2, None]) != select(experiment_day=2)
        assert select(raw_asset_id=missing) == select(raw_asset_id=None) != []
    assert select(subject=[901001.0]) == select(subject=901001) != []


def test_a_sequence_without_an_iterator_is_a_collection(sessions: Sessions[SessionInfo]) -> None:
    class Items:
        def __getitem__(self, index: int) -> str:
            return ("NP2", "NP3")[index]

    assert select(rig=Items()) == select(rig=["NP2", "NP3"])


# --- however they are spelled


@pytest.mark.parametrize(
    "spell",
    [
        str,
        upath.UPath,
        pathlib.Path,
        lambda path: f"{path}/",
        lambda path: path.replace("/", "\\"),
        lambda path: pathlib.PureWindowsPath(path),
        lambda path: path.replace("//allen/programs/", "/allen/Programs/"),
    ],
    ids=["str", "UPath", "Path", "slash", "backslashes", "WindowsPath", "mounted"],
)
@pytest.mark.parametrize("name", ["allen_path", "cloud_path"])
def test_paths_are_compared_however_they_are_spelled(
    name: str, spell: Callable[[str], Any], sessions: Sessions[SessionInfo]
) -> None:
    for info in sessions[::4]:
        path = getattr(info, name)
        if path is not None:
            assert str(info.id) in select(**{name: spell(path.as_posix())})
            assert str(info.id) in select(**{name: [spell("//allen/elsewhere"), spell(path.as_posix())]})
    assert select(**{name: spell("//allen/elsewhere")}) == []


@pytest.mark.parametrize(
    "date",
    [
        "2024-03-12",
        "20240312",
        20240312,
        datetime.date(2024, 3, 12),
        datetime.datetime(2024, 3, 12, 15, 30),
        "2024-03-12T00:00:00.000000000",
    ],
    ids=str,
)
def test_dates_are_compared_however_they_are_spelled(date: Any, sessions: Sessions[SessionInfo]) -> None:
    assert select(date=date) == ["901001_2024-03-12"]
    assert select(date=(date, "2024-03-11")) == ["901001_2024-03-12", "901001_2024-03-11"]


def test_raw_data_paths_are_listed_for_what_other_filters_leave(cloud: Cloud, sessions: Sessions[SessionInfo]) -> None:
    info = npc_lims.get_session_info(SORTED)
    assert select(raw_data_paths=info.raw_data_paths, subject=info.subject, date=info.date) == [SORTED]
    assert select(raw_data_paths=[], id=SORTED) == []
    asked = cloud.requests
    without = select(raw_data_paths=None, is_uploaded=False)
    assert without == [str(other.id) for other in sessions if not other.is_uploaded and other.raw_asset_id is None]
    assert cloud.requests - asked <= 2


# --- conditions, which the command line has as well

# filters of get_session_info, options of `npc-lims sessions`, and a test of a row
SAME = (
    ({"missing": "sorted"}, ["--missing", "sorted"], lambda row: row["is_sorted"] == "no"),
    ({"unknown": ["sorted"]}, ["--unknown", "sorted"], lambda row: row["is_sorted"] == "unknown"),
    ({"is_sorted": True}, ["--is", "is_sorted"], lambda row: row["is_sorted"] == "yes"),
    ({"where": "sorted=n.a."}, ["--where", "is_sorted=n/a"], lambda row: row["is_sorted"] == "n.a."),
    ({"where": "sorted!=yes"}, ["--where", "sort!=true"], lambda row: row["is_sorted"] in ("no", "n.a.")),
    (
        {"where": ["sorted=no", "sorted=unknown"]},
        ["--where", "sorted=no", "--where", "sorted=unknown"],
        lambda row: row["is_sorted"] in ("no", "unknown"),
    ),
    (
        {"missing": ["dlc_eye", "facemap"]},
        ["--missing", "dlc_eye", "--missing", "facemap"],
        lambda row: row["is_dlc_eye"] == row["is_facemap"] == "no",
    ),
    ({"is_ephys": True}, ["--ephys"], lambda row: row["platform"] == "ephys"),
    ({"platform": "SYNC"}, ["--platform", "sync"], lambda row: row["platform"] == "behavior_with_sync"),
    (
        {"project": "dynamicrouting", "rig": ["np2", "NP3"]},
        ["--project", "DYNAMICROUTING", "--where", "rig=np2", "--where", "rig=np3"],
        lambda row: row["project"] == "DynamicRouting" and row["rig"] in ("NP2", "NP3"),
    ),
    (
        {"where": ["rig!=NP2", "rig!=NP3"]},
        ["--where", "rig != NP2", "--where", "rig!=NP3"],
        lambda row: row["rig"] not in ("NP2", "NP3"),
    ),
    (
        {"where": ["task_version~amn", "task_version~templeton", "rig!=NP2"]},
        ["--where", "task_version~AMN", "--where", "task_version~Templeton", "--where", "rig!=NP2"],
        lambda row: ("AMN" in row["task_version"] or "templeton" in row["task_version"]) and row["rig"] != "NP2",
    ),
    (
        {"rig": "NP2", "where": "rig=NP3"},
        ["--where", "rig=NP3", "--where", "rig==NP2"],
        lambda row: row["rig"] in ("NP2", "NP3"),
    ),
    ({"where": "is_templeton=yes"}, ["--where", "is_templeton=true"], lambda row: "Templeton" in row["project"]),
    ({"where": "day=2"}, ["--where", "experiment_day=2"], lambda row: row["experiment_day"] == 2),
    ({"where": "day="}, ["--where", "day=none"], lambda row: row["experiment_day"] is None),
    ({"where": "date~2024-05"}, ["--since", "2024-05-01", "--until", "20240531"], lambda row: "2024-05" in row["date"]),
    (
        {"since": datetime.date(2024, 5, 14), "where": "subject!=901002"},
        ["--since", "2024-05-14", "--where", "subject!=901002"],
        lambda row: row["date"] >= "2024-05-14" and row["subject"] != 901002,
    ),
    (
        {"where": ["subject=901002", "subject=901003"]},
        ["--subject", "901002", "--subject", "901003"],
        lambda row: row["subject"] in (901002, 901003),
    ),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::npc_lims.UnknownStatusWarning")
@pytest.mark.parametrize(("filters", "options", "expected"), SAME, ids=[" ".join(one[1]) for one in SAME])
def test_filters_and_options_select_the_same(
    filters: dict[str, Any], options: list[str], expected: Callable[[Any], bool], some_unknown: Path
) -> None:
    """Also of state in which the sorting of some sessions was never observed."""
    rows = to_records()
    for row in rows:
        for flag in BOOLEAN_FLAGS:
            row[flag] = ANSWERS[flag_value(row, flag)]
    found = select(**filters)
    assert found == [row["id"] for row in rows if expected(row)]
    assert found
    done = run_cli("sessions", *options, "--json")
    assert [row["id"] for row in json.loads(done.out)] == found


@pytest.fixture
def some_unknown(demo_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    lines = [json.loads(line) for line in (demo_state / "sessions.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines[::3]:
        line["status"].update({"is_sorted": None} if "is_sorted" in line["status"] else {})
    folder = tmp_path / "state"
    folder.mkdir()
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (folder / "sessions.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.setenv("NPC_LIMS_STATE", str(folder))
    return folder


def test_conditions_that_are_none_or_empty_select_all(sessions: Sessions[SessionInfo]) -> None:
    assert select(since=None, until=None, missing=None, unknown=[], where=()) == ids(sessions)
    assert select(since="1d") == []
    assert set(select(where="raw_asset_id=")) == set(select(raw_asset_id=None)) == set(select(missing="uploaded"))


def test_attributes_that_are_no_columns_are_looked_into(
    sessions: Sessions[SessionInfo], edit: Callable[..., None]
) -> None:
    edit(SORTED, notes="Probe B moved", issues=[ISSUE])
    for condition in ("notes~probe b", "issues~issues/26", "notes=probe b moved"):
        assert select(where=condition) == [SORTED]
    assert "901001_2024-03-12" in select(where="session_kwargs~probe_letters_to_skip")


def test_a_value_that_no_session_has_is_a_warning(sessions: Sessions[SessionInfo]) -> None:
    """Scripts may ask for what does not exist yet."""
    for filters in (
        {"rig": ["NP2", "NP9"]},
        {"subject": 901001, "where": ["rig=np9", "rig=NP2"]},
        {"where": "rig!=NP9"},
    ):
        with pytest.warns(npc_lims.UnknownValueWarning, match=r"(?i)np9'.*no session has this rig \(did you mean 'NP"):
            assert select(**filters)
    with pytest.warns(npc_lims.UnknownValueWarning, match="project='NewProject': no session has this project; there"):
        assert select(project="NewProject") == []
    # of others that match nothing, and of what other filters leave out, there is nothing to say
    assert select(platform="behavior_with_sync", project="DynamicRouting", date="2020-01-01") == []
    assert select(subject=999999) == []
    assert select(project=None) == select(rig=[float("nan")]) == select(platform=[]) == []


# --- mistakes


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("is_sortd", "is_sorted"),
        ("issue", "issues"),
        ("is_dlc", "is_dlc_eye"),
        ("sesion_kwargs", "session_kwargs"),
        ("is_lpfaceparts", "is_LPFaceParts"),
        ("cloud", "cloud_path"),
    ],
)
def test_an_unknown_name_is_a_type_error_with_the_nearest(name: str, suggested: str, sessions: Any) -> None:
    with pytest.raises(TypeError, match=rf"^unknown filter {name} \(did you mean '{suggested}'\?\)$"):
        npc_lims.get_session_info(**{name: True})
    with pytest.raises(TypeError, match=suggested):
        npc_lims.to_records(**{name: True})


def test_private_names_and_methods_are_no_filters(sessions: Sessions[SessionInfo]) -> None:
    for name in ("_session_id", "peek", "from_line", "__class__", "not_applicable"):
        with pytest.raises(TypeError, match="unknown filter"):
            npc_lims.get_session_info(**{name: 1})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("is_ephys", "yes", "neither True, False nor None"),
        ("is_sorted", ["yes", True], "neither True, False nor None"),
        ("date", "June", "2024-06-01"),
        ("date", "2024-02-30", "no day of the calendar"),
        ("date", "0000-01-01", "no day of the calendar"),
        ("date", None, "2024-06-01"),
        ("subject", "abc", "626791"),
        ("subject", None, "626791"),
        ("id", "abc", "626791_2022-08-15"),
        ("experiment_day", "2", "neither a number nor None"),
        ("idx", {}, "neither a number nor None"),
        ("rig", b"NP2", "is not text"),
        ("rig", str, "is not text"),
        ("raw_data_paths", "s3://x", "not a list"),
        ("issues", None, "not a list"),
        ("session_kwargs", "x", "not a dict"),
        ("rig", {"NP2": 1}, "is not text"),
        ("since", "June", "2024-06-01"),
        ("missing", "sortd", r"'sortd' is no flag \(did you mean 'sorted'\?\)$"),
        ("unknown", 7, "7 is no name of a flag"),
        ("where", "rig", "no condition such as rig=NP2"),
        ("where", {"rig": "NP2"}, "no condition such as rig=NP2"),
        ("where", "day=two", "experiment_day: 'two' is no number"),
        ("date", "x\n::error::" + "y" * 500, r"'x\\n::error::y{80,90}\.\.\. is not a date"),
    ],
)
def test_a_value_that_no_session_can_have_is_an_error(
    name: str, value: Any, expected: str, sessions: Sessions[SessionInfo]
) -> None:
    with pytest.raises(ValueError, match=rf"^filter {name}: .*{expected}") as raised:
        npc_lims.get_session_info(**{name: value})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", BOOLEAN_FLAGS)
def test_flags_may_be_numbers(name: str, sessions: Sessions[SessionInfo]) -> None:
    """As numpy and SQL have them."""
    assert select(**{name: 1}) == select(**{name: True})
    assert select(**{name: [0]}) == select(**{name: False})


def test_beside_a_session_filters_are_ignored(sessions: Sessions[SessionInfo]) -> None:
    """Callers pass one set of them for one session and for all."""
    assert npc_lims.get_session_info(SORTED, is_sync=False, nosuch=1).id == SORTED


@pytest.mark.parametrize("collect", [list, tuple, set, iter, Sessions])
def test_several_sessions_are_not_taken_for_the_first(collect: Any, sessions: Sessions[SessionInfo]) -> None:
    wanted: Any = collect(sessions[:2])
    for function in (npc_lims.get_session_info, npc_lims.get_raw_data_root, npc_lims.get_session_kwargs):
        with pytest.raises(npc_lims.NoSessionInfo, match=r"get_session_info\(id=\[...\]\) finds several"):
            function(wanted if collect is not iter else iter(sessions[:2]))

"""Whatever the file looks like: a change touches the lines of its entry, and nothing else."""

from __future__ import annotations

import copy
import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from npc_lims.model.record import Tracked
from npc_lims.sources.tracked.parser import parse_tracked
from npc_lims.track.edits import Add, Edit, Remove, dedupe
from tests.real import REAL_TRACKED, needs_real
from tests.track.files import ISSUES, LETTERS, TEXTS, File, Keys, apply_changes, excerpt, files, real_file

quick = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "day": st.integers(1, 99),
    "insertion_day": st.integers(1, 99),
    "notes": st.one_of(st.sampled_from(TEXTS), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)),
    "issues": st.lists(st.sampled_from(ISSUES), min_size=1, max_size=4, unique=True),
    "probe_letters_to_skip": st.sampled_from(LETTERS),
    "is_production": st.booleans(),
    "concatenate_recordings": st.lists(st.sampled_from(["r1", "r 2", "true"]), max_size=3),
    "invalid_times": st.lists(
        st.fixed_dictionaries({"start_time": st.just(1.5), "stop_time": st.just(-1), "reason": st.sampled_from(TEXTS)}),
        min_size=1,
        max_size=2,
    ),
}
KWARGS = ("probe_letters_to_skip", "is_production", "concatenate_recordings", "invalid_times")


def edited(keys: Keys, put: Keys, drop: tuple[str, ...] = ()) -> Keys:
    """The keys of an entry after an edit."""
    new = copy.deepcopy(keys)
    kwargs = new.pop("session_kwargs", {})
    for key in drop:
        (kwargs if key in KWARGS else new).pop(key, None)
    for key, value in put.items():
        (kwargs if key in KWARGS else new)[key] = value
    return {**new, "session_kwargs": kwargs} if kwargs else new


def said(text: str) -> dict[str, Keys]:
    """Keys by path, as the parser of the file reads them, which must report no error."""
    read = parse_tracked(text)
    assert not [problem for problem in read.problems if problem.is_error]
    return {tracked.allen_path: keys_of(tracked) for tracked in read.sessions.values()}


def keys_of(tracked: Tracked) -> Keys:
    skipped = {"platform", "project", "allen_path", "experiment_day"}
    return tracked.model_dump(exclude=skipped, exclude_defaults=True, exclude_unset=False)


def as_read(keys: Keys) -> Keys:
    """Nothing and an empty text are the same once they are read."""
    return {key: value for key, value in keys.items() if value not in ("", [], {})}


def stripped(text: str) -> str:
    """Without the last line break, which only a last line may gain or lose."""
    return text.removesuffix("\n").removesuffix("\r")


def assert_only_its_lines_change(file: File, path: str, new: str, keys: Keys | None) -> None:
    """*new* is the text of *file* but for the entry of *path*, which has *keys*, or is gone."""
    before, after = file.around(path)
    if keys is None:
        assert new == (before + after if after or file.text.endswith("\n") else stripped(before))
    else:
        assert new.startswith(before) and new.endswith(after)
    expected = {other: as_read(of) for other, of in file.entries.items()}
    expected["//x/700000_20240101"] = {"day": 1}
    if keys is None:
        del expected[path]
    else:
        expected[path] = as_read(keys)
        assert new.endswith("\n") == file.text.endswith("\n")
    assert said(new) == expected


@st.composite
def edits(draw: st.DrawFn) -> tuple[File, str, Keys, tuple[str, ...]]:
    file = draw(files())
    path = draw(st.sampled_from(sorted(file.entries)))
    put = draw(st.fixed_dictionaries({}, optional=VALUES))
    drop = draw(st.sets(st.sampled_from(["day", "ephys_day", *VALUES])))
    return file, path, put, tuple(sorted(drop - set(put)))


@pytest.mark.slow
@quick
@given(edits())
def test_an_edit_changes_its_entry_alone(
    given: tuple[File, str, Keys, tuple[str, ...]],
) -> None:
    file, path, put, drop = given
    change = Edit(path, put, drop)
    new = apply_changes(file.text, [change])
    assert_only_its_lines_change(file, path, new, edited(file.entries[path], put, drop))
    assert apply_changes(new, [change]) == new


@pytest.mark.slow
@quick
@given(files(), st.data())
def test_a_value_and_back_again_is_the_same_text_but_for_quotes(file: File, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(file.entries)))
    keys = file.entries[path]
    key = data.draw(st.sampled_from(["day", "insertion_day", "is_production"]))
    there = {**keys, **keys.get("session_kwargs", {})}
    value = data.draw(VALUES[key].filter(lambda value: value != there.get(key)))
    new = apply_changes(file.text, [Edit(path, {key: value})])
    back = Edit(path, {key: there[key]}) if key in there else Edit(path, unset=(key,))
    # a bool is written the plain way, whatever capital it had
    assert apply_changes(new, [back]).replace("True", "true") == file.text.replace("True", "true")


@quick
@given(files(), st.data())
def test_a_removal_takes_the_own_lines_alone(file: File, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(file.entries)))
    assert_only_its_lines_change(file, path, apply_changes(file.text, [Remove(path)]), None)


@pytest.mark.slow
@quick
@given(files(), st.data())
def test_what_is_added_and_removed_leaves_no_trace(file: File, data: st.DataObject) -> None:
    path = f"//x/DRpilot_{data.draw(st.sampled_from([626791, 668755, 700001]))}_202401{data.draw(st.integers(29, 31))}"
    keys = data.draw(st.fixed_dictionaries({}, optional=VALUES))
    new = apply_changes(file.text, [Add(path, project="Main", values=keys)])
    expected = {other: as_read(of) for other, of in file.entries.items()}
    assert said(new) == {**expected, "//x/700000_20240101": {"day": 1}, path: as_read(edited({}, keys))}
    assert apply_changes(new, [Remove(path)]) == file.text


@pytest.mark.slow
@quick
@given(files(), st.data())
def test_several_changes_at_once_are_those_changes_one_by_one(file: File, data: st.DataObject) -> None:
    paths = data.draw(st.permutations(sorted(file.entries)))
    new_path = "//x/DRpilot_626791_20240131"
    changes: list[Any] = [Add(new_path, values={"day": 3})]
    changes += [Edit(path, {"day": 7}) if n % 2 else Remove(path) for n, path in enumerate(paths[:3])]
    at_once = apply_changes(file.text, changes)
    one_by_one = functools.reduce(lambda text, change: apply_changes(text, [change]), changes, file.text)
    # not always the same text: a key that is added goes where the neighbours have it, and some of these go
    assert list(said(at_once).items()) == list(said(one_by_one).items())


# ----------------------------------------------------------------------------- the real file


@functools.lru_cache(maxsize=1)
def real() -> File:
    return real_file()


def assert_others_stay(file: File, path: str) -> None:
    """Every kind of change of one entry leaves the others alone."""
    text = file.text
    others = {other: keys for other, keys in said(text).items() if other != path}
    before, after = file.around(path)
    there = said(text)[path]
    for change in (
        Edit(path, {"notes": "a: b"}),
        Edit(path, {"probe_letters_to_skip": "ABC", "is_production": True}, ("day", "ephys_day")),
        Edit(path, {"day": 77}, append={"issues": ["https://example.org/1"]}),
        Edit(path, {"session_kwargs": {"mine": [{"a": 1}, {"b": [2]}]}}),
        Edit(path, unset=tuple(there)),
        Remove(path),
    ):
        new = apply_changes(text, [change])
        assert new.startswith(before)
        assert new.endswith(after)
        assert {other: keys for other, keys in said(new).items() if other != path} == others
        assert said(new) == others if isinstance(change, Remove) else path in said(new)
    assert apply_changes(text, [Remove(path)]) == before + after
    if "insertion_day" not in there:
        new = apply_changes(text, [Edit(path, {"insertion_day": 77})])
        assert apply_changes(new, [Edit(path, unset=("insertion_day",))]) == text
    platform = next(iter(parse_tracked(text).sessions.values())).platform
    new = apply_changes(text, [Add("//x/899999_20240101", platform, values={"rig": "NP3"})])
    assert apply_changes(new, [Remove("899999_2024-01-01")]) == text


@functools.lru_cache(maxsize=1)
def excerpts() -> list[tuple[File, str]]:
    """Of each entry a file of it and its neighbours, of which none repeats it."""
    made = [
        (excerpt(real(), number), chunk.path) for number, chunk in enumerate(real().chunks) if chunk.path is not None
    ]
    return [(file, path) for file, path in made if sum(chunk.path == path for chunk in file.chunks) == 1]


@needs_real
@settings(max_examples=3, deadline=None)
@given(st.data())
def test_any_entry_of_the_real_file(data: st.DataObject) -> None:
    assert_others_stay(*data.draw(st.sampled_from(excerpts())))


@needs_real
@pytest.mark.slow
def test_entries_of_all_of_the_real_file() -> None:
    assert len(excerpts()) > 400
    for file, path in excerpts()[::11]:  # more than half a second each
        assert_others_stay(file, path)


@needs_real
@pytest.mark.slow
def test_the_real_file_whole() -> None:
    text = real().text
    assert text == REAL_TRACKED.read_bytes().decode()
    once = [path for path in real().entries if sum(chunk.path == path for chunk in real().chunks) == 1]
    changed, removed, added = once[7], once[200], "//x/DRpilot_854390_20260428"
    new = apply_changes(
        text, [Edit(changed, {"is_video": False}), Remove(removed), Add(added, values={"ephys_day": 5})]
    )
    before, after = said(text), said(new)
    assert {path: keys for path, keys in after.items() if path not in (changed, added)} == {
        path: keys for path, keys in before.items() if path not in (changed, removed)
    }
    before_removed, after_removed = real().around(removed)
    back = apply_changes(new, [Remove(added), Edit(changed, unset=("is_video",))])
    assert back == before_removed + after_removed


@needs_real
@pytest.mark.slow
def test_the_repeats_of_the_real_file() -> None:
    text = real().text
    done = dedupe(text)
    assert done.removed and done.left
    assert said(done.text) == said(text)
    assert not any(repeat.differs for repeat in done.removed)
    again = dedupe(done.text)
    assert (again.text, again.removed, len(again.left)) == (done.text, (), len(done.left))
    first = dedupe(text, keep="first")
    assert said(first.text) == said(text)
    assert not [p for p in parse_tracked(first.text).problems if "twice" in p.message]

"""Both workbooks: fetched only when changed, merged, and never half an answer."""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from npc_lims.clients.s3 import Folder, MirrorStore, ObjectInfo, ObjectStore, open_store
from npc_lims.config.disk_cache import cache_dir
from npc_lims.config.settings import Settings
from npc_lims.errors import MissingCredentials, SourceError
from npc_lims.model.record import Observation, Record, Training
from npc_lims.sources.training import workbooks as spreadsheets
from npc_lims.sources.training.parser import TrainingRow, Workbook
from npc_lims.sources.training.workbooks import WORKBOOKS, merge_workbooks, observe
from tests.builders import context
from tests.sources.training.test_parser import HEADER, SHEET_2, Rows, make_book, replace_in, save

TODAY = datetime.date(2024, 6, 1)
OTHER, NSB = WORKBOOKS
BUCKET = "aind-scratch-data"
PREFIX = "dynamic-routing/DynamicRoutingTask"


def row(day: int, hour: int = 12, rig: str = "B2", ignore: Any = 0) -> list[Any]:
    return [datetime.datetime(2023, 3, day, hour), rig, 1, ignore]


def columns(seen: Observation, session: str) -> dict[str, Any]:
    """What is told of a session, as plain data."""
    fact = seen.facts[session]
    assert isinstance(fact, Training)
    return fact.model_dump()


def records(seen: Observation) -> dict[str, Record]:
    """What a sync would have recorded of an observation."""
    return {id_: Record.model_validate({"id": id_, "training": fact}) for id_, fact in seen.facts.items()}


class CountingStore:
    """A store that counts what is asked of it, and can fail or lie on the way."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.heads: list[str] = []
        self.reads: list[str] = []
        self.error: Exception | None = None
        self.after_read: Iterator[None] = iter(())

    def list_folder(self, bucket: str, prefix: str) -> Folder:
        raise AssertionError("workbooks are found without listing")

    def list_all(self, bucket: str, prefix: str) -> Iterator[ObjectInfo]:
        raise AssertionError("workbooks are found without listing")

    def has_any(self, bucket: str, prefix: str) -> bool:
        raise AssertionError("workbooks are found without listing")

    def head(self, bucket: str, key: str) -> ObjectInfo | None:
        if self.error is not None:
            raise self.error
        self.heads.append(key.rpartition("/")[2])
        return self._store.head(bucket, key)

    def read(self, bucket: str, key: str, limit: int) -> bytes | None:
        self.reads.append(key.rpartition("/")[2])
        content = self._store.read(bucket, key, limit)
        next(self.after_read, None)
        return content


class World:
    """A bucket with both workbooks, and the settings to look at it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "s3" / BUCKET / PREFIX
        self.folder.mkdir(parents=True)
        self.cache = folder / "cache"
        self.store = CountingStore(MirrorStore(folder / "s3"))
        self.settings = Settings(training=f"s3://{BUCKET}/{PREFIX}/", cache_dir=self.cache)
        self.write(OTHER, {"626791": [HEADER, row(7), row(8)]})
        self.write(NSB, {"659250": [HEADER, row(9)]})

    def write(self, name: str, sheets: dict[str, Rows]) -> None:
        (self.folder / name).write_bytes(save(make_book(sheets)))

    def observe(self, previous: Observation | None = None, **options: Any) -> Observation:
        self.store.heads.clear()
        self.store.reads.clear()
        versions = {} if previous is None else previous.versions
        settings = options.pop("settings", self.settings)
        return observe(context(settings, versions=versions, store=lambda: self.store, today=TODAY, **options))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestFetching:
    def test_first_look(self, world: World) -> None:
        seen = world.observe()
        assert seen.source == "training"
        assert seen.complete
        assert seen.failure is None
        assert list(seen.facts) == ["626791_2023-03-07", "626791_2023-03-08", "659250_2023-03-09"]
        assert seen.facts["626791_2023-03-08"] == Training.model_validate(
            {
                "nsb": False,
                "row": 2,
                "start_time": "2023-03-08 12:00:00",
                "rig_name": "B2",
                "hits": 1,
                "ignore": 0,
            }
        )
        assert list(columns(seen, "659250_2023-03-09")) == [
            "nsb",
            "row",
            "start_time",
            "rig_name",
            "hits",
            "ignore",
        ]
        assert columns(seen, "659250_2023-03-09")["nsb"] is True
        assert seen.counts == {"rows": 3, "subjects": 2, "problems": 0, "ignored": 0}
        digest = hashlib.sha256((world.folder / NSB).read_bytes()).hexdigest()
        assert seen.versions[NSB] == digest
        assert sorted(seen.versions) == [OTHER, NSB, "columns"]

    def test_unchanged_costs_two_heads(self, world: World) -> None:
        first = world.observe()
        second = world.observe(first)
        assert (world.store.heads, world.store.reads) == ([OTHER, NSB], [])
        assert second == Observation(source="training", unchanged=True, versions=first.versions)

    def test_other_versions_beside_ours_do_not_matter(self, world: World) -> None:
        first = world.observe()
        versions = {**first.versions, "more": "x"}
        observe(context(world.settings, versions=versions, store=lambda: world.store, today=TODAY))
        assert world.store.reads == [OTHER, NSB]

    @pytest.mark.parametrize("changed", WORKBOOKS)
    def test_only_the_changed_one_is_downloaded(self, world: World, changed: str) -> None:
        first = world.observe()
        world.write(changed, {"700000": [HEADER, row(1)]})
        second = world.observe(first)
        assert world.store.reads == [changed]
        kept = "626791_2023-03-07" if changed == NSB else "659250_2023-03-09"
        assert {"700000_2023-03-01", kept} <= set(second.facts)
        assert second.complete

    def test_full_downloads_both(self, world: World) -> None:
        first = world.observe()
        assert world.observe(first, full=True).facts == first.facts
        assert world.store.reads == [OTHER, NSB]

    def test_another_allow_list_parses_again_without_download(self, world: World) -> None:
        first = world.observe()
        settings = world.settings.replace(training_columns=("hits",))
        second = world.observe(first, settings=settings)
        assert world.store.reads == []
        assert list(columns(second, "626791_2023-03-07")) == ["nsb", "row", "start_time", "hits"]

    def test_another_parser_parses_again(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        first = world.observe()
        monkeypatch.setattr(spreadsheets, "PARSER", spreadsheets.PARSER + 1)
        assert world.observe(first).complete

    @pytest.mark.parametrize("prefix", ["", "/"])
    def test_top_of_a_bucket(self, world: World, prefix: str) -> None:
        for name in WORKBOOKS:
            shutil.move(str(world.folder / name), world.folder.parents[1] / name)
        settings = world.settings.replace(training=f"s3://{BUCKET}{prefix}")
        assert len(world.observe(settings=settings).facts) == 3

    def test_a_workbook_that_changes_while_it_is_read(self, world: World) -> None:
        def change() -> Iterator[None]:
            world.write(OTHER, {"700000": [HEADER, row(1)]})
            yield

        world.store.after_read = change()
        seen = world.observe()
        assert world.store.reads == [OTHER, OTHER, NSB]
        assert "700000_2023-03-01" in seen.facts
        assert seen.versions[OTHER] == hashlib.sha256((world.folder / OTHER).read_bytes()).hexdigest()

    def test_a_workbook_that_never_holds_still(self, world: World) -> None:
        def change() -> Iterator[None]:
            for day in range(1, 9):
                world.write(OTHER, {"700000": [HEADER, row(day)]})
                yield

        world.store.after_read = change()
        with pytest.raises(SourceError, match="keeps changing"):
            world.observe()


class TestCache:
    def test_one_private_file_for_each_workbook(self, world: World) -> None:
        first = world.observe()
        for day in (1, 2, 3):
            world.write(OTHER, {"700000": [HEADER, row(day)]})
            first = world.observe(first)
        folder = world.cache / "training"
        assert sorted(path.name for path in folder.iterdir()) == sorted(WORKBOOKS)
        if os.name != "nt":
            assert (folder / NSB).stat().st_mode & 0o077 == 0

    @pytest.mark.parametrize("damage", ["", "cut", "flip", "other"])
    def test_damaged_is_fetched_again(self, world: World, damage: str) -> None:
        first = world.observe()
        path = world.cache / "training" / NSB
        content = path.read_bytes()
        path.write_bytes(
            {
                "": b"",
                "cut": content[:-1],
                "flip": content[:-1] + bytes([content[-1] ^ 1]),
                "other": (world.cache / "training" / OTHER).read_bytes(),
            }[damage]
        )
        world.write(OTHER, {"700000": [HEADER, row(1)]})
        assert "659250_2023-03-09" in world.observe(first).facts
        assert world.store.reads == [OTHER, NSB]
        assert path.read_bytes().partition(b"\n")[2] == content.partition(b"\n")[2]

    def test_a_cache_that_cannot_be_written(self, world: World) -> None:
        world.cache.write_text("a file where the folder should be")
        assert world.observe().complete

    def test_an_interrupted_write_leaves_nothing(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(self: Path, target: Path) -> None:
            raise PermissionError(13, "another process has it open", str(target))

        monkeypatch.setattr(Path, "replace", interrupt)
        assert world.observe().complete
        assert list((world.cache / "training").iterdir()) == []

    def test_where_it_is(self, tmp_path: Path) -> None:
        assert cache_dir(Settings(cache_dir=tmp_path)) == tmp_path
        assert cache_dir(Settings()).name in ("npc_lims", "Cache")


class TestFailures:
    @pytest.mark.parametrize("name", WORKBOOKS)
    def test_missing_workbook(self, world: World, name: str) -> None:
        first = world.observe()
        (world.folder / name).unlink()
        with pytest.raises(SourceError, match=rf"training: there is no {name} in s3://{BUCKET}/{PREFIX}/") as caught:
            world.observe(first)
        assert caught.value.source == "training"

    @pytest.mark.parametrize("name", WORKBOOKS)
    def test_truncated_workbook(self, world: World, name: str) -> None:
        first = world.observe()
        path = world.folder / name
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(SourceError, match=f"training: {name} is truncated"):
            world.observe(first)

    @pytest.mark.parametrize(("broken", "intact"), [(NSB, OTHER), (OTHER, NSB)])
    @pytest.mark.parametrize("damage", ["truncated", "missing"])
    def test_new_rows_of_the_other_workbook(self, world: World, broken: str, intact: str, damage: str) -> None:
        subjects = {OTHER: "626791", NSB: "659250"}
        world.write(broken, {subjects[broken]: [HEADER, row(7), row(8)], "700002": [HEADER, row(1)]})
        world.write(intact, {subjects[intact]: [HEADER, row(7)], "700003": [HEADER, row(1), row(2)]})
        first = world.observe()
        new = {subjects[intact]: [HEADER, row(7), row(9)], "700001": [HEADER, row(3)], "700003": [HEADER, row(1)]}
        # of a subject that has recorded rows in the broken one, and of one that lost a row, nothing is certain
        world.write(intact, {**new, subjects[broken]: [HEADER, row(7, 8)]})
        path = world.folder / broken
        content = path.read_bytes()
        if damage == "truncated":
            path.write_bytes(content[:-100])
        else:
            path.unlink()
        seen = world.observe(first, records=records(first))
        assert sorted(seen.facts) == [
            f"{subjects[intact]}_2023-03-07",
            f"{subjects[intact]}_2023-03-09",
            "700001_2023-03-03",
        ]
        assert not seen.complete
        assert seen.failure is not None
        assert broken in seen.failure.reason
        assert "subjects without recorded rows in this one are updated" in seen.failure.reason
        assert sorted(seen.versions) == sorted([intact, "columns"])
        path.write_bytes(content)
        again = world.observe(seen, records=records(first))
        assert again.complete
        assert f"{subjects[broken]}_2023-03-07_1" in again.facts

    def test_two_workbooks_that_cannot_be_read(self, world: World) -> None:
        first = world.observe()
        for name in WORKBOOKS:
            (world.folder / name).write_bytes(b"PK")
        with pytest.raises(SourceError, match=f"training: {OTHER} is truncated"):
            world.observe(first, records=records(first))

    def test_failures_of_the_store_are_ours(self, world: World) -> None:
        world.store.error = SourceError("s3", "s3://x: access denied")
        with pytest.raises(SourceError) as caught:
            world.observe()
        assert (caught.value.source, caught.value.reason) == ("training", "s3://x: access denied")

    def test_missing_credentials(self, world: World) -> None:
        world.store.error = MissingCredentials("set AWS_ACCESS_KEY_ID")
        with pytest.raises(MissingCredentials, match="AWS_ACCESS_KEY_ID"):
            world.observe()

    def test_a_store_that_cannot_be_opened_is_a_failure_of_ours(self, world: World, tmp_path: Path) -> None:
        assert len(world.observe(settings=world.settings.replace(mirror=tmp_path)).facts) == 3
        settings = world.settings.replace(mirror=tmp_path / "nowhere")
        with pytest.raises(SourceError, match="training: there is no folder"):
            observe(context(settings, store=lambda: open_store(settings), today=TODAY))

    def test_no_bucket(self, world: World) -> None:
        settings = world.settings.replace(training="s3://")
        with pytest.raises(SourceError, match="NPC_LIMS_TRAINING"):
            world.observe(settings=settings)

    def test_an_unreadable_sheet_keeps_its_subject_and_is_read_again(self, world: World) -> None:
        world.write(OTHER, {"626791": [HEADER, row(7)], "626792": [HEADER, row(7)]})
        world.write(NSB, {"626791": [HEADER, row(8)]})
        path = world.folder / OTHER
        path.write_bytes(replace_in(path.read_bytes(), SHEET_2, b"<v>1</v>", b"<v>one</v>"))
        seen = world.observe()
        assert not seen.complete
        assert seen.failure is not None
        assert seen.failure.reason == (
            f"a sheet cannot be read: {OTHER}[626791]: cell C2 holds no number where one is expected "
            "(open the workbook in Excel, repair the sheet and save it)"
        )
        assert list(seen.facts) == ["626792_2023-03-07"]
        assert [found.file for found in seen.problems] == [f"{OTHER}[626791]"]
        assert sorted(seen.versions) == [NSB, "columns"]
        again = world.observe(seen)
        assert (again.facts, world.store.reads) == (seen.facts, [])

    def test_a_failure_names_the_first_sheets_and_how_many_there_are(self, world: World) -> None:
        world.write(OTHER, {str(626790 + n): [["hits"], [1]] for n in range(4)})
        world.write(NSB, {"659250": [["hits"], [1]]})
        seen = world.observe()
        assert seen.failure is not None
        assert seen.failure.reason.startswith(f"5 sheets cannot be read: {OTHER}[626790]: its header (row 1) has no")
        assert "[626792]" in seen.failure.reason
        assert "[626793]" not in seen.failure.reason
        assert "; and 2 more (" in seen.failure.reason
        assert len(seen.problems) == 5


class TestLocalFolder:
    def observe(self, folder: str, previous: Observation | None = None) -> Observation:
        versions = {} if previous is None else previous.versions
        return observe(context(Settings(training=folder), versions=versions, today=TODAY))

    def test_folder(self, world: World) -> None:
        first = self.observe(str(world.folder))
        assert (len(first.facts), first.complete) == (3, True)
        assert self.observe(str(world.folder), first) == Observation(
            source="training", unchanged=True, versions=first.versions
        )
        world.write(OTHER, {"700000": [HEADER, row(1), row(2)]})
        second = self.observe(str(world.folder), first)
        assert sorted(second.facts) == ["659250_2023-03-09", "700000_2023-03-01", "700000_2023-03-02"]

    @pytest.mark.skipif(os.name == "nt", reason="there it is the operating system's own notation")
    def test_unc_path(self, world: World) -> None:
        unc = "\\" + str(world.folder).replace("/", "\\") + "\\"
        assert unc.startswith("\\\\")
        assert len(self.observe(unc).facts) == 3

    @pytest.mark.parametrize("name", WORKBOOKS)
    def test_missing_workbook(self, world: World, name: str) -> None:
        (world.folder / name).unlink()
        with pytest.raises(SourceError, match=f"training: there is no {name} in "):
            self.observe(str(world.folder))

    @pytest.mark.parametrize("folder", ["nowhere", f"{OTHER}"])
    def test_no_folder(self, world: World, folder: str) -> None:
        with pytest.raises(SourceError, match=f"training: there is no folder .*{folder} "):
            self.observe(str(world.folder / folder))

    def test_a_folder_of_that_name_is_no_workbook(self, world: World) -> None:
        (world.folder / NSB).unlink()
        (world.folder / NSB).mkdir()
        with pytest.raises(SourceError, match=f"training: there is no {NSB} in "):
            self.observe(str(world.folder))

    def test_too_large(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("npc_lims.sources.training.xlsx.MAX_FILE_SIZE", 100)
        with pytest.raises(SourceError, match="has more than the 100 bytes"):
            self.observe(str(world.folder))


class TestMerging:
    def test_a_subject_in_both_workbooks(self, world: World) -> None:
        world.write(NSB, {"626791": [HEADER, row(9), row(10)]})
        seen = world.observe()
        told = [(name, columns(seen, name)["nsb"], columns(seen, name)["row"]) for name in seen.facts]
        assert told == [
            ("626791_2023-03-07", False, 1),
            ("626791_2023-03-08", False, 2),
            ("626791_2023-03-09", True, 1),
            ("626791_2023-03-10", True, 2),
        ]

    def test_sessions_of_one_day_by_start_time_across_workbooks(self, world: World) -> None:
        world.write(OTHER, {"626791": [HEADER, row(7, 16, "late"), row(7, 8, "early"), row(7, 9, ignore=1)]})
        world.write(NSB, {"626791": [HEADER, row(7, 12, "noon")]})
        seen = world.observe()
        assert {name: columns(seen, name)["rig_name"] for name in seen.facts} == {
            "626791_2023-03-07": "early",
            "626791_2023-03-07_1": "noon",
            "626791_2023-03-07_2": "late",
        }
        assert seen.counts == {"rows": 3, "subjects": 1, "problems": 0, "ignored": 1}

    def test_one_session_in_both_is_told_by_nsb(self, world: World) -> None:
        world.write(NSB, {"626791": [HEADER, row(1), row(8, rig="NSB")]})
        seen = world.observe()
        fact = columns(seen, "626791_2023-03-08")
        assert (fact["nsb"], fact["row"], fact["rig_name"]) == (True, 2, "NSB")
        (found,) = seen.problems
        assert (found.file, found.line) == (f"{OTHER}[626791]", 3)
        assert found.message == f"the session is in {NSB} too, row 3, which takes precedence"

    def test_two_sessions_of_one_day_of_which_one_has_no_time(self, world: World) -> None:
        world.write(OTHER, {"626791": [HEADER, row(7), row(7, 0, "no time"), row(8, 0)]})
        seen = world.observe()
        assert columns(seen, "626791_2023-03-07")["rig_name"] == "no time"
        (found,) = seen.problems
        assert (found.file, found.line) == (f"{OTHER}[626791]", 3)
        assert "no time of day" in found.message

    def test_problems_of_both_are_told(self, world: World) -> None:
        world.write(OTHER, {"626791": [HEADER, ["?"]], "1234": []})
        world.write(NSB, {"659250": [HEADER, ["noon"]]})
        seen = world.observe()
        assert [(found.file, found.line) for found in seen.problems] == [
            (f"{OTHER}[626791]", 2),
            (f"{OTHER}[1234]", 0),
            (f"{NSB}[659250]", 2),
        ]
        assert (seen.complete, seen.counts["problems"]) == (True, 3)

    def test_order_of_workbooks_does_not_matter(self) -> None:
        start = datetime.datetime(2023, 3, 7)
        books = [Workbook(name, (TrainingRow("626791", start, 1, 2, {"rig_name": name}),)) for name in WORKBOOKS]
        assert merge_workbooks(books).facts == merge_workbooks(books[::-1]).facts

    def test_the_future_begins_after_today(self, world: World) -> None:
        now = datetime.datetime.now(datetime.timezone.utc)
        days = [now - datetime.timedelta(days=1), now + datetime.timedelta(days=2)]
        world.write(OTHER, {"626791": [HEADER, *([day.replace(tzinfo=None)] for day in days)]})
        seen = observe(context(world.settings, store=lambda: world.store))
        assert f"626791_{days[0].date()}" in seen.facts
        assert ["in the future" in found.message for found in seen.problems] == [True]

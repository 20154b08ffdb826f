"""Each flag: what makes it true, false, unknown or absent."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given

from npc_lims.model.flags import FLAGS, NOT_APPLICABLE, compute_status
from npc_lims.model.record import CodeOcean, Record, S3Facts
from npc_lims.model.rows import COLUMNS, DATA_REPO_ISILON, session_row
from npc_lims.model.status import explain, next_steps, recorded_flag, why_no_step
from tests.builders import SECOND, asset, listing, no_assets, nothing_on_s3, record, tracked, training
from tests.strategies import records

ABSENT = "absent"
VIDEO_FLAGS = {
    "is_dlc_eye": "dlc_eye",
    "is_dlc_side": "dlc_side",
    "is_dlc_face": "dlc_face",
    "is_facemap": "facemap",
    "is_gamma_encoding": "GammaEncoding",
    "is_LPFaceParts": "LPFaceParts",
}
EPHYS_ONLY = ("is_sorted", "is_annotated", "is_surface_channels", "is_surface_channels_sorted")

FOUND = asset()
WITH_RAW = no_assets(raw=FOUND)


def raw_folder(**more: Any) -> S3Facts:
    return nothing_on_s3(raw=listing(**more))


def flag(name: str, made: Record) -> object:
    return compute_status(made.as_dict()).get(name, ABSENT)


def test_flags_stand_in_the_order_of_the_table() -> None:
    status = compute_status(record(codeocean=WITH_RAW, s3=raw_folder(ecephys=["ecephys_compressed"])).as_dict())
    assert list(status) == [name for name in FLAGS if name in status]


def test_the_present_status_is_not_read() -> None:
    made = record()
    wrong = made.model_copy(update={"status": {"is_sorted": True, "is_uploaded": True}})
    assert compute_status(wrong.as_dict()) == made.status


@pytest.mark.parametrize("name", FLAGS)
def test_every_value_of_every_flag_has_a_sentence_of_its_own(name: str) -> None:
    declared = FLAGS[name]
    values = [True, False, None, *([NOT_APPLICABLE] if declared.not_applicable else [])]
    sentences = {declared.sentence(value) for value in values}
    assert len(sentences) == len(values)
    assert all(len(sentence) > 20 and sentence.endswith(".") for sentence in sentences)


def test_flags_of_a_group_stand_together() -> None:
    groups = [declared.group for declared in FLAGS.values()]
    assert len(list(itertools.groupby(groups))) == len(set(groups))


@given(records("626791_2022-08-15"))
def test_a_flag_that_is_newer_than_the_file_is_unknown_where_it_applies(made: Record) -> None:
    data = made.as_dict()
    for name in FLAGS:
        older = {**data, "status": {flag: value for flag, value in data["status"].items() if flag != name}}
        expected = None if name in data["status"] else NOT_APPLICABLE
        assert recorded_flag(older, name) == expected
        assert recorded_flag(data, name) == data["status"].get(name, NOT_APPLICABLE)


def test_a_session_of_which_nothing_is_known_is_unknown_but_in_production() -> None:
    status = compute_status(Record(id="626791_2022-08-15").as_dict())
    assert status.pop("is_production") is True
    assert status == dict.fromkeys([name for name in FLAGS if name != "is_production"])


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, None),
        ({"codeocean": False}, False),
        ({"codeocean": no_assets()}, False),
        ({"codeocean": CodeOcean()}, None),
        ({"codeocean": WITH_RAW}, None),
        ({"codeocean": WITH_RAW, "s3": S3Facts()}, None),
        ({"codeocean": WITH_RAW, "s3": raw_folder()}, False),
        ({"codeocean": WITH_RAW, "s3": False}, False),
        ({"codeocean": WITH_RAW, "s3": raw_folder(ecephys=["ecephys_compressed"])}, True),
        ({"codeocean": False, "s3": raw_folder(ecephys=["ecephys_compressed"])}, False),
        ({"codeocean": WITH_RAW, "tracked": tracked("behavior")}, True),
        ({"codeocean": WITH_RAW, "tracked": tracked("behavior_with_sync"), "s3": raw_folder()}, True),
        ({"codeocean": WITH_RAW, "tracked": False, "training": training()}, True),
        ({"codeocean": WITH_RAW, "tracked": False}, None),
        ({"codeocean": WITH_RAW, "tracked": None}, None),
        ({"codeocean": WITH_RAW, "tracked": None, "training": training()}, None),
        ({"codeocean": no_assets(), "tracked": None, "training": training()}, False),
        ({"codeocean": no_assets(raw=asset("behavior_626791_2022-08-15_13-07-32")), "tracked": False}, True),
    ],
)
def test_is_uploaded(sections: dict[str, Any], expected: object) -> None:
    assert flag("is_uploaded", record(**sections)) is expected


@pytest.mark.parametrize(
    ("codeocean", "expected"),
    [(None, None), (CodeOcean(), None), (False, ABSENT), (no_assets(), ABSENT), (WITH_RAW, FOUND.id)],
)
def test_raw_asset_id(codeocean: object, expected: object) -> None:
    assert flag("raw_asset_id", record(codeocean=codeocean)) == expected


@pytest.mark.parametrize(
    ("name", "files"),
    [("is_session_json", ["session.json", "acquisition.json"]), ("is_rig_json", ["rig.json", "instrument.json"])],
)
def test_metadata_files_of_old_and_new_layouts(name: str, files: list[str]) -> None:
    every = {"session.json", "acquisition.json", "rig.json", "instrument.json"}
    for file in files:
        assert flag(name, record(codeocean=WITH_RAW, s3=raw_folder(metadata=[file]))) is True
    assert flag(name, record(codeocean=WITH_RAW, s3=raw_folder(metadata=sorted(every - set(files))))) is False
    assert flag(name, record(codeocean=WITH_RAW)) is None
    assert flag(name, record(codeocean=WITH_RAW, s3=S3Facts())) is None
    assert flag(name, record(codeocean=no_assets())) is False


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"codeocean": WITH_RAW, "s3": raw_folder(videos=["behavior-videos/a.mp4"])}, True),
        ({"codeocean": WITH_RAW, "s3": raw_folder()}, False),
        ({"codeocean": WITH_RAW}, None),
        ({"codeocean": no_assets()}, False),
        ({}, None),
        ({"tracked": tracked(session_kwargs={"is_video": False}), "s3": raw_folder(videos=["a.mp4"])}, False),
        ({"tracked": tracked(session_kwargs={"is_video": True})}, True),
        ({"tracked": tracked(session_kwargs={"is_video": "yes"})}, None),
        ({"tracked": tracked("behavior"), "s3": raw_folder(videos=["a.mp4"])}, ABSENT),
        ({"tracked": False}, ABSENT),
        ({"tracked": None}, None),
    ],
)
def test_is_video(sections: dict[str, Any], expected: object) -> None:
    assert flag("is_video", record(**sections)) is expected


@pytest.mark.parametrize(
    ("codeocean", "expected"),
    [(None, None), (CodeOcean(), None), (no_assets(), False), (False, False), (no_assets(sorted=FOUND), True)],
)
def test_is_sorted(codeocean: object, expected: object) -> None:
    assert flag("is_sorted", record(codeocean=codeocean)) is expected


@pytest.mark.parametrize(
    ("s3", "expected"),
    [
        (None, None),
        (S3Facts(), None),
        (False, False),
        (nothing_on_s3(), False),
        (nothing_on_s3(ibl_annotations=None), None),
        (nothing_on_s3(tissuecyte_annotations=None), None),
        (nothing_on_s3(ibl_annotations=["probeA"], tissuecyte_annotations=None), True),
        (nothing_on_s3(tissuecyte_annotations=["Probe_A1.csv"]), True),
    ],
)
def test_is_annotated(s3: object, expected: object) -> None:
    assert flag("is_annotated", record(s3=s3)) is expected


@pytest.mark.parametrize("name", EPHYS_ONLY)
@pytest.mark.parametrize(
    ("entry", "expected"), [(tracked("behavior"), ABSENT), (tracked("behavior_with_sync"), ABSENT), (False, ABSENT)]
)
def test_flags_of_ephys_are_absent_elsewhere(name: str, entry: object, expected: object) -> None:
    facts = no_assets(sorted=FOUND, surface=FOUND, surface_sorted=FOUND)
    s3 = nothing_on_s3(ibl_annotations=["probeA"])
    assert flag(name, record(tracked=entry, codeocean=facts, s3=s3)) == expected


@pytest.mark.parametrize("name", EPHYS_ONLY)
def test_flags_of_ephys_are_unknown_while_the_platform_is(name: str) -> None:
    assert flag(name, record(tracked=None, codeocean=no_assets(), s3=nothing_on_s3())) is None


@pytest.mark.parametrize(("name", "process"), VIDEO_FLAGS.items())
@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"codeocean": "found"}, True),
        ({"codeocean": no_assets()}, False),
        ({"codeocean": False}, False),
        ({"codeocean": None}, None),
        ({"codeocean": CodeOcean()}, None),
        # the folder was listed and holds no video: there will be no result
        ({"codeocean": WITH_RAW, "s3": raw_folder()}, ABSENT),
        ({"codeocean": WITH_RAW, "s3": raw_folder(videos=["a.mp4"])}, False),
        # before the upload nobody knows of videos
        ({"codeocean": no_assets(), "s3": nothing_on_s3()}, False),
        ({"codeocean": no_assets(), "tracked": tracked(session_kwargs={"is_video": False})}, ABSENT),
        ({"codeocean": None, "tracked": tracked(session_kwargs={"is_video": False})}, ABSENT),
        ({"codeocean": no_assets(), "tracked": tracked("behavior_with_sync")}, False),
        ({"codeocean": no_assets(), "tracked": tracked("behavior")}, ABSENT),
        ({"codeocean": no_assets(), "tracked": False}, ABSENT),
        ({"codeocean": no_assets(), "tracked": None}, None),
        # a result that exists says that there is one, whatever else is said
        ({"codeocean": "found", "tracked": tracked("behavior")}, True),
    ],
)
def test_results_from_video(name: str, process: str, sections: dict[str, Any], expected: object) -> None:
    if sections["codeocean"] == "found":
        sections = {**sections, "codeocean": no_assets(**{process: FOUND})}
    assert flag(name, record(**sections)) is expected


SURFACE_KWARG = tracked(session_kwargs={"probe_letters_with_surface_channel_recording": "ABC"})


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"codeocean": no_assets(surface=FOUND)}, True),
        ({"codeocean": no_assets()}, False),
        ({"codeocean": False}, False),
        ({"codeocean": None}, None),
        ({"codeocean": no_assets(surface=None)}, None),
        ({"tracked": SURFACE_KWARG}, True),
        ({"tracked": SURFACE_KWARG, "codeocean": no_assets()}, True),
    ],
)
def test_is_surface_channels(sections: dict[str, Any], expected: object) -> None:
    assert flag("is_surface_channels", record(**sections)) is expected


@pytest.mark.parametrize("name", ["is_surface_channels", "is_surface_channels_sorted"])
def test_a_second_session_of_the_day_has_no_surface_recording_of_its_own(name: str) -> None:
    facts = no_assets(surface=FOUND, surface_sorted=FOUND)
    assert flag(name, record(SECOND, tracked=SURFACE_KWARG, codeocean=facts)) == ABSENT


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"codeocean": no_assets(surface=FOUND, surface_sorted=FOUND)}, True),
        ({"codeocean": no_assets(surface=FOUND)}, False),
        ({"codeocean": no_assets(surface=FOUND, surface_sorted=None)}, None),
        ({"codeocean": no_assets(surface=None)}, None),
        ({"codeocean": no_assets()}, ABSENT),
        ({"codeocean": None}, None),
        # no recording of their own: the surface channels are in the main one
        ({"tracked": SURFACE_KWARG, "codeocean": no_assets(sorted=FOUND)}, True),
        ({"tracked": SURFACE_KWARG, "codeocean": no_assets()}, False),
        ({"tracked": SURFACE_KWARG, "codeocean": None}, None),
        ({"tracked": SURFACE_KWARG, "codeocean": no_assets(sorted=FOUND, surface=FOUND)}, False),
    ],
)
def test_is_surface_channels_sorted(sections: dict[str, Any], expected: object) -> None:
    assert flag("is_surface_channels_sorted", record(**sections)) is expected


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (tracked(session_kwargs={"is_production": False}), False),
        (tracked(session_kwargs={"is_production": True}), True),
        (tracked(session_kwargs={"is_production": "no"}), True),
        (tracked(), True),
        (False, True),
        (None, True),
    ],
)
def test_is_production(entry: object, expected: bool) -> None:
    assert flag("is_production", record(tracked=entry)) is expected


@pytest.mark.parametrize(
    ("smartspim", "tissuecyte", "expected"),
    [
        (FOUND, None, True),
        (FOUND, False, True),
        (None, True, True),
        (False, True, True),
        (False, False, False),
        (False, None, None),
        (None, False, None),
        (None, None, None),
    ],
)
def test_is_imaged(smartspim: object, tissuecyte: bool | None, expected: bool | None) -> None:
    made = record(codeocean=no_assets(smartspim=smartspim), s3=nothing_on_s3(tissuecyte_subject=tissuecyte))
    assert flag("is_imaged", made) is expected


def test_nothing_on_s3_is_no_image() -> None:
    assert flag("is_imaged", record(codeocean=no_assets(smartspim=False), s3=False)) is False


@pytest.mark.parametrize(("name", "field"), [("is_parquet_cached", "parquet_cache"), ("is_nwb_cached", "nwb_cache")])
@pytest.mark.parametrize(("versions", "expected"), [(["v0.0.268"], True), ([], False), (None, None)])
def test_caches(name: str, field: str, versions: list[str] | None, expected: bool | None) -> None:
    assert flag(name, record(s3=nothing_on_s3(**{field: versions}))) is expected
    assert flag(name, record(s3=None)) is None
    assert flag(name, record(s3=False)) is False


# --- the flat row

ON_S3 = asset(location="s3://aind-ephys-data/ecephys_626791_2022-08-15_13-07-32")


def row(made: Record) -> dict[str, Any]:
    return session_row(made.as_dict())


def test_columns_are_the_keys_in_their_order() -> None:
    assert tuple(row(record())) == COLUMNS


def test_identity() -> None:
    made = row(record(SECOND))
    assert {name: made[name] for name in ("id", "subject", "date", "idx")} == {
        "id": "626791_2022-08-15_1",
        "subject": 626791,
        "date": "2022-08-15",
        "idx": 1,
    }


@pytest.mark.parametrize(
    ("platform", "is_ephys", "is_sync"),
    [("ephys", True, True), ("behavior_with_sync", False, True), ("behavior", False, False)],
)
def test_platform_as_tracked(platform: str, is_ephys: bool, is_sync: bool) -> None:
    made = row(record(tracked=tracked(platform)))
    assert (made["platform"], made["is_ephys"], made["is_sync"]) == (platform, is_ephys, is_sync)


@pytest.mark.parametrize("name", ["", None])
def test_an_empty_rig_is_unknown(name: str | None) -> None:
    assert row(record(training=training(rig_name=name)))["rig"] == "unknown"


def test_rig_and_task_version_come_from_training() -> None:
    made = row(record(training=training(rig_name="NP2", task_version="stage 5 ori AMN")))
    assert (made["rig"], made["task_version"]) == ("NP2", "stage 5 ori AMN")
    without = row(record(training=False))
    assert (without["rig"], without["task_version"]) == ("unknown", "unknown")


def test_a_session_that_only_training_knows() -> None:
    made = row(record(tracked=False, training=training(), codeocean=no_assets(raw=ON_S3)))
    assert (made["project"], made["platform"], made["experiment_day"]) == ("DynamicRouting", "behavior", None)
    assert made["allen_path"] == f"{DATA_REPO_ISILON}/626791"


@pytest.mark.parametrize(
    ("raw", "platform", "path"),
    [
        (ON_S3, "ephys", ON_S3.location),
        (asset(), "ephys", f"{DATA_REPO_ISILON}/626791"),
        (asset("behavior_626791_2022-08-15_13-07-32"), "behavior", f"{DATA_REPO_ISILON}/626791"),
        (False, "behavior", f"{DATA_REPO_ISILON}/626791"),
    ],
)
def test_a_session_that_only_code_ocean_knows(raw: object, platform: str, path: str) -> None:
    made = row(record(tracked=None, codeocean=no_assets(raw=raw)))
    assert (made["project"], made["platform"], made["allen_path"]) == ("unknown", platform, path)


def test_a_flag_is_true_false_or_null_and_false_where_it_does_not_apply() -> None:
    made = row(record(tracked=tracked("behavior"), codeocean=no_assets(raw=asset()), s3=None))
    assert (made["is_uploaded"], made["is_nwb_cached"], made["is_sorted"]) == (True, None, False)
    assert "is_sorted" in made["not_applicable"]
    assert "is_nwb_cached" not in made["not_applicable"]


def test_an_id_that_does_not_apply_is_null() -> None:
    made = row(record(codeocean=no_assets()))
    assert made["raw_asset_id"] is None
    assert "raw_asset_id" in made["not_applicable"]
    assert row(record(codeocean=no_assets(raw=ON_S3)))["raw_asset_id"] == ON_S3.id


def test_a_flag_is_explained_with_what_failed_and_what_it_waits_for() -> None:
    waiting = record(codeocean=no_assets(), s3=nothing_on_s3()).as_dict()
    assert explain(waiting, "is_sorted").endswith("yet. It waits until the session is uploaded.")
    uploaded = no_assets(raw=FOUND, errored={"a": "out of memory", "b": "out of memory"})
    ready = record(codeocean=uploaded, s3=raw_folder(ecephys=["ecephys_compressed"])).as_dict()
    assert explain(ready, "is_sorted").endswith("yet. 2 failed: out of memory.")
    assert explain(record(tracked=tracked("behavior")).as_dict(), "is_sorted") == FLAGS["is_sorted"].not_applicable
    assert next_steps(waiting) == ["is_uploaded"]
    assert why_no_step(record(tracked=False, training=training()).as_dict()).startswith("None: a training session")
    assert why_no_step(record(tracked=tracked()).as_dict()).startswith("Unknown: uploaded, sorted, annotated")
    assert next_steps(ready) == ["is_sorted", "is_parquet_cached"]

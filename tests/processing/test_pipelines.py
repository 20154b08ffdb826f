"""pipelines.yaml: what it says, and every mistake with its place."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from npc_lims.errors import NpcLimsError, PipelinesError
from npc_lims.processing.pipelines import choose_processes, parse_pipelines, read_pipelines
from npc_lims.processing.process import (
    AssetRecipe,
    Attachment,
    Limits,
    Process,
    ProcessEntry,
    pipelines_schema,
)
from npc_lims.processing.runs import parse_runs

ROOT = Path(__file__).resolve().parent.parent.parent
SCHEMA = jsonschema.Draft202012Validator(pipelines_schema())
CAPSULE = "4cf0be83-2245-4bb1-a55c-a78201b14bfe"
OTHER = "1f8f159a-7670-47a9-baf1-078905fc9c2e"

MINIMAL = f"""\
processes:
  dlc_eye:
    capsule: {CAPSULE}
    input: raw
    done: is_dlc_eye
    asset: none
"""
FULL = f"""\
processes:
  spikes:
    pipeline: {OTHER}
    input: raw
    mount: ecephys
    attach:
    - asset: {CAPSULE}
      mount: models
    parameters:
      id: "{{input.id}} of {{session}}"
    done: is_sorted
    needs: [is_uploaded, is_video]
    limits:
      running: 3
      tries: 4
    asset:
      name: "{{recording}}_sorted_{{created}}"
      tags: [derived]
      metadata:
        data level: derived data
      share: none
    result: sorted
"""


def said(text: str) -> list[str]:
    """What is wrong with the text of a file."""
    return [str(problem) for problem in parse_pipelines(textwrap.dedent(text), "p.yaml")[1]]


def with_line(old: str, new: str, text: str = MINIMAL) -> str:
    assert old in text
    return text.replace(old, new)


# --- what is read


def test_a_process_with_no_more_than_it_needs() -> None:
    processes, problems = parse_pipelines(MINIMAL)
    assert problems == ()
    assert processes == {
        "dlc_eye": Process(
            name="dlc_eye",
            capsule=CAPSULE,
            input="raw",
            attach=[],
            parameters={},
            done="is_dlc_eye",
            needs=[],
            limits=Limits(running=6, tries=2),
            asset="none",
            result="dlc_eye",
        )
    }


def test_a_process_with_everything() -> None:
    processes, problems = parse_pipelines(FULL)
    assert problems == ()
    assert processes["spikes"] == Process(
        name="spikes",
        pipeline=OTHER,
        input="raw",
        mount="ecephys",
        attach=[Attachment(asset=CAPSULE, mount="models")],
        parameters={"id": "{input.id} of {session}"},
        done="is_sorted",
        needs=["is_uploaded", "is_video"],
        limits=Limits(running=3, tries=4),
        asset=AssetRecipe(
            name="{recording}_sorted_{created}", tags=["derived"], metadata={"data level": "derived data"}, share="none"
        ),
        result="sorted",
    )


def test_an_input_is_named_by_the_process_that_makes_it_or_by_the_fact() -> None:
    more = f"  units:\n    capsule: {CAPSULE}\n    input: INPUT\n    done: is_annotated\n    asset: none\n"
    for name in ("spikes", "sorted"):
        processes, problems = parse_pipelines(FULL + more.replace("INPUT", name))
        assert problems == ()
        assert processes["units"].input == "sorted"
        assert processes["units"].result is None


def test_a_byte_order_mark_and_windows_line_ends_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pipelines.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    assert read_pipelines(path) == parse_pipelines(FULL)[0]


def test_processes_are_chosen_by_name() -> None:
    every, _ = parse_pipelines(MINIMAL + FULL.removeprefix("processes:\n"))
    assert [one.name for one in choose_processes(every, None)] == ["dlc_eye", "spikes"]
    assert [one.name for one in choose_processes(every, ["spikes", "spikes"])] == ["spikes"]
    with pytest.raises(NpcLimsError, match=r"no such process: dlc_eey \(did you mean 'dlc_eye'\?\); there are dlc_eye"):
        choose_processes(every, ["dlc_eey"])


# --- mistakes

MISTAKES = {
    "nothing": ("", "p.yaml:1:1: error: the file is empty"),
    "a comment alone": ("# none yet\n", "p.yaml:1:1: error: the file is empty"),
    "a list": ("- dlc_eye\n", "p.yaml:1:1: error: the file must be a mapping with the key 'processes', not a list"),
    "no processes": ("{}\n", "p.yaml:1:1: error: there is no process in it"),
    "none below": ("processes:\n", "p.yaml:1:1: error: processes must be a mapping of names to processes, not nothing"),
    "an empty mapping": ("processes: {}\n", "p.yaml:1:12: error: processes must be a mapping of names to processes"),
    "processes as a list": ("processes:\n- dlc_eye\n", "p.yaml:2:1: error: processes must be a mapping of names"),
    "another top key": (
        with_line("processes:", "proceses:"),
        "p.yaml:1:1: error: unknown key 'proceses' (did you mean 'processes'?)",
    ),
    "nothing said of it": ("processes:\n  dlc_eye:\n", "p.yaml:2:3: error: dlc_eye must be a mapping"),
    "a name with a dash": (
        with_line("dlc_eye:", "dlc-eye:") + "    result: dlc_eye\n",
        "p.yaml:2:3: error: 'dlc-eye' is no name of a process",
    ),
    "a name that leads elsewhere": (
        with_line("dlc_eye:", '"../dlc_eye":') + "    result: dlc_eye\n",
        "p.yaml:2:3: error: '../dlc_eye' is no name of a process",
    ),
    "an unknown key": (
        with_line("input:", "inputs: raw\n    input:"),
        "p.yaml:4:5: error: unknown key 'inputs' (did you mean 'input'?): the keys are capsule, pipeline, input",
    ),
    "a key twice": (
        MINIMAL + "    input: raw\n",
        "p.yaml:7:5: error: 'input' is given twice, first in line 4",
    ),
    "a process twice": (
        MINIMAL + MINIMAL.removeprefix("processes:\n"),
        "p.yaml:7:3: error: 'dlc_eye' is given twice, first in line 2",
    ),
    "names that differ by capitals": (
        MINIMAL + f"  DLC_eye:\n    capsule: {CAPSULE}\n    input: raw\n    done: is_video\n    asset: none\n",
        "p.yaml:7:3: error: 'DLC_eye' differs from 'dlc_eye' in line 2 by capitals only",
    ),
    "a capsule and a pipeline": (
        MINIMAL + f"    pipeline: {OTHER}\n",
        "p.yaml:7:15: error: this process names a capsule and a pipeline: keep one",
    ),
    "neither capsule nor pipeline": (
        with_line(f"    capsule: {CAPSULE}\n", ""),
        "p.yaml:3:5: error: this process lacks 'capsule' or 'pipeline'",
    ),
    "an id that is none": (
        with_line(CAPSULE, "4cf0be83"),
        f"p.yaml:3:14: error: capsule must be an id such as {CAPSULE}, not the text '4cf0be83'",
    ),
    "an id without a value": (
        with_line(f" {CAPSULE}", ""),
        "p.yaml:3:5: error: capsule has no value: write it, or remove the key",
    ),
    "no input": (with_line("    input: raw\n", ""), "p.yaml:3:5: error: this process lacks 'input': add it"),
    "an input that nothing makes": (
        with_line("input: raw", "input: dlc_eyes"),
        "p.yaml:4:12: error: nothing makes the input 'dlc_eyes' (did you mean 'dlc_eye'?): there are raw, sorted",
    ),
    "an input that nobody records": (
        MINIMAL + f"  units:\n    capsule: {CAPSULE}\n    input: tiles\n    done: is_annotated\n    asset: none\n"
        f"  tiles:\n    capsule: {CAPSULE}\n    input: raw\n    done: is_annotated\n    asset: none\n",
        "p.yaml:9:12: error: nobody records the results of tiles: give it a 'result'",
    ),
    "its own result as input": (
        with_line("input: raw", "input: dlc_eye"),
        "p.yaml:4:12: error: inputs go in a circle: dlc_eye needs dlc_eye; let one begin with raw",
    ),
    "a circle of two": (
        with_line("input: raw", "input: facemap")
        + f"  facemap:\n    capsule: {CAPSULE}\n    input: dlc_eye\n    done: is_facemap\n    asset: none\n",
        "p.yaml:4:12: error: inputs go in a circle: dlc_eye needs facemap needs dlc_eye",
    ),
    "an unknown flag": (
        with_line("is_dlc_eye", "is_dlceye"),
        "p.yaml:5:11: error: unknown status flag 'is_dlceye' (did you mean 'is_dlc_eye'?): there are is_uploaded",
    ),
    "an unknown flag among the needs": (
        MINIMAL + "    needs: [is_uploaded, is_vido]\n",
        "p.yaml:7:26: error: unknown status flag 'is_vido' (did you mean 'is_video'?)",
    ),
    "a flag that is an id": (
        with_line("is_dlc_eye", "raw_asset_id"),
        "p.yaml:5:11: error: unknown status flag 'raw_asset_id'",
    ),
    "one need without brackets": (
        MINIMAL + "    needs: is_video\n",
        "p.yaml:7:12: error: needs must be a list, not the text 'is_video': write [is_video]",
    ),
    "an unknown result": (
        MINIMAL + "    result: dlc_eyes\n",
        "p.yaml:7:13: error: unknown result 'dlc_eyes' (did you mean 'dlc_eye'?)",
    ),
    "a limit below 1": (
        MINIMAL + "    limits: {running: 0}\n",
        "p.yaml:7:23: error: limits.running must be 1 or more, not the integer 0",
    ),
    "a limit that is text": (
        MINIMAL + '    limits: {tries: "2"}\n',
        "p.yaml:7:21: error: limits.tries must be a whole number, not the text '2': remove the quotes",
    ),
    "an unknown limit": (
        MINIMAL + "    limits: {runing: 2}\n",
        "p.yaml:7:14: error: unknown key 'runing' (did you mean 'running'?): the keys are running, tries",
    ),
    "a parameter that is a number": (
        MINIMAL + "    parameters: {dry_run: 0}\n",
        "p.yaml:7:27: error: parameters.dry_run must be text, not the integer 0: quote it",
    ),
    "a parameter with an unknown name": (
        MINIMAL + '    parameters: {id: "{raw.ids}"}\n',
        "p.yaml:7:22: error: nothing to fill in for {raw.ids} (did you mean 'raw.id'?): there are {input.id}",
    ),
    "a brace that stays open": (
        MINIMAL + '    parameters: {id: "{raw.id"}\n',
        "p.yaml:7:22: error: a single '{': close the braces, or double it",
    ),
    "an attached asset without a mount": (
        MINIMAL + f"    attach: [{{asset: {OTHER}}}]\n",
        "p.yaml:7:14: error: attach[0] lacks 'mount': add it",
    ),
    "two attached in one folder": (
        MINIMAL + f"    attach: [{{asset: {OTHER}, mount: a}}, {{asset: {CAPSULE}, mount: a}}]\n",
        "p.yaml:7:124: error: attach[0] is in the folder a already: give this another",
    ),
    "one attached in the folder of the input": (
        with_line("mount: models", "mount: ecephys", FULL),
        "p.yaml:8:14: error: the input is in the folder ecephys already: give this another",
    ),
    "a mount that is a path": (
        MINIMAL + "    mount: ../data\n",
        "p.yaml:7:12: error: mount must be a name of letters, digits, '.', '_' and '-', not the text '../data'",
    ),
    "an asset that is another word": (
        with_line("asset: none", "asset: nothing"),
        "p.yaml:6:12: error: asset must be a mapping or 'none', not the text 'nothing'",
    ),
    "no asset": (with_line("    asset: none\n", ""), "p.yaml:3:5: error: this process lacks 'asset': add it"),
    "an asset without a name": (
        with_line("asset: none", "asset: {share: none}"),
        "p.yaml:6:12: error: asset lacks 'name': add it",
    ),
    "an unknown key of the asset": (
        with_line('{recording}_sorted_{created}"', '{recording}_sorted_{created}"\n      shared: none', FULL),
        "p.yaml:18:7: error: unknown key 'shared' (did you mean 'share'?): the keys are name, tags, metadata, share",
    ),
    "shared with somebody else": (
        with_line("share: none", "share: lab", FULL),
        "p.yaml:21:14: error: asset.share must be 'everyone' or 'none', not the text 'lab'",
    ),
    "an asset name with an unknown name": (
        with_line("{created}", "{create}", FULL),
        "p.yaml:17:13: error: nothing to fill in for {create} (did you mean 'created'?): there are {recording}",
    ),
    "an asset name without the time": (
        with_line("_{created}", "", FULL),
        "p.yaml:17:13: error: two tries would give their assets the same name: add {created}",
    ),
    "an asset name that is no recording's": (
        with_line("{recording}", "{session}", FULL),
        "p.yaml:17:13: error: the sync finds an asset by the recording at the beginning of its name",
    ),
    "an asset name with a space": (
        with_line("_{created}", "_{created} 2", FULL),
        "p.yaml:17:13: error: an asset is mounted, and searched for, by its name: use letters, digits",
    ),
    "an asset name that ends a search": (
        with_line("_{created}", '_{created}\\"', FULL),
        "p.yaml:17:13: error: an asset is mounted, and searched for, by its name: use letters, digits",
    ),
    "an asset name that is a path": (
        with_line("_{created}", "_{created}/a", FULL),
        "p.yaml:17:13: error: an asset is mounted, and searched for, by its name: use letters, digits",
    ),
    "an asset name that tells no result": (
        with_line("}_sorted", "}_spikes", FULL),
        "for no result that is recorded: write a name such as {recording}_sorted_{created}",
    ),
    "an asset name that tells two results": (
        with_line("}_sorted", "}_sorted_facemap", FULL),
        "for facemap and for sorted: write a name such as {recording}_sorted_{created}",
    ),
    "a result that counts as raw": (
        with_line("[derived]", "[raw]", FULL),
        "p.yaml:17:7: error: an asset with the tag raw, or the data level raw data, is taken for raw data",
    ),
    "two that make the same": (
        FULL
        + f"  more:\n    capsule: {CAPSULE}\n    input: raw\n    done: is_sorted\n"
        + "    asset: none\n    result: sorted\n",
        "p.yaml:23:3: error: more makes sorted, as spikes in line 2 does: keep one",
    ),
    "a tab": (with_line("    input", "\tinput"), "p.yaml:4:1: error: YAML syntax"),
    "not YAML": ("processes: [\n", "p.yaml:2:1: error: YAML syntax"),
    "a second document": (MINIMAL + "---\n" + MINIMAL, "p.yaml:7:1: error: a second document begins here"),
    "a merge key": (with_line("    input", "    <<: {a: 1}\n    input"), "p.yaml:4:5: error: a merge key (<<)"),
    "a tag": (with_line("input: raw", "input: !fact raw"), "p.yaml:4:12: error: an explicit YAML tag"),
}


@pytest.mark.parametrize(("text", "words"), MISTAKES.values(), ids=MISTAKES.keys())
def test_each_mistake_is_reported_with_its_position(text: str, words: str) -> None:
    found = said(text)
    assert any(words in line for line in found), found
    if words.startswith("p.yaml"):
        assert any(line.startswith(words) for line in found), found
    assert len(found) == 1, found


def test_two_with_the_same_asset_name() -> None:
    second = FULL.removeprefix("processes:\n").replace("spikes:", "more:").replace("result: sorted", "result: facemap")
    assert any(
        "p.yaml:38:13: error: assets of spikes in line 2 have this name too" in line for line in said(FULL + second)
    )


def test_all_mistakes_are_reported_at_once() -> None:
    text = MINIMAL.replace("raw", "row").replace("is_dlc_eye", "is_eye") + "    needs: [is_vidio]\n"
    assert [line.split(":")[1] for line in said(text)] == ["4", "5", "7"]


def test_a_broken_process_leaves_the_others() -> None:
    processes, problems = parse_pipelines(MINIMAL + "  facemap: 3\n")
    assert list(processes) == ["dlc_eye"]
    assert len(problems) == 1


@given(st.text(max_size=200) | st.text(alphabet="processes: \n-{}[]'\"&*!|>#%@0", max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    processes, problems = parse_pipelines(text)
    assert processes == {}
    assert problems


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["raw", "none", CAPSULE, "is_video", "{raw.id}"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "running", "asset"]), inner),
    max_leaves=4,
)
_KEYS = ("capsule", "pipeline", "input", "mount", "attach", "parameters", "done", "needs", "limits", "asset", "result")


@given(st.dictionaries(st.sampled_from(_KEYS), _VALUES))
def test_whatever_stands_in_an_entry_is_accepted_or_reported(entry: dict[str, Any]) -> None:
    text = json.dumps({"processes": {"facemap": entry}})
    processes, problems = parse_pipelines(text)
    assert problems or list(processes) == ["facemap"]
    # what the reader accepts, editors do not strike through
    assert problems or SCHEMA.is_valid({"processes": {"facemap": entry}})


# --- files


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file"),
        (b"processes:\n  \xe9", "2:3: error: the byte 0xe9 is not UTF-8"),
        (b"#" * 1_000_001, "larger than 1 MB"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "pipelines.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelinesError) as caught:
        read_pipelines(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(PipelinesError, match=r"a folder: give the path|cannot be read"):
        read_pipelines(tmp_path)


# --- the file that is shipped

SHIPPED = {
    "dlc_eye": ("4cf0be83-2245-4bb1-a55c-a78201b14bfe", "raw", "is_dlc_eye", "dlc_eye"),
    "dlc_side": ("facff99f-d3aa-4ecd-8ef8-a343c38197aa", "raw", "is_dlc_side", "dlc_side"),
    "dlc_face": ("a561aa4c-2066-4ff2-a916-0db86b918cdf", "raw", "is_dlc_face", "dlc_face"),
    "facemap": ("670de0b3-f73d-4d22-afe6-6449c45fada4", "raw", "is_facemap", "facemap"),
    "GammaEncoding": ("e8eb341f-96e6-4036-84c2-d4ad5558d96a", "raw", "is_gamma_encoding", "GammaEncoding"),
    "LPFaceParts": ("e8eb341f-96e6-4036-84c2-d4ad5558d96a", "GammaEncoding", "is_LPFaceParts", "LPFaceParts"),
    "sorting": ("1f8f159a-7670-47a9-baf1-078905fc9c2e", "raw", "is_sorted", "sorted"),
}


def test_the_shipped_file_has_the_processes_that_are_run() -> None:
    processes = read_pipelines(ROOT / "pipelines.yaml")
    found = {name: (one.capsule or one.pipeline, one.input, one.done, one.result) for name, one in processes.items()}
    assert found == SHIPPED
    assert [name for name, one in processes.items() if one.pipeline is not None] == ["sorting"]
    assert [name for name, one in processes.items() if one.recipe is None] == ["GammaEncoding", "LPFaceParts"]
    assert processes["sorting"].mount == "ecephys"
    assert processes["LPFaceParts"].needs == ["is_gamma_encoding"]
    dispatched = {"raw_data_asset_id": "{raw.id}", "dry_run": "0", "skip_existing": "1"}
    for name in ("GammaEncoding", "LPFaceParts"):
        assert processes[name].parameters == {**dispatched, "processes": name}
        assert processes[name].limits.running == 3


def test_the_shipped_file_names_its_schema_for_editors() -> None:
    first = (ROOT / "pipelines.yaml").read_text(encoding="utf-8").splitlines()[0]
    _, _, path = first.partition("$schema=")
    assert (ROOT / path).is_file()


def test_the_examples_in_the_docs_are_right() -> None:
    text = (ROOT / "docs" / "processing.md").read_text(encoding="utf-8")
    pipelines, runs = re.findall(r"```yaml[^\n]*\n(.*?)```", text, re.DOTALL)
    processes, problems = parse_pipelines(pipelines)
    assert problems == ()
    assert list(processes) == ["sorting"]
    (run,) = parse_runs(runs.encode(), Path("dlc_eye.yaml"))
    assert run.reason == "its output says 'Out of memory.'"


def test_the_docs_name_every_key() -> None:
    text = (ROOT / "docs" / "processing.md").read_text(encoding="utf-8")
    for name in ProcessEntry.model_fields:
        assert f"| `{name}" in text or f"`{name}` |" in text, name


def test_the_shipped_file_fits_the_schema() -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / "pipelines.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    content = yaml.safe_load((ROOT / "pipelines.yaml").read_text(encoding="utf-8"))
    assert list(check.iter_errors(content)) == []
    for key in ("input", "done", "asset"):
        broken = json.loads(json.dumps(content))
        del broken["processes"]["dlc_eye"][key]
        assert list(check.iter_errors(broken)) != []
    both = json.loads(json.dumps(content))
    both["processes"]["sorting"]["capsule"] = CAPSULE
    assert list(check.iter_errors(both)) != []

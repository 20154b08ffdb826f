"""Invented facts of a sample lab: mice, sessions, training days, data assets. `files.py` makes files of them.

Subjects 901001 to 901006 do not exist, and neither do their sessions and data assets; only the formats of names and
files are real. A stage is the day from which a fact holds: 1 is the first day (2024-11-04), 2 the day after.
"""

from __future__ import annotations

import dataclasses
import datetime

STAGES = (1, 2)
"""The days of this world."""

NEVER = 99
"""The stage of what does not happen."""

RAW_BUCKET = "aind-ephys-data"
BEHAVIOR_BUCKET = "aind-behavior-data"
IMAGING_BUCKET = "aind-open-data"

DR_FOLDER = "//allen/programs/mindscope/workgroups/dynamicrouting/PilotEphys/Task 2 pilot"
TEMPLETON_FOLDER = "//allen/programs/mindscope/workgroups/templeton/TTOC/pilot recordings"
HDF5_FOLDER = "//allen/programs/mindscope/workgroups/dynamicrouting/DynamicRoutingTask/Data"

VIDEO_PROCESSES = ("dlc_eye", "dlc_side", "dlc_face", "facemap", "GammaEncoding", "LPFaceParts")
ALL_PROCESSES = (*VIDEO_PROCESSES, "LFP_Subsampled")


@dataclasses.dataclass(frozen=True)
class Mouse:
    """A row of the sheet `all_mice`."""

    subject: int
    genotype: str
    sex: str
    birthdate: str
    regimen: int
    next_task: str
    alive: bool = False
    nsb: bool = False
    """Trained by the NSB team: in the NSB workbook..."""
    lab: bool = True
    """...or by the lab: in the other one. A mouse can be in both."""


@dataclasses.dataclass(frozen=True)
class Session:
    """A session of the tracked file and where it left traces. Stages say on which day a thing first is."""

    subject: int
    date: str
    start: str
    """Start of the recording, HH-MM-SS."""
    entry: str = ""
    """The lines under the path in the tracked file, as typed."""
    above: str = ""
    """A comment on the lines above the path."""
    platform: str = "ephys"
    project: str = "DynamicRouting"
    idx: int = 0
    rig: str = "NP2"
    task: str = "stage 5 ori AMN moving timeouts repeats"
    """Task version; empty when no task was run (no stimulus file, no row in a workbook)."""
    mapped: bool = True
    """Receptive fields were mapped after the task of an ephys session: one more stimulus file."""
    tracked: int = 1
    uploaded: int = NEVER
    sorted: int = NEVER
    layout: str = "old"
    """Folders of the raw asset: 'old' or 'new'."""
    missing: tuple[str, ...] = ()
    """Raw files or folders that this upload lacks, by how their names begin."""
    processes: tuple[str, ...] = ()
    surface: str = ""
    """Start of a second recording, of the surface channels, HH-MM-SS (uploaded and sorted as well)."""
    tags_only: bool = False
    """An old raw asset: no custom metadata, only tags."""
    caches: tuple[str, ...] = ()
    """'parquet', 'nwb' or both."""
    tissuecyte: str = ""
    """Probes annotated in tissuecyte, such as 'A1 B1'."""
    ibl: str = ""
    """Letters of the probes annotated in the IBL GUI."""

    @property
    def id(self) -> str:
        """The session id, with its index when that is not 0."""
        return f"{self.subject}_{self.date}" + (f"_{self.idx}" if self.idx else "")

    @property
    def begin(self) -> datetime.datetime:
        """Start of the recording."""
        return datetime.datetime.strptime(f"{self.date} {self.start}", "%Y-%m-%d %H-%M-%S")

    @property
    def task_begin(self) -> datetime.datetime:
        """Start of the task: with the session, or once the probes have settled."""
        return self.begin + datetime.timedelta(minutes=17 if self.platform == "ephys" else 0)

    @property
    def modality(self) -> str:
        """First word of the names of its assets."""
        return "ecephys" if self.platform == "ephys" else "behavior"

    @property
    def bucket(self) -> str:
        """Bucket of its raw assets."""
        return RAW_BUCKET if self.modality == "ecephys" else BEHAVIOR_BUCKET

    @property
    def asset_name(self) -> str:
        """Name of its raw asset."""
        return f"{self.modality}_{self.subject}_{self.date}_{self.start}"

    @property
    def recordings(self) -> tuple[str, ...]:
        """Names of its raw assets: its own and, if any, that of the surface channels."""
        second = f"{self.modality}_{self.subject}_{self.date}_{self.surface}"
        return (self.asset_name, second) if self.surface else (self.asset_name,)

    @property
    def allen_path(self) -> str:
        """Its path in the tracked file."""
        if self.platform == "behavior":
            file = stimulus_file(self.subject, "DynamicRouting1", self.task_begin)
            return f"{HDF5_FOLDER}/{self.subject}/{file}"
        if self.project.startswith("Templeton"):
            return f"{TEMPLETON_FOLDER}/{self.date}_{self.start}_{self.subject}"
        return f"{DR_FOLDER}/DRpilot_{self.subject}_{self.date.replace('-', '')}"


def stimulus_file(subject: int, script: str, time: datetime.datetime) -> str:
    """Name of the file that a stimulus script wrote."""
    return f"{script}_{subject}_{time:%Y%m%d_%H%M%S}.hdf5"


@dataclasses.dataclass(frozen=True)
class TrainingDay:
    """A row of a workbook that belongs to no tracked session: a training day on a behavior rig."""

    subject: int
    start: str
    rig: str
    task: str
    passed: bool = True
    nsb: bool = False
    ignore: bool = False
    comments: str = ""
    as_text: str = ""
    """What was typed where a date cell should be."""


@dataclasses.dataclass(frozen=True)
class OddAsset:
    """A data asset that does not follow from the table of sessions, made at the last time in its name."""

    name: str
    bucket: str = ""
    """Bucket of a raw asset; empty for the result of a computation."""
    state: str = "ready"
    archived: bool = False
    files: int = 0
    output: str = "Completed successfully\n"
    """Text of a result's `output` file, which says how the computation went."""


MICE = (
    Mouse(901001, "Sst-IRES-Cre;Ai32", "F", "2023-10-02", 1, "ephys"),
    Mouse(901002, "VGAT-ChR2-YFP", "M", "2023-12-04", 1, "ephys"),
    Mouse(901003, "wt C57BL6J", "F", "2024-05-06", 4, "ephys", nsb=True),
    Mouse(901004, "wt C57BL6J", "M", "2023-12-18", 2, "templeton stage 2 AMN test"),
    Mouse(901005, "Pvalb-IRES-Cre;Ai32", "F", "2024-06-03", 1, "ephys", alive=True),
    Mouse(901006, "wt C57BL6J", "M", "2024-05-20", 4, "stage 5 ori AMN timeouts", True, nsb=True, lab=False),
)

SESSIONS = (
    # 901001: four days, everything done for the first three
    Session(
        901001, "2024-03-11", "13-10-05", "day: 1", "# first mouse of the demo, old rig layout",
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet", "nwb"), tissuecyte="A1 B1 C1 F1",
    ),
    Session(
        901001, "2024-03-12", "12-58-41",
        """\
        day: 2
        session_kwargs:
            probe_letters_to_skip: DE # not inserted
        """,
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet", "nwb"), tissuecyte="A2 B2 C2 F2",
    ),
    Session(
        901001, "2024-03-13", "13-22-17",
        """\
        day: 3
        notes: surface channels recorded after the task, as a second recording
        session_kwargs:
            surface_recording_probe_letters_to_skip: BCDE
        """,
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet",), tissuecyte="A3 F3",
        surface="15-41-09",
    ),
    Session(
        901001, "2024-03-14", "12-49-50",
        """\
        day: 4
        issues:
          - https://github.com/AllenInstitute/npc_sessions/issues/28 # short diode flip, fixable
          - https://github.com/AllenInstitute/npc_sessions/issues/117
        """,
        uploaded=1, sorted=1, processes=("dlc_eye", "dlc_side", "dlc_face", "facemap"),
    ),
    # 901002: sorting trouble
    Session(
        901002, "2024-05-13", "13-30-12",
        """\
        day: 1
        session_kwargs:
            probe_letters_to_skip: B # bad connection
        """,
        uploaded=1, sorted=1, processes=VIDEO_PROCESSES,
    ),
    Session(
        901002, "2024-05-14", "13-05-33",
        """\
        day: 2
        # sorting keeps running out of memory, see
        # https://github.com/AllenInstitute/npc_sessions/issues/148
        issues: https://github.com/AllenInstitute/npc_sessions/issues/148
        """,
        uploaded=1, processes=VIDEO_PROCESSES,
    ),
    Session(
        901002, "2024-05-15", "12-44-26", "day: 3",
        uploaded=1, sorted=2, processes=("dlc_eye", "dlc_side", "dlc_face"),
    ),
    Session(
        901002, "2024-05-16", "13-12-58",
        """\
        day: 4
        notes: "recording stopped on first SpontaneousRewards for ~5 mins"
        session_kwargs:
            is_production: False # context-naive, one-off
            is_context_naive: True
        """,
        uploaded=1, missing=("session.json", "rig.json"),
    ),
    # 901003: new folder layout, imaged with SmartSPIM
    Session(
        901003, "2024-10-21", "11-20-03",
        """\
        day: 1
        session_kwargs:
            probe_letters_to_skip: D # no dye track
        """,
        "# uploaded with the new folder layout from here on",
        rig="NP3", uploaded=1, sorted=1, layout="new", processes=ALL_PROCESSES, caches=("parquet", "nwb"),
        ibl="ABCEF",
    ),
    Session(
        901003, "2024-10-22", "11-02-49",
        """\
        day: 2
        session_kwargs:
            probe_letters_with_surface_channel_recording: C # in the main recording
        """,
        rig="NP3", uploaded=1, sorted=1, layout="new", processes=ALL_PROCESSES, caches=("nwb",), ibl="ABCDEF",
    ),
    Session(
        901003, "2024-10-23", "11-31-15", "day: 3",
        rig="NP3", uploaded=1, sorted=1, layout="new", processes=("dlc_eye",),
    ),
    Session(
        901003, "2024-10-24", "11-15-36", "day: 4",
        rig="NP3", uploaded=2, layout="new",
    ),
    # 901005: trained and habituated in the other sections, recorded on the second day of the demo
    Session(
        901005, "2024-11-04", "12-36-20",
        """\
        ephys_day: 1
        session_kwargs:
            probe_letters_to_skip: C
        """,
        tracked=2, rig="NP3", layout="new",
    ),
    # 901004: the Templeton pilot
    Session(
        901004, "2024-06-04", "09-50-06", project="TempletonPilotSession", rig="NP3",
        task="templeton stage 2 AMN test", uploaded=1, sorted=1, processes=ALL_PROCESSES, tags_only=True,
    ),
    Session(
        901004, "2024-06-05", "09-39-59",
        """\
        session_kwargs:
            is_split_recording: True
        """,
        "# v two recordings on this day, rig restarted in between: not uploaded",
        project="TempletonPilotSession", rig="NP3", task="templeton stage 2 AMN test",
    ),
    Session(
        901004, "2024-06-05", "11-02-41",
        """\
        session_kwargs:
            is_split_recording: True
        notes: second half, without mapping
        """,
        project="TempletonPilotSession", idx=1, rig="NP3", task="templeton stage 2 AMN test", mapped=False,
    ),
    Session(
        901004, "2024-06-06", "10-25-25",
        """\
        session_kwargs:
            is_video: False # cameras off
        """,
        project="TempletonPilotSession", rig="NP3", task="templeton stage 2 AMN test",
        uploaded=1, missing=("behavior_videos",), tags_only=True,
    ),
    # 901005: habituation
    Session(
        901005, "2024-10-28", "10-02-11",
        """\
        # pupil test
        day: 1
        session_kwargs:
            is_sync: True
            is_video: True
            is_task: False
        """,
        platform="behavior_with_sync", rig="NP3", task="", uploaded=1, layout="new", processes=("dlc_eye",),
    ),
    Session(
        901005, "2024-10-30", "10-18-47",
        """\
        # opto
        day: 2
        """,
        platform="behavior_with_sync", rig="NP3", task="stage 5 ori AMN opto",
    ),
    # 901006: behavior only
    Session(
        901006, "2024-09-10", "15-53-30",
        """\
        issues:
          - https://github.com/AllenInstitute/npc_sessions/issues/78
        """,
        platform="behavior", rig="BEH.G-Box1", task="stage 5 ori AMN timeouts",
    ),
)  # fmt: skip

TRAINING = (
    TrainingDay(901001, "2024-03-06 12:41:10", "B2", "stage 5 ori AMN timeouts", passed=False),
    TrainingDay(901001, "2024-03-07 12:56:00", "B2", "stage 5 ori AMN timeouts", as_text="3/7/2024 12:56"),
    TrainingDay(901001, "2024-03-08 12:38:55", "NP2", "stage 5 ori AMN moving timeouts", comments="hab on rig"),
    TrainingDay(901002, "2024-05-08 10:31:12", "B4", "stage 5 ori AMN timeouts", as_text="2024-05-08 10:31:12"),
    TrainingDay(901002, "2024-05-09 10:29:40", "B4", "stage 1 AMN", ignore=True, comments="wrong task script"),
    TrainingDay(901002, "2024-05-10 10:33:04", "NP2", "stage 5 ori AMN moving timeouts repeats"),
    TrainingDay(901003, "2024-10-16 09:15:31", "BEH.E-Box3", "stage 5 ori AMN timeouts", nsb=True),
    TrainingDay(901004, "2024-05-31 14:07:26", "B3", "templeton stage 1 AMN", comments="lick spout moved"),
    TrainingDay(901005, "2024-10-24 16:20:08", "B1", "stage 5 ori AMN timeouts"),
    TrainingDay(901006, "2024-09-09 15:49:02", "BEH.G-Box1", "stage 2 AMN", passed=False, nsb=True),
)

ODD_ASSETS = (
    # a good sorting exists, but the newest one stopped early
    OddAsset("ecephys_901002_2024-05-13_13-30-12_sorted_2024-06-20_07-15-02", files=6),
    # nothing but errors
    OddAsset("ecephys_901002_2024-05-14_13-05-33_sorted_2024-05-17_10-44-30", files=6),
    OddAsset(
        "ecephys_901002_2024-05-14_13-05-33_sorted_2024-06-03_18-02-11", files=37,
        output="executor >  awsbatch (12)\n[d2/5f31c4] process > spikesort_kilosort25 (3)\nOut of memory.\n",
    ),
    OddAsset("ecephys_901004_2024-06-06_10-25-25_sorted_2024-06-08_03-17-55", state="failed"),
    # being written while we look
    OddAsset("ecephys_901002_2024-05-16_13-12-58_sorted_2024-11-04_16-30-09", state="draft"),
    # one camera's computation failed
    OddAsset("ecephys_901003_2024-10-23_11-31-15_dlc_side_2024-10-26_09-11-48", state="failed"),
    # a first upload, put away when a complete one of the same name replaced it
    OddAsset("ecephys_901003_2024-10-21_11-20-03", RAW_BUCKET, archived=True, files=118),
    # a habituation in the morning of an ephys day
    OddAsset("behavior_901003_2024-10-23_09-05-12", BEHAVIOR_BUCKET, files=9),
    # the brain
    OddAsset("SmartSPIM_901003_2024-11-01_09-12-40", IMAGING_BUCKET, files=90210),
)  # fmt: skip

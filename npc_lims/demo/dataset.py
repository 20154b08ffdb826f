"""Invented facts of a sample lab: mice, sessions, training days, data assets. `files.py` makes files of them.

Subjects 901001 to 901007 do not exist, and neither do their sessions and data assets; only the formats of names and
files are real. A stage is the day from which a fact holds: 1 is the first day (2024-11-04), 2 the day after.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import NamedTuple, Optional

STAGES = (1, 2)
NEVER = 99
"""The stage of what does not happen."""

VIDEO_PROCESSES = ("dlc_eye", "dlc_side", "dlc_face", "facemap", "GammaEncoding", "LPFaceParts")
ALL_PROCESSES = (*VIDEO_PROCESSES, "LFP_Subsampled")
_TEMPLETON = "templeton stage 2 AMN test"


class Mouse(NamedTuple):
    subject: int
    genotype: str
    sex: str
    birthdate: str
    regimen: int
    next_task: str
    alive: bool = False
    in_nsb_workbook: bool = False
    in_lab_workbook: bool = True


@dataclasses.dataclass(frozen=True)
class Session:
    """A session of `tracked_sessions.yaml`, and where it left traces; it is tracked, uploaded and sorted at a stage."""

    subject: int
    date: str
    start: str
    """Start of the recording, HH-MM-SS."""
    platform: str = "ephys"
    idx: int = 0
    rig: str = "NP2"
    task: str = "stage 5 ori AMN moving timeouts repeats"
    """Empty without a task: no stimulus file, no row in a workbook."""
    mapped: bool = True
    """Receptive fields were mapped after the task of an ephys session: one more stimulus file."""
    tracked: int = 1
    uploaded: int = NEVER
    sorted: int = NEVER
    missing: tuple[str, ...] = ()
    """Raw files or folders that the upload lacks, by how their names begin."""
    processes: tuple[str, ...] = ()
    surface: str = ""
    """Start of a second recording, of the surface channels, which is uploaded and sorted as well."""
    tags_only: bool = False
    caches: tuple[str, ...] = ()
    tissuecyte: str = ""
    """Probes annotated in tissuecyte, such as `A1 B1`."""
    ibl: str = ""
    """Letters of the probes annotated in the IBL GUI."""

    @property
    def id(self) -> str:
        return f"{self.subject}_{self.date}" + (f"_{self.idx}" if self.idx else "")

    @property
    def begin(self) -> datetime.datetime:
        return datetime.datetime.strptime(f"{self.date} {self.start}", "%Y-%m-%d %H-%M-%S")

    @property
    def task_begin(self) -> datetime.datetime:
        """Start of the task: with the session, or once the probes have settled."""
        return self.begin + datetime.timedelta(minutes=17 if self.platform == "ephys" else 0)

    @property
    def has_new_layout(self) -> bool:
        """True if its raw asset has the folders of uploads from October 2024 on."""
        return self.date >= "2024-10"

    @property
    def bucket(self) -> str:
        return "aind-ephys-data" if self.platform == "ephys" else "aind-behavior-data"

    @property
    def recordings(self) -> tuple[str, ...]:
        """Names of its raw assets: its own and, if any, that of the surface channels."""
        modality = "ecephys" if self.platform == "ephys" else "behavior"
        return tuple(f"{modality}_{self.subject}_{self.date}_{time}" for time in (self.start, self.surface) if time)


class TrainingDay(NamedTuple):
    """A row of a workbook; *as_text* was typed where a date cell should be."""

    subject: int
    start: str
    rig: str
    task: str
    passed: bool = True
    nsb: bool = False
    ignore: bool = False
    comments: str = ""
    as_text: str = ""


class SampleAsset(NamedTuple):
    name: str
    bucket: str = ""
    """Bucket of a raw asset; empty for the result of a computation."""
    uploaded: Optional[datetime.datetime] = None
    """Time of its creation; None for the last time in its name."""
    tags_only: bool = False
    """An old one: no custom metadata, only tags."""
    files: int = 412
    state: str = "ready"
    archived: bool = False
    output: str = "Completed successfully\n"

    @property
    def created(self) -> datetime.datetime:
        return self.uploaded or datetime.datetime.strptime(self.name[-19:], "%Y-%m-%d_%H-%M-%S")


MICE = (
    Mouse(901001, "Sst-IRES-Cre;Ai32", "F", "2023-10-02", 1, "ephys"),
    Mouse(901002, "VGAT-ChR2-YFP", "M", "2023-12-04", 1, "ephys"),
    Mouse(901003, "wt C57BL6J", "F", "2024-05-06", 4, "ephys", in_nsb_workbook=True),
    Mouse(901004, "wt C57BL6J", "M", "2023-12-18", 2, _TEMPLETON),
    Mouse(901005, "Pvalb-IRES-Cre;Ai32", "F", "2024-06-03", 1, "ephys", alive=True),
    Mouse(901006, "wt C57BL6J", "M", "2024-05-20", 4, "stage 5 ori AMN timeouts", True, True, in_lab_workbook=False),
)

SESSIONS = (
    # 901001: four days, everything done for the first three
    Session(
        901001, "2024-03-11", "13-10-05",
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet", "nwb"), tissuecyte="A1 B1 C1 F1",
    ),
    Session(
        901001, "2024-03-12", "12-58-41",
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet", "nwb"), tissuecyte="A2 B2 C2 F2",
    ),
    Session(
        901001, "2024-03-13", "13-22-17", surface="15-41-09",
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet",), tissuecyte="A3 F3",
    ),
    Session(
        901001, "2024-03-14", "12-49-50",
        uploaded=1, sorted=1, processes=("dlc_eye", "dlc_side", "dlc_face", "facemap"),
    ),
    # 901002: sorting trouble
    Session(901002, "2024-05-13", "13-30-12", uploaded=1, sorted=1, processes=VIDEO_PROCESSES),
    Session(901002, "2024-05-14", "13-05-33", uploaded=1, processes=VIDEO_PROCESSES),
    Session(901002, "2024-05-15", "12-44-26", uploaded=1, sorted=2, processes=("dlc_eye", "dlc_side", "dlc_face")),
    Session(901002, "2024-05-16", "13-12-58", uploaded=1, missing=("session.json", "rig.json")),
    # 901003: new folder layout, imaged with SmartSPIM
    Session(
        901003, "2024-10-21", "11-20-03", rig="NP3",
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("parquet", "nwb"), ibl="ABCEF",
    ),
    Session(
        901003, "2024-10-22", "11-02-49", rig="NP3",
        uploaded=1, sorted=1, processes=ALL_PROCESSES, caches=("nwb",), ibl="ABCDEF",
    ),
    Session(901003, "2024-10-23", "11-31-15", rig="NP3", uploaded=1, sorted=1, processes=("dlc_eye",)),
    Session(901003, "2024-10-24", "11-15-36", rig="NP3", uploaded=2),
    # 901005: trained and habituated in the other sections, recorded on the second day of the demo
    Session(901005, "2024-11-04", "12-36-20", rig="NP3", tracked=2),
    # 901004: the Templeton pilot
    Session(
        901004, "2024-06-04", "09-50-06", rig="NP3", task=_TEMPLETON, tags_only=True,
        uploaded=1, sorted=1, processes=ALL_PROCESSES,
    ),
    Session(901004, "2024-06-05", "09-39-59", rig="NP3", task=_TEMPLETON),
    Session(901004, "2024-06-05", "11-02-41", idx=1, rig="NP3", task=_TEMPLETON, mapped=False),
    Session(
        901004, "2024-06-06", "10-25-25", rig="NP3", task=_TEMPLETON, tags_only=True,
        uploaded=1, missing=("behavior_videos",),
    ),
    # 901005: habituation
    Session(
        901005, "2024-10-28", "10-02-11", "behavior_with_sync", rig="NP3", task="",
        uploaded=1, processes=("dlc_eye",),
    ),
    Session(901005, "2024-10-30", "10-18-47", "behavior_with_sync", rig="NP3", task="stage 5 ori AMN opto"),
    # 901006: behavior only
    Session(901006, "2024-09-10", "15-53-30", "behavior", rig="BEH.G-Box1", task="stage 5 ori AMN timeouts"),
)  # fmt: skip

UNLISTED = (  # uploaded, but in no workbook or tracked_sessions.yaml; the second is of a mouse of another project
    Session(901005, "2024-11-01", "11-48-32", rig="NP3", task="", uploaded=1),
    Session(901007, "2024-10-29", "09-41-22", "behavior", task="", uploaded=1),
)

TRAINING = (  # days of no tracked session
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

ODD_ASSETS = (  # which do not follow from the table of sessions
    # a good sorting exists, but the newest one stopped early
    SampleAsset("ecephys_901002_2024-05-13_13-30-12_sorted_2024-06-20_07-15-02", files=6),
    # nothing but errors
    SampleAsset("ecephys_901002_2024-05-14_13-05-33_sorted_2024-05-17_10-44-30", files=6),
    SampleAsset(
        "ecephys_901002_2024-05-14_13-05-33_sorted_2024-06-03_18-02-11", files=37,
        output="executor >  awsbatch (12)\n[d2/5f31c4] process > spikesort_kilosort25 (3)\nOut of memory.\n",
    ),
    SampleAsset("ecephys_901004_2024-06-06_10-25-25_sorted_2024-06-08_03-17-55", files=0, state="failed"),
    # being written on the first day
    SampleAsset("ecephys_901002_2024-05-16_13-12-58_sorted_2024-11-04_16-30-09", files=0, state="draft"),
    # one camera's computation failed
    SampleAsset("ecephys_901003_2024-10-23_11-31-15_dlc_side_2024-10-26_09-11-48", files=0, state="failed"),
    # a first upload, archived when a complete one of the same name replaced it
    SampleAsset("ecephys_901003_2024-10-21_11-20-03", "aind-ephys-data", archived=True, files=118),
    # a habituation in the morning of an ephys day
    SampleAsset("behavior_901003_2024-10-23_09-05-12", "aind-behavior-data", files=9),
    # the brain
    SampleAsset("SmartSPIM_901003_2024-11-01_09-12-40", "aind-open-data", files=90210),
)  # fmt: skip

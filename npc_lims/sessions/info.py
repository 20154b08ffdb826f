"""`SessionInfo`: one session, as callers see it, now or at a commit."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Callable, Literal, overload

from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import RemoteStateError
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, NOT_APPLICABLE
from npc_lims.model.rows import DATA_REPO_ISILON, allen_path_of, platform_of, project_of
from npc_lims.model.session_id import split_session_id
from npc_lims.model.status import describe_progress, explain, next_steps, recorded_flag
from npc_lims.state.reader import Origin, SessionLines, read_snapshot
from npc_lims.state.snapshot import line_id, parse_line
from npc_lims.utils.memory_cache import TTLCache
from npc_lims.utils.text import suggestion

if TYPE_CHECKING:
    import npc_session
    import upath
    from typing_extensions import Self

    from npc_lims.model.record import Platform

# A parsed line takes five times the memory of the line: only the last ones are cached.
_parsed: TTLCache[dict[str, Any]] = TTLCache(maxsize=1024, ttl=3600)


def _parse_id(record: Mapping[str, Any]) -> npc_session.SessionRecord:
    import npc_session

    return npc_session.SessionRecord(record["id"])


def _parse_path(record: Mapping[str, Any]) -> upath.UPath:
    import upath

    return upath.UPath(allen_path_of(record))


def _tracked(name: str, default: Callable[[], Any]) -> Callable[[Mapping[str, Any]], Any]:
    # a copy: objects made from one line share what it was parsed to, and callers may change what they are given
    return lambda record: copy.deepcopy((record["tracked"] or {}).get(name)) or default()


FIELDS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "id": _parse_id,
    "project": project_of,
    "is_ephys": lambda record: platform_of(record) == "ephys",
    "is_sync": lambda record: platform_of(record) in ("ephys", "behavior_with_sync"),
    "allen_path": _parse_path,
    "experiment_day": _tracked("experiment_day", type(None)),
    "session_kwargs": _tracked("session_kwargs", dict),
    "notes": _tracked("notes", str),
    "issues": _tracked("issues", list),
}
"""The fields of a `SessionInfo`, from the record of a session."""


class StatusProperty(property):
    """A status flag as an attribute: true or false; in a `RecordedSessionInfo` None where it was never observed."""

    def __init__(self, name: str) -> None:
        super().__init__(lambda info: info._flag(name))
        self.__doc__ = FLAGS[name].meaning  # as an argument it would be hidden by that of the class before Python 3.12

    if TYPE_CHECKING:

        @overload  # type: ignore[override]
        def __get__(self, info: RecordedSessionInfo, owner: Any = None) -> bool | None: ...

        @overload
        def __get__(self, info: SessionInfo, owner: Any = None) -> bool: ...

        def __get__(self, info: SessionInfo, owner: Any = None) -> bool | None: ...


if TYPE_CHECKING:
    from npc_lims.sessions.flag_properties import FlagProperties
else:
    FlagProperties = type("FlagProperties", (), {name: StatusProperty(name) for name in BOOLEAN_FLAGS})


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SessionInfo(FlagProperties):
    """One session: what it is, where its data are and how far it has been processed.

    Facts come from state. A status flag (`StatusProperty`) is True or False: one that is unknown in state is looked up
    live (where that is not possible, the error names the variable to set; with NPC_LIMS_OFFLINE it is None), and one
    that does not apply to the session is False, which `status` distinguishes.
    """

    # Every default is a factory: a plain default would be a class attribute, which would hide __getattr__.
    id: npc_session.SessionRecord
    project: str
    is_ephys: bool
    is_sync: bool
    """The session has sync data, implying more than a behavior box."""
    allen_path: upath.UPath
    experiment_day: int | None = dataclasses.field(default_factory=type(None))
    """Ephys or opto experiment day, from 1 for each subject; None for sessions that are not tracked."""
    session_kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    notes: str = dataclasses.field(default_factory=str)
    issues: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def from_record(cls, source: bytes | Mapping[str, Any], settings: Settings) -> Self:
        """The session of a line of the snapshot, which is parsed when a fact is first used, or of its plain data."""
        info = object.__new__(cls)
        info.__dict__["_source"] = source
        info.__dict__["_settings"] = settings
        return info

    def __getattr__(self, name: str) -> Any:
        # called only for fields that have not been read from the source yet
        if name in FIELDS and "_source" in self.__dict__:
            value = self.__dict__[name] = FIELDS[name](self.record)
            return value
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> Iterable[str]:
        return {*super().__dir__(), *FIELDS}  # those not read yet are attributes of neither class nor object

    def __getstate__(self) -> dict[str, Any]:
        # settings hold tokens, which must not be pickled: the process that loads it uses its own
        return {name: value for name, value in self.__dict__.items() if name != "_settings"}

    @property
    def record(self) -> Mapping[str, Any]:
        """The session file as plain data, to be read only; of an object made by hand, its own fields."""
        source = self.__dict__.get("_source")
        if isinstance(source, bytes):
            return _parsed.get_or_load(source, functools.partial(parse_line, source))
        if source is None:
            source = self.__dict__["_source"] = _constructed_record(self)
        return source

    def parse_without_caching(self) -> Mapping[str, Any]:
        """Return `record` for a single use, such as a filter's of each of thousands: it is not cached."""
        source = self.__dict__.get("_source")
        return parse_line(source) if isinstance(source, bytes) else self.record

    @property
    def _session_id(self) -> str:
        if "id" in self.__dict__:
            return str(self.__dict__["id"])
        source = self.__dict__["_source"]
        return line_id(source) if isinstance(source, bytes) else str(source["id"])

    # --- identity

    @property
    def idx(self) -> int:
        """Index among the sessions of the subject on that day, from 0."""
        return split_session_id(self._session_id)[2]

    @property
    def subject(self) -> npc_session.SubjectRecord:
        return self.id.subject

    @property
    def date(self) -> npc_session.DateRecord:
        """YYYY-MM-DD"""
        return self.id.date

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SessionInfo):
            return NotImplemented
        return self._session_id == other._session_id

    def __hash__(self) -> int:
        subject, date, idx = split_session_id(self._session_id)
        return hash(f"{subject}_{date}_{idx}")  # as the session record, whose hash always counts the index

    def __repr__(self) -> str:
        fields = ("id", "subject", "date", "idx", "project", "is_ephys", "is_sync", "allen_path")
        shown = {**{name: getattr(self, name) for name in fields}, "progress": describe_progress(self.record)}
        return f"SessionInfo({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def _repr_html_(self) -> str:
        """Return the recorded facts with links, for notebooks. Nothing is looked up."""
        from npc_lims.sessions.html import render_session, session_links

        return render_session(self.parse_without_caching(), session_links(self._own_settings))

    # --- training workbooks

    @property
    def training_info(self) -> dict[str, Any]:
        """The session's row in a training workbook: text by slugged column name, `ID` (row number) and
        `nsb`. Empty for sessions that have none, such as Templeton ones."""
        training = self.record["training"]
        if not training:
            return {}
        columns = {name: value for name, value in training.items() if name not in ("nsb", "row", "other_rows")}
        text = {name: "" if value is None else str(value) for name, value in columns.items()}
        return {"ID": training["row"], **text, "nsb": training["nsb"]}

    @property
    def behavior_day(self) -> int | None:
        """Row of the session in its training sheet; None for Templeton sessions and those without a row."""
        row: int | None = self.training_info.get("ID")
        return None if row is None or self.is_templeton else row

    @property
    def rig(self) -> str:
        """From the training workbook (`NP2`, `B2`, `BEH.E`), else `unknown`. Not always the computer's AIBS_RIG_ID."""
        return str(self.training_info.get("rig_name") or "unknown")

    @property
    def task_version(self) -> str:
        """From the training workbook (`stage 5 ori AMN moving timeouts repeats`), else `unknown`."""
        return str(self.training_info.get("task_version") or "unknown")

    @property
    def is_templeton(self) -> bool:
        """By the project's name; for other projects, whether no training workbook has the subject."""
        project = self.project.lower()
        if "templeton" in project or "dynamicrouting" in project:
            return "templeton" in project
        if self.record["training"]:
            return False
        subject = split_session_id(self._session_id)[0]
        lines = self._all_lines()
        if lines is None:
            from npc_lims.sessions.live import has_training

            return not has_training(self._own_settings, subject)
        of_subject = [lines.find(session_id) for session_id in lines.ids() if session_id.startswith(f"{subject}_")]
        return not any(parse_line(line)["training"] for line in of_subject if line is not None)

    def _all_lines(self) -> SessionLines | None:
        """Return all sessions of the same state; None if there is no state."""
        try:
            return read_snapshot(self._own_settings).lines
        except RemoteStateError:
            return None

    # --- status

    @property
    def status(self) -> dict[str, bool | str | None]:
        """Every status flag that applies, as recorded: None where it was never observed."""
        return _applying(self.record)

    def next_steps(self) -> list[str]:
        """Return the stages of the pipeline that the session is ready for and did not reach yet: `["is_sorted"]`.

        A training session in a box has none: these are uploaded and processed by exception.
        """
        return next_steps(self.record)

    def explain(self, flag: str) -> str:
        """Return what a flag says of the session, as recorded, and why it is not true.

        Raises:
            ValueError: There is no such flag; the message suggests the nearest one.
        """
        name = flag if flag in FLAGS else f"is_{flag}"
        if name not in FLAGS:
            raise ValueError(f"there is no flag {flag!r}{suggestion(flag, FLAGS)}")
        return explain(self.record, name)

    def _flag(self, name: str) -> Any:
        """A flag as callers have always had it: known, and False where it does not apply."""
        value = recorded_flag(self.record, name)
        if value is not None or self._own_settings.offline:
            return False if value == NOT_APPLICABLE else value
        from npc_lims.model.record import Record
        from npc_lims.sessions.live import complete

        recorded = {section: value for section, value in self.record.items() if section != "digest"}
        record = complete(self._own_settings, Record.model_validate(recorded), (name,))
        self.__dict__["_source"] = record.as_dict()
        return record.status.get(name, False)

    @property
    def _own_settings(self) -> Settings:
        if "_settings" not in self.__dict__:
            self.__dict__["_settings"] = settings_for_reading()
        settings: Settings = self.__dict__["_settings"]
        return settings

    @property
    def raw_asset_id(self) -> str | None:
        """Code Ocean id of the raw data asset, None if there is none."""
        return self._flag("raw_asset_id") or None

    def is_dlc(self, camera: Literal["eye", "side", "face"]) -> bool:
        """A DeepLabCut result exists for that camera."""
        if camera not in ("eye", "side", "face"):
            raise ValueError(f"camera must be eye, side or face, not {camera!r}")
        found: bool = getattr(self, f"is_dlc_{camera}")
        return found

    @property
    def is_surface_channels_sorted(self) -> bool:  # type: ignore[override]
        """The recording of surface channels has been sorted.

        Raises:
            ValueError: There is no such recording.
        """
        self._needs_surface_channels()
        found: bool = self._flag("is_surface_channels_sorted")
        return found

    @property
    def surface_channels_id(self) -> npc_session.AINDSessionRecord:
        """Id of the recording of surface channels, such as `ecephys_714753_2024-07-03_13-09-56`.

        Raises:
            ValueError: There is no such recording, or it has no asset of its own.
        """
        self._needs_surface_channels()
        surface = self._asset("surface")
        if not surface:
            raise ValueError(f"{self._session_id} has no separate asset of its surface channels")
        import npc_session

        return npc_session.AINDSessionRecord(surface["name"])

    def _needs_surface_channels(self) -> None:
        if self.is_surface_channels is False:
            raise ValueError(f"No surface channel data for {self._session_id}")

    # --- locations

    def _asset(self, kind: str) -> dict[str, Any] | Literal[False] | None:
        section: dict[str, Any] | Literal[False] | None = self.record["codeocean"]
        return section.get(kind) if section else section

    @property
    def cloud_path(self) -> upath.UPath | None:
        """Raw data folder in the cloud; for behavior files that were never uploaded, their synced copy; or None."""
        from npc_lims.clients.s3_cached import named_path

        path, raw = allen_path_of(self.record), self._asset("raw")
        is_synced = path.startswith(f"{DATA_REPO_ISILON}/")
        if raw is None and not is_synced:
            _ = self.raw_asset_id  # looked up live
            raw = self._asset("raw")
        if raw:
            from npc_lims.model.record import Asset
            from npc_lims.sources.s3.query import asset_uri

            uri = asset_uri(Asset.model_validate(raw), self._own_settings.codeocean_bucket)
            return named_path(self._own_settings, uri)
        if is_synced:
            return named_path(self._own_settings, path.replace(DATA_REPO_ISILON, self._own_settings.stim_root))
        return None

    @property
    def raw_data_paths(self) -> tuple[upath.UPath, ...] | None:
        """What `get_raw_data_paths_from_s3` gives for the session; None if there is no raw data.

        Raises:
            NoSessionData: Nothing of the raw data has arrived on S3.
            AssetError: The raw data are not on S3.
            MissingCredentials: There are no credentials; the message names the variable to set.
            SourceError: The listing failed.
        """
        if self.raw_asset_id is None:
            return None
        from npc_lims.model.record import Asset
        from npc_lims.sessions.cached_assets import RawFolder

        raw = self._asset("raw")
        assert raw, "a session with a raw asset id has a raw asset"
        return RawFolder(self._own_settings, self._session_id, Asset.model_validate(raw)).entry_paths()


class RecordedSessionInfo(SessionInfo):
    """A session as recorded: no status is looked up live, and one that was never observed is None."""

    def _flag(self, name: str) -> Any:
        value = recorded_flag(self.record, name)
        return False if value == NOT_APPLICABLE else value

    if TYPE_CHECKING:
        is_surface_channels_sorted: bool | None  # type: ignore[assignment]

        def is_dlc(self, camera: Literal["eye", "side", "face"]) -> bool | None: ...  # type: ignore[override]


class PastSessionInfo(RecordedSessionInfo):
    """One session as state knew it at a commit.

    It answers from that commit alone: nothing is looked up live, and a status that was not known then is None. Its
    locations are those that were recorded then; `raw_data_paths` lists what is in that folder now, since S3 has no
    past. Path getters of the package that are given it answer for the present. It is equal to the `SessionInfo` of the
    same session at any other time, and hashes alike. A pickle has the commit, and reads it where it is loaded.
    """

    @classmethod
    def of_commit(cls, line: bytes, settings: Settings, origin: Origin) -> Self:
        """The session of a line of the snapshot at the commit that *origin* names."""
        info = cls.from_record(line, settings)
        info.__dict__["_commit"] = origin.commit
        return info

    @property
    def commit(self) -> str:
        """The commit that it is as of."""
        return str(self.__dict__["_commit"])

    def _all_lines(self) -> SessionLines:
        from npc_lims.state.as_of import snapshot_at

        return snapshot_at(self._own_settings, self.commit).lines

    @property
    def surface_channels_id(self) -> npc_session.AINDSessionRecord:
        """As of a `SessionInfo`; a ValueError also if it was not known whether there was such a recording."""
        if self.is_surface_channels is None:
            raise ValueError(f"{self._session_id}: commit {self.commit[:10]} does not know of surface channels")
        return super().surface_channels_id


def _applying(record: Mapping[str, Any]) -> dict[str, bool | str | None]:
    flags = {name: recorded_flag(record, name) for name in FLAGS}
    return {name: value for name, value in flags.items() if value != NOT_APPLICABLE}


def _constructed_record(info: SessionInfo) -> dict[str, Any]:
    """Return the record of a `SessionInfo` that somebody constructed: its own fields, and nothing more."""
    from npc_lims.model.reconcile import reconcile_session
    from npc_lims.model.record import Record, Tracked

    platform: Platform = "ephys" if info.is_ephys else "behavior_with_sync" if info.is_sync else "behavior"
    tracked = Tracked(
        platform=platform,
        allen_path=str(info.allen_path),
        experiment_day=info.experiment_day or 1,
        **{name: getattr(info, name) for name in ("project", "session_kwargs", "notes", "issues")},
    )
    return reconcile_session(str(info.id), Record(id=str(info.id), tracked=tracked), ()).as_dict()

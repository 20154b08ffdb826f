"""`SessionInfo`: one session, as callers see it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from npc_lims.errors import RemoteStateError
from npc_lims.model.rows import DATA_REPO_ISILON, allen_path_of
from npc_lims.model.session_id import split_session_id
from npc_lims.sessions.fields import FIELDS
from npc_lims.state.reader import read_snapshot
from npc_lims.state.snapshot import line_id, parse_line
from npc_lims.utils.memory_cache import TTLCache

if TYPE_CHECKING:
    import npc_session
    import upath
    from typing_extensions import Self

    from npc_lims.config.settings import Settings
    from npc_lims.model.record import Platform
    from npc_lims.state.reader import SessionLines

__all__ = ["PUBLIC_ATTRIBUTES", "SessionInfo"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SessionInfo:
    """One session: what it is, where its data are and how far it has been processed.

    Facts come from state. A status that is unknown there is looked up live; where that is not possible, the error
    names the variable to set. A status that does not apply to the session is
    False: `status` tells it apart.
    """

    # Every default is a factory: a plain default would be a class attribute, and reading a field of an
    # object made from a line of the snapshot would find that instead of the line (see __getattr__).
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
    def from_line(cls, line: bytes, settings: Settings) -> Self:
        """The session of a line of the snapshot. It is parsed when a fact is first used."""
        info = object.__new__(cls)
        info.__dict__["_line"] = line
        info.__dict__["_settings"] = settings
        return info

    @classmethod
    def from_record(cls, record: Mapping[str, Any], settings: Settings) -> SessionInfo:
        info = object.__new__(cls)
        info.__dict__["_data"] = record
        info.__dict__["_settings"] = settings
        return info

    def __getattr__(self, name: str) -> Any:
        # called only for what is not there yet: the fields of an object that holds just its line
        if name in FIELDS and ("_line" in self.__dict__ or "_data" in self.__dict__):
            value = FIELDS[name](self.record)
            self.__dict__[name] = value
            return value
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __dir__(self) -> Iterable[str]:
        # fields are no class attributes, and not yet in an object that holds just its line
        return {*super().__dir__(), *FIELDS}

    def __getstate__(self) -> dict[str, Any]:
        # settings hold tokens, which must not be pickled: the process that loads it uses its own
        return {name: value for name, value in self.__dict__.items() if name != "_settings"}

    @property
    def record(self) -> Mapping[str, Any]:
        """The session file as plain data, to be read only; for an object made by hand, what it says of itself."""
        data = self.__dict__.get("_data")
        if data is None:
            line = self.__dict__.get("_line")
            if line is not None:
                return _parse(line)
            data = self.__dict__["_data"] = _constructed_record(self)
        return data

    def parse_without_caching(self) -> Mapping[str, Any]:
        """Return `record` for a single use, such as a filter's of each of thousands: it is not cached."""
        if "_data" not in self.__dict__ and "_line" in self.__dict__:
            return parse_line(self.__dict__["_line"])
        return self.record

    @property
    def _session_id(self) -> str:
        if "id" in self.__dict__:
            return str(self.__dict__["id"])
        if "_data" not in self.__dict__ and "_line" in self.__dict__:
            return line_id(self.__dict__["_line"])
        return str(self.record["id"])

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
        return f"SessionInfo({', '.join(f'{name}={getattr(self, name)!r}' for name in fields)})"

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
        if lines is not None:
            return not _has_training(lines, subject)
        from npc_lims.sessions.live import has_training

        return not has_training(self._own_settings, subject)

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
        return dict(self.record["status"])

    def _flag(self, name: str) -> Any:
        """A flag as callers have always had it: known, and False where it does not apply."""
        value = self.record["status"].get(name, False)
        if value is not None:
            return value
        from npc_lims.model.record import Record
        from npc_lims.sessions.live import complete

        record = complete(self._own_settings, Record.model_validate(_without_digest(self.record)), (name,))
        self.__dict__["_data"] = record.as_dict()
        return record.status.get(name, False)

    def _is(self, name: str) -> bool:
        return bool(self._flag(name))

    @property
    def _own_settings(self) -> Settings:
        settings = self.__dict__.get("_settings")
        if settings is None:
            from npc_lims.config.settings import load_settings

            settings = self.__dict__["_settings"] = load_settings()
        return settings

    @property
    def is_uploaded(self) -> bool:
        """Code Ocean has a raw asset; for ephys its folder on S3 also has an `ecephys*` entry."""
        return self._is("is_uploaded")

    @property
    def raw_asset_id(self) -> str | None:
        """Code Ocean id of the raw data asset, None if there is none."""
        return self._flag("raw_asset_id") or None

    @property
    def is_session_json(self) -> bool:
        """session.json or acquisition.json is in the raw folder."""
        return self._is("is_session_json")

    @property
    def is_rig_json(self) -> bool:
        """rig.json or instrument.json is in the raw folder."""
        return self._is("is_rig_json")

    @property
    def is_video(self) -> bool:
        """`session_kwargs.is_video` where it is given, else whether the raw folder holds videos.

        False until the session is uploaded: what is on the rig's computer is not known here.
        """
        return self._is("is_video")

    @property
    def is_sorted(self) -> bool:
        """A spike-sorting result without errors exists."""
        return self._is("is_sorted")

    @property
    def is_annotated(self) -> bool:
        """CCF coordinates of the probes exist, from the IBL GUI or from tissuecyte."""
        return self._is("is_annotated")

    def is_dlc(self, camera: Literal["eye", "side", "face"]) -> bool:
        """A DeepLabCut result exists for that camera."""
        if camera not in ("eye", "side", "face"):
            raise ValueError(f"camera must be eye, side or face, not {camera!r}")
        return self._is(f"is_dlc_{camera}")

    @property
    def is_dlc_eye(self) -> bool:
        return self.is_dlc("eye")

    @property
    def is_dlc_side(self) -> bool:
        return self.is_dlc("side")

    @property
    def is_dlc_face(self) -> bool:
        return self.is_dlc("face")

    @property
    def is_facemap(self) -> bool:
        """A Facemap result exists."""
        return self._is("is_facemap")

    @property
    def is_gamma_encoding(self) -> bool:
        """A GammaEncoding result exists."""
        return self._is("is_gamma_encoding")

    @property
    def is_LPFaceParts(self) -> bool:
        """A Lightning Pose result for face parts exists."""
        return self._is("is_LPFaceParts")

    @property
    def is_surface_channels(self) -> bool:
        """Surface channels were recorded separately."""
        return self._is("is_surface_channels")

    @property
    def is_surface_channels_sorted(self) -> bool:
        """The recording of surface channels has been sorted.

        Raises:
            ValueError: There is no such recording.
        """
        self._needs_surface_channels()
        return self._is("is_surface_channels_sorted")

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
        if not self.is_surface_channels:
            raise ValueError(f"No surface channel data for {self._session_id}")

    @property
    def is_production(self) -> bool:
        """`session_kwargs.is_production`, true unless it says otherwise."""
        return self._is("is_production")

    @property
    def is_imaged(self) -> bool:
        """The subject's brain was imaged."""
        return self._is("is_imaged")

    @property
    def is_parquet_cached(self) -> bool:
        """The component cache holds the session."""
        return self._is("is_parquet_cached")

    @property
    def is_nwb_cached(self) -> bool:
        """The NWB cache holds the session."""
        return self._is("is_nwb_cached")

    # --- locations

    def _asset(self, kind: str) -> dict[str, Any] | Literal[False] | None:
        section: dict[str, Any] | Literal[False] | None = self.record["codeocean"]
        return section.get(kind) if section else section

    @property
    def cloud_path(self) -> upath.UPath | None:
        """Raw data folder in the cloud; for behavior files that were never uploaded, their synced copy; or None."""
        from npc_lims.clients.s3_cached import named_path

        synced = self._synced_path()
        raw = self._asset("raw")
        if raw is None and synced is None:
            _ = self.raw_asset_id  # looked up live
            raw = self._asset("raw")
        if raw:
            from npc_lims.model.record import Asset
            from npc_lims.sources.s3.query import asset_uri

            uri = asset_uri(Asset.model_validate(raw), self._own_settings.codeocean_bucket)
            return named_path(self._own_settings, uri)
        return None if synced is None else named_path(self._own_settings, synced)

    def _synced_path(self) -> str | None:
        path = allen_path_of(self.record)
        if not path.startswith(f"{DATA_REPO_ISILON}/"):
            return None
        return path.replace(DATA_REPO_ISILON, self._own_settings.stim_root)

    @property
    def raw_data_paths(self) -> tuple[upath.UPath, ...] | None:
        """What `get_raw_data_paths_from_s3` gives for the session; None if there is no raw data.

        Raises:
            NoSessionData: Nothing of the raw data has arrived on S3.
            AssetError: The raw data are not on S3.
            MissingCredentials: There are no credentials; the message names the variable to set.
            SourceError: The listing failed.
            MissingDependency: s3fs is not installed.
        """
        if self.raw_asset_id is None:
            return None
        from npc_lims.model.record import Asset
        from npc_lims.sessions.raw_files import raw_data_paths

        raw = self._asset("raw")
        assert raw, "a session with a raw asset id has a raw asset"
        return raw_data_paths(self._own_settings, self._session_id, Asset.model_validate(raw))


PUBLIC_ATTRIBUTES = (
    *(field.name for field in dataclasses.fields(SessionInfo)),
    *(name for name, value in vars(SessionInfo).items() if isinstance(value, property) and not name.startswith("_")),
)
"""Names of a session's attributes: its fields and properties."""


def _has_training(lines: SessionLines, subject: str) -> bool:
    """Return whether state has a row of a training workbook for any session of the subject."""
    of_subject = (lines.find(session_id) for session_id in lines.ids() if session_id.startswith(f"{subject}_"))
    return any(line is not None and parse_line(line)["training"] for line in of_subject)


# A parsed line takes five times the memory of the line: only the last ones are cached.
_parsed: TTLCache[dict[str, Any]] = TTLCache(maxsize=1024, ttl=3600)


def _parse(line: bytes) -> dict[str, Any]:
    return _parsed.get_or_load(line, lambda: parse_line(line))


def _without_digest(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "digest"}


def _constructed_record(info: SessionInfo) -> dict[str, Any]:
    """Return the record of a `SessionInfo` that somebody constructed: its own fields, and nothing more."""
    from npc_lims.model.reconcile import reconcile_session
    from npc_lims.model.record import Record, Tracked

    platform: Platform = "ephys" if info.is_ephys else "behavior_with_sync" if info.is_sync else "behavior"
    tracked = Tracked(
        platform=platform,
        project=info.project,
        allen_path=str(info.allen_path),
        experiment_day=info.experiment_day or 1,
        session_kwargs=dict(info.session_kwargs),
        notes=info.notes,
        issues=list(info.issues),
    )
    record: Record = reconcile_session(str(info.id), Record(id=str(info.id), tracked=tracked), ())
    return record.as_dict()

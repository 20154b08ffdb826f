"""Sessions that answer from what is recorded alone, now or at a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from npc_lims.sessions.info import SessionInfo

if TYPE_CHECKING:
    import npc_session
    from typing_extensions import Self

    from npc_lims.config.settings import Settings
    from npc_lims.state.reader import Origin, SessionLines

__all__ = ["PastSessionInfo", "RecordedSessionInfo"]


class RecordedSessionInfo(SessionInfo):
    """A session as recorded: no status is looked up live, and one that was never observed is None."""

    def _flag(self, name: str) -> Any:
        return self.record["status"].get(name, False)

    def _is(self, name: str) -> Any:
        return self._flag(name)

    def _needs_surface_channels(self) -> None:
        if self.is_surface_channels is not None:
            super()._needs_surface_channels()

    if TYPE_CHECKING:
        # a status that was never observed is queried in the present, and stays unknown in the past
        is_uploaded: bool | None  # type: ignore[assignment]
        is_session_json: bool | None  # type: ignore[assignment]
        is_rig_json: bool | None  # type: ignore[assignment]
        is_video: bool | None  # type: ignore[assignment]
        is_sorted: bool | None  # type: ignore[assignment]
        is_annotated: bool | None  # type: ignore[assignment]
        is_dlc_eye: bool | None  # type: ignore[assignment]
        is_dlc_side: bool | None  # type: ignore[assignment]
        is_dlc_face: bool | None  # type: ignore[assignment]
        is_facemap: bool | None  # type: ignore[assignment]
        is_gamma_encoding: bool | None  # type: ignore[assignment]
        is_LPFaceParts: bool | None  # type: ignore[assignment]  # noqa: N815
        is_surface_channels: bool | None  # type: ignore[assignment]
        is_surface_channels_sorted: bool | None  # type: ignore[assignment]
        is_production: bool | None  # type: ignore[assignment]
        is_imaged: bool | None  # type: ignore[assignment]
        is_parquet_cached: bool | None  # type: ignore[assignment]
        is_nwb_cached: bool | None  # type: ignore[assignment]

        def is_dlc(self, camera: Literal["eye", "side", "face"]) -> bool | None: ...  # type: ignore[override]


class PastSessionInfo(RecordedSessionInfo):
    """One session as state knew it at a commit.

    It answers from that commit alone: nothing is looked up live, and a status that was not known then is None. Its
    places are those that were recorded then; `raw_data_paths` lists what is in that folder now, since S3 has no past.
    Path getters of the package that are given it answer for the present. It is equal to the `SessionInfo` of the same
    session at any other time, and hashes alike. A pickle keeps the commit, and reads it where it arrives.
    """

    @classmethod
    def of_commit(cls, line: bytes, settings: Settings, origin: Origin) -> Self:
        """The session of a line of the snapshot at the commit that *origin* names."""
        info = cls.from_line(line, settings)
        info.__dict__["_commit"] = origin.commit
        return info

    @property
    def commit(self) -> str:
        """The commit that it is as of."""
        commit: str = self.__dict__["_commit"]
        return commit

    def _all_lines(self) -> SessionLines:
        from npc_lims.state.as_of import snapshot_at

        return snapshot_at(self._own_settings, self.commit).lines

    @property
    def surface_channels_id(self) -> npc_session.AINDSessionRecord:
        """As of a `SessionInfo`.

        Raises:
            ValueError: There was no such recording, it had no asset of its own, or neither was known.
        """
        if self.is_surface_channels is None:
            raise ValueError(f"{self._session_id}: commit {self.commit[:10]} does not know of surface channels")
        return super().surface_channels_id

"""Many sessions, as `get_session_info()` gives them: a tuple that notebooks show as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from typing import SupportsIndex

    from npc_lims.sessions.info import SessionInfo

__all__ = ["Sessions"]

S_co = TypeVar("S_co", bound="SessionInfo", covariant=True)

_SHOWN = 20


class Sessions(tuple[S_co, ...]):
    """A tuple of sessions. A notebook shows the first ones, and those of a part (`sessions[20:40]`) likewise."""

    __slots__ = ()

    @overload
    def __getitem__(self, index: SupportsIndex) -> S_co: ...

    @overload
    def __getitem__(self, index: slice) -> Sessions[S_co]: ...

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found

    def _repr_html_(self) -> str:
        from npc_lims.sessions.html import SessionLinks, render_sessions, session_links

        # as recorded: showing a list queries nothing
        return render_sessions(
            [info.parse_without_caching() for info in self[:_SHOWN]],
            more=max(0, len(self) - _SHOWN),
            links=session_links(self[0]._own_settings) if self else SessionLinks(),
        )

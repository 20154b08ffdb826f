"""The official SDK's client, except that it does not show its token."""

from __future__ import annotations

from codeocean import CodeOcean

__all__ = ["MaskedCodeOcean"]


class MaskedCodeOcean(CodeOcean):  # type: ignore[misc]  # the SDK has no types
    """`CodeOcean`, which as a dataclass would print its token in a notebook or a traceback with local variables."""

    def __repr__(self) -> str:
        return f"CodeOcean(domain={self.domain!r}, token='***', retries={self.retries!r})"

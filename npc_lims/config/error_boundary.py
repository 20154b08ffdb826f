"""Errors that nobody planned for: named in one line, with the traceback in a file of the cache."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import traceback
from collections.abc import Iterator
from pathlib import Path

from npc_lims.config.disk_cache import cache_dir, prune_folder, write_private_file
from npc_lims.config.settings import Settings, settings_for_reading
from npc_lims.errors import NpcLimsError, SettingsError, SourceError
from npc_lims.utils.text import redact, safe_text, visible

_FOLDER = "failures"
_MAX_FILES = 50
_MAX_SIZE = 2**20
"""Characters of one traceback; as many bytes for all files together as for twenty such."""


def source_failure(source: str, error: Exception, settings: Settings | None = None) -> SourceError:
    """Return *error* as the failure of a source: an error of this package with its reason, any other by its details."""
    if isinstance(error, SourceError):
        return SourceError(source, error.reason)
    if isinstance(error, NpcLimsError):
        return SourceError(source, str(error))
    if isinstance(error, OSError) and error.filename is not None:
        return SourceError(source, f"{error.filename}: {error.strerror}; check that path, and who may read it")
    return SourceError(source, describe_unexpected(error, settings))


@contextlib.contextmanager
def source_boundary(source: str) -> Iterator[None]:
    """Let only errors of this package pass; any other Exception becomes the failure of *source*. Also a decorator."""
    try:
        yield
    except NpcLimsError:
        raise
    except Exception as error:
        raise source_failure(source, error) from None


def describe_unexpected(error: BaseException, settings: Settings | None = None) -> str:
    """Return `unexpected <type>; details in <file>`: one error gives one file in the cache, with the traceback."""
    name = type(error).__name__
    folder = _cache(settings) / _FOLDER
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    text = f"Python {platform.python_version()} on {platform.system()}\n\n{visible(redact(lines))}"
    content = text[:_MAX_SIZE].encode()
    path = folder / f"{hashlib.sha256(content).hexdigest()[:12]}.txt"
    if not write_private_file(path, content):
        return f"unexpected {name} ({safe_text(error, 200)}); its details could not be written to {folder}"
    prune_folder(folder, _MAX_FILES, 20 * _MAX_SIZE)
    return f"unexpected {name}; details in {path}"


def _cache(settings: Settings | None) -> Path:
    try:
        return cache_dir(settings_for_reading() if settings is None else settings)
    except SettingsError:
        return cache_dir(None)

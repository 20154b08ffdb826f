"""Options that commands share: groups of options, their values, and shell completion."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, get_type_hints

import typer

from npc_lims.cli.activity import doing
from npc_lims.config.disk_cache import load_entry
from npc_lims.config.settings import TRACKED_FILE, Settings, load_settings, settings_for_reading
from npc_lims.errors import NpcLimsError, SelectionError
from npc_lims.model.flags import FLAGS
from npc_lims.model.locations import LOCATION_GROUPS, LOCATION_KINDS
from npc_lims.model.rows import COLUMNS
from npc_lims.model.sections import SECTIONS
from npc_lims.state.published import cached_snapshot_path
from npc_lims.state.snapshot import SNAPSHOT, checked_lines, line_id
from npc_lims.utils.text import suggestion
from npc_lims.utils.urls import web_address

if TYPE_CHECKING:
    from npc_lims.sessions.filters import SessionFilters


def _checked_address(base_url: Optional[str]) -> Optional[str]:
    if base_url is not None and web_address(base_url) is None:
        raise NpcLimsError(f"--base-url {base_url}: not an address such as https://example.org/sessions/")
    return base_url


ONLY = typer.Option(None, help=f"Sources to query, of {', '.join(SECTIONS)}; repeat or separate by commas.")
SESSIONS = typer.Option(
    None, help="Sessions that may change, by any form of their ids, or by data assets; repeat or separate by commas."
)
BASE_URL = typer.Option(None, callback=_checked_address, help="URL of the site: sessions in its feed are then links.")
FULL = typer.Option(False, "--full", help="Also read unchanged input again.")
SUMMARY = typer.Option(
    None, mode="a", encoding="utf-8", lazy=False, metavar="PATH", help="Append what was done to this file, as Markdown."
)
STATE_HERE = typer.Option(None, help="State folder. Default: that of this checkout.")


OPTIONAL_VALUES = ("--terms",)
"""Options whose value may be left out."""


def with_option_groups(command: Any) -> Any:
    """Return *command* with an option for each field of its parameters that are dataclasses.

    The default of such a parameter may be a dictionary of options, for fields whose help is that of the command.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    if not groups:
        return command
    options = []
    for one in inspect.signature(command).parameters.values():
        if one.name not in groups:
            options.append(one.replace(kind=one.KEYWORD_ONLY, annotation=hints[one.name]))
            continue
        own = one.default if isinstance(one.default, dict) else {}
        kinds = get_type_hints(groups[one.name], include_extras=True)
        for field in dataclasses.fields(groups[one.name]):
            default = own.get(field.name, field.default)
            option = inspect.Parameter(field.name, one.KEYWORD_ONLY, default=default, annotation=kinds[field.name])
            options.append(option)

    @functools.wraps(command)
    def run(**values: Any) -> Any:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in dataclasses.fields(group)})
        return command(**values)

    described: Any = run
    described.__signature__ = inspect.Signature(options)
    described.__annotations__ = {option.name: option.annotation for option in options}
    del described.__wrapped__  # whose parameters are others
    return described


def checkout() -> Path:
    """Return the nearest folder from here up that has a `state/` or a tracked file, else the working directory."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / TRACKED_FILE).is_file() or (folder / "state").is_dir():
            return folder
        if (folder / ".git").exists():
            break
    return here


def find_state_folder(settings: Settings, state: Optional[Path]) -> Optional[Path]:
    """Return the folder to read state from: `--state`, else NPC_LIMS_STATE, else that of the current checkout."""
    here = checkout() / "state"
    return state or settings.state or (here if here.is_dir() else None)


def reading_settings(state: Optional[Path]) -> Settings:
    """Return settings to read state from that folder or, without one, from GitHub."""
    settings = load_settings()
    settings = settings.replace(state=find_state_folder(settings, state))
    place = f"of {settings.repo}, on GitHub" if settings.state is None else f"in {settings.state}"
    doing(f"reading the state {place}")
    return settings


def refuse_offline(what: str) -> None:
    """Raise a NpcLimsError if NPC_LIMS_OFFLINE is set."""
    if settings_for_reading().offline:
        raise NpcLimsError(f"{what} needs the network: leave out --offline, or unset NPC_LIMS_OFFLINE")


def tracked_beside(folder: Path) -> Path:
    """Return the tracked file that belongs to a state folder; NpcLimsError if neither exists."""
    beside = folder.resolve().parent / TRACKED_FILE
    found = beside if beside.is_file() else checkout() / TRACKED_FILE
    if not found.exists() and not folder.exists():
        raise NpcLimsError(
            f"{found}: there is no such file, and no state folder {folder}: "
            "run this in a checkout that has them, or give --state and --tracked"
        )
    return found


def sources_of(only: Optional[list[str]]) -> list[str]:
    """Return the names of the sources in *only*; all if None."""
    chosen = _split(only)
    if only is not None and not chosen:
        raise SelectionError("--only names no source; leave it out for all of them")
    unknown = [name for name in chosen if name not in SECTIONS]
    if unknown:
        near = suggestion(unknown[0], SECTIONS)
        raise SelectionError(f"--only {','.join(unknown)}: no such source{near}; there are {', '.join(SECTIONS)}")
    return [name for name in SECTIONS if name in chosen or not chosen]


def session_ids_of(values: Optional[list[str]], state: Optional[Path] = None) -> Optional[frozenset[str]]:
    """Return the session ids in *values*, or of data assets there; None if None; NoSessionInfo for one that is none."""
    if values is None:
        return None
    from npc_lims.sessions.resolve import resolve_session

    settings = reading_settings(state)
    ids = frozenset(resolve_session(settings, one) for one in _split(values))
    if not ids:
        raise SelectionError("--sessions names no session; leave it out for all of them")
    return ids


def session_of(text: str) -> str:
    """Return *text*, which names a session or the path of its entry; of a data asset's id or name, its session."""
    from npc_lims.sessions.resolve import is_asset, resolve_session

    return resolve_session(reading_settings(None), text) if text and is_asset(text) else text


def pairs_of(option: str, values: Optional[list[str]], pattern: str, expected: str) -> list[tuple[str, str]]:
    """Return the two groups of *pattern* in each value of a repeatable option; NpcLimsError if one does not match."""
    pairs = []
    for value in values or []:
        match = re.fullmatch(pattern, value.strip(), re.DOTALL)
        if match is None:
            raise NpcLimsError(f"{option} {value}: expected {expected}")
        pairs.append((match[1], match[2]))
    return pairs


def _split(values: Optional[list[str]]) -> list[str]:
    return [part.strip() for value in values or [] for part in value.split(",") if part.strip()]


# --- shell completion: only local data is read, without slow checks; an error completes nothing, as the command
# itself reports it

_condition = ""  # `rig=` before the word that bash completes
_PLATFORMS = ("ephys", "behavior_with_sync", "behavior")
_MAX_WORDS = 500  # a longer list is no help, and slow to lay out
# parsing ten thousand lines would take too long
_RECORDED = {
    "project": re.compile(rb'"project":("(?:[^"\\]|\\.)+")'),
    "rig": re.compile(rb'"rig_name":("(?:[^"\\]|\\.)+")'),
    "task_version": re.compile(rb'"task_version":("(?:[^"\\]|\\.)+")'),
}


def complete_session(ctx: typer.Context, incomplete: str) -> list[str]:
    return _beginning(incomplete, _ids(ctx))


def complete_subject(ctx: typer.Context, incomplete: str) -> list[str]:
    return _beginning(incomplete, (session_id.partition("_")[0] for session_id in _ids(ctx)))


def complete_project(ctx: typer.Context, incomplete: str) -> list[str]:
    return _beginning(incomplete, _values(ctx, "project"))


def complete_platform(incomplete: str) -> list[str]:
    return _beginning(incomplete, _PLATFORMS)


def complete_where(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the column of a condition, then its value."""
    name, operator, value = re.fullmatch(r"(\w*)(!?=|~|)(.*)", _condition + incomplete, re.DOTALL).groups()  # type: ignore[union-attr]
    flags = ("is_ephys", "is_sync", *FLAGS)
    if not operator:
        columns = [column for column in COLUMNS if column not in (*flags, "not_applicable")]
        return _beginning(name, [f"{column}=" for column in (*columns, *_flag_words(flags))])
    if name in flags or f"is_{name}" in flags:
        values: Iterable[str] = ("yes", "no", "unknown", "n.a.")
    elif name == "subject":
        values = (session_id.partition("_")[0] for session_id in _ids(ctx))
    else:
        values = _PLATFORMS if name == "platform" else _values(ctx, name)
    return [f"{name}{operator}{word}".replace(_condition, "", 1) for word in _beginning(value, values)]


def join_words_of_bash() -> None:
    """Join the words `rig`, `=` and `NP` of the line that bash wants completed: it splits them, and replaces `NP`."""
    global _condition
    words = os.environ.get("COMP_WORDS", "").split("\n")[: int(os.environ.get("COMP_CWORD") or 0) + 1]
    joined, _condition = words[:1], ""
    for before, word in zip(words, words[1:]):
        if "=" in (before, word) and not joined[-1].startswith("-"):
            joined[-1] += word
        else:
            joined.append(word)
    if len(joined) < len(words):
        if "=" in words[-2:]:
            _condition, equals, joined[-1] = joined[-1].rpartition("=")
            _condition += equals
        os.environ.update(COMP_WORDS="\n".join(joined), COMP_CWORD=str(len(joined) - 1))


def complete_kind(incomplete: str) -> list[str]:
    return _beginning(incomplete, (*LOCATION_KINDS, *LOCATION_GROUPS))


def complete_flag(incomplete: str) -> list[str]:
    """Complete flags with or without `is_`."""
    return _beginning(incomplete, _flag_words(("is_ephys", "is_sync", *FLAGS)))


def complete_column(incomplete: str) -> list[str]:
    return _beginning(incomplete, COLUMNS)


def complete_columns(incomplete: str) -> list[str]:
    before, comma, last = incomplete.rpartition(",")
    left = [name for name in COLUMNS if name not in before.split(",")]
    return [f"{before}{comma}{name}" for name in _beginning(last, left)]


def _flag_words(flags: Iterable[str]) -> list[str]:
    return [*(name.replace("is_", "", 1) for name in flags), *flags]


def _values(ctx: typer.Context, column: str) -> list[str]:
    if column not in _RECORDED:
        return []
    found = {match for line in _lines(ctx) for match in _RECORDED[column].findall(line)}
    return sorted(json.loads(text) for text in found)


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in dict.fromkeys(words) if word.startswith(incomplete)][:_MAX_WORDS]


def _ids(ctx: typer.Context) -> list[str]:
    return [line_id(line) for line in _lines(ctx)]


def _lines(ctx: typer.Context) -> list[bytes]:
    state = ctx.params.get("state")
    try:
        settings = settings_for_reading()
        folder = find_state_folder(settings, None if state is None else Path(state))
        if folder is not None:
            return checked_lines((folder / SNAPSHOT).read_bytes())
        cached = load_entry(cached_snapshot_path(settings))
        return [] if cached is None else checked_lines(cached.content)
    except Exception:
        return []  # nothing can be printed during completion


# --- selection of sessions


def _checked_values(ctx: typer.Context, param: Any, values: Optional[list[str]]) -> list[str]:
    if "" in (values or ()):  # of a variable that a script did not set: no reason to select all
        raise SelectionError(f"{param.opts[0]} is empty: name one, or leave {param.opts[0]} out")
    return values or []  # typer 0.16 takes no None


def _repeatable(help: str, complete: Any, *names: str, metavar: Optional[str] = None) -> Any:
    return typer.Option(None, *names, help=help, metavar=metavar, autocompletion=complete, callback=_checked_values)


@dataclasses.dataclass(frozen=True)
class SelectionOptions:
    """Options that select sessions: the filters of `get_session_info()`."""

    ephys: bool = typer.Option(False, "--ephys", help="Only ephys sessions.")
    project: Optional[list[str]] = _repeatable(
        "Only this project; repeat the option for any of several.", complete_project, metavar="NAME"
    )
    platform: Optional[list[str]] = _repeatable(
        "Only this platform: ephys, behavior_with_sync (sync) or behavior.",
        complete_platform,
        metavar="NAME",
    )
    subject: Optional[list[str]] = _repeatable("Only this subject.", complete_subject, metavar="ID")
    since: Optional[str] = typer.Option(
        None, metavar="DATE|AGE", help="Only from this date on: 2024-06-01, 36h, 7d, 2w."
    )
    until: Optional[str] = typer.Option(None, metavar="DATE|AGE", help="Only up to this date.")
    is_: Optional[list[str]] = _repeatable(
        "Only where this flag is true, such as sorted.",
        complete_flag,
        "--is",
        metavar="FLAG",
    )
    missing: Optional[list[str]] = _repeatable(
        "Only where this flag applies and is false.", complete_flag, metavar="FLAG"
    )
    unknown: Optional[list[str]] = _repeatable(
        "Only where this flag was never observed.", complete_flag, metavar="FLAG"
    )
    where: Optional[list[str]] = _repeatable(
        "Only where a column has a value: rig=NP2, rig!=NP2, task_version~AMN (contains), sorted=unknown.",
        complete_where,
        metavar="CONDITION",
    )

    def filters(self) -> SessionFilters:
        """Return the filters; SelectionError for a name or value that no session can have."""
        from npc_lims.sessions.filters import SessionFilters

        given = {field.name.rstrip("_"): getattr(self, field.name) for field in dataclasses.fields(self)}
        given["is_ephys"] = given.pop("ephys")
        return SessionFilters({name: value for name, value in given.items() if value}, strict=True)

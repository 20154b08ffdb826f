"""Sessions as HTML for notebooks: recorded facts with links, without queries.

All values are escaped. Colours are those of the notebook, light or dark.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from npc_lims.config.settings import Settings
from npc_lims.model.flags import BOOLEAN_FLAGS, FLAGS, NOT_APPLICABLE
from npc_lims.model.rows import flag_value, session_row
from npc_lims.state.published import site_url
from npc_lims.utils.text import counted
from npc_lims.utils.urls import Links, web_address

_STYLE = """\
<style>
.npc-lims-sessions { overflow-x: auto; }
.npc-lims-sessions table { border-collapse: collapse; margin: 0; }
.npc-lims-sessions th, .npc-lims-sessions td {
  padding: 0.1em 0.7em 0.1em 0; text-align: left; vertical-align: top; border: 0;
  border-bottom: 1px solid rgba(128, 128, 128, 0.35); background: none;
}
.npc-lims-sessions th { font-weight: 600; }
.npc-lims-sessions thead th, .npc-lims-sessions .id { white-space: nowrap; }
.npc-lims-sessions .more, .npc-lims-sessions .no { opacity: 0.7; }
.npc-lims-sessions .note { white-space: pre-wrap; max-width: 50em; }
</style>"""
_MARKS: dict[Any, tuple[str, str, str]] = {
    True: ("✓", "yes", "yes"),
    False: ("○", "no", "no"),
    None: ("?", "unknown", "never observed"),
    NOT_APPLICABLE: ("–", "no", "does not apply"),
}
_SHOWN_FLAGS = ("is_uploaded", "is_sorted", "is_annotated", "is_video", "is_nwb_cached")
_SHOWN_ASSETS = ("raw", "sorted")
_ISSUE = re.compile(r"/(?:issues|pull)/([0-9]+)(?:[#?].*)?\Z")


def session_links(settings: Settings) -> Links:
    """Return the links for these settings; a state folder has none, as its repository is unknown."""
    is_published = settings.state is None
    return Links(
        settings.repo if is_published else None,
        branch=settings.ref,
        codeocean=settings.codeocean_domain,
        codeocean_bucket=settings.codeocean_bucket,
        site=site_url(settings) if is_published else None,
    )


def render_sessions(records: Sequence[Mapping[str, Any]], more: int, links: Links) -> str:
    """Render a table with a row for each session, and the number of *more* that are not shown."""
    names = ["session", "project", "platform", "day", "rig", *(FLAGS[flag].label for flag in _SHOWN_FLAGS), "links"]
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
    body = "\n".join(_row(record, links) for record in records)
    count = len(records) + more
    text = counted(count, "session") + (f", {more:,} of which are not shown" if more else "")
    table = f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>\n" if records else ""
    return f'<div class="npc-lims-sessions">{_STYLE}\n{table}<p class="more">{text}</p></div>'


def render_session(record: Mapping[str, Any], links: Links) -> str:
    row = session_row(record)
    flags: dict[Any, list[str]] = {value: [] for value in _MARKS}
    for flag in BOOLEAN_FLAGS:
        flags[flag_value(row, flag)].append(FLAGS[flag].label)
    facts = {
        "project": html.escape(row["project"]),
        "platform": html.escape(row["platform"]),
        "experiment day": _day(row),
        "rig": html.escape(row["rig"]),
        "task": html.escape(row["task_version"]),
        "path": f"<code>{html.escape(row['allen_path'])}</code>",
        **{meaning: ", ".join(flags[value]) for value, (_, _, meaning) in _MARKS.items()},
        "data assets": ", ".join(_asset_links(record, record["codeocean"] or (), links)),
        "issues": ", ".join(_issue_links(record)),
        "notes": _notes(record),
    }
    title = _linked(row["id"], links.session(row["id"]))
    rows = "\n".join(f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' for name, value in facts.items() if value)
    return f'<div class="npc-lims-sessions">{_STYLE}\n<strong>{title}</strong>\n<table>\n{rows}\n</table></div>'


def _row(record: Mapping[str, Any], links: Links) -> str:
    row = session_row(record)
    cells = [
        f'<span class="id">{_linked(row["id"], links.session(row["id"]))}</span>',
        html.escape(row["project"]),
        html.escape(row["platform"].replace("behavior_with_sync", "sync")),
        _day(row),
        "" if row["rig"] == "unknown" else html.escape(row["rig"]),
        *(_mark(row, flag) for flag in _SHOWN_FLAGS),
        ", ".join([*_asset_links(record, _SHOWN_ASSETS, links), *_issue_links(record)]),
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"


def _day(row: Mapping[str, Any]) -> str:
    return "" if row["experiment_day"] is None else html.escape(str(row["experiment_day"]))


def _mark(row: Mapping[str, Any], flag: str) -> str:
    mark, style, meaning = _MARKS[flag_value(row, flag)]
    label = f"{FLAGS[flag].label}: {meaning}"
    return f'<span class="{style}" role="img" aria-label="{label}" title="{label}">{mark}</span>'


def _asset_links(record: Mapping[str, Any], kinds: Iterable[str], links: Links) -> list[str]:
    found = {kind: (record["codeocean"] or {}).get(kind) for kind in kinds}
    return [
        _linked(kind, links.asset(asset)["codeocean"])
        for kind, asset in found.items()
        if isinstance(asset, Mapping) and "id" in asset
    ]


def _issue_links(record: Mapping[str, Any]) -> list[str]:
    found = []
    for issue in (record["tracked"] or {}).get("issues") or ():
        number = _ISSUE.search(str(issue))
        found.append(_linked(f"#{number[1]}" if number else str(issue), web_address(issue)))
    return found


def _notes(record: Mapping[str, Any]) -> str:
    notes = (record["tracked"] or {}).get("notes")
    return f'<div class="note">{html.escape(str(notes))}</div>' if notes else ""


def _linked(text: str, address: str | None) -> str:
    if address is None:
        return html.escape(text)
    return f'<a href="{html.escape(address)}" target="_blank" rel="noopener noreferrer">{html.escape(text)}</a>'

"""The picture of the overview that chat programs and social networks show beside a link to the site (Open Graph).

Drawn by Pillow, an optional dependency: `pip install "npc_lims[site]"`. A browser is not needed, and SVG not accepted.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

IMAGE = "og.png"
SIZE = (1200, 630)
_STAGES = 6
"""As many fit."""
_MARGIN = 70
_PAGE, _TEXT, _QUIET, _LINE, _BAR, _DONE = "#fbfbfa", "#1b1f23", "#586069", "#dfe2e3", "#d3e3ed", "#14557c"


def can_draw() -> bool:
    """Return True if Pillow is installed, and can draw text of any size."""
    try:
        from PIL import features
    except ImportError:
        return False
    return bool(features.check("freetype2"))


def draw_overview(overview: Mapping[str, Any], items: int) -> bytes:
    """Return a PNG of the totals, the pipeline, and the number of items that need attention."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", SIZE, _PAGE)
    draw = ImageDraw.Draw(image)
    width = SIZE[0] - _MARGIN

    def write(at: tuple[float, float], text: str, size: int, fill: str = _TEXT, anchor: str = "ls") -> None:
        draw.text(at, text, fill, ImageFont.load_default(size), anchor)

    write((_MARGIN, 100), "Neuropixels sessions", 56)
    write((width, 100), overview["made"][:10], 30, _QUIET, "rs")
    totals = overview["totals"]
    figures = [(totals[name], name) for name in ("sessions", "tracked", "subjects")]
    for number, (count, label) in enumerate([*figures, (items, f"need{'s' * (items == 1)} attention")]):
        left = _MARGIN + number * (width - _MARGIN) // 4
        write((left, 205), f"{count:,}", 60, _DONE)
        write((left, 248), label, 30, _QUIET)
    draw.line((_MARGIN, 282, width, 282), _LINE, 2)
    for number, stage in enumerate(overview["funnel"][:_STAGES]):
        base = 340 + number * 47
        write((_MARGIN, base), stage["label"], 30)
        write((width, base), f"{stage['yes']:,} of {stage['applies']:,}", 30, _QUIET, "rs")
        left, right = 330, 880
        draw.rectangle((left, base - 22, right, base), _BAR)
        if stage["yes"]:
            draw.rectangle((left, base - 22, left + (right - left) * stage["yes"] / stage["applies"], base), _DONE)
    file = io.BytesIO()
    image.quantize(32).save(file, "PNG", optimize=True)
    return file.getvalue()

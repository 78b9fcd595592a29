"""Bars: what a step took beside what it was allowed, and where its time went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...pictures.drawing import Picture, Tips, drawn, text_width
from ...pictures.palette import ACCENT, GRID, INK, PANEL, QUIET, WARN, Colour
from ..words import show_bytes
from .frames import SIZE, canvas, quiet, shortened, write

_BAR, _ROW = 16.0, 46.0
COLOURS = {"measured": ACCENT, "predicted": QUIET, "over": WARN}


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar and what is written above it."""

    label: str
    value: float
    said: str
    kind: str = "measured"


@drawn
def bars(title: str, summary: str, rows: Sequence[Bar], limit: Bar | None, width: float) -> Picture:
    """Bars below one another, each under its name; a limit is a line through all of them."""
    most = 1.04 * max([row.value for row in rows] + ([limit.value] if limit else [])) or 1.0
    head = 26.0 if limit else 4.0
    figure, axes = canvas(width, head + _ROW * len(rows) + 2)
    tips = Tips()
    if limit:
        line = _limit(axes, limit, width * limit.value / most, width, head + _ROW * len(rows))
        tips.add(line, f"{limit.label}: {limit.said}")
    for number, row in enumerate(rows):
        top = head + number * _ROW
        _words(axes, top + 12, row.label, row.said, width - (8 if limit else 0))
        axes.barh(top + 31, width, height=_BAR, color=PANEL.light, zorder=1)
        (bar,) = axes.barh(top + 31, width * row.value / most, height=_BAR, color=COLOURS[row.kind].light, zorder=2)
        tips.add(bar, f"{row.label}: {row.said}")
    return Picture(title, summary, figure, tips)


def _words(axes: object, y: float, label: str, said: str, width: float) -> None:
    """A name and what is said of it, on one line."""
    name = shortened(label, width - text_width(said, SIZE, bold=True) - 10)
    write(axes, 0, y, name)
    write(axes, text_width(name, SIZE) + 10, y, said, weight="bold")


def _limit(axes: Any, limit: Bar, x: float, width: float, bottom: float) -> Any:
    colour: Colour = INK
    side = "right" if x > width / 2 else "left"
    quiet(axes, x + (-6 if side == "right" else 6), 11, f"{limit.label} {limit.said}", ha=side)
    (line,) = axes.plot([x, x], [3, bottom], color=colour.light, linewidth=1.5, zorder=3, dashes=(4, 3))
    return line


@drawn
def compared(title: str, summary: str, rows: Sequence[tuple[str, float, float, float | None]], width: float) -> Picture:
    """Of several runs what was predicted and measured, on one scale, and where each one's budget ends."""
    most = 1.04 * max(max(predicted, measured, limit or 0) for _, predicted, measured, limit in rows) or 1.0
    figure, axes = canvas(width, _ROW * len(rows) + 8)
    tips = Tips()
    for number, (label, predicted, measured, limit) in enumerate(rows):
        top, taken = number * _ROW, measured or predicted
        said = show_bytes(taken) if measured else f"{show_bytes(taken)} predicted"
        _words(axes, top + 12, label, said, width)
        axes.barh(top + 31, width, height=_BAR, color=PANEL.light, zorder=1)
        kind = "over" if limit and taken > limit else "measured" if measured else "predicted"
        (bar,) = axes.barh(top + 31, width * taken / most, height=_BAR, color=COLOURS[kind].light, zorder=2)
        tips.add(bar, f"{label}: {said}")
        if limit:
            x = width * limit / most
            (line,) = axes.plot([x, x], [top + 20, top + 42], color=INK.light, linewidth=2, zorder=3)
            tips.add(line, f"budget of {label}: {show_bytes(limit)}")
    axes.plot([0, width], [_ROW * len(rows) + 4] * 2, color=GRID.light, linewidth=1)
    return Picture(title, summary, figure, tips)

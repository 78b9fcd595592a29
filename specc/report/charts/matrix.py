"""A confusion matrix: rows are what is right, columns what was told; rows add up to a hundred."""

from __future__ import annotations

from collections.abc import Sequence

from ...pictures.drawing import Picture, Tips, drawn, text_width
from ...pictures.palette import ACCENT, PANEL, WARN
from .frames import canvas, quiet, shortened, write

STRONGEST = 0.5  # of a cell's colour: text has to be read on it, by day and by night


@drawn
def matrix(title: str, summary: str, counts: Sequence[Sequence[int]], names: Sequence[str], width: float) -> Picture:
    """Cells say how many of a hundred of a class were told to be of a class; pointed at they say how many that are."""
    number = len(names)
    left = min(0.24 * width, max(text_width(name, 11) for name in names)) + 12
    cell = min((width - left) / number, 54.0)
    short = [shortened(name, left - 12) for name in names]
    upright = max(text_width(name, 11) for name in names) > cell - 4
    tall = min(90.0, max(text_width(name, 11) for name in names)) if upright else 12.0
    top = 26 + tall + 8
    figure, axes = canvas(width, top + number * cell + 4)
    quiet(axes, left, 10, "told to be →")
    quiet(axes, 0, top - 10, "is ↓")
    tips = Tips()
    for column, name in enumerate(names):
        x = left + (column + 0.5) * cell
        if upright:
            write(axes, x, top - 6, shortened(name, 90), rotation=90, ha="center", va="bottom")
        else:
            write(axes, x, top - 12, name, ha="center")
    for row, line in enumerate(counts):
        y, whole = top + (row + 0.5) * cell, sum(line)
        write(axes, left - 8, y, short[row], ha="right")
        for column, count in enumerate(line):
            x, part = left + column * cell, count / whole if whole else 0.0
            colour = ACCENT if row == column else WARN
            bars = axes.bar(x + 1, cell - 2, cell - 2, bottom=y - cell / 2 + 1, align="edge",
                            color=colour.light if count else PANEL.light,
                            alpha=max(0.08, STRONGEST * part) if count else 1.0)  # fmt: skip
            tips.add(bars[0], f"{names[row]} told to be {names[column]}: {count:,} of {whole:,}")
            if count and cell >= 20:
                write(axes, x + cell / 2, y, _percent(part), ha="center", fontsize=11 if cell > 26 else 9.5)
    return Picture(title, summary, figure, tips)


def _percent(part: float) -> str:
    """
    >>> _percent(0.004), _percent(0.126), _percent(1.0)
    ('<1', '13', '100')
    """
    return "<1" if part < 0.005 else f"{100 * part:.0f}"

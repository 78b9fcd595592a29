"""Curves over the epochs: of the network, thick, and of every unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ...pictures.drawing import Picture, Tips, drawn, text_width
from ...pictures.palette import GRID, INK, MUTED, QUIET, Colour, series
from ...pictures.placing import spread
from .frames import LINE, SIZE, frame, shortened

MOST_COLOURED = 8  # curves: there are no more colours that people tell apart


@dataclass(frozen=True, slots=True)
class Line:
    """A curve; `main` is the one to look at first, `dashed` is one to compare it with."""

    label: str
    points: Sequence[tuple[float, float]]
    main: bool = False
    dashed: bool = False
    named: bool = True


@drawn
def curves(
    title: str, summary: str, lines: Sequence[Line], width: float, *, said: Callable[[float], str],
    unit: Callable[[float], str], log: bool = False, across: str = "epoch", marked: bool = False,
) -> Picture:  # fmt: skip
    """Every curve with its name at its end; of many only those are named, and coloured, that are worth it."""
    lines = [line for line in lines if line.points]
    known = [line for line in lines if line.named]
    room = 0.36 * width
    texts = [shortened(f"{line.label} {said(line.points[-1][1])}", room) for line in known]
    right = 28 + max(
        (text_width(text, SIZE, bold=line.main) for line, text in zip(known, texts, strict=True)), default=0
    )
    height = max(0.42 * width, 230.0, 17.0 * len(known) + 70)
    figure, axes = frame(width, height, left=46, right=right)
    tips = Tips()
    for line, colour in zip(lines, colours(lines), strict=True):
        _draw(axes, line, colour, tips, said, across, marked=marked)
    _scale(axes, lines, unit, log=log)
    axes.set_xlabel(across, loc="left", fontsize=SIZE)
    ends = [line.points[-1] for line in known]
    _names(figure, axes, ends, texts, [c for line, c in zip(lines, colours(lines), strict=True) if line.named])
    return Picture(title, summary, figure, tips)


def colours(lines: Sequence[Line]) -> list[Colour]:
    """The main one is ink; the others have colours as long as there are enough of them."""
    others = [line for line in lines if not line.main and not line.dashed]
    few, found = len(others) <= MOST_COLOURED, []
    named = [line for line in others if line.named]
    for line in lines:
        if line.main or line.dashed:
            found.append(INK if line.main else MUTED)
        elif few:
            found.append(series(others.index(line)))
        else:
            found.append(series(named.index(line)) if line.named else QUIET)
    return found


def _draw(axes: Any, line: Line, colour: Colour, tips: Tips, said: Callable[[float], str], across: str,
          *, marked: bool) -> None:  # fmt: skip
    xs, ys = zip(*line.points, strict=True)
    thin = not (line.main or line.named)
    (drawn_line,) = axes.plot(
        xs, ys, color=colour.light, linewidth=2.6 if line.main else 0.9 if thin else 1.6,
        linestyle=(0, (4, 3)) if line.dashed else "-", zorder=4 if line.main else 1 if thin else 3,
        alpha=0.55 if thin else 1.0,
    )  # fmt: skip
    if len(xs) > 1:
        tips.add(drawn_line, line.label)
    if marked or len(line.points) <= 12:
        for x, y in line.points:
            (dot,) = axes.plot([x], [y], marker="o", markersize=5 if line.main or marked else 3.5, color=colour.light)
            tips.add(dot, f"{line.label}, {across} {x:g}: {said(y)}")


def _scale(axes: Any, lines: Sequence[Line], unit: Callable[[float], str], *, log: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    low, high = min(ys), max(ys)
    if log and low > 0 and high / low > 3:
        axes.set_yscale("log")
        ends = (low / 1.15, high * 1.15)
        decades = high / low > 100
        axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0,) if decades else (1.0, 2.0, 5.0)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
        ends = (low - pad, high + pad)
        axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.set_ylim(*ends)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: unit(value)))
    pad = 0.5 if min(xs) == max(xs) else 0.02 * (max(xs) - min(xs))
    axes.set_xlim(min(xs) - pad, max(xs) + pad)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.tick_params(labelsize=SIZE)
    axes.spines["bottom"].set_color(GRID.light)


def _names(
    figure: Any, axes: Any, ends: Sequence[tuple[float, float]], texts: Sequence[str], inks: Sequence[Colour]
) -> None:
    """Names beside the ends of curves, apart from each other, with a thin line to where each one belongs."""
    box, size = axes.get_window_extent(), figure.get_size_inches() * 72
    at = [axes.transData.transform(end) for end in ends]
    places = spread([float(y) for _, y in at], LINE, float(box.y0), float(box.y1))
    for (x, y), place, text, ink in zip(at, places, texts, inks, strict=True):
        ends_at, level = (box.x1 + 14) / size[0], place / size[1]
        figure.add_artist(_line([x / size[0], ends_at], [y / size[1], level], ink.light))
        weight = "bold" if ink is INK else "normal"
        figure.text(ends_at + 4 / size[0], level, text, color=ink.light, fontsize=SIZE, va="center_baseline",
                    weight=weight)  # fmt: skip


def _line(xs: list[float], ys: list[float], colour: str) -> Any:
    from matplotlib.lines import Line2D

    return Line2D(xs, ys, color=colour, linewidth=0.8, alpha=0.7)

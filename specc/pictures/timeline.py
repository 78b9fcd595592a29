"""The memory of one training step: local learning's sawtooth, by category, beside end-to-end training's mountain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..language.schema import show_bytes
from ..plan import Plan
from ..plan.flops import step_flops
from ..views.timeline import Span, Timeline, timeline, told
from .drawing import Picture, Tips, drawn, new_figure, text_width
from .palette import ACCENT, CATEGORIES, GRID, INK, MUTED, OTHERS, PANEL, PAPER, QUIET, WARN, Colour, category
from .placing import Box, byte_ticks, every, shelf, shortened, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REST = "everything else"
SMALL = 0.02  # of the peak: what is never more has no colour of its own
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Sheet:
    """Sizes, in points; the left and right ends of the plots are the same."""

    width: float

    @property
    def wide(self) -> bool:
        """Whether there is room beside the plots."""
        return self.width >= 560

    @property
    def size(self) -> float:
        """Of text."""
        return 11 if self.wide else 10.5

    @property
    def left(self) -> float:
        """Where plots begin."""
        return 54

    @property
    def right(self) -> float:
        """Where they end."""
        return self.width - (236 if self.wide else 10)


@drawn
def memory_timeline(plan: Plan, beside: Plan | None = None, width: float = 720) -> Picture:
    """A step by category, its peak and the budget; above it, where there is a plan `beside` it, both on one scale."""
    found, other = timeline(plan), timeline(beside) if beside else None
    sheet, tips = Sheet(width), Tips()
    parts = list(_parts(found))
    upper = (150 if sheet.wide else 140) if other else 0
    lower, below = (240 if sheet.wide else 190), 36 + (0 if sheet.wide else 16 * len(parts) + 10)
    figure = new_figure(width, upper + lower + below)
    if other:
        both = _axes(figure, sheet, lower + below + 8, upper - 34)
        _both(both, sheet, found, other)
        if sheet.wide:
            _beside(figure, both, sheet, found, other)
    axes = _axes(figure, sheet, below, lower - 24)
    _categories(axes, sheet, found, parts, tips, alone=other is None)
    if sheet.wide:
        _bar(figure, axes, sheet, found, parts)
    else:
        _list(figure, sheet, found, parts, below - 40)
    return Picture(f"Memory of one training step of {plan.name}", told(found, other), figure, tips)


def _axes(figure: Figure, sheet: Sheet, bottom: float, height: float) -> Axes:
    """A plot of so many points, from 0 to 1 in x."""
    wide, high = figure.get_size_inches() * 72
    axes = figure.add_axes((sheet.left / wide, bottom / high, (sheet.right - sheet.left) / wide, height / high))
    axes.set_xlim(0, sheet.right - sheet.left)
    axes.set_xticks([])
    return axes


def _scaled(axes: Axes, sheet: Sheet, most: float) -> float:
    """Let the axis of bytes end at `most`; how many bytes a point is."""
    ticks = byte_ticks(most)
    axes.set_ylim(0, most)
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=sheet.size - 1)
    return most / float(axes.bbox.height)  # in points, as there are 72 of them to the inch


def _line(found: Timeline, width: float, share: float = 1.0, category: str | None = None) -> Points:
    """Bytes along `share` of a width."""
    sampled = found.sampled(int(width * share))
    return [(at * width * share, float(i.bytes)) for at, i in sampled]


def _both(axes: Axes, sheet: Sheet, found: Timeline, other: Timeline) -> None:
    """Two steps on one scale; an op is as wide in both."""
    width, longest = sheet.right - sheet.left, max(len(found.instants), len(other.instants))
    most = max(found.highest.bytes, other.highest.bytes)
    limit = found.budget if found.budget and found.budget <= 1.5 * most else None
    a_point = _scaled(axes, sheet, max(most, limit or 0) * (1.2 if sheet.wide else 1.4))
    above: list[tuple[float, float]] = []
    taken = list(_budget(axes, sheet, found, limit, a_point))
    layers = ((other, GRID, QUIET), (found, ACCENT, ACCENT))
    for each, fill, line in sorted(layers, key=lambda layer: -layer[0].highest.bytes):
        points = _line(each, width, len(each.instants) / longest)
        _area(axes, points, fill)
        axes.plot(*zip(*points, strict=True), color=line.light, linewidth=1.25)
        above += [(x, y / a_point + 4) for x, y in points]
    for each, name, colour in ((found, "local learning", ACCENT), (other, "end-to-end training", MUTED)):
        text = f"{name} {show_bytes(each.highest.bytes)}"
        size = text_width(text, sheet.size, bold=True)
        top = (each.peak + 0.5) / longest * width
        box = shelf(above, size, sheet.size + 4, (2, width) if each is found else _around(top, size, width), taken)
        taken.append(box)
        axes.text(
            box.left, box.bottom * a_point, text, fontsize=sheet.size, color=colour.light, weight="bold", va="bottom"
        )
    size = sheet.size - 1
    axes.annotate("one step, op by op", (0, 0), (0, -4), textcoords="offset points", fontsize=size, va="top",
                  color=MUTED.light, annotation_clip=False)  # fmt: skip


def _beside(figure: Figure, axes: Axes, sheet: Sheet, found: Timeline, other: Timeline) -> None:
    """What the comparison comes to, in figures."""
    box, wide = axes.get_position(), sheet.width
    words = figure.add_axes(((sheet.right + 14) / wide, box.y0, (wide - sheet.right - 14) / wide, box.height))
    words.set_axis_off()
    words.set_xlim(0, 1)
    words.set_ylim(0, box.height * figure.get_size_inches()[1] * 72)
    memory = other.highest.bytes / found.highest.bytes
    flops = step_flops(other.plan) / step_flops(found.plan)
    lines = (("end-to-end training takes", 10, MUTED, "normal"), (f"{memory:.2g}× the memory", 18, INK, "bold"),
             (f"and {flops:.2g}× the FLOPs", 10, MUTED, "normal"))  # fmt: skip
    for y, (text, size, colour, weight) in zip((78, 52, 34), lines, strict=True):
        words.text(0, y, text, fontsize=size, color=colour.light, weight=weight)


def _area(axes: Axes, points: Points, colour: Colour) -> None:
    """What lies below a line, without what changes nothing of it."""
    kept = [
        p
        for i, p in enumerate(points)
        if not 0 < i < len(points) - 1 or points[i - 1][1] != p[1] or p[1] != points[i + 1][1]
    ]
    x, y = zip((kept[0][0], 0.0), *kept, (kept[-1][0], 0.0), strict=True)
    axes.fill(x, y, facecolor=colour.light, linewidth=0)


def _around(centre: float, size: float, width: float) -> tuple[float, float]:
    """The ends of a text about a place, inside of a plot."""
    left = max(2.0, min(centre - size / 2, width - size))
    return left, left + size


def _budget(axes: Axes, sheet: Sheet, found: Timeline, limit: int | None, a_point: float) -> Iterator[Box]:
    """The line of the budget, or where there is none on this scale a word about it; the room that these take."""
    if found.budget is None:
        return
    width = sheet.right - sheet.left
    text = f"budget {show_bytes(found.budget)}" + ("" if limit else " is above this scale")
    at = limit if limit else axes.get_ylim()[1] - (sheet.size + 4) * a_point
    if limit:
        axes.axhline(limit, color=WARN.light, linewidth=1, dashes=(4, 3))
    axes.text(width, at + 2 * a_point, text, fontsize=sheet.size - 1, color=WARN.light, ha="right", va="bottom")
    size = text_width(text, sheet.size - 1)
    yield Box(width - size - 4, at / a_point, width, at / a_point + sheet.size + 6)
    if limit:
        yield Box(0, at / a_point - 1, width, at / a_point + 1)


def _parts(found: Timeline) -> Iterator[tuple[str, int]]:
    """What the peak is made of, from the bottom of the picture to its top; what is never much together, first."""
    peak, alive = found.highest.bytes, dict(found.highest.categories)
    most: dict[str, int] = {}
    for instant in found.instants:
        for name, size in instant.categories.items():
            most[name] = max(size, most.get(name, 0))
    much = [name for name in _order(most) if most[name] >= SMALL * peak]
    if len(much) < len(most):
        yield REST, sum(size for name, size in alive.items() if name not in much)
    yield from ((name, alive.get(name, 0)) for name in much)


def _colour(name: str) -> Colour:
    return OTHERS if name == REST else category(name)


def _order(names: Sequence[str] | dict[str, int]) -> list[str]:
    """Categories from the bottom to the top."""
    known = list(CATEGORIES)
    return sorted(names, key=lambda name: (known.index(name) if name in known else -1, name))


def _categories(axes: Axes, sheet: Sheet, found: Timeline, parts: Sequence[tuple[str, int]], tips: Tips, *,
                alone: bool) -> None:  # fmt: skip
    width, peak = sheet.right - sheet.left, found.highest.bytes
    limit = found.budget if alone and found.budget and found.budget <= 1.6 * peak else None
    room = 1.32 if sheet.wide else 1.4
    a_point = _scaled(axes, sheet, max(peak * room, (limit or 0) * 1.15))
    _bands(axes, sheet, found, tips)
    sampled = found.sampled(int(width))
    names = [name for name, _ in parts]
    for i, name in reversed(list(enumerate(names))):  # the highest first, then what hides its lower part
        higher = set(names[i + 1 :])
        total = [
            float(sum(size for other, size in each.categories.items() if other not in higher)) for _, each in sampled
        ]
        _area(axes, [(at * width, size) for (at, _), size in zip(sampled, total, strict=True)], _colour(name))
    if alone:
        list(_budget(axes, sheet, found, limit, a_point))
    _mark(axes, sheet, found, a_point)


def _bands(axes: Axes, sheet: Sheet, found: Timeline, tips: Tips) -> None:
    """Every other block on another ground, with its number below, and its own peak when it is pointed at."""
    width, count, spans = sheet.right - sheet.left, len(found.instants), found.spans
    ends = [(s.first * width / count, (s.last + 1) * width / count, s.label) for s in spans]
    n, size = every(ends, sheet.size - 1), sheet.size - 1
    for i, (span, (left, right, label)) in enumerate(zip(spans, ends, strict=True)):
        band = axes.axvspan(left, right, facecolor=PANEL.light if i % 2 else PAPER.light, linewidth=0, zorder=0.4)
        tips.add(band, _said(found, span))
        words = not label.isdigit() and text_width(label, size) < right - left
        if words or (label.isdigit() and int(label) % n == 0):
            axes.annotate(label, ((left + right) / 2, 0), (0, -4), textcoords="offset points", fontsize=size,
                          ha="center", va="top", color=MUTED.light, annotation_clip=False)  # fmt: skip
    name = "block" if len(found.plan.blocks) > 1 else ""
    axes.annotate(
        name, (0, 0), (-6, -4), textcoords="offset points", fontsize=size, ha="right", va="top", color=MUTED.light
    )


def _said(found: Timeline, span: Span) -> str:
    top = found.top(span)
    label = f"block {span.label}" if span.label.isdigit() else span.label
    return f"{label}: {show_bytes(found.instants[top].bytes)} in {found.instruction(top)}"


def _mark(axes: Axes, sheet: Sheet, found: Timeline, a_point: float) -> None:
    """The peak, and what is done there."""
    width, peak = sheet.right - sheet.left, found.highest.bytes
    x = (found.peak + 0.5) / len(found.instants) * width
    first, size = f"peak {show_bytes(peak)}", sheet.size
    second = shortened(f"in {found.instruction(found.peak)}", size - 1, width - 4)
    wide = max(text_width(first, size, bold=True), text_width(second, size - 1))
    left, _ = _around(x + wide / 2 + 6 if x < width / 2 else x - wide / 2 - 6, wide, width)
    bottom = peak + 10 * a_point
    crossed = left - 2 < x < left + wide + 2
    axes.plot([x, x], [peak, bottom + (-1 if crossed else size + 2) * a_point], color=INK.light, linewidth=0.8)
    axes.plot([x], [peak], "o", color=INK.light, markersize=5, markeredgecolor=PAPER.light, markeredgewidth=1)
    axes.text(left, bottom + (size + 3) * a_point, first, fontsize=size, weight="bold", va="bottom")
    axes.text(left, bottom, second, fontsize=size - 1, color=MUTED.light, va="bottom")


def _bar(figure: Figure, axes: Axes, sheet: Sheet, found: Timeline, parts: Sequence[tuple[str, int]]) -> None:
    """Beside the plot, on its scale: what the peak is made of."""
    box, wide = axes.get_position(), sheet.width
    bar = figure.add_axes(((sheet.right + 14) / wide, box.y0, (wide - sheet.right - 14) / wide, box.height))
    bar.set_axis_off()
    bar.set_xlim(0, wide - sheet.right - 14)
    low, high = axes.get_ylim()
    bar.set_ylim(low, high)
    a_point = high / (box.height * figure.get_size_inches()[1] * 72)
    middles, base = [], 0.0
    for name, size in parts:
        bar.bar(5, size, 10, base, color=_colour(name).light, edgecolor=PAPER.light, linewidth=0.5)
        middles.append((base + size / 2) / a_point)
        base += size
    places = spread(middles, sheet.size + 4, 6, high / a_point - 20)
    for (name, size), middle, place in zip(parts, middles, places, strict=True):
        bar.plot([11, 20, 24], [middle * a_point, place * a_point, place * a_point], color=QUIET.light, linewidth=0.6)
        bar.text(28, place * a_point, name, fontsize=sheet.size - 1, va="center_baseline")
        bar.text(wide - sheet.right - 18, place * a_point, show_bytes(size), fontsize=sheet.size - 1, ha="right",
                 va="center_baseline", color=MUTED.light)  # fmt: skip


def _list(figure: Figure, sheet: Sheet, found: Timeline, parts: Sequence[tuple[str, int]], top: float) -> None:
    """Below the plot: the same as a list."""
    high = figure.get_size_inches()[1] * 72
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, sheet.width)
    axes.set_ylim(0, high)
    for i, (name, size) in enumerate(reversed(parts)):
        y = top - 16 * i
        axes.plot([sheet.left + 5], [y], "s", color=_colour(name).light, markersize=9, markeredgewidth=0)
        axes.text(sheet.left + 16, y, name, fontsize=sheet.size, va="center_baseline")
        axes.text(
            sheet.right, y, show_bytes(size), fontsize=sheet.size, va="center_baseline", ha="right", color=MUTED.light
        )

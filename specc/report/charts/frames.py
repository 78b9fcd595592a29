"""What the charts of a report share: frames with room for their labels, and labels that keep apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...pictures.drawing import new_figure, text_width
from ...pictures.palette import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = 11.0  # of text, in points
LINE = 15.0  # from one line of text to the next
WIDE, NARROW = 600.0, 340.0  # points: of half a screen, or of a page; of a telephone


def frame(
    width: float, height: float, *, left: float, right: float, top: float = 12, bottom: float = 40
) -> tuple[Figure, Axes]:
    """A figure with one pair of axes, so many points away from its edges."""
    figure = new_figure(width, height)
    at = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    return figure, figure.add_axes(at)


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure whose coordinates are its points, from the top."""
    figure = new_figure(width, height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.axis("off")
    return figure, axes


def apart(wanted: Sequence[float], low: float, high: float, step: float = LINE) -> list[float]:
    """Places for labels near those that are wanted, at least a step from each other and inside of bounds if they can.

    >>> apart([5.0, 5.0, 50.0], 0.0, 100.0, 10.0)
    [0.0, 10.0, 50.0]
    >>> apart([99.0, 100.0], 0.0, 100.0, 10.0)
    [90.0, 100.0]
    """
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    groups: list[list[int]] = []
    centres: list[float] = []
    for index in order:
        groups.append([index])
        centres.append(_centre([wanted[index]], step, low, high))
        while len(groups) > 1 and _end(groups[-2], centres[-2], step) > _begin(groups[-1], centres[-1], step) - step:
            last = groups.pop()
            centres.pop()
            groups[-1] += last
            centres[-1] = _centre([wanted[i] for i in groups[-1]], step, low, high)
    places = [0.0] * len(wanted)
    for group, centre in zip(groups, centres, strict=True):
        for number, index in enumerate(group):
            places[index] = _begin(group, centre, step) + number * step
    return places


def _centre(wanted: Sequence[float], step: float, low: float, high: float) -> float:
    half = (len(wanted) - 1) * step / 2
    return max(low + half, min(high - half, sum(wanted) / len(wanted)))


def _begin(group: Sequence[int], centre: float, step: float) -> float:
    return centre - (len(group) - 1) * step / 2


def _end(group: Sequence[int], centre: float, step: float) -> float:
    return centre + (len(group) - 1) * step / 2


def shortened(text: str, room: float, size: float = SIZE) -> str:
    """The text, or as much of it as there is room for."""
    if text_width(text, size) <= room:
        return text
    while text and text_width(f"{text}…", size) > room:
        text = text[:-1]
    return f"{text}…"


def write(axes: Any, x: float, y: float, text: str, **style: Any) -> Any:
    """A text on a canvas."""
    return axes.text(x, y, text, **{"fontsize": SIZE, "color": INK.light, "va": "center", **style})


def quiet(axes: Any, x: float, y: float, text: str, **style: Any) -> Any:
    """A text on a canvas that may be overlooked."""
    return write(axes, x, y, text, **{"color": MUTED.light, **style})

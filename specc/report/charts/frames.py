"""What the charts of a report share: frames with room for their labels."""

from __future__ import annotations

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

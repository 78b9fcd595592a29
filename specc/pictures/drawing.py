"""What a picture is, and how it becomes SVG: a file for papers, or a part of a page that is light or dark.

Matplotlib draws, for four reasons: it has been maintained for twenty years, papers are made with it, it writes SVG
without a browser or a script, and it writes the same bytes twice once it is told what to salt its identifiers with. Of
it there is `Figure` and the SVG backend here, never `pyplot`, which keeps figures and looks for a display; it is
imported when something is drawn, since that takes a while.

One unit of a picture is one point: a picture of width 340 is 340 CSS pixels wide on a telephone. Text stays text,
which can be searched, selected and read aloud; it takes at most as much room as was measured, since what is measured is
DejaVu Sans, the widest of the fonts that it may be shown in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from hashlib import sha256
from io import StringIO
from typing import TYPE_CHECKING, Any, ParamSpec
from xml.dom import minidom

from .palette import BY_LIGHT, FONT, GRID, INK, MUTED, PAPER
from .palette import css as css

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

P = ParamSpec("P")
TIP = "tip-"  # begins the ids of what says more when it is pointed at
_MEASURED = re.compile(r"'DejaVu Sans'[^;]*")
_COLOUR = re.compile(r"#[0-9a-f]{6}\b")
_LONG = re.compile(r"(\.\d\d)\d+")  # hundredths of a point are enough, and half the bytes
_HERE = re.compile(r"url\(#([^)]*)\)")


@dataclass(frozen=True)
class Picture:
    """A drawn figure; `summary` says in words what is to be seen, for those who do not see it."""

    title: str
    summary: str
    figure: Figure
    tips: Mapping[str, str] = field(default_factory=dict)  # what artists say when they are pointed at, by their gid


class Tips(dict[str, str]):
    """What artists of a picture say when they are pointed at."""

    def add(self, artist: Artist, text: str) -> None:
        """Let an artist say something."""
        name = f"{TIP}{len(self)}"
        artist.set_gid(name)
        self[name] = text


def drawn(draw: Callable[P, Picture]) -> Callable[P, Picture]:
    """Draw in the style of these pictures, whatever a matplotlibrc says."""

    @wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> Picture:
        with _style():
            return draw(*args, **kwargs)

    return styled


@contextmanager
def _style() -> Iterator[None]:
    import matplotlib

    backend = ("backend", "backend_fallback", "toolbar")
    settings: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if k not in backend}
    settings |= {
        "svg.fonttype": "none", "svg.hashsalt": "specc", "text.parse_math": False, "font.family": "DejaVu Sans",
        "font.size": 11, "figure.dpi": 72, "savefig.dpi": 72, "text.color": INK.light, "axes.labelcolor": MUTED.light,
        "axes.edgecolor": GRID.light, "xtick.color": MUTED.light, "ytick.color": MUTED.light, "axes.facecolor": "none",
        "xtick.labelcolor": MUTED.light, "ytick.labelcolor": MUTED.light, "figure.facecolor": PAPER.light,
        "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.grid": True,
        "axes.grid.axis": "y", "grid.color": GRID.light, "axes.axisbelow": True, "xtick.major.size": 0,
        "ytick.major.size": 0, "axes.titlelocation": "left", "lines.solid_capstyle": "round", "lines.linewidth": 1.75,
        "legend.frameon": False, "path.simplify": False,
    }  # fmt: skip
    with matplotlib.rc_context(settings):
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many points."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    return figure


@cache
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """How many points a line of text takes at most."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family=["DejaVu Sans"], size=size, weight="bold" if bold else "normal")
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width)


def to_svg(picture: Picture) -> str:
    """A file of its own, on white paper; the same picture has the same bytes."""
    document = _document(picture)
    root = _root(document, picture, prefix="specc-")
    for element in _elements(root):
        if style := element.getAttribute("style"):
            element.setAttribute("style", _MEASURED.sub(FONT, style))
    root.setAttribute("xmlns", "http://www.w3.org/2000/svg")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + str(root.toxml()) + "\n"


def to_inline(picture: Picture) -> str:
    """An `<svg>` to put into an HTML page, as wide as there is room, in the colours of `css`.

    Its ids begin with a digest of the picture, so that those of several on one page are different.
    """
    document = _document(picture)
    plain = document.toxml()
    root = _root(document, picture, prefix=f"p{sha256(f'{picture.title}{plain}'.encode()).hexdigest()[:10]}-")
    for name in ("width", "height"):
        root.removeAttribute(name)
    for element in _elements(root):
        if element.getAttribute("id").endswith("-paper"):
            element.parentNode.removeChild(element)  # the page has its own
        elif style := element.getAttribute("style"):
            style = _MEASURED.sub("var(--specc-font, sans-serif)", style)
            element.setAttribute("style", _COLOUR.sub(_variable, style))
    return str(root.toxml())


def _variable(found: re.Match[str]) -> str:
    """The role of a colour: whoever draws in another one learns it here."""
    colour = BY_LIGHT.get(found[0])
    if colour is None:
        raise ValueError(f"{found[0]} is no colour of the palette")
    return f"var({colour.variable})"


def _document(picture: Picture) -> minidom.Document:
    """What matplotlib writes."""
    text = StringIO()
    picture.figure.patch.set_gid("paper")
    with _style():
        picture.figure.savefig(text, format="svg", metadata={"Date": None})
    return minidom.parseString(text.getvalue())


def _root(document: minidom.Document, picture: Picture, prefix: str) -> Any:
    """The element of the picture, described, with ids that begin with `prefix`."""
    root: Any = document.documentElement
    for element in list(_elements(root)):
        if element.tagName == "metadata":
            element.parentNode.removeChild(element)
        if tip := picture.tips.get(element.getAttribute("id")):
            element.insertBefore(_named(document, "title", tip), element.firstChild)
            element.setAttribute("pointer-events", "all")  # also where nothing is filled
    for element in _elements(root):
        _prefix(element, prefix)
    title, summary = _named(document, "title", picture.title), _named(document, "desc", picture.summary)
    for element, name in ((summary, "summary"), (title, "title")):
        element.setAttribute("id", f"{prefix}{name}")
        root.insertBefore(element, root.firstChild)
    root.removeAttribute("version")
    root.setAttribute("role", "img")
    root.setAttribute("aria-labelledby", f"{prefix}title {prefix}summary")
    return root


def _named(document: minidom.Document, tag: str, text: str) -> Any:
    element = document.createElement(tag)
    element.appendChild(document.createTextNode(text))
    return element


def _prefix(element: Any, prefix: str) -> None:
    """Let the ids of an element, and what it refers to, begin with `prefix`."""
    for name, value in list(element.attributes.items()):
        if name in ("d", "x", "y", "transform"):
            element.setAttribute(name, _LONG.sub(r"\1", value).replace("\n", ""))
        elif name == "id":
            element.setAttribute(name, prefix + value)
        elif name == "xlink:href" and value.startswith("#"):
            element.setAttribute(name, f"#{prefix}{value[1:]}")
        elif "url(#" in value:
            element.setAttribute(name, _HERE.sub(rf"url(#{prefix}\1)", value))


def _elements(root: Any) -> Iterator[Any]:
    """All elements inside of one."""
    for child in list(root.childNodes):
        if child.nodeType == child.ELEMENT_NODE:
            yield child
            yield from _elements(child)

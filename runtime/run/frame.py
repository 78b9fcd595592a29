"""The picture of a run that a terminal shows, as lines that fit its width: from a few units to many."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.text import Text

LEVELS, ASCII_LEVELS = "▁▂▃▄▅▆▇█", "_.-:=+*#"
KEPT, SPARK = 12, 6  # figures of a history, and characters that show it
ROWS = 4  # of units with a history each; more units than fit have one character each
NARROWEST = 20
LABEL = 5


@dataclass
class History:
    """A unit's losses since the beginning in a few figures: when there are too many, each is the mean of two."""

    figures: list[float] = field(default_factory=list)
    every: int = 1  # losses a figure
    _sum: float = 0.0
    _count: int = 0
    last: float = 0.0

    def add(self, loss: float) -> None:
        """One more."""
        self.last = loss
        self._sum, self._count = self._sum + loss, self._count + 1
        if self._count < self.every:
            return
        self.figures.append(self._sum / self._count)
        self._sum, self._count = 0.0, 0
        if len(self.figures) == KEPT:
            self.figures = [(a + b) / 2 for a, b in zip(self.figures[::2], self.figures[1::2], strict=True)]
            self.every *= 2


def spark(figures: Sequence[float], *, plain: bool) -> str:
    """A character for each, the higher the larger.

    >>> spark([3, 1, 2], plain=False), spark([5, 5], plain=True), spark([1, float("nan")], plain=False)
    ('█▁▅', '__', '▁?')
    """
    levels = ASCII_LEVELS if plain else LEVELS
    known = [figure for figure in figures if abs(figure) < float("inf")]
    low, high = min(known, default=0.0), max(known, default=0.0)
    scale = (len(levels) - 1) / (high - low) if high > low else 0.0
    return "".join(levels[round((f - low) * scale)] if abs(f) < float("inf") else "?" for f in figures)


def short(value: float) -> str:
    """A loss in five characters.

    >>> [short(value) for value in (0.12345, 2.3, 12.345, 123.4, 123456.0, float("nan"))]
    ['0.123', '2.300', '12.35', '123.4', '1e+05', '  nan']
    """
    size = abs(value)
    text = f"{value:.3f}" if size < 10 else f"{value:.2f}" if size < 100 else f"{value:.1f}"
    return f"{text if len(text) <= 5 else f'{value:.0e}':>5}"


def labels(units: Sequence[str]) -> list[str]:
    """`unit3.cascade` is `3c` where there are several levels, else `3`.

    >>> labels(["unit0.independent", "unit1.independent"]), labels(["unit0.independent", "unit1.cascade"])
    (['0', '1'], ['0i', '1c'])
    """
    parts = [unit.removeprefix("unit").partition(".") for unit in units]
    several = len({level for _, _, level in parts}) > 1
    return [f"{number}{level[:1] * several}"[-LABEL:] for number, _, level in parts]


def losses(units: Mapping[str, History], width: int, *, plain: bool) -> Iterator[str]:
    """Every unit's loss: with its history each where there is room, else in one line from the first to the last."""
    names = labels([*units])
    room = max(map(len, names), default=1)
    cells = [
        f"{name:>{room}} {spark(_thinned(history.figures), plain=plain):{SPARK}} {short(history.last)}"
        for name, history in zip(names, units.values(), strict=True)
    ]
    head = "loss of each unit" if len(cells) > 1 else "loss"
    if not cells:
        return
    across = max(1, (width + 2) // (len(cells[0]) + 2))
    if len(cells) <= ROWS * across:
        yield head
        yield from ("  ".join(cells[i : i + across]) for i in range(0, len(cells), across))
        return
    now = [history.last for history in units.values()]
    yield f"{head}, {names[0]} to {names[-1]}: {short(now[0]).strip()} to {short(now[-1]).strip()}"
    line = spark(now, plain=plain)
    each = -(-len(line) // -(-len(line) // width))  # lines of one length
    yield from (line[i : i + each] for i in range(0, len(line), each))


def _thinned(figures: Sequence[float]) -> list[float]:
    """No more than fit into a cell, each the mean of as many."""
    each = -(-len(figures) // SPARK) or 1
    groups = (figures[i : i + each] for i in range(0, len(figures), each))
    return [sum(group) / len(group) for group in groups]


def bar(done: int, all: int, width: int, *, plain: bool) -> Text:
    """How much of it is done."""
    full = round(width * done / all) if all else 0
    whole, rest = ("=", "-") if plain else ("━", "─")
    return Text.assemble((whole * full, "cyan"), (rest * (width - full), "dim"))


def packed(parts: Sequence[str], width: int) -> Iterator[str]:
    """As many of the parts in a line as it takes; one that is too long by itself is cut."""
    line = ""
    for part in parts:
        if line and len(line) + 2 + len(part) > width:
            yield line
            line = ""
        line = f"{line}  {part}" if line else part
    if line:
        yield line


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a picture is made of."""

    title: str  # `epoch 3/24`
    done: int
    all: int
    activity: str
    parts: Sequence[str] = ()
    units: Mapping[str, History] = field(default_factory=dict)


def drawn(scene: Scene, width: int, *, plain: bool) -> list[Text]:
    """The lines, none of them wider than the terminal."""
    width = max(NARROWEST, width - 1)  # the last column of some terminals begins a new line
    tail = f" {scene.done}/{scene.all}" if scene.all else ""
    said = f"  {scene.activity}" if len(scene.title) + len(tail) + len(scene.activity) + 13 <= width else ""
    space = min(40, width - len(scene.title) - 1 - len(tail) - len(said))
    first = Text.assemble(
        (scene.title, "bold"), " ", bar(scene.done, scene.all, max(0, space), plain=plain), tail, said
    )
    more = [scene.activity] if scene.activity and not said else []
    rest = [Text(line) for line in packed([*more, *scene.parts], width)]
    units = [Text(line) for line in losses(scene.units, width, plain=plain)]
    for line in units[:1]:
        line.stylize("dim")
    lines = [first, *rest, *units]
    for line in lines:
        line.truncate(width)
    return lines

"""The block diagram: the backbone from top to bottom, windows of every level left, heads right, EMA links upwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from ..plan import Plan
from .diagram import BlockShown, Diagram, LevelShown, UnitShown, diagram
from .drawing import Picture, Tips, drawn, new_figure, text_width
from .palette import GRID, INK, MUTED, PANEL, PAPER, QUIET, Colour, series
from .placing import shortened

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

LINE, PAD, GAP = 15.0, 5.0, 14.0  # of text, inside of a box, between boxes
LANE = 7.0  # of a window's bar
FINAL = "final"  # the name of the backbone's own loss, which is better known by what it is
MANY = 20  # blocks, from which on a block has one line


@dataclass(frozen=True)
class Chip:
    """Something at a unit's end: text in a frame of its level's colour."""

    text: str
    weight: str
    grid: tuple[int, int] | None
    level: int
    said: str
    sources: tuple[int, ...] = ()  # blocks that an EMA link copies from

    def width(self, size: float) -> float:
        """In points."""
        grid = GRID_SIZE + 4 if self.grid else 0
        return 12 + text_width(self.text, size) + (text_width(self.weight, size) + 4 if self.weight else 0) + grid


GRID_SIZE = 9.0


@dataclass(frozen=True)
class Row:
    """A block and what ends with it, laid out: chips by line."""

    block: BlockShown
    lines: tuple[str, ...]  # in the box
    chips: tuple[tuple[Chip, ...], ...]

    @property
    def height(self) -> float:
        """In points."""
        return max(len(self.lines) * LINE + 2 * PAD, len(self.chips) * (LINE + 5) - 2)


class Sheet:
    """Where everything goes for a width; y grows downwards."""

    def __init__(self, found: Diagram, width: float, layers: bool) -> None:
        self.found, self.width, self.wide = found, width, width >= 560
        self.size = 10.5
        self.many = len(found.blocks) >= MANY and not layers
        self.lanes = _lanes(found)
        margin = 6.0
        self.box = margin + LANE * sum(self.lanes.values()) + 4 * len(self.lanes) + 4
        self.box_width = (300.0 if layers else 250.0) if self.wide else (150.0 if layers else 124.0)
        self.elbows = _elbows(found)
        self.chips = self.box + self.box_width + 14 + 5 * max(self.elbows.values(), default=-1) + 5
        room = width - margin - self.chips
        self.rows = [Row(b, tuple(self._lines(b, layers)), tuple(self._chips(b.index, room))) for b in found.blocks]
        self.head = 12 + LINE * len(found.levels) + 24
        self.tops: list[float] = []
        y = self.head
        for row in self.rows:
            self.tops.append(y)
            y += row.height + (GAP - 4 if self.many else GAP)
        self.height = y + 24

    def _lines(self, block: BlockShown, layers: bool) -> Iterator[str]:
        room = self.box_width - 2 * PAD - 4
        if layers:
            yield f"block {block.index}"
            for layer in block.layers:
                yield shortened(layer.name, self.size - 1, room - text_width(layer.output, self.size - 1) - 6)
            return
        if self.many:
            yield str(block.index)
            return
        yield f"block {block.index}"
        yield shortened(block.span, self.size - 1, room)

    def _chips(self, block: int, room: float) -> Iterator[tuple[Chip, ...]]:
        """What ends with a block in lines that are no wider than there is room; each unit begins one, of few blocks."""
        units = [list(self._of(unit, room)) for unit in self.found.ending(block)]
        for chips in [list(chain.from_iterable(units))] if self.many else units:
            line: list[Chip] = []
            for chip in chips:
                if line and sum(c.width(self.size - 1) + 5 for c in (*line, chip)) - 5 > room:
                    yield tuple(line)
                    line = []
                line.append(chip)
            if line:
                yield tuple(line)

    def _of(self, unit: UnitShown, room: float) -> Iterator[Chip]:
        for link in unit.links:
            text = f"EMA of {link.layers}" if self.wide else "EMA"
            text = shortened(text, self.size - 1, min(room - 12, 190))
            yield Chip(text, "", None, unit.level, f"{unit.name}: {link.said}", (link.source,))
        for head in unit.heads:
            weight = f"×{head.weight:.3g}" if self.wide and not self.many else ""
            name = head.loss if head.name == FINAL else head.name
            yield Chip(shortened(name, self.size - 1, room - 40), weight, head.grid, unit.level,
                       f"{unit.name}: {head.said}")  # fmt: skip

    def middle(self, block: int) -> float:
        """The y of the first line of what ends with a block."""
        row = self.rows[block]
        return self.tops[block] + min(row.height, LINE + 2 * PAD) / 2


def _lanes(found: Diagram) -> dict[int, int]:
    """How many bars of a level lie beside each other."""
    return {i: max(level.window, 1) if level.window < len(found.blocks) else 1 for i, level in enumerate(found.levels)}


def _elbows(found: Diagram) -> dict[tuple[int, int], int]:
    """The lanes of links between the blocks and the heads, by where they end and begin: what overlaps goes abreast."""
    lanes: list[int] = []
    chosen: dict[tuple[int, int], int] = {}
    for end, source in sorted({(unit.end, link.source) for unit in found.units for link in unit.links}):
        first, last = sorted((end, source))
        lane = next((i for i, busy in enumerate(lanes) if busy <= first), len(lanes))
        lanes[lane : lane + 1] = [last]
        chosen[end, source] = lane
    return chosen


@drawn
def block_diagram(plan: Plan, width: float = 720, *, layers: bool = False) -> Picture:
    """A plan's blocks, units, heads and links."""
    found = diagram(plan)
    sheet, tips = Sheet(found, width, layers), Tips()
    figure = new_figure(width, sheet.height)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(sheet.height, 0)
    _legend(axes, sheet)
    for unit in found.units:
        _window(axes, sheet, unit, tips)
    for row, top in zip(sheet.rows, sheet.tops, strict=True):
        _block(axes, sheet, row, top, tips, layers)
        _ends(axes, sheet, row, top, tips)
    for end, source in sheet.elbows:
        _link(axes, sheet, end, source)
    return Picture(f"{found.name}: blocks, units and heads", found.summary, figure, tips)


def _legend(axes: Axes, sheet: Sheet) -> None:
    """The levels by their colours, above all; what goes in and what comes out."""
    for i, level in enumerate(sheet.found.levels):
        y = 12 + LINE * i
        axes.plot([8, 8], [y - 5, y + 5], color=series(i).light, linewidth=4, solid_capstyle="butt")
        axes.text(16, y, _said(level, len(sheet.found.blocks)), fontsize=sheet.size, va="center", color=series(i).light)
    middle = sheet.box + sheet.box_width / 2
    blocks = sheet.found.blocks
    given = f"{sheet.found.samples} {blocks[0].input}"
    axes.text(middle, sheet.head - 12, given, fontsize=sheet.size - 1, ha="center", va="bottom", color=MUTED.light)
    _arrow(axes, (middle, sheet.head - 10), (middle, sheet.head - 1), QUIET)
    bottom = sheet.tops[-1] + sheet.rows[-1].height
    _arrow(axes, (middle, bottom + 1), (middle, bottom + 11), QUIET)
    axes.text(
        middle, bottom + 22, f"logits {blocks[-1].output}", fontsize=sheet.size - 1, ha="center", color=MUTED.light
    )


def _said(level: LevelShown, blocks: int) -> str:
    many = "all blocks" if level.window == blocks > 1 else "1 block" if level.window == 1 else f"{level.window} blocks"
    return f"{level.name}: gradient through {many}"


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: Colour) -> None:
    """A line with a small head, straight down or straight to the right."""
    (x, y), (end_x, end_y) = start, end
    if x == end_x:
        head = [(end_x - 2.6, end_y - 5), (end_x + 2.6, end_y - 5), end]
        axes.plot([x, x], [y, end_y - 4], color=colour.light, linewidth=1, solid_capstyle="butt")
    else:
        head = [(end_x - 5, end_y - 2.6), (end_x - 5, end_y + 2.6), end]
        axes.plot([x, end_x - 4], [y, y], color=colour.light, linewidth=1.1, solid_capstyle="butt")
    axes.fill(*zip(*head, strict=True), facecolor=colour.light, linewidth=0, zorder=3)


def _window(axes: Axes, sheet: Sheet, unit: UnitShown, tips: Tips) -> None:
    """A bar beside the blocks that a unit trains."""
    before = sum(sheet.lanes[level] * LANE + 4 for level in range(unit.level))
    x = 8 + before + (unit.end % sheet.lanes[unit.level]) * LANE
    top, bottom = sheet.tops[unit.start], sheet.tops[unit.end] + sheet.rows[unit.end].height
    (bar,) = axes.plot(
        [x, x], [top + 1, bottom - 1], color=series(unit.level).light, linewidth=3.5, solid_capstyle="butt"
    )
    tips.add(bar, "\n".join(unit.lines))


def _box(axes: Axes, left: float, top: float, width: float, height: float, fill: Colour, edge: Colour) -> Artist:
    from matplotlib.patches import FancyBboxPatch

    return axes.add_patch(FancyBboxPatch(
        (left, top), width, height, boxstyle="round,pad=0,rounding_size=4", facecolor=fill.light, edgecolor=edge.light,
        linewidth=1,
    ))  # fmt: skip


def _block(axes: Axes, sheet: Sheet, row: Row, top: float, tips: Tips, layers: bool) -> None:
    """A block, and the cut behind it."""
    block, size, right = row.block, sheet.size, sheet.box + sheet.box_width - PAD - 2
    box = _box(axes, sheet.box, top, sheet.box_width, row.height, PANEL, GRID)
    tips.add(box, f"block {block.index}: {block.span}, {block.parameters:,} parameters, gives {block.output}")
    y = top + PAD + LINE / 2
    for i, line in enumerate(row.lines):
        axes.text(sheet.box + PAD + 2, y + i * LINE, line, fontsize=size if i == 0 else size - 1, va="center_baseline",
                  weight="bold" if i == 0 else "normal", color=(MUTED if i else INK).light)  # fmt: skip
    room = sheet.box_width - 2 * PAD - 10 - text_width(row.lines[0], size, bold=True)
    fits = text_width(block.output, size - 1) <= room and (sheet.wide or not sheet.many)
    shape = block.output if fits else ""  # it is told when the block is pointed at
    axes.text(right, y, shape, fontsize=size - 1, va="center_baseline", ha="right", color=MUTED.light)
    if layers:
        for i, layer in enumerate(block.layers, 1):
            axes.text(right, y + i * LINE, layer.output, fontsize=size - 1, va="center_baseline", ha="right",
                      color=MUTED.light)  # fmt: skip
    elif sheet.wide and not sheet.many:
        count = f"{block.parameters:,} parameters"
        if text_width(count, size - 1) + text_width(row.lines[1], size - 1) + 20 < sheet.box_width:
            axes.text(right, y + LINE, count, fontsize=size - 1, va="center_baseline", ha="right", color=MUTED.light)
    elif sheet.many:
        room = sheet.box_width - 44 - text_width(shape, size - 1)
        axes.text(sheet.box + 28, y, shortened(block.span, size - 1, room), fontsize=size - 1, va="center_baseline",
                  color=MUTED.light)  # fmt: skip
    if block.index + 1 < len(sheet.rows):
        bottom, after = top + row.height, sheet.tops[block.index + 1]
        middle = sheet.box + sheet.box_width / 2
        axes.plot([sheet.box, sheet.box + sheet.box_width], [(bottom + after) / 2] * 2, color=QUIET.light,
                  linewidth=0.8, dashes=(3, 3))  # fmt: skip
        _arrow(axes, (middle, bottom + 0.5), (middle, after - 0.5), QUIET)


def _ends(axes: Axes, sheet: Sheet, row: Row, top: float, tips: Tips) -> None:
    """The heads and links of the units that end with a block."""
    size, y = sheet.size - 1, sheet.middle(row.block.index)
    if row.chips:
        axes.plot([sheet.box + sheet.box_width, sheet.chips], [y, y], color=QUIET.light, linewidth=0.8, zorder=1)
    for line in row.chips:
        x = sheet.chips
        for chip in line:
            width = chip.width(size)
            box = _box(axes, x, y - LINE / 2 - 0.5, width, LINE + 1, PAPER, series(chip.level))
            tips.add(box, chip.said)
            axes.text(x + 6, y, chip.text, fontsize=size, va="center_baseline")
            end = x + width - 6
            if chip.grid:
                _patches(axes, end - GRID_SIZE, y, chip.grid, series(chip.level))
                end -= GRID_SIZE + 4
            axes.text(end, y, chip.weight, fontsize=size, va="center_baseline", ha="right", color=MUTED.light)
            x += width + 5
        y += LINE + 5


def _patches(axes: Axes, left: float, middle: float, grid: Sequence[int], colour: Colour) -> None:
    """A small grid of as many rows and columns as there are patches, up to four."""
    rows, columns = (min(n, 4) for n in grid)
    top, high, wide = middle - GRID_SIZE / 2, GRID_SIZE / rows, GRID_SIZE / columns
    for i in range(rows + 1):
        axes.plot([left, left + GRID_SIZE], [top + i * high] * 2, color=colour.light, linewidth=0.8)
    for i in range(columns + 1):
        axes.plot([left + i * wide] * 2, [top, top + GRID_SIZE], color=colour.light, linewidth=0.8)


def _link(axes: Axes, sheet: Sheet, end: int, source: int) -> None:
    """From the block whose layers are averaged to the first unit that has the copy; all others have it beside that."""
    lines = enumerate(sheet.rows[end].chips)
    line, level = next((i, chip.level) for i, chips in lines for chip in chips if source in chip.sources)
    start, colour = sheet.box + sheet.box_width, series(level)
    low, high = sheet.middle(source) - 4, sheet.middle(end) + line * (LINE + 5) + (4 if line == 0 else 0)
    x = start + 8 + 5 * sheet.elbows[end, source]
    axes.plot([start, x, x], [low, low, high], color=colour.light, linewidth=1.1, solid_joinstyle="round", zorder=2)
    _arrow(axes, (x, high), (sheet.chips - 0.5, high), colour)

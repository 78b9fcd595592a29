"""How a table gives way to the width that there is: shorter words, fewer columns, in the end one card a row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from ..diagnostics.words import printable, shortened, wrapped, written
from .columns import Column

CARDS = 72  # columns, below which rows that do not fit become cards
LEAST = 9  # cells that a shortened text has at least
NOTHING = ("", "–", "-")
Line = list[tuple[str, str]]  # pieces of text, each with its role: "", "head", "rule" or "key"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Lines that fit, and whether something in them had to be shortened."""

    lines: list[Line]
    shortened: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a table is shown."""

    width: int
    encoding: str = "utf-8"

    def text(self, text: str) -> str:
        """The text as it will be seen."""
        return written(printable(text), self.encoding)

    @property
    def ellipsis(self) -> str:
        """What stands for what is left out."""
        return self.text("…")


def fitted(columns: Sequence[Column], rows: Sequence[Sequence[str]], place: Place) -> Fitted:
    """The table in the columns of a terminal: as it is, tighter, with columns under their rows, or as cards."""
    telling = [n for n in range(len(columns)) if not rows or {row[n] for row in rows} - set(NOTHING)] or [0]
    seen = [replace(columns[n], name=place.text(columns[n].name)) for n in telling]
    grid = Grid(seen, [[place.text(row[n]) for n in telling] for row in rows], place)
    order = sorted((n for n, c in enumerate(seen) if n and c.stacks), key=lambda n: seen[n].stacks)
    order = order if place.width >= CARDS else []
    short = grid.brief()
    attempts = (
        *(grid.fit(gap, []) for gap in (3, 2)),
        *(short.fit(2, order[:count], wraps=True) for count in range(len(order) + 1)),
        short.fit(2, order, wraps=True, loses=True),
    )
    return next(filter(None, attempts), None) or cards(grid)


@dataclass(frozen=True, slots=True)
class Grid:
    """Cells in columns."""

    columns: list[Column]
    rows: list[list[str]]
    place: Place

    def brief(self) -> Grid:
        """With the shorter form of whatever has one."""
        columns = [replace(c, name=c.brief_name or c.name) for c in self.columns]
        rows = [[c.brief(cell) if c.brief else cell for c, cell in zip(columns, row, strict=True)] for row in self.rows]
        return replace(self, columns=columns, rows=rows)

    def fit(self, gap: int, below: Sequence[int], *, wraps: bool = False, loses: bool = False) -> Fitted | None:
        """The table with some columns below their rows, if it fits by that and by what its other columns may do."""
        shown = [n for n in range(len(self.columns)) if n not in below]
        room = self.place.width - gap * (len(shown) - 1)
        widths = {n: self.natural(n) for n in shown}
        if wraps:
            _narrow(widths, {n: self.least(n) for n in shown}, room)
        if loses:
            _narrow(widths, {n: self.least(n, loses=True) for n in shown}, room)
        if sum(widths.values()) > room:
            return None
        return Fitted(list(self.lines(shown, widths, gap)), any(self.lost(n, widths[n]) for n in shown))

    def lost(self, n: int, width: int) -> bool:
        """Whether some of a column is left out where it is so wide."""
        return any(cell_len(part) > width for row in self.rows for part in self.columns[n].parts(row[n]))

    def natural(self, n: int) -> int:
        """The width that a column would like."""
        return max(cell_len(text) for text in (self.columns[n].name, *(row[n] for row in self.rows)))

    def least(self, n: int, *, loses: bool = False) -> int:
        """The width that a column can do with: of its longest part, or of what is left of that."""
        column = self.columns[n]
        longest = max((cell_len(part) for row in self.rows for part in column.parts(row[n])), default=0)
        if loses and column.shortens:
            least = max((column.least_of(row[n], self.place.ellipsis) for row in self.rows), default=0)
            longest = min(longest, max(least, LEAST))
        return max(longest, cell_len(column.name))

    def lines(self, shown: Sequence[int], widths: dict[int, int], gap: int) -> Iterator[Line]:
        """Heading, rule, rows, and below each row what has no column."""
        names = [self.columns[n].aligned(self.columns[n].name, widths[n]) for n in shown]
        yield [((" " * gap).join(names).rstrip(), "head")]
        total = sum(widths.values()) + gap * (len(shown) - 1)
        yield [(self.place.text("─") * total, "rule")]
        for row in self.rows:
            cells = [self.columns[n].broken(row[n], widths[n], self.place.ellipsis) for n in shown]
            for number in range(max(map(len, cells))):
                line = [self.columns[n].aligned(cell[number] if number < len(cell) else "", widths[n])
                        for n, cell in zip(shown, cells, strict=True)]  # fmt: skip
                yield [((" " * gap).join(line).rstrip(), "")]
            yield from self.under(row, shown, widths[shown[0]] + gap)

    def under(self, row: Sequence[str], shown: Sequence[int], indent: int) -> Iterator[Line]:
        """What has no column, as `name: value` in lines of their own."""
        said = [(f"{c.name}: ", row[n]) for n, c in enumerate(self.columns) if n not in shown and row[n] not in NOTHING]
        beside = [(" " * indent, "")]
        for name, value in said:
            beside += [("   " if beside[1:] else "", ""), (name, "key"), (value, "")]
        if sum(cell_len(text) for text, _ in beside) <= self.place.width:
            yield from [beside] * bool(said)
            return
        for name, value in said:
            yield from pair(name, value, indent, self.place)


def _narrow(widths: dict[int, int], least: Mapping[int, int], room: int) -> None:
    """Take cells away from the widest column, and again, until all fit or none has any to give."""
    while sum(widths.values()) > room:
        giving = [n for n in widths if widths[n] > least[n]]
        if not giving:
            return
        widths[max(giving, key=lambda n: widths[n])] -= 1


def pair(name: str, value: str, indent: int, place: Place, align: int = 0) -> Iterator[Line]:
    """A name and its value, which goes on below itself."""
    begins = indent + max(cell_len(name), align)
    width = place.width - begins
    pieces = [piece for line in wrapped(value, width) for piece in [shortened(line, width, place.ellipsis)]]
    for number, piece in enumerate(pieces):
        key = " " * indent + name if not number else ""
        yield [(key + " " * (begins - cell_len(key)), "key"), (piece, "")]


def cards(grid: Grid) -> Fitted:
    """One card a row: its first cell as heading, then a line for each of the others that says something."""
    lines: list[Line] = []
    heading = next((n for n, column in enumerate(grid.columns) if column.heads), 0)
    align = max(cell_len(c.name) for n, c in enumerate(grid.columns) if n != heading) + 2
    for row in grid.rows:
        column = grid.columns[heading]
        title = f"{column.name} {row[heading]}" if column.right else row[heading]
        lines += [[]] * bool(lines)
        lines.append([(shortened(title, grid.place.width, grid.place.ellipsis), "head")])
        for n, cell in enumerate(row):
            if n != heading and cell not in NOTHING:
                lines += pair(grid.columns[n].name, cell, 2, grid.place, align)
    widest = grid.place.width - 2 - align
    lost = any(cell_len(word) > widest for row in grid.rows for cell in row for word in cell.split())
    return Fitted(lines, lost)

"""Tables as data, which rich prints: fitted to a terminal, as plain rows elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style

from ..diagnostics.words import printable, shortened, wrapped
from .columns import Column
from .fitting import Line, Place, fitted

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_ROLES = {"head": Style(bold=True), "rule": Style(dim=True), "key": Style(dim=True), "": Style.null()}


@dataclass(frozen=True, slots=True)
class Table:
    """A table, which fits itself into any terminal; elsewhere it is tab-separated rows of all there is.

    `whole` says where to find what had to be shortened.
    """

    title: str | None
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    whole: str = "--format json"

    def separated(self) -> Iterator[str]:
        """Rows for `cut`, `awk` and spreadsheets, the names of the columns first."""
        yield "\t".join(column.name for column in self.columns)
        yield from ("\t".join(map(printable, row)) for row in self.rows)

    def lines(self, place: Place) -> Iterator[Line]:
        """Title, table, and one line where something had to be shortened."""
        if self.title:
            lines = wrapped(place.text(self.title), place.width)
            yield from ([(shortened(line, place.width, place.ellipsis), "head")] for line in lines)
            yield []
        found = fitted(self.columns, self.rows, place)
        yield from found.lines
        yield []
        if found.shortened:
            said = f"{place.ellipsis} shortened to fit; all of it: {self.whole}"
            yield from ([(line, "key")] for line in wrapped(said, place.width))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not options.is_terminal:
            yield from (Segment(f"{row}\n") for row in self.separated())
            return
        for line in self.lines(Place(options.max_width, options.encoding)):
            yield from (Segment(text, _ROLES[role]) for text, role in line)
            yield Segment.line()


def table(
    title: str | None,
    left: Sequence[str | Column],
    right: Sequence[str | Column],
    rows: Iterable[Iterable[str]],
    *,
    whole: str = "--format json",
) -> Table:
    """Columns of text, then columns of figures; a column of which only the name is said is shortened in its middle."""
    texts = (c if isinstance(c, Column) else Column(c, shortens="middle") for c in left)
    figures = (c if isinstance(c, Column) else Column(c, right=True) for c in right)
    return Table(title, (*texts, *figures), tuple(map(tuple, rows)), whole)

"""The columns of a table, each of which says how it may give way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from ..diagnostics.words import shortened


@dataclass(frozen=True, slots=True)
class Column:
    """One column, and what becomes of it where a terminal is too narrow.

    `brief` makes a shorter text of a cell and `brief_name` is a shorter heading, which say the same. `shortens` is
    where an ellipsis may stand: in the `middle`, at the `end`, or between the `items` of a list; nothing of a column
    without it is left out. `wraps`: it may take several lines, broken behind commas, or in `prose` between words.
    Columns that have a number in `stacks` move below their row, the lowest first. `heads`: it is the heading of a card.
    """

    name: str
    right: bool = False
    brief_name: str = ""
    brief: Callable[[str], str] | None = None
    shortens: str = ""
    least: int = 0
    wraps: bool = False
    prose: bool = False
    stacks: int = 0
    heads: bool = False

    def parts(self, cell: str) -> list[str]:
        """What stands on one line for certain."""
        if self.prose:
            return cell.split() or [""]
        return cell.replace(", ", ",\n").split("\n") if self.wraps else [cell]

    def least_of(self, cell: str, ellipsis: str) -> int:
        """The cells that are left of a text: of a list its first item and its last."""
        first, *others = cell.split(", ")
        if self.shortens == "items" and others:
            return min(cell_len(cell), cell_len(f"{first}, {ellipsis} {others[-1]}"))
        return self.least

    def broken(self, cell: str, width: int, ellipsis: str) -> list[str]:
        """The cell in lines of its column."""
        if self.shortens == "items":
            return [_items(cell, width, ellipsis)]
        lines = _joined(self.parts(cell), width)
        return [shortened(line, width, ellipsis, at=self.shortens or "middle") for line in lines]

    def aligned(self, text: str, width: int) -> str:
        """The text with the blanks that its column needs: names to the left, figures to the right."""
        blanks = " " * (width - cell_len(text))
        return blanks + text if self.right else text + blanks


def _joined(parts: Sequence[str], width: int) -> list[str]:
    """Parts side by side, as many as a line takes."""
    lines = [parts[0]]
    for part in parts[1:]:
        if cell_len(lines[-1]) + 1 + cell_len(part) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(part)
    return lines


def _items(cell: str, width: int, ellipsis: str) -> str:
    """A list with its first items and the last one.

    >>> _items("stem, stage1.0, stage1.1, stage1.2, head", 24, "…")
    'stem, stage1.0, … head'
    """
    items = cell.split(", ")
    for count in range(len(items) - 1, 0, -1):
        kept = cell if count == len(items) - 1 else f"{', '.join(items[:count])}, {ellipsis} {items[-1]}"
        if cell_len(kept) <= width:
            return kept
    return shortened(cell, width, ellipsis)

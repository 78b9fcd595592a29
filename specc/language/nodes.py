"""What YAML text is made of: leaves, lists and mappings, each with where it stands; offsets as lines and columns."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from specc.diagnostics import Span
from specc.language import scalars


class Locator:
    """Turns offsets in a text into spans; `line` and `column` say where the text itself begins."""

    def __init__(self, file: str, text: str, line: int = 1, column: int = 1) -> None:
        self.file, self.text, self.line, self.column = file, text, line, column
        self.starts = [0, *(match.end() for match in re.finditer(r"\r\n?|\n", text))]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character."""
        row = bisect_right(self.starts, offset) - 1
        return self.line + row, offset - self.starts[row] + (1 if row else self.column)

    def start_of_line(self, offset: int) -> int:
        """The offset of the first character of the line that `offset` is in."""
        return self.starts[bisect_right(self.starts, offset) - 1]

    def span(self, start: int, end: int) -> Span:
        """The span of `text[start:end]`."""
        return Span(self.file, *self.position(start), *self.position(end))


@dataclass(slots=True, eq=False)
class Node:
    """A value and where it stands; `size` and `depth` are those of its text with the aliases expanded."""

    start: int
    end: int
    size: int = 1
    depth: int = 0


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A leaf; `text` is what was written, without quotes."""

    value: scalars.Scalar = None
    text: str = ""
    plain: bool = False

    @property
    def name(self) -> str | int:
        """What it is called as a key: units are numbered, everything else has a word."""
        return self.value if type(self.value) is int else self.text


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """Key and value pairs without duplicates, and the mappings that `<<` merges in."""

    pairs: list[tuple[Scalar, Node]] = field(default_factory=list)
    merged: list[Mapping] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Alias(Node):
    """`*name`, standing for another node."""

    target: Node = field(default_factory=lambda: Scalar(0, 0))


def dealias(node: Node) -> Node:
    """The node itself, or the one that an alias stands for."""
    return node.target if isinstance(node, Alias) else node

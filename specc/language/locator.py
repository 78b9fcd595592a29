"""Offsets in a text as lines and columns."""

from __future__ import annotations

import re
from bisect import bisect_right

from specc.diagnostics import Span


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

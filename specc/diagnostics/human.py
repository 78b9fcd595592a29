"""Diagnostics for people: the message, the lines of the spec with what is meant underlined, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len

from specc.diagnostics import Diagnostic, Severity, Span
from specc.diagnostics.words import beside, head, printable, words, wrapped, written

_TAB = 4
_WIDTH = 120  # of a source line where no width counts; a longer one is cut around what it is shown for
_BEFORE = 40  # cells kept in front of the mark when a line is cut, or a third of a narrow terminal
_LEGIBLE = 24  # cells that a label has at least, or it goes below its mark
_COLOURS = {"error": "1;31", "warning": "1;33", "note": "1;36", "frame": "1;34", "secondary": "1;34", "bold": "1"}


@dataclass(frozen=True, slots=True)
class _Mark:
    """What stands under one source line: characters `start` to `end` (from 0) are underlined."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of a source line that is shown: its text, and the cells of the line that it begins and ends with."""

    text: str
    first: int
    last: int

    def holds(self, start: int, end: int) -> bool:
        """Whether a mark has a place under it."""
        return self.first <= start < self.last or (start == end == self.last)


class Human:
    """Writes diagnostics; lines end between words where there is a width, and only there."""

    def __init__(self, sources: Mapping[str, str], *, color: bool, width: int | None, encoding: str) -> None:
        self.color, self.width, self.encoding = color, width, encoding
        self.lines = {name: split_lines(text) for name, text in sources.items()}
        self.ellipsis = written("…", encoding)

    def report(self, diagnostics: Sequence[Diagnostic]) -> str:
        """All of them, and how many there are."""
        if not diagnostics:
            return ""
        blocks = ["\n".join(self.block(diagnostic)) for diagnostic in diagnostics]
        return "\n\n".join([*blocks, summary(diagnostics)])

    def block(self, diagnostic: Diagnostic) -> Iterator[str]:
        """One of them."""
        kind = f"{diagnostic.severity}[{diagnostic.code}]"
        indent, (first, *others) = beside(f"{kind}: ", self.text(diagnostic.message), self.width)
        yield self.paint(diagnostic.severity, kind) + self.paint("bold", f": {first}")
        yield from (" " * indent + self.paint("bold", line) for line in others)
        spans = [span for span, _ in _places(diagnostic)]
        gutter = max([4, *(len(str(span.end_line)) for span in spans)])
        for file in dict.fromkeys(span.file for span in spans):
            yield from self.snippet(diagnostic, file, gutter)
        yield from self.help(diagnostic, gutter)

    def snippet(self, diagnostic: Diagnostic, file: str, gutter: int) -> Iterator[str]:
        """The lines of one file that it is about."""
        places = [(span, text) for span, text in _places(diagnostic) if span.file == file]
        first, primary = places[0][0], diagnostic.span
        arrow = "-->" if first is primary else ":::"
        yield self.paint("frame", f"  {arrow} ") + f"{self.text(file)}:{first.line}:{first.column}"
        lines = self.lines.get(file, [])
        marks = [mark for span, text in places for mark in _marks(span, text, lines, span is primary)]
        previous = 0
        for number, group in groupby(sorted(marks, key=lambda mark: (mark.line, mark.start)), lambda mark: mark.line):
            if previous and number > previous + 1:
                yield self.paint("frame", "." * 3)
            yield from self.source_line(lines[number - 1], list(group), f"{number:>{gutter}}", diagnostic.severity)
            previous = number

    def source_line(self, text: str, marks: list[_Mark], gutter: str, severity: Severity) -> Iterator[str]:
        """One line, with its marks below it; once more where a mark is too far away from the one before."""
        shown, room = self.shown(text), (self.width or _WIDTH + len(gutter) + 3) - len(gutter) - 3
        blank, window = self.paint("frame", " " * len(gutter) + " | "), None
        for mark in marks:
            start, end = (cell_len(self.shown(text[: max(at, 0)])) for at in (mark.start, mark.end))
            if window is None or not window.holds(start, end):
                window = self.window(shown, start, end, room)
                yield self.paint("frame", f"{gutter} | ") + window.text
            left = start - window.first
            length = max(min(end, window.last) - start, 1)
            role = severity if mark.primary else "secondary"
            for indent, line in self.under(mark, left, length, room):
                yield blank + " " * indent + self.paint(role, line)

    def under(self, mark: _Mark, left: int, length: int, room: int) -> Iterator[tuple[int, str]]:
        """A mark and what it says, beside it if there is room, else below."""
        line, text = ("^" if mark.primary else "-") * length, self.text(mark.text)
        rest = room - left - length - 1
        if not text or self.width is None or cell_len(text) <= rest:
            yield left, f"{line} {text}" if text else line
            return
        if rest >= _LEGIBLE:
            first, *others = wrapped(text, rest)
            yield left, f"{line} {first}"
            yield from ((left + length + 1, other) for other in others)
            return
        yield left, line
        least = max(min(cell_len(text), _LEGIBLE), *map(cell_len, words(text, room)))
        begin = max(0, min(left, room - least))
        yield from ((begin, other) for other in wrapped(text, room - begin))

    def window(self, shown: str, start: int, end: int, room: int) -> _Window:
        """The cells of a line around a mark, with an ellipsis where something is left out."""
        total, dots = cell_len(shown), cell_len(self.ellipsis)
        if total <= room:
            return _Window(shown, 0, max(total, end) + 1)
        first = max(0, start - min(_BEFORE, room // 3))
        first = max(first, min(end + dots - room, start - dots))
        first = min(first, max(0, total - room))
        last = min(first + room, total)
        text = _cells(shown, first, last)
        if first:
            text = self.ellipsis + _cells(text, dots, cell_len(text))
        if last < total:
            text = _cells(text, 0, room - dots) + self.ellipsis
        return _Window(text, first, last)

    def help(self, diagnostic: Diagnostic, gutter: int) -> Iterator[str]:
        """What to do, and where to read more."""
        explain = f"specc explain {diagnostic.code}"
        lead = " " * (gutter - 1) + "= "
        texts = [self.text(line) for line in diagnostic.help]
        lines = [line for text in texts for line in self.hung(f"{lead}help: ", text)]
        if lines and (self.width is None or cell_len(f"{lines[-1]}     ({explain})") <= self.width):
            lines[-1] += f"     ({explain})"
        else:
            lines.append(f"{lead}help: {explain}")
        yield from (self.paint("frame", lead) + x.removeprefix(lead) if x.startswith(lead) else x for x in lines)

    def hung(self, lead: str, text: str) -> list[str]:
        """A lead and its text, in lines."""
        indent, (first, *others) = beside(lead, text, self.width)
        return [lead + first, *(" " * indent + other for other in others)]

    def text(self, text: str) -> str:
        """The text as it will be seen."""
        return written(printable(text), self.encoding)

    def shown(self, text: str) -> str:
        """A part of a source line as it will be seen, with blanks for tabs."""
        return written(_show(text), self.encoding)

    def paint(self, role: str, text: str) -> str:
        """The text in the colour of its role."""
        return f"\x1b[{_COLOURS[role]}m{text}\x1b[0m" if self.color else text


def _places(diagnostic: Diagnostic) -> list[tuple[Span, str]]:
    primary = [(diagnostic.span, diagnostic.label)] if diagnostic.span else []
    return primary + [(label.span, label.text) for label in diagnostic.secondary]


def _marks(span: Span, text: str, lines: list[str], primary: bool) -> Iterator[_Mark]:
    """The underlines of a span: one, or one on its first and one on its last line, which carries the text."""
    if span.line > len(lines):
        return
    if span.end_line == span.line or span.end_line > len(lines):
        yield _Mark(span.line, span.column - 1, max(span.end_column, span.column) - 1, text, primary)
        return
    last = lines[span.end_line - 1]
    indent = min(len(last) - len(last.lstrip()), span.end_column - 1)
    yield _Mark(span.line, span.column - 1, len(lines[span.line - 1]), "", primary)
    yield _Mark(span.end_line, indent, span.end_column - 1, text, primary)


def _cells(text: str, first: int, last: int) -> str:
    """The cells of a text from one to before another; half of a wide letter is a blank."""
    before = head(text, first)
    rest = text[len(before) :]
    if cell_len(before) < first:
        rest = " " * (cell_len(before + rest[:1]) - first) + rest[1:]
    taken = head(rest, last - first)
    return taken + " " * (min(last - first, cell_len(rest)) - cell_len(taken))


def _show(text: str) -> str:
    """The line as a terminal should get it: tabs as spaces, nothing that moves the cursor.

    >>> _show("a\\tb")
    'a   b'
    """
    shown = ""
    for part in re.split(r"(\t)", text):
        shown += " " * (_TAB - cell_len(shown) % _TAB) if part == "\t" else printable(part)
    return shown


def display_width(text: str) -> int:
    """How many terminal columns a text takes as it is shown: wide characters two, combining ones none.

    >>> [display_width(text) for text in ("abc", "\\tb", "層1", "e\\u0301", "\\0")]
    [3, 5, 3, 1, 1]
    """
    return cell_len(_show(text))


def split_lines(text: str) -> list[str]:
    """The lines of a YAML text; unlike `str.splitlines`, only where YAML 1.2 breaks them."""
    return re.split(r"\r\n|\r|\n", text)


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """How many there are, like `2 errors, 1 warning`."""
    counts = [(severity, sum(d.severity is severity for d in diagnostics)) for severity in Severity]
    return ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts if count) or "no errors"

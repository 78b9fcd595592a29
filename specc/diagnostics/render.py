"""Diagnostics as text: for people, for grep, for programs, for GitHub and for code-scanning tools."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from rich.cells import cell_len

from specc.diagnostics import Diagnostic, Severity, Span
from specc.diagnostics.sarif import sarif
from specc.diagnostics.words import printable

FORMAT_VERSION = 1
_TAB = 4
_WIDTH = 120  # of a source line; a longer one is cut around what it is shown for
_BEFORE = 40  # characters kept in front of the mark when a line is cut
_COLOURS = {"error": "1;31", "warning": "1;33", "note": "1;36", "frame": "1;34", "secondary": "1;34", "bold": "1"}


def render(
    diagnostics: Sequence[Diagnostic], sources: Mapping[str, str], format: str = "human", color: bool = False
) -> str:
    """The diagnostics in one of `FORMATS`; `sources` maps a file's name to its text. Colour is for people only."""
    if format == "human":
        return _Human(sources, color).report(diagnostics)
    if line := _LINES.get(format):
        return "\n".join(map(line, diagnostics))
    document = to_json(diagnostics) if format == "json" else sarif(diagnostics, sources)
    return json.dumps(document, indent=2, allow_nan=False)


# -- for people --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Mark:
    """What stands under one source line: characters `start` to `end` (from 0) are underlined."""

    line: int
    start: int
    end: int
    text: str
    primary: bool


class _Human:
    def __init__(self, sources: Mapping[str, str], color: bool) -> None:
        self.color = color
        self.lines = {name: split_lines(text) for name, text in sources.items()}

    def report(self, diagnostics: Sequence[Diagnostic]) -> str:
        if not diagnostics:
            return ""
        blocks = ["\n".join(self.block(diagnostic)) for diagnostic in diagnostics]
        return "\n\n".join([*blocks, summary(diagnostics)])

    def block(self, diagnostic: Diagnostic) -> Iterator[str]:
        head = self.paint(diagnostic.severity, f"{diagnostic.severity}[{diagnostic.code}]")
        yield head + self.paint("bold", f": {printable(diagnostic.message)}")
        spans = [span for span, _ in _places(diagnostic)]
        width = max([4, *(len(str(span.end_line)) for span in spans)])
        for file in dict.fromkeys(span.file for span in spans):
            yield from self.snippet(diagnostic, file, width)
        yield from self.help(diagnostic, width)

    def snippet(self, diagnostic: Diagnostic, file: str, width: int) -> Iterator[str]:
        places = [(span, text) for span, text in _places(diagnostic) if span.file == file]
        first, primary = places[0][0], diagnostic.span
        arrow = "-->" if first is primary else ":::"
        yield self.paint("frame", f"  {arrow} ") + f"{printable(file)}:{first.line}:{first.column}"
        lines = self.lines.get(file, [])
        marks = [mark for span, text in places for mark in _marks(span, text, lines, span is primary)]
        previous = 0
        for number, group in groupby(sorted(marks, key=lambda mark: (mark.line, mark.start)), lambda mark: mark.line):
            if previous and number > previous + 1:
                yield self.paint("frame", "." * 3)
            yield from self.source_line(lines[number - 1], list(group), f"{number:>{width}}", diagnostic.severity)
            previous = number

    def source_line(self, text: str, marks: list[_Mark], gutter: str, severity: Severity) -> Iterator[str]:
        text, offset = _cut(text, marks[0].start)
        yield self.paint("frame", f"{gutter} | ") + _show(text)
        for mark in marks:
            start, end = (min(max(at - offset, 0), len(text)) for at in (mark.start, mark.end))
            left = display_width(text[:start])
            length = max(display_width(text[:end]) - left, 1)
            under = ("^" if mark.primary else "-") * length + (f" {printable(mark.text)}" if mark.text else "")
            blank = self.paint("frame", " " * len(gutter) + " | ")
            yield blank + " " * left + self.paint(severity if mark.primary else "secondary", under)

    def help(self, diagnostic: Diagnostic, width: int) -> Iterator[str]:
        explain = f"specc explain {diagnostic.code}"
        *lines, last = [printable(line) for line in diagnostic.help] or [explain]
        for line in [*lines, last if last == explain else f"{last}     ({explain})"]:
            yield self.paint("frame", " " * (width - 1) + "= ") + f"help: {line}"

    def paint(self, role: str, text: str) -> str:
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


def _cut(text: str, start: int) -> tuple[str, int]:
    """The part of a line to show, and how many characters were left out in front of it."""
    if len(text) <= _WIDTH:
        return text, 0
    offset = max(0, start - _BEFORE)
    return text[offset : offset + _WIDTH], offset


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


# -- for programs ------------------------------------------------------------------------------------------------


def _concise(diagnostic: Diagnostic) -> str:
    return printable(str(diagnostic))


def to_json(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """The document of `--format json`: the fields of `Diagnostic` as they are, and the counts."""
    counts = Counter(diagnostic.severity for diagnostic in diagnostics)
    return {
        "format_version": FORMAT_VERSION,
        **{f"{severity}s": counts[severity] for severity in Severity},
        "diagnostics": [asdict(diagnostic) for diagnostic in diagnostics],
    }


def _github(diagnostic: Diagnostic) -> str:
    """A workflow command."""
    properties = {**_github_position(diagnostic.span), "title": diagnostic.code}
    written = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
    text = "\n".join(filter(None, [diagnostic.message, diagnostic.label, *diagnostic.help]))
    command = "notice" if diagnostic.severity is Severity.NOTE else diagnostic.severity
    return f"::{command} {written}::{_escape(text)}"


def _github_position(span: Span | None) -> dict[str, str]:
    if span is None:
        return {}
    position = {"file": span.file, "line": str(span.line), "endLine": str(span.end_line)}
    if span.line == span.end_line:  # GitHub takes columns within one line only, and its end is inclusive
        position |= {"col": str(span.column), "endColumn": str(max(span.end_column - 1, span.column))}
    return position


def _escape(text: str) -> str:
    """The text as GitHub reads it; what it shows must not drive the terminal of a log either."""
    lines = text.replace("%", "%25").replace("\r\n", "\n").split("\n")
    return "%0A".join(map(printable, lines))


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


_LINES: dict[str, Callable[[Diagnostic], str]] = {"concise": _concise, "github": _github}
FORMATS = ("human", *_LINES, "json", "sarif")

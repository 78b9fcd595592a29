"""What a page is made of: sections that each answer a question, with text, figures and tables of every run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..pictures.drawing import Picture
from .charts.frames import NARROW, WIDE
from .suggestions import Suggestion

Tone = Literal["good", "warn", "bad", "plain"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under columns; all but the first are numbers, or whatever else goes to the right, unless it is `wordy`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    wordy: frozenset[int] = frozenset({0})
    marked: int | None = None  # the row to look at


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture, for wide screens and for narrow ones, and its data."""

    name: str  # of a file, and unique in a report
    title: str
    draw: Callable[[float], Picture]
    table: Table
    note: str = ""

    @property
    def wide(self) -> Picture:
        """For a screen, and for papers."""
        return self.draw(WIDE)

    @property
    def narrow(self) -> Picture:
        """For a telephone, and beside other runs."""
        return self.draw(NARROW)


@dataclass(frozen=True, slots=True)
class Code:
    """A text with its language's colours."""

    title: str
    text: str
    language: str = "yaml"


@dataclass(frozen=True, slots=True)
class Panel:
    """What a section has to say of one run; backticks in `texts` are code."""

    run: str
    texts: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[tuple[str, Table], ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    codes: tuple[Code, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not any((self.texts, self.figures, self.tables, self.suggestions, self.codes, self.commands))


@dataclass(frozen=True, slots=True)
class Section:
    """A question, and what every run answers."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    figures: tuple[Figure, ...] = field(default=())  # of all runs together
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A question that is answered at the top of the page, and where more is said of it."""

    question: str
    short: str
    text: str
    section: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Page:
    """A report."""

    title: str
    subtitle: tuple[str, ...]
    answers: tuple[tuple[str, tuple[Answer, ...]], ...]  # of every run
    differences: Table | None
    beside: Table | None
    sections: tuple[Section, ...]
    remarks: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def figures(self) -> list[Figure]:
        """All of them."""
        of_all = [figure for section in self.sections for figure in section.figures]
        return of_all + [f for section in self.sections for panel in section.panels for f in panel.figures]


def numbered(rows: Sequence[Sequence[object]]) -> tuple[tuple[str, ...], ...]:
    """Rows as text."""
    return tuple(tuple(str(cell) for cell in row) for row in rows)

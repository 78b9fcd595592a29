"""What specc has to say about a spec: plain values, with positions; `render` makes text of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile
from types import MappingProxyType

NO_ALIASES: Mapping[str, str] = MappingProxyType({})

_LONG = 1_000  # characters of a message: everything that is really said takes fewer
_LISTED = 16  # so many valid names are read at a glance; a longer list is cut
_TIED = 20  # so many equally good guesses are looked at
_COMPARED = 200  # difflib takes about 10 us a pair, and a spec may hold thousands of layer names


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A range of text. Lines and columns count characters from 1; the end is exclusive."""

    file: str
    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Label:
    """A remark on a second place that a diagnostic is about."""

    span: Span
    text: str


class Severity(StrEnum):
    """An error stops the compiler, a warning does not; a note says what was decided where the spec left it open."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding: a stable code, a sentence, and the text that caused it."""

    code: str
    message: str
    span: Span | None = None
    label: str = ""
    severity: Severity = Severity.ERROR
    secondary: tuple[Label, ...] = ()
    help: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Keep it readable: a spec may hold words of any length, and messages name them."""
        if len(self.message) > _LONG or len(self.label) > _LONG or any(len(line) > _LONG for line in self.help):
            object.__setattr__(self, "message", shorten(self.message))
            object.__setattr__(self, "label", shorten(self.label))
            object.__setattr__(self, "help", tuple(map(shorten, self.help)))

    @property
    def is_error(self) -> bool:
        """Whether the spec cannot be compiled because of it."""
        return self.severity is Severity.ERROR

    @property
    def spans(self) -> tuple[Span, ...]:
        """All places that it shows."""
        return (*((self.span,) if self.span else ()), *(label.span for label in self.secondary))

    def __str__(self) -> str:
        where = f"{self.span.file}:{self.span.line}:{self.span.column}: " if self.span else ""
        return f"{where}{self.severity}[{self.code}]: {self.message}"


class SpecError(Exception):
    """A spec with errors: all its diagnostics in file order, and the texts they point into."""

    def __init__(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, str]) -> None:
        self.diagnostics = sort(diagnostics)
        self.sources = sources
        super().__init__(self.diagnostics, sources)  # both, so that the exception survives pickling

    def __str__(self) -> str:
        return "\n".join(map(str, self.diagnostics))


def shorten(text: str) -> str:
    """The text with its longest words cut, and then itself, if it is too long to be read.

    >>> len(shorten("a word of " + "x" * 5000))
    73
    """
    if len(text) <= _LONG:
        return text
    words = re.sub(r"\S{80,}", lambda match: f"{match[0][:60]}...", text)
    return words if len(words) <= _LONG else f"{words[:_LONG]}..."


def sort(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """The diagnostics in file order, each once; those without a position come last."""
    return tuple(sorted(dict.fromkeys(diagnostics), key=_position))


def _position(diagnostic: Diagnostic) -> tuple[bool, str, int, int, str]:
    span = diagnostic.span
    if span is None:
        return True, "", 0, 0, diagnostic.code
    return False, span.file, span.line, span.column, diagnostic.code


def suggest(name: str, valid: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> str | None:
    """The valid name that was probably meant; `aliases` maps a field's common other names to it.

    >>> suggest("kernel", ["out", "k", "stride"], {"kernel": "k"})
    'k'
    >>> suggest("WeightDecay", ["weight_decay", "weight"])
    'weight_decay'
    >>> suggest("strid", ["out", "k", "stride"])
    'stride'
    >>> suggest("zebra", ["out", "k", "stride"]) is None
    True
    """
    names = list(valid)
    exact = {_fold(other): target for other, target in aliases.items() if target in names}
    exact |= {_fold(candidate): candidate for candidate in reversed(names)}
    if aliases.get(name) in names:
        return aliases[name]
    return exact.get(_fold(name)) or _nearest(name, names)


def did_you_mean(name: str, valid: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> tuple[str, ...]:
    """Help lines for an unknown name: the one that was probably meant, then the valid ones.

    >>> did_you_mean("strid", ["out", "k", "stride"])
    ('did you mean `stride`?', 'valid: out, k, stride')
    """
    names = list(valid)
    guess = suggest(name, names, aliases)
    lines = (f"did you mean `{guess}`?",) if guess else ()
    return (*lines, f"valid: {_listing(names)}") if names else lines


def _listing(names: list[str]) -> str:
    if len(names) <= _LISTED:
        return ", ".join(names)
    return f"{', '.join(names[:_LISTED])}, ... ({len(names)} in all)"


def _fold(name: str) -> str:
    return re.sub(r"[\s_.-]", "", name).casefold()


def _nearest(name: str, names: list[str]) -> str | None:
    folded = {_fold(candidate): candidate for candidate in reversed(_comparable(name, names))}
    wanted = _fold(name)[:80]
    matches = difflib.get_close_matches(wanted, folded, n=_TIED)
    best = max(matches, key=lambda match: _likeness(wanted, match), default=None)
    return folded[best] if best else None


def _likeness(wanted: str, match: str) -> tuple[float, int]:
    """How alike two names are; of equally alike ones, that which begins alike (`stage2.9`: `stage2.0`)."""
    common = takewhile(lambda pair: pair[0] == pair[1], zip(wanted, match, strict=False))
    return difflib.SequenceMatcher(None, match, wanted).ratio(), sum(1 for _ in common)


def _comparable(name: str, names: list[str]) -> list[str]:
    if len(names) <= _COMPARED:
        return names
    alike = [other for other in names if other[:1] == name[:1] and abs(len(other) - len(name)) <= 2]
    return alike[:_COMPARED]

"""A document as YAML with comments: sections apart, what is small on one line, remarks beside it or above."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from ..language import scalars
from ..language.source import Path

WIDTH = 120
COLUMN = 33  # of comments beside short lines, counted from 0

_IN_BRACKETS = re.compile(r"[\w./](?:[\w./ +*-]*[\w./+*-])?")  # text that needs no quotes
_ALONE = re.compile(r"[\w./$](?:[\w./ +*${}:-]*[\w./+*}-])?")

Remark = Callable[[Path], str]
Lines = Callable[[Path], list[str]]


class Writer:
    """Writes a document: `remark` is what is said of a key, `after` what stands below it."""

    def __init__(self, remark: Remark, after: Lines) -> None:
        self.remark, self.after = remark, after

    def text(self, document: dict[str, Any]) -> str:
        """The whole of it."""
        lines: list[str] = []
        for key, value in document.items():
            if isinstance(value, dict | list) and lines:
                lines.append("")
            lines += self.entry((key,), value, 0)
        return "\n".join(lines) + "\n"

    def entry(self, path: Path, value: Any, indent: int, lead: str = "") -> Iterator[str]:
        """A key and its value; `lead` is what stands before the first key of an item of a list."""
        start = f"{' ' * (indent - len(lead))}{lead}{inline(path[-1])}:"
        whole = f"{start} {inline(value) if isinstance(value, dict | list) else _scalar(value, _ALONE)}"
        section = len(path) == 1 and isinstance(value, dict | list) and value
        if not isinstance(value, dict | list) or (_small(value) and len(whole) <= WIDTH and not section):
            yield from self.remarked(whole, path, indent, lead)
        elif isinstance(value, list) and _flat(value):
            yield from self.wrapped(start, path, value)
        else:
            yield from self.remarked(start, path, indent, lead)
            yield from self.below(path, value, indent + 2)

    def below(self, path: Path, value: Any, indent: int) -> Iterator[str]:
        """The keys of a mapping, or the items of a list."""
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from self.entry((*path, key), inner, indent)
            return
        for number, item in enumerate(value):
            yield from self.item((*path, number), item, indent)

    def item(self, path: Path, value: Any, indent: int) -> Iterator[str]:
        """An item of a list that holds more than plain values."""
        whole = f"{' ' * indent}- {inline(value)}"
        if not isinstance(value, dict) or (_small(value) and len(whole) <= WIDTH):
            yield whole
            return
        for number, (key, inner) in enumerate(value.items()):
            yield from self.entry((*path, key), inner, indent + 2, "" if number else "- ")

    def wrapped(self, start: str, path: Path, value: list[Any]) -> Iterator[str]:
        """A long list of plain values, over several lines."""
        indent = len(start) - len(start.lstrip())
        if remark := self.remark(path):
            yield from commented(remark, indent)
        inside = " " * (len(start) + 2)
        first, *rest = _folded(", ".join(map(inline, value)), WIDTH - len(inside) - 1)
        lines = [f"{start} [{first}", *(inside + line for line in rest)]
        yield from (*lines[:-1], f"{lines[-1]}]")
        yield from (_line(indent, line) for line in self.after(path))

    def remarked(self, line: str, path: Path, indent: int, lead: str) -> Iterator[str]:
        """A line with what is to be said of it: beside it where there is room, above it where not."""
        remark = self.remark(path)
        beside = f"{line:<{COLUMN - 1}} # {remark}"
        if not remark:
            yield line
        elif len(beside) <= WIDTH:
            yield beside
        elif lead:  # nothing can stand between the dash and its key
            yield line
        else:
            yield from commented(remark, indent)
            yield line
        yield from (_line(indent, text) for text in self.after(path))


def commented(text: str, indent: int = 0) -> Iterator[str]:
    """The text as comment lines, its own line breaks kept."""
    for line in text.split("\n"):
        yield from (_line(indent, part) for part in _folded(line, WIDTH - indent - 2))


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _line(indent: int, text: str) -> str:
    return f"{' ' * indent}# {text}".rstrip()


def _flat(value: Any) -> bool:
    """Whether it is a list of plain values."""
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)


def _small(value: Any) -> bool:
    """Whether it may stand on one line: no mapping in a mapping that holds more than a few plain values."""
    if isinstance(value, dict):
        return not any(isinstance(inner, dict) and len(inner) > 1 for inner in value.values()) and all(
            map(_small, value.values())
        )
    return not isinstance(value, list) or not any(isinstance(item, dict) for item in value)


def inline(value: Any) -> str:
    """A value on one line, as it may stand inside of brackets.

    >>> inline({"a": [1, 2.5], "b": "x: y", "c": None})
    '{a: [1, 2.5], b: "x: y", c: null}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{inline(key)}: {inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return _scalar(value, _IN_BRACKETS)


def _scalar(value: Any, plain: re.Pattern[str]) -> str:
    """A plain value; text without quotes where nobody can take it for anything else.

    >>> _scalar("${HERE:-data}", _IN_BRACKETS), _scalar("${HERE:-data}", _ALONE)
    ('"${HERE:-data}"', '${HERE:-data}')
    >>> _scalar("yes", _ALONE), _scalar(1e-05, _ALONE), _scalar(True, _ALONE)
    ('"yes"', '1.0e-05', 'true')
    """
    if isinstance(value, str):
        alone = plain.fullmatch(value) and scalars.resolve(value) == value and not scalars.ambiguity(value)
        return value if alone else json.dumps(value, ensure_ascii=False, allow_nan=False)
    return re.sub(r"^(-?\d+)e", r"\1.0e", json.dumps(value, allow_nan=False))

"""Text as a terminal takes it: characters that it has, widths in its cells, lines that end between words."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator

from rich.cells import cell_len

PLAIN = "specc.plain"  # the name of the error handler
_ASCII = str.maketrans({
    "×": "x", "·": "*", "•": "*", "−": "-", "–": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "±": "+-",
    "√": "sqrt ", "█": "#", "▇": "|", "▆": "|", "▅": "|", "▄": ":", "▃": ":", "▂": ".", "▁": ".",
    "━": "-", "─": "-", "│": "|", "╸": "-", "╺": "-",
})  # fmt: skip
_MARK = re.compile(r" *(= )?(error|help|warning|note): ")
# What stands between backticks is one word, whatever is in it, and so is a figure with its unit.
_WORD = re.compile(r"(?:`[^`]*`|\d[\d.,]* (?:[KMGT]?i?B|ms|s|%)(?!\w)|\S)+")


def plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of output streams: what an encoding has no character for is written in ASCII.

    Each character by itself, so that what a part of a line becomes does not depend on what follows it.

    >>> "3×32×32 é 層".encode("ascii", "specc.plain")
    b'3x32x32 e ?'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    text = character.translate(_ASCII)
    if text.isascii():
        return text
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return folded or ("" if unicodedata.combining(character) else "?")


codecs.register_error(PLAIN, plain)


def written(text: str, encoding: str) -> str:
    """The text as it arrives on a stream of this encoding, to be measured.

    >>> written("stem … head", "ascii")
    'stem ... head'
    """
    return text.encode(encoding, PLAIN).decode(encoding, "replace")


def printable(text: str) -> str:
    """The text with control, format and surrogate characters replaced: a spec must not drive the terminal."""
    if text.isprintable():
        return text
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)


def shortened(text: str, width: int, ellipsis: str = "…", *, at: str = "middle") -> str:
    """The text in so many cells, by an ellipsis in its middle or at its end.

    >>> shortened("backbone.layer4.2.conv3", 12)
    'backbo…conv3'
    >>> shortened("backbone.layer4.2.conv3", 12, at="end")
    'backbone.la…'
    """
    if cell_len(text) <= width:
        return text
    room = max(width - cell_len(ellipsis), 0)
    tail = room // 2 if at == "middle" else 0
    return head(text, room - tail) + ellipsis[:width] + head(text[::-1], tail)[::-1]


def head(text: str, width: int) -> str:
    """The first characters of a text that take at most so many cells."""
    taken = 0
    for count, character in enumerate(text):
        taken += cell_len(character)
        if taken > width:
            return text[:count]
    return text


def words(text: str, width: int) -> Iterator[str]:
    """What a line may not be broken inside of; what stands between backticks only where it is wider than a line."""
    return (word for _, word in _spaced(text, width))


def _spaced(text: str, width: int) -> Iterator[tuple[str, str]]:
    """Words with the blanks before them."""
    end = 0
    for match in _WORD.finditer(text):
        first, *others = match[0].split() if cell_len(match[0]) > width else (match[0],)
        yield text[end : match.start()], first
        yield from ((" ", other) for other in others)
        end = match.end()


def wrapped(text: str, width: int, *, begun: int = 0) -> list[str]:
    """The text in lines of so many cells, of which the first has some taken already; no word is broken.

    A word that is wider than a line has one to itself: it is a path or a command, which would not be one in parts.

    >>> wrapped("an unknown key of `split: {}` here", 14)
    ['an unknown key', 'of `split: {}`', 'here']
    """
    if cell_len(text) <= width - begun:
        return [text]
    lines: list[str] = []
    line, taken = "", begun
    for blanks, word in _spaced(text, width):
        size = cell_len(word)
        full = taken + bool(line) * len(blanks) + size > width
        if full and (line or (begun and not lines)):
            lines.append(line)
            line, taken = word, size
        else:
            line, taken = (line + blanks + word, taken + len(blanks) + size) if line else (word, taken + size)
    return [*lines, line]


def beside(lead: str, text: str, width: int | None) -> tuple[int, list[str]]:
    """What follows a lead, in lines of so many cells with it, and how far the further ones are indented.

    They stand below the text, or a little below the lead where that would leave too little.

    >>> beside("error: ", "no such key here", 20)
    (4, ['no such key', 'here'])
    """
    if width is None:
        return 0, [text]
    size = cell_len(lead)
    indent = size if size <= width // 4 else len(lead) - len(lead.lstrip()) + 4
    return indent, wrapped(text, width - indent, begun=size - indent)


def hanging(line: str, width: int | None) -> list[str]:
    """A line in lines of so many cells, if they are counted, the further ones indented under what the first says.

    >>> hanging("  = help: take fewer blocks, or a smaller batch", 41)
    ['  = help: take fewer blocks, or a smaller', '          batch']
    """
    if width is None or cell_len(line) <= width:
        return [line]
    mark = _MARK.match(line)
    lead = mark[0] if mark else line[: len(line) - len(line.lstrip())]
    if mark:
        indent, (first, *others) = beside(lead, line[len(lead) :], width)
    else:
        indent = len(lead) + 2
        first, *others = wrapped(line[len(lead) :], width - indent, begun=-2)
    return [(lead + first).rstrip(), *(" " * indent + other for other in others)]

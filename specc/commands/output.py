"""What commands write: text that any terminal can show, whatever stands in specs, names of files and arguments."""

from __future__ import annotations

import codecs
import json
import sys
import unicodedata
from typing import Any

import click

from ..diagnostics.render import printable
from ..system import streams

PLAIN = "specc.plain"  # the name of the error handler
_ASCII = str.maketrans({
    "×": "x", "·": "*", "−": "-", "–": "-", "…": "...", "→": "->", "≤": "<=", "≥": ">=", "±": "+-", "√": "sqrt ",
    "█": "#", "━": "-", "─": "-", "│": "|", "╸": "-", "╺": "-",
})  # fmt: skip


def plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of output streams: what an encoding has no character for is written in ASCII.

    >>> "3×32×32 é 層".encode("ascii", "specc.plain")
    b'3x32x32 e ?'
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ASCII)
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return folded or "?" * (error.end - error.start), error.end


codecs.register_error(PLAIN, plain)


def make_writable() -> None:
    """Let the standard streams take any text, also under LANG=C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN)


def echo(text: str, *, err: bool = False) -> None:
    """Write lines without anything that drives a terminal; for text with colours of our own there is `write`."""
    write(clean(text), err=err)


def echo_json(document: Any) -> None:
    """Write a document for programs."""
    echo(json.dumps(document, indent=2, allow_nan=False))


def write(text: str, *, err: bool = False) -> None:
    """Write lines as they are; click by itself would send UTF-8 to a stream that asks for ASCII.

    What a command has to say beside its results is not worth ending it for where nobody takes it.
    """
    click.echo(text, file=streams.messages() if err else streams.results())


def clean(text: str) -> str:
    """The lines of a text, printable."""
    return "\n".join(printable(line) for line in text.split("\n"))

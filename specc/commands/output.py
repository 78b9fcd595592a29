"""What commands write: text that any terminal can show, whatever stands in specs, names of files and arguments."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from ..diagnostics.words import PLAIN, hanging, printable, written
from ..system import streams, terminal


def make_writable() -> None:
    """Let the standard streams take any text, also under LANG=C."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=PLAIN)


def echo(text: str, *, err: bool = False, wrap: bool = False) -> None:
    """Write lines without anything that drives a terminal; for text with colours of our own there is `write`.

    With `wrap` they end between words where a terminal is too narrow: sentences, not what somebody may want to copy.
    """
    stream = sys.stderr if err else sys.stdout
    columns = terminal.width(stream) if wrap else None
    write(clean(text) if columns is None else broken(clean(text), columns, terminal.encoding(stream)), err=err)


def broken(text: str, columns: int, encoding: str) -> str:
    """Lines in so many columns; what goes on is indented, by four more where a line says what it is.

    >>> print(broken("  = help: allow more with the option --allow split", 42, "ascii"))
      = help: allow more with the option
              --allow split
    """
    return "\n".join(part for line in written(text, encoding).split("\n") for part in hanging(line, columns))


def echo_json(document: Any) -> None:
    """Write a document for programs."""
    echo(json.dumps(document, indent=2, allow_nan=False))


def write(text: str, *, err: bool = False) -> None:
    """Write lines as they are; click by itself would send UTF-8 to a stream that asks for ASCII.

    What a command has to say beside its results is not worth ending it for where nobody takes it.
    """
    click.echo(text, file=streams.messages() if err else streams.results(), color=True)


def clean(text: str) -> str:
    """The lines of a text, printable."""
    return "\n".join(printable(line) for line in text.split("\n"))

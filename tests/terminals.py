"""A terminal for tests, in this process: of so many columns, with any encoding."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from specc.cli import main

PLAIN = {"NO_COLOR": "1"}  # what is stored and compared has no colours


class Terminal(io.TextIOWrapper):
    """A stream in front of which somebody sits."""

    def __init__(self, encoding: str = "utf-8") -> None:
        self.taken = io.BytesIO()
        super().__init__(self.taken, encoding=encoding, newline="\n", write_through=True)

    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        self.flush()
        return self.taken.getvalue().decode(self.encoding)


@contextlib.contextmanager
def surroundings(columns: int, **others: str) -> Iterator[None]:
    """What a shell says of its terminal, and nothing of the person who runs the tests."""
    kept = dict(os.environ)
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM"):
        os.environ.pop(name, None)
    os.environ.update({"COLUMNS": str(columns), "TERM": "xterm", **others})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)


def shown(*words: str | Path, columns: int, encoding: str = "utf-8", both: bool = True, **environ: str) -> str:
    """What a command writes on a terminal, also what it says beside its results; without colours unless asked."""
    screen = Terminal(encoding)
    other = screen if both else Terminal(encoding)
    with (
        surroundings(columns, **(environ or PLAIN)),
        contextlib.redirect_stdout(screen),
        contextlib.redirect_stderr(other),
        contextlib.suppress(SystemExit),
    ):
        main([str(word) for word in words], prog_name="specc")
    assert sys.stdout is not screen
    return screen.text

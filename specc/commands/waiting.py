"""What a command says while it takes its time: on a terminal a line that comes and goes, elsewhere lines that stay."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from time import monotonic
from typing import Any

from ..diagnostics.notices import Watcher, notice, watched
from ..diagnostics.words import head, printable
from ..system.streams import animated, messages
from ..system.terminal import NARROWEST
from ..system.terminal import width as columns
from ..system.ticking import Ticker
from .output import echo

PATIENCE, FRAME = 0.4, 0.1  # seconds on a terminal: until there is a line, and from one picture of it to the next
LONG, AGAIN = 2.0, 30.0  # seconds elsewhere: until a line says what takes so long, and until the next one does
DOTS, STROKES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
CLEAR = "\r\x1b[2K"


@dataclass
class Deed:
    """Something that is being done, and how far it has come."""

    text: str
    done: int = 0
    all: int = 0

    def __str__(self) -> str:
        return f"{self.text} {self.done}/{self.all}" if self.all else self.text


class Waiting(Watcher):
    """Shows the innermost of what is being done; a thread of its own looks whether it is time to."""

    def __init__(self, stream: Any, *, moving: bool, clock: Callable[[], float] = monotonic) -> None:
        self.stream, self.moving, self.clock = stream, moving, clock
        self.deeds: list[Deed] = []
        self._lock = RLock()
        self._ticker: Ticker | None = None
        self._due = 0.0
        self._frame = 0
        self._shown = False

    def begins(self, what: str, *, at_once: bool = False) -> None:
        """The first one sets the clock."""
        with self._lock:
            self.deeds.append(Deed(what))
        if len(self.deeds) == 1:
            self._due = self.clock() + (PATIENCE if self.moving else LONG)
            self._ticker = Ticker(self.tick)
        if at_once and self.moving:
            with self._lock:
                self._draw()

    def tells(self, text: str) -> None:
        """Other words for it."""
        if self.deeds:
            self.deeds[-1] = Deed(text)

    def so_far(self, done: int, all: int) -> None:
        """Counted."""
        if self.deeds:
            self.deeds[-1] = Deed(self.deeds[-1].text, done, all)

    def ends(self) -> None:
        """With the first one the line goes."""
        with self._lock:
            self.deeds.pop()
        if not self.deeds and self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
            self.hide()

    def tick(self) -> float:
        """Show what is due; gives the seconds until there may be something to show again."""
        with self._lock:
            if self.deeds and self.clock() >= self._due:
                self._due = self.clock() + (FRAME if self.moving else AGAIN)
                self._draw() if self.moving else echo(f"{self.deeds[-1]} ...", err=True)
            return max(0.0, self._due - self.clock())

    def _draw(self) -> None:
        pictures = DOTS if _takes(self.stream, DOTS) else STROKES
        self._frame = (self._frame + 1) % len(pictures)
        width = columns(self.stream) or NARROWEST
        text = printable(f"{pictures[self._frame]} {self.deeds[-1]}")
        self._write(CLEAR + head(text, width - 1))  # the last column would begin a new line
        self._shown = True

    def hide(self) -> None:
        """Take the line away."""
        with self._lock:
            if self._shown:
                self._write(CLEAR)
            self._shown = False

    def say(self, text: str) -> None:
        """A line that stays."""
        with self._lock:
            self.hide()
            echo(text, err=True)

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()


def _takes(stream: Any, text: str) -> bool:
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True


@contextmanager
def waits_shown() -> Iterator[None]:
    """All that is done inside is shown where it takes long, and what is to be noticed is said."""
    waiting = Waiting(messages(), moving=animated(sys.stderr))
    with watched(waiting), notice.heard(waiting.say):
        try:
            yield
        finally:
            waiting.hide()

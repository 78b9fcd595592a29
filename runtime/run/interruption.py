"""The wish to stop, granted at a moment when nothing is half done."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and what a cluster sends before it takes the machine away


class Stopped(Exception):
    """The wish to stop was granted between two steps."""


class Interruption:
    """While entered, a first signal is a wish that `grant` fulfils; a second Ctrl-C raises `KeyboardInterrupt` at once.

    A second SIGTERM changes nothing: some clusters send it to the process and to its group.
    """

    def __init__(self) -> None:
        self.wanted = 0  # the signal
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):  # as in `nohup`: somebody wants us to go on
                    self._before[number] = signal.signal(number, self._wish)
        return self

    def __exit__(self, *error: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _wish(self, number: int, frame: FrameType | None) -> None:
        if self.wanted and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.wanted = self.wanted or number

    def grant(self) -> None:
        """Stop here if somebody wishes to."""
        if self.wanted:
            raise Stopped

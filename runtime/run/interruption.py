"""The wish to stop, granted at a moment when nothing is half done."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType
from typing import Any

# Ctrl-C, what a cluster sends before it takes the machine away, and what batch schedulers send some minutes earlier.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name))
ECHO = 0.1  # seconds within which a signal to a process and to its group, as some clusters send it, is one
EXIT = 130


class Stopped(Exception):
    """The wish to stop was granted between two steps."""


class Interruption:
    """While entered, a first signal is a wish that `grant` fulfils; a second one raises `KeyboardInterrupt` at once.

    Whoever sends a third one does not even want to wait for the words.
    """

    def __init__(self) -> None:
        self.wanted = 0  # the signal
        self.insisted = False
        self._heard: dict[int, float] = {}
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
        if self._is_echo(number):
            return
        if self.insisted:
            os._exit(EXIT)
        if self.wanted:
            self.insisted = True
            raise KeyboardInterrupt
        self.wanted = number

    def _is_echo(self, number: int) -> bool:
        before, self._heard[number] = self._heard.get(number), time.monotonic()
        return before is not None and number != signal.SIGINT and self._heard[number] - before < ECHO

    def grant(self, wanted: bool | None = None) -> None:
        """Stop here if somebody wishes to: here, or in any process of the run, where that is known."""
        if self.insisted:  # Python swallows what is raised while it destroys an object
            raise KeyboardInterrupt
        if self.wanted if wanted is None else wanted:
            raise Stopped

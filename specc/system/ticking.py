"""A thread that looks at the clock while another one works."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress


class Ticker:
    """Calls a function again and again until it is stopped: each time after as many seconds as it has asked for."""

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="specc-ticker", daemon=True)
        with suppress(RuntimeError, MemoryError):  # nothing is shown then, and nothing ends because of that
            self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._tick()):
            pass

    def stop(self) -> None:
        """From now on it is not called any more."""
        self._over.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

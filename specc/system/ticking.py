"""A thread that looks at the clock while another one works."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable
from mmap import mmap

LAST = 5.0  # seconds that the last call is waited for at most
ROOM = 2**20  # bytes; a thread that finds none to begin with says so on stderr, whatever it was to do


class Ticker:
    """Calls a function again and again until it is stopped: each time after as many seconds as it has asked for.

    A `threading.Thread` is waited for until it says that it has begun, which one that finds no memory never does: this
    one is not. Where there is none, nothing is shown, and nothing ends or waits because of that.
    """

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick
        self._over = threading.Event()
        self._going = threading.Lock()  # held as long as the thread is there
        self._number = 0
        self._going.acquire()
        try:
            mmap(-1, ROOM).close()  # of the system, as its frames are
            _thread.start_new_thread(self._run, ())
        except (RuntimeError, MemoryError, OSError):
            self._going.release()

    def _run(self) -> None:
        try:
            self._number = _thread.get_ident()
            while not self._over.wait(self._tick()):
                pass
        except MemoryError:
            pass
        finally:
            self._going.release()

    def stop(self) -> None:
        """From now on it is not called any more."""
        self._over.set()
        if self._number != _thread.get_ident() and self._going.acquire(timeout=LAST):
            self._going.release()

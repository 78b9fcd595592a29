"""What every rank tells of itself while it works, so that one that stops to answer can be named."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from specc.plan import Instruction, Receive, ReceiveSources, Reduce, Send, SendSources, Step

TALKING = (Reduce, Send, Receive, SendSources, ReceiveSources, Step)  # what may wait for another rank
SLOWEST = 1.0  # seconds from one beat to the next


@dataclass(frozen=True, slots=True)
class Beat:
    """What a rank was at, nothing between two steps, and how often it had said so."""

    count: int
    at: str
    waits: bool
    host: str
    pid: int


class Pulse:
    """Says every second where this rank is, over a connection of its own: the other may be waiting."""

    def __init__(self, store: Any, rank: int, timeout: float) -> None:
        self.store, self.rank = store, rank
        self.every = min(SLOWEST, timeout / 8)
        self.running: Callable[[], Instruction | None] = lambda: None
        self._over, self._count = threading.Event(), 0
        self._beat()
        self._thread = threading.Thread(target=self._go_on, daemon=True)
        self._thread.start()

    def _go_on(self) -> None:
        with suppress(RuntimeError):  # who kept the store is gone, which the others find out by themselves
            while not self._over.wait(self.every):
                self._beat()

    def _beat(self) -> None:
        running = self.running()
        self._count += 1
        at = "" if running is None else str(running)
        beat = Beat(self._count, at, isinstance(running, TALKING), socket.gethostname(), os.getpid())
        self.store.set(key(self.rank), json.dumps(asdict(beat), allow_nan=False))

    def close(self) -> None:
        """Say nothing more."""
        self._over.set()
        self._thread.join(2 * SLOWEST)


def key(rank: int) -> str:
    """Where a rank's beat is."""
    return f"beat/{rank}"


def beats(store: Any, count: int) -> dict[int, Beat]:
    """The last beat of every rank that has one."""
    found: dict[int, Beat] = {}
    for rank in range(count):
        if store.check([key(rank)]):
            said: dict[str, Any] = json.loads(store.get(key(rank)))
            found[rank] = Beat(**said)
    return found


def silent(store: Any, rank: int, count: int, every: float) -> tuple[int, Beat | None] | None:
    """Another rank that no longer says anything, or else one that waits for nobody while others wait for it."""
    before = beats(store, count)
    time.sleep(3 * every)
    after = beats(store, count)
    others = [each for each in range(count) if each != rank]
    stopped = (each for each in others if each not in after or before.get(each) == after[each])
    busy = (each for each in others if each in after and not after[each].waits)
    found = next(stopped, next(busy, None))
    return None if found is None else (found, after.get(found))

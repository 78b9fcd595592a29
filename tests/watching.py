"""A watcher for tests: it keeps what it is told of what is being done."""

from __future__ import annotations

from specc.diagnostics.notices import Watcher


class Diary(Watcher):
    def __init__(self) -> None:
        self.begun: list[str] = []
        self.told: list[str] = []
        self.counts: list[tuple[int, int]] = []
        self.open = 0

    def begins(self, what: str, *, at_once: bool = False) -> None:
        self.begun.append(what)
        self.open += 1

    def tells(self, text: str) -> None:
        self.told.append(text)

    def so_far(self, done: int, all: int) -> None:
        self.counts.append((done, all))

    def ends(self) -> None:
        self.open -= 1

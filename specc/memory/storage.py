"""Bytes that live as long as somebody holds them, and the most that is alive during each instruction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

GRADIENT = "gradients of activations"
Direction = Literal["forward", "input", "parameters"]  # of a backward: the gradient of what


class Storage:
    """Bytes of an allocator; they are free when nobody holds the object any more, as a tensor's are."""

    __slots__ = ("allocator", "bytes", "category", "width")

    def __init__(self, allocator: Allocator, size: int, category: str, width: int) -> None:
        self.allocator, self.bytes, self.category, self.width = allocator, size, category, width
        allocator.take(size, category)

    def __del__(self) -> None:
        self.allocator.give(self.bytes, self.category)


@dataclass
class Allocator:
    """Counts what is alive by category and remembers the highest point since `begin`."""

    alive: dict[str, int] = field(default_factory=dict)
    total: int = 0
    highest: int = 0
    snapshot: Mapping[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """Start watching for the highest point anew."""
        self.highest, self.snapshot = self.total, dict(self.alive)

    def at(self, op: str) -> None:
        """The op that works from here on; this allocator does not ask."""

    def again(self, on: bool) -> None:
        """What the backward computes again begins, or ends; this allocator does not ask."""

    def computes(self, operation: object, direction: Direction, *, turned: bool = False) -> None:
        """An op computes its result, or gradients of its operands; this allocator does not ask.

        `turned`: of a gradient that lies in another order than the input.
        """

    def moves(self, what: str, read: int, written: int, *, calls: int = 1, direction: Direction = "forward") -> None:
        """Bytes are read and written by what is in no graph, in so many calls; this allocator does not ask."""

    def take(self, size: int, category: str) -> None:
        """So many bytes more."""
        self.alive[category] = self.alive.get(category, 0) + size
        self.total += size
        if self.total > self.highest:
            self.highest, self.snapshot = self.total, dict(self.alive)

    def give(self, size: int, category: str) -> None:
        """So many bytes less."""
        self.alive[category] -= size
        self.total -= size

    def resident(self, size: int, category: str, network: str) -> None:
        """So many bytes that are there throughout; this allocator does not ask whose they are."""
        self.take(size, category)

    def new(self, size: int, category: str = "activations", width: int = 4) -> Storage:
        """A storage, which the caller holds; its numbers take `width` bytes each."""
        return Storage(self, size, category, width)

    def passing(self, size: int, category: str = "activations") -> None:
        """Something that is there for a moment."""
        self.take(size, category)
        self.give(size, category)

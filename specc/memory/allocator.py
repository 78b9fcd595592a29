"""A pretend allocator: counted references to storages, and the most bytes alive during each instruction."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Storage:
    """Bytes that live as long as somebody holds them."""

    bytes: int
    category: str
    width: int = 4  # bytes of one of its numbers
    holders: int = 1

    @property
    def numbers(self) -> int:
        """How many there are."""
        return self.bytes // self.width


@dataclass
class Allocator:
    """Counts what is alive by category and remembers the highest point since `begin`."""

    alive: dict[str, int] = field(default_factory=dict)
    total: int = 0
    highest: int = 0
    snapshot: dict[str, int] = field(default_factory=dict)

    def begin(self) -> None:
        """Start watching for the highest point anew."""
        self.highest, self.snapshot = self.total, dict(self.alive)

    def at(self, op: str) -> None:
        """The op that works from here on; this allocator does not ask."""

    def new(self, size: int, category: str, width: int = 4) -> Storage:
        """A storage of `size` bytes with one holder."""
        self.alive[category] = self.alive.get(category, 0) + size
        self.total += size
        if self.total > self.highest:
            self.highest, self.snapshot = self.total, dict(self.alive)
        return Storage(size, category, width)

    def hold(self, storage: Storage) -> Storage:
        """One more holder."""
        storage.holders += 1
        return storage

    def drop(self, *storages: Storage) -> None:
        """One holder less; the last one frees the bytes."""
        for storage in storages:
            storage.holders -= 1
            if storage.holders == 0:
                self.alive[storage.category] -= storage.bytes
                self.total -= storage.bytes

"""The simulation of a few blocks for a search: by segments of the backbone, and each head once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

from ..graph.ops import Shape
from ..memory.allocator import Allocator, Storage
from ..memory.simulation import Simulation, Step
from ..plan import HeadPlan, Unit, branch_output, features


class SegmentAllocator(Allocator):
    """Counts no categories, which is quicker; remembers for each instruction the highest points by segment."""

    def __init__(self, segments: Mapping[str, int]) -> None:
        super().__init__()
        self.segments, self.segment = segments, 0
        self.moments: list[dict[int, int]] = []

    def begin(self) -> None:
        """Start watching for the highest point anew."""
        self.moments.append({})
        self._enter(0)

    def at(self, op: str) -> None:
        """The op that works from here on."""
        segment = self.segments.get(op, 0)
        if segment != self.segment:
            self._enter(segment)

    def _enter(self, segment: int) -> None:
        self.segment = segment
        self._note()

    def _note(self) -> None:
        moment = self.moments[-1]
        if self.total > moment.get(self.segment, -1):
            moment[self.segment] = self.highest = self.total

    def reached(self) -> int:
        """The highest point of the instruction so far."""
        return max(self.moments[-1].values())

    def reach(self, height: int) -> None:
        """Something reached a height for a while."""
        self.moments[-1][self.segment] = max(height, self.moments[-1][self.segment])

    def new(self, size: int, category: str, width: int = 4) -> Storage:
        """A storage of `size` bytes with one holder."""
        self.total += size
        if self.moments:
            self._note()
        return Storage(size, category, width)

    def drop(self, *storages: Storage) -> None:
        """One holder less; the last one frees the bytes."""
        for storage in storages:
            storage.holders -= 1
            if storage.holders == 0:
                self.total -= storage.bytes


@dataclass(frozen=True, slots=True)
class HeadCost:
    """What one head did: its highest point above what was there, its parameters' gradients, and the features'."""

    highest: int
    grads: Mapping[str, Storage]
    gradient: Storage
    rest: int  # bytes that nobody lets go of


class CachingSimulation(Simulation):
    """A simulation that runs each head once: beside what is there already, it does the same wherever its unit begins.

    `places` are the layers that units end with, and their roles.
    """

    def __init__(self, step: Step, source: Shape | None, memory: SegmentAllocator, known: dict[Hashable, HeadCost],
                 places: Mapping[str, Hashable]) -> None:  # fmt: skip
        super().__init__(step, source)
        self.memory: SegmentAllocator = memory
        self.known, self.places = known, places

    def _run_head(self, unit: Unit, head: HeadPlan) -> Storage:
        """One head's forward, loss and backward: the gradient at the features."""
        at = branch_output(unit.name) if unit.links else features(unit.end)
        key = self.places[unit.name], unit.level, head.name, self.orders[at], self.values[at].width
        grads = self.grads.setdefault(f"{unit.name}.{head.name}", {})
        if key not in self.known:
            before = self.memory.total
            gradient = super()._run_head(unit, head)
            rest = self.memory.total - before - gradient.bytes - sum(g.bytes for g in grads.values())
            self.known[key] = HeadCost(self.memory.reached() - before, {n: replace(g) for n, g in grads.items()},
                                  replace(gradient), rest)  # fmt: skip
            return gradient
        ran = self.known[key]
        self.memory.reach(self.memory.total + ran.highest)
        grads |= {name: self.memory.new(g.bytes, g.category, g.width) for name, g in ran.grads.items()}
        self.memory.new(ran.rest, "losses")
        return self.memory.new(ran.gradient.bytes, ran.gradient.category, ran.gradient.width)

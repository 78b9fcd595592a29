"""The simulation of a few blocks for a search: by segments of the backbone, and each head once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..graph.ops import Order
from ..memory.autograd import Gradient, Leaf, Value
from ..memory.machine import ShapeMachine
from ..memory.storage import GRADIENT, Allocator
from ..plan import Head, Unit
from ..step.step import TrainingStep


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

    def take(self, size: int, category: str) -> None:
        """So many bytes more."""
        self.total += size
        if self.moments:
            self._note()

    def give(self, size: int, category: str) -> None:
        """So many bytes less."""
        self.total -= size


@dataclass(frozen=True, slots=True)
class HeadCost:
    """What one head did: its highest point above what was there, its parameters' gradients, and the features'."""

    highest: int
    grads: Sequence[int]
    gradient: tuple[int, int, Order]  # bytes, bytes of a number, and how it lies in memory
    rest: int  # bytes that nobody lets go of


class CachingStep(TrainingStep[Value]):
    """A step that runs each head once: beside what is there already, it does the same wherever its unit begins.

    `places` are the layers that units end with, and their roles.
    """

    def __init__(self, machine: ShapeMachine, units: Iterable[Unit], slices: int, *, memory: SegmentAllocator,
                 known: dict[Hashable, HeadCost], places: Mapping[str, Hashable]) -> None:  # fmt: skip
        super().__init__(machine, units, slices)
        self.shapes, self.memory, self.known, self.places = machine, memory, known, places

    def run_head(self, i: Head, features: Value, part: float) -> tuple[Value, Value]:
        """One head's loss, and the gradient at the features."""
        unit, leaves = self.units[i.unit], self.shapes.leaves(f"{i.unit}.{i.head}")
        width, again = features.storage.width, any(_grads(leaves))  # gradients of an earlier slice
        key = self.places[i.unit], unit.level, i.head, features.order, width, features.rows, again
        if key not in self.known:
            self.known[key], *result = self._measured(i, features, part, leaves)
            return result[0], result[1]
        cost = self.known[key]
        self.memory.reach(self.memory.total + cost.highest)
        for leaf, size in zip(leaves, cost.grads, strict=True):
            leaf.gradient = leaf.gradient or Gradient(self.memory.new(size, "gradients"), "plain")
        size, width, order = cost.gradient
        loss = Value(self.memory.new(cost.rest, "losses"), 1, (), "plain")
        return loss, Value(self.memory.new(size, GRADIENT, width), features.rows, features.shape, order)

    def _measured(self, i: Head, features: Value, part: float, leaves: Sequence[Leaf]) -> tuple[HeadCost, Value, Value]:
        before, there = self.memory.total, sum(_grads(leaves))
        loss, gradient = super().run_head(i, features, part)
        storage, grads = gradient.storage, _grads(leaves)
        rest = self.memory.total - before - storage.bytes - (sum(grads) - there)
        found = (storage.bytes, storage.width, gradient.order)
        return HeadCost(self.memory.reached() - before, grads, found, max(rest, 0)), loss, gradient


def _grads(leaves: Sequence[Leaf]) -> list[int]:
    """Bytes of their gradients."""
    return [leaf.gradient.storage.bytes if leaf.gradient else 0 for leaf in leaves]

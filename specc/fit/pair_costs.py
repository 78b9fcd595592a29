"""What the windows of one or two blocks reach in one setting, put together from blocks that are measured one by one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from .block_costs import NOWHERE, BlockCost, BlockCosts, Kind
from .interpolation import Array, BlockPeaks, Reached

Indices = NDArray[np.int64]
Costs = tuple[Array, Array, Array]  # of windows: the highest point, what the cut brings, FLOPs

LEVEL = "level"  # what one of two blocks keeps while the other is at work


class Blocks:
    """What blocks between places are, whatever stands at their ends."""

    def __init__(self, costs: BlockCosts) -> None:
        self.costs, self.end = costs, len(costs.places) - 1
        layers = costs.graph.layers
        parts = [layers[a + 1 : b + 1] for a, b in zip(costs.places, costs.places[1:], strict=False)]
        self.trained = [any(layer.trained for layer in part) for part in parts]
        flops = [sum(n.flops for layer in part for n in layer.nodes) for part in parts]
        self._trained = np.array(list(accumulate(self.trained, initial=0)))
        self.flops = np.array(list(accumulate(flops, initial=0)), float)  # up to each place

    def fine(self, first: Indices, last: Indices) -> NDArray[np.bool_]:
        """Whether the blocks have something to train; none at all is fine, too."""
        return np.asarray((self._trained[last] > self._trained[first]) | (first == last))

    @property
    def zone(self) -> int:
        """How many segments near an end of a block may depend on it: as many as hold two that are trained."""
        at = [-1, *(i for i, trained in enumerate(self.trained) if trained), len(self.trained)]
        return max(2, self.costs.gap, *(b - a for a, b in zip(at, at[2:], strict=False)))


class Windows:
    """The windows of block `number` of `count`."""

    def __init__(self, blocks: Blocks, number: int, count: int) -> None:
        self.blocks, self.costs, self.end = blocks, blocks.costs, blocks.end
        self.number, self.count, self.last = number, count, number == count - 1
        self.earliest = int(number >= self.costs.window)  # only the first blocks' windows begin at the start
        self.cost, self.neighbours = cache(self._cost), cache(self._neighbours)

    def _cost(self, *window: int) -> BlockCost | None:
        """The measured cost between some places; None where it is none, or where a block has nothing to train."""
        ends = np.array(window)
        whole = self.count == 1 or bool((self.blocks.fine(ends[:-1], ends[1:]) & (ends[:-1] < ends[1:])).all())
        if not whole or (ends[-1] == self.end and not self.last):
            return None
        return self.costs.measure(tuple(self.costs.places[i] for i in window), self.number, self.count)

    def measured(self, windows: Indices) -> Costs:
        """Measure all of them, one by one."""
        found = [self.cost(*map(int, window)) for window in self._own(windows)]
        rows = [(s.local, s.auxiliary, s.flops) if s else (np.nan,) * 3 for s in found]
        local, auxiliary, flops = np.array(rows, float).reshape(-1, 3).T
        return local, auxiliary, flops

    def composed(self, windows: Indices) -> Costs:
        """Windows of one or two blocks from measurements of short blocks; `Unclear` where that cannot be."""
        own = self._own(windows)
        if not len(own):
            return (np.empty(0),) * 3
        return self._single(own) if own.shape[1] == 2 else self._double(own), *self._cuts(own)

    def _own(self, windows: Indices) -> Indices:
        """The windows without what stands before a first block."""
        return windows[:, -min(self.number + 2, self.costs.window + 1) :]

    def _peaks(self, sample: Callable[[int, int], Reached | None]) -> BlockPeaks:
        return BlockPeaks(sample, self.end + 1, self.blocks.zone)

    def _single(self, windows: Indices) -> Array:
        """Windows of one block."""
        first, last = windows.T
        peaks = self._peaks(lambda a, b: None if (s := self.cost(a, b)) is None else work_in(s, 0, b))
        found = highest_of(peaks.arrays(range_of(first), range_of(last)), first, last)
        short = last - first <= peaks.length
        found[short], *_ = self.measured(windows[short])
        return found

    def _double(self, windows: Indices) -> Array:
        """Windows of two: one of the blocks is at work, and the other one keeps something meanwhile."""
        p, q, r = windows.T
        before, itself = self._peaks(self._before), self._peaks(self._itself)
        left, right = before.arrays(range_of(p), range_of(q)), itself.arrays(range_of(q), range_of(r))
        if not left or not right or left.keys() & right.keys() == set():
            return self.measured(windows)[0]
        (level,) = left.keys() & right.keys()
        zero = np.array([self._zero(m) for m in range(self.end + 1)])
        held, kept = left.pop(level)[p, q] - zero[q, 0], right.pop(level)[q, r] - zero[q, 1]
        found = np.fmax(highest_of(left, p, q) + kept, highest_of(right, q, r) + held)
        cornered = np.array([self.neighbours(m) is None and self._cornered(m) for m in range(self.end + 1)])
        unlike = before.unlike[p, q] | itself.unlike[q, r] | cornered[q]
        found[unlike], *_ = self.measured(windows[unlike])
        return np.asarray(found)

    def _before(self, first: int, last: int) -> Reached | None:
        """The work of the block before, and what that block keeps while the block after it is at work."""
        near = self.neighbours(last)
        found = self.cost(first, last, near[1]) if near else None
        if found is None:
            return None
        return work_in(found, -1, last) | {(LEVEL, found.kinds): {last: _level(found, 0)}}

    def _itself(self, first: int, last: int) -> Reached | None:
        """The work of the block, and what it keeps while the one before is at work."""
        near = self.neighbours(first)
        found = self.cost(near[0], first, last) if near else None
        if found is None:
            return None
        return work_in(found, 0, last) | {(LEVEL, found.kinds): {first + 1: _level(found, -1)}}

    def _zero(self, middle: int) -> tuple[float, float]:
        """What the block before and the block itself keep where both are the neighbours of the middle."""
        near = self.neighbours(middle)
        found = self.cost(near[0], middle, near[1]) if near else None
        return (_level(found, 0), _level(found, -1)) if found else (np.nan, np.nan)

    def _neighbours(self, middle: int) -> tuple[int, int] | None:
        """What stands for all blocks on either side of the middle: short ones."""
        reach = self.blocks.zone + 1
        befores = range(middle - 1, max(middle - reach, self.earliest) - 1, -1)
        afters = range(middle + 1, min(middle + reach, self.end) + 1)
        return next(((a, b) for a in befores for b in afters if self.cost(a, middle, b) is not None), None)

    def _cornered(self, middle: int) -> bool:
        """Whether there is too little room beside the middle to say that nothing stands there."""
        return middle - self.blocks.zone <= self.earliest or middle + self.blocks.zone >= self.end

    def _cuts(self, windows: Indices) -> tuple[Array, Array]:
        """What the last cut of each window brings, and FLOPs: its unit's own, and passes through the block."""
        brought, own = np.full((2, self.end + 1), np.nan)
        near = {int(last): list(self._near(int(last))) for last in np.unique(windows[:, -1])}
        passes = next((_passes(found) for found in near.values() if len(found) > 1), 0.0)
        for place, found in near.items():
            for length, at in found[:1]:
                brought[place], own[place] = at.auxiliary, at.flops - passes * length
        first, last = windows[:, -2], windows[:, -1]
        return brought[last], own[last] + passes * (self.blocks.flops[last] - self.blocks.flops[first])

    def _near(self, last: int) -> list[tuple[float, BlockCost]]:
        """Two costs of blocks that end at a place, with their blocks' FLOPs, of which the second has more."""
        found: list[tuple[float, BlockCost]] = []
        furthest = last - self.blocks.zone - 3
        for first in range(last - 1, -1, -1):
            length = float(self.blocks.flops[last] - self.blocks.flops[first])
            if length <= found[0][0] if found else first <= furthest:
                continue
            double = self.number > 0 and self.costs.window == 2
            near = self.neighbours(first) if double else None
            at = self.cost(*near[:1], first, last) if near else None if double else self.cost(first, last)
            if at is not None:
                found.append((length, at))
            if len(found) == 2:
                break
        return found


def _passes(found: list[tuple[float, BlockCost]]) -> float:
    """How often a block's FLOPs are spent, from two blocks under the same unit."""
    (length, one), (other_length, other) = found
    return (other.flops - one.flops) / (other_length - length)


def work_in(found: BlockCost, block: int, last: int) -> dict[Hashable, Mapping[int, float]]:
    """The work in a block, as seen from the measured one; what is no pass happens at the block's end."""
    own = [(kind, peaks) for kind, peaks in zip(found.kinds, found.peaks, strict=True) if _at(kind) == block]
    return {(i, kind): peaks if NOWHERE not in peaks else {last: peaks[NOWHERE]} for i, (kind, peaks) in enumerate(own)}


def _at(kind: Kind) -> object:
    """The block in which an instruction works: its own, if it is no pass."""
    return kind[1] if kind[1] is not None else 0


def _level(found: BlockCost, block: int) -> float:
    """The height of some work in a block, which lies by as much higher as the other one keeps more."""
    own = (peaks for kind, peaks in zip(found.kinds, found.peaks, strict=True) if _at(kind) == block)
    return next((float(peaks[max(peaks)]) for peaks in own), 0.0)


def highest_of(arrays: Mapping[object, Array], first: Indices, last: Indices) -> Array:
    """The highest points of some blocks, whatever the work; infinitely low where there is none."""
    found = np.full(len(first), np.nan if arrays else -np.inf)
    for array in arrays.values():
        found = np.fmax(found, array[first, last])
    return found


def range_of(places: Indices) -> range:
    """The range that some places lie in."""
    return range(int(places.min()), int(places.max()) + 1)

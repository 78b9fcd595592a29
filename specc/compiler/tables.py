"""The slices of all windows over some cuts, as arrays with one axis a boundary.

Measuring every window of two blocks takes a cube of simulations. But during one instruction only one block is at work;
the others add what they keep, each a constant. So its peak is a sum over the blocks of its window, and the peak of
(p, q, r) is that of (p, q, r') and that of (p', q, r) less that of (p', q, r'): a square of simulations is enough.
Where two windows are not alike in their instructions, they are measured one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice, pairwise, product

import numpy as np
from numpy.typing import NDArray

from .cuts import balanced_cuts, layer_costs
from .slices import Slice, Slices

Array = NDArray[np.float64]


@dataclass
class Tables:
    """Highest point, resident bytes and FLOPs of each slice, infinite where there is none.

    The index of a slice is that of its boundaries in `places`. A path begins with the start over and over.
    """

    slices: Slices
    places: tuple[int, ...]  # the start, the cuts and the end

    def __post_init__(self) -> None:
        self.limits: dict[int, float] = {}  # for so many blocks or more, higher slices may have been left out
        self.end, axes = len(self.places) - 1, self.slices.window + 1
        self.local, self.auxiliary, self.flops = (np.full((len(self.places),) * axes, np.inf) for _ in range(3))
        for chosen in self._first_blocks():
            self._one(chosen)
        if self.slices.window == 1:
            self._single_blocks()
        elif self.slices.window == 2:
            for middle in range(self.end - 1, 0, -1):  # the last first: on the way to one slice lies one further up
                self._around(middle)
        else:
            for chosen in combinations(range(len(self.places)), axes):
                self._one(chosen)

    def _single_blocks(self) -> None:
        """All blocks, but for those that are too large: the more layers a block has, the higher its peak.

        No split into two or more is better than one into two that is known if one of its blocks is higher than all of
        that, and likewise for three, unless its cuts' own bytes are less; `complete` is for when that may be.
        """
        self._one((0, self.end))
        two, three = self._known_split(2), self._known_split(3)
        self.limits = {2: two + self._margin(), 3: min(two, three) + self._margin()}
        for cut in range(1, self.end):
            if not self._fits((0, cut), 2):
                break
        for cut in range(self.end - 1, 0, -1):
            if not self._fits((cut, self.end), 2):
                break
        for last in range(2, self.end):
            for first in range(last - 1, 0, -1):
                if not self._fits((first, last), 3):
                    break

    def _fits(self, block: tuple[int, int], blocks: int) -> bool:
        """Whether a larger block need be looked at."""
        self._one(block)
        return bool(self.local[block] <= self.limits[blocks] or self.local[block] == np.inf)

    def _known_split(self, blocks: int) -> float:
        """What a good split costs: the best of some near to even shares of what the layers keep."""
        cuts, best = range(1, self.end), np.inf
        if len(cuts) < blocks - 1:
            return best
        costs = layer_costs(self.slices.graph, "memory")
        at = [self.places.index(cut) for cut in balanced_cuts(costs, self.places[1:-1], blocks)]
        for moved in product(*((i - 1, i, i + 1) for i in at)):
            path = (0, *moved, self.end)
            if all(a < b for a, b in pairwise(path)):
                for block in pairwise(path):
                    self._one(block)
                highest = max(self.local[block] for block in pairwise(path))
                best = min(best, highest + sum(self.auxiliary[block] for block in pairwise(path)))
        return float(best)

    def _margin(self) -> int:
        """The largest features between two blocks: inside of a block an op may overwrite them."""
        sizes = (self.slices.graph.layers[cut].nodes[-1].size for cut in self.places[1:-1])
        return 4 * self.slices.config.rows * max(sizes, default=0)

    def certain(self, blocks: int, cost: float) -> bool:
        """Whether no path of so many blocks costs less with a block that was not measured."""
        limit = self.limits.get(min(blocks, 3), np.inf)
        cuts = np.sort(self.auxiliary[:, 1:-1].min(axis=0))[: blocks - 1]
        return bool(cost <= limit + cuts.sum())  # infinite where there are too few cuts

    def complete(self) -> None:
        """Measure what was left out."""
        self.limits = {}
        for chosen in combinations(range(len(self.places)), 2):
            self._one(chosen)

    def _first_blocks(self) -> Iterator[tuple[int, ...]]:
        """Windows that the start cuts short; there are more blocks than those."""
        for blocks in range(1, self.slices.window):
            yield from ((0, *chosen) for chosen in combinations(range(1, self.end), blocks))

    def _one(self, chosen: tuple[int, ...]) -> None:
        found = self._slice(*chosen)
        if found is not None:
            index = (0,) * (self.slices.window + 1 - len(chosen)) + chosen
            self.local[index], self.auxiliary[index], self.flops[index] = found.local, found.auxiliary, found.flops

    def _slice(self, *chosen: int, last: bool = False) -> Slice | None:
        return self.slices.measure(tuple(self.places[i] for i in chosen), last)

    def _around(self, middle: int) -> None:
        """All windows of two blocks that meet in the middle."""
        before, after = self._neighbours(middle)
        for last, lasts in (False, range(middle + 1, self.end)), (True, [self.end]):
            rows = {i: s for i in range(middle) if (s := self._slice(i, middle, after, last=last)) is not None}
            columns = {i: s for i in lasts if (s := self._slice(before, middle, i)) is not None}
            self._compose(middle, rows, columns, self._slice(before, middle, after, last=last))

    def _compose(
        self, middle: int, rows: Mapping[int, Slice], columns: Mapping[int, Slice], common: Slice | None
    ) -> None:
        alike = [i for i, found in columns.items() if common and found.alike == common.alike]
        known = np.array([columns[i].peaks for i in alike], float)
        for first, row in rows.items():
            composed = alike if common and row.alike == common.alike else []
            if common and composed:
                at = first, middle, composed
                change = np.array(row.peaks, float) - np.array(common.peaks, float)
                self.local[at] = (known + change).max(axis=1)
                self.auxiliary[at] = [columns[i].auxiliary for i in composed]
                self.flops[at] = [columns[i].flops for i in composed]
            for last in columns.keys() - set(composed):
                self._one((first, middle, last))

    def _neighbours(self, middle: int) -> tuple[int, int]:
        """What stands for all blocks on either side of the middle: near, and with something to train."""
        place, index = self.places[middle], {cut: i for i, cut in enumerate(self.places)}
        near = [index[cut] for cut in islice(self.slices.before(place), 3) if cut in index] or [0]
        far = [index[cut] for cut in islice(self.slices.after(place), 3) if cut in index] or [self.end]
        before = next((i for i in near if self._trained(i, middle)), near[0])
        return before, next((i for i in far if self._trained(middle, i)), far[0])

    def _trained(self, before: int, last: int) -> bool:
        """Whether a block has parameters."""
        layers = self.slices.graph.layers[self.places[before] + 1 : self.places[last] + 1]
        return any(node.parameters for layer in layers for node in layer.nodes)

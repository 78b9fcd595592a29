"""The slices of all windows over some cuts, as arrays with one axis a boundary.

Measuring every window of two blocks takes a cube of simulations. But during one instruction only one block is at work;
the others add what they keep, each a constant. So its peak is a sum over the blocks of its window, and the peak of
(p, q, r) is that of (p, q, r') and that of (p', q, r) less that of (p', q, r'): a square of simulations is enough.
Where two windows are not alike in their instructions, they are measured one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

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
        self.end, axes = len(self.places) - 1, self.slices.window + 1
        self.local, self.auxiliary, self.flops = (np.full((len(self.places),) * axes, np.inf) for _ in range(3))
        for chosen in self._first_blocks():
            self._one(chosen)
        if self.slices.window == 2:
            for middle in range(self.end - 1, 0, -1):  # the last first: on the way to one slice lies one further up
                self._around(middle)
        else:
            for chosen in combinations(range(len(self.places)), axes):
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

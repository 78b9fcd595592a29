"""All windows over some cuts: between which states of a search they lead, and what they cost.

Measuring every window of two blocks takes a cube of simulations. But during one instruction only one block is at work;
the others add what they keep, each a constant. So its peak is a sum over the blocks of its window, and the peak of
(p, q, r) is that of (p, q, r') and that of (p', q, r) less that of (p', q, r'). Of the blocks themselves only the short
ones are measured, see `interpolation`. Where windows are not alike in their instructions, they are measured one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .block_costs import BlockCosts
from .interpolation import Array, Unclear
from .pair_costs import Blocks, Indices, Windows
from .roles import Setting


@dataclass(frozen=True)
class Edges:
    """Windows in one setting, sorted by the state that they lead to. A state is the last boundaries of a path."""

    windows: Indices  # one row a window: places, the start over and over before a first block
    source: Indices
    target: Indices
    local: Array  # the highest point
    auxiliary: Array  # resident bytes that the cut brings
    flops: Array

    @cached_property
    def groups(self) -> Indices:
        """Where the windows of each target begin."""
        return np.flatnonzero(np.diff(self.target, prepend=-1))

    def within(self, limit: float) -> Edges:
        """Those that are no higher than the limit."""
        keep = self.local <= limit
        return self if keep.all() else self.only(keep)

    def only(self, keep: NDArray[np.bool_] | Indices) -> Edges:
        """Some of them."""
        columns = self.windows, self.source, self.target, self.local, self.auxiliary, self.flops
        return Edges(*(column[keep] for column in columns))  # type: ignore[arg-type]

    def step(self, costs: Array, join: Callable[[Edges, Array], Array]) -> Array:
        """The lowest cost of each state after one block more; `join` puts those before and the edges' own together."""
        found = np.full(len(costs), np.inf)
        if len(self.source):
            found[self.target[self.groups]] = np.minimum.reduceat(join(self, costs[self.source]), self.groups)
        return found


class CostTables:
    """The edges of every setting, measured when they are first asked for."""

    def __init__(self, costs: BlockCosts) -> None:
        self.costs, self.window = costs, costs.window
        self.end = len(costs.places) - 1
        self.blocks = Blocks(costs)
        self._edges: dict[tuple[int, Setting], Edges] = {}
        self._steps: dict[int, list[Edges]] = {}
        states = [self._padded(n, self.window) for n in range(self.window + 1)]
        self._states = np.unique(self._codes(np.concatenate(states)))

    @property
    def states(self) -> int:
        """How many there are; the first is the start."""
        return len(self._states)

    def steps(self, count: int) -> list[Edges]:
        """The edges of each of so many blocks; those that are alike are the same."""
        if count not in self._steps:
            self._steps[count] = [self.edges(number, count) for number in range(count)]
        return self._steps[count]

    def edges(self, number: int, count: int) -> Edges:
        """The windows of block `number` of `count`."""
        key = min(number, self.window), self.costs.roles.setting(number, count)
        if key not in self._edges:
            self._edges[key] = self._made(number, count)
        return self._edges[key]

    def _made(self, number: int, count: int) -> Edges:
        windows = self._padded(min(number, self.window) + 1, self.window + 1)
        windows = windows[(windows[:, -1] == self.end) == (number == count - 1)]
        if count > 1:
            for column in range(self.window):
                windows = windows[self.blocks.fine(windows[:, column], windows[:, column + 1])]
        local, auxiliary, flops = self._costs(windows, number, count)
        source, target = (np.searchsorted(self._states, self._codes(w)) for w in (windows[:, :-1], windows[:, 1:]))
        stands = np.isfinite(local) & np.isfinite(auxiliary)
        order = np.flatnonzero(stands)[np.argsort(target[stands], kind="stable")]
        return Edges(windows, source, target, local, auxiliary, flops).only(order)

    def _costs(self, windows: Indices, number: int, count: int) -> tuple[Array, Array, Array]:
        found = Windows(self.blocks, number, count)
        if self.window <= 2 or number == 0:
            try:
                return found.composed(windows)
            except Unclear:
                pass
        return found.measured(windows)

    def _padded(self, size: int, width: int) -> Indices:
        """All rising places, with the start over and over before them."""
        return np.pad(increasing(size, self.end), ((0, 0), (width - size, 0)))

    def _codes(self, states: Indices) -> Indices:
        return states @ (self.end + 1) ** np.arange(self.window)[::-1]


def increasing(size: int, highest: int) -> Indices:
    """All rising sequences of so many numbers from 1 to `highest`, one a row.

    >>> increasing(2, 3).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    found = np.zeros((1, 0), np.int64)
    for _ in range(size):
        last = found[:, -1] if found.shape[1] else np.zeros(1, np.int64)
        counts = highest - last
        rows = np.repeat(np.arange(len(found)), counts)
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        found = np.column_stack([found[rows], last[rows] + 1 + offsets])
    return found

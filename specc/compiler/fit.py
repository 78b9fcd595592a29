"""The fewest blocks that fit a budget, and where to cut: exact, by dynamic programming over the legal cuts.

A path from the start of the backbone to its end, one block a step, costs what lives throughout (a sum over its cuts)
plus its highest slice (a maximum). For each number of blocks the smallest sum is found under every limit on the
maximum that can still win, which makes the optimum exact; a state of the search is as many last cuts as a window sees.
See `slices` for why slices are independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..spec.models import SpecModel
from .draft import Draft
from .slices import START, Slices
from .tables import Array, Tables

EXACT_CUTS = {1: 160, 2: 72}  # more legal cuts than this are thinned, for windows of so many blocks; wider ones: 12


@dataclass(frozen=True, slots=True)
class Row:
    """The best split into `blocks` blocks."""

    blocks: int
    after: tuple[str, ...]
    predicted_peak_bytes: int
    relative_flops: float  # of a step, against end-to-end training of the same backbone


@dataclass(frozen=True, slots=True)
class Table:
    """The best split for every number of blocks, and how many of the legal cuts were looked at."""

    rows: tuple[Row, ...]
    considered: int
    legal: int


def best_splits(draft: Draft, config: SpecModel) -> Table:
    """The split with the smallest predicted peak, for every number of blocks that windows and legal cuts allow."""
    slices = Slices(draft, config)
    graph, legal = draft.graph, slices.legal
    cuts = thinned(legal, EXACT_CUTS.get(slices.window, 12))
    tables = Tables(slices, (START, *cuts, slices.end))
    found = list(Paths(tables).best(len(cuts) + 1))
    costs = {len(best.path) - 1: best.bytes for best in found}
    if not all(tables.certain(blocks, costs.get(blocks, np.inf)) for blocks in range(1, len(cuts) + 2)):
        tables.complete()
        found = list(Paths(tables).best(len(cuts) + 1))
    base, whole = slices.base(), 3 * sum(node.flops for node in graph.nodes)
    rows = []
    for best in found:
        after = tuple(graph.layers[cuts[i - 1]].name for i in best.path[1:-1])
        rows.append(Row(len(after) + 1, after, base + int(best.bytes), best.flops / whole))
    return Table(tuple(rows), len(cuts), len(legal))


def thinned(legal: list[int], most: int) -> list[int]:
    """At most `most` of the legal cuts, evenly spread."""
    if len(legal) <= most:
        return legal
    return [legal[round(i * (len(legal) - 1) / (most - 1))] for i in range(most)]


@dataclass(frozen=True, slots=True)
class Path:
    """A split: indices of its boundaries, the bytes that it adds, its highest slice and its FLOPs an image."""

    path: tuple[int, ...]
    bytes: float
    highest: float
    flops: float


class Paths:
    """All splits: a state is the last boundaries, as many as a window has blocks; an edge is one block."""

    def __init__(self, tables: Tables) -> None:
        self.tables, self.window = tables, tables.slices.window
        self.end = len(tables.places) - 1

    def best(self, most: int) -> Iterator[Path]:
        """The cheapest path of one block, of two, and so on, where there is one."""
        lowest, free = self._lowest_limits(most), self._sums(np.inf, most)
        for blocks in range(1, most + 1):
            if np.isfinite(self._last(free[blocks])):
                yield self._best(blocks, lowest[blocks], free[: blocks + 1])

    def _best(self, blocks: int, lowest: float, sums: list[Array]) -> Path:
        """Lower the limit until the sum alone is too large.

        With the limit lowered the sum can only grow, so a better path than the best has its highest slice below that
        of the last one found, and below what the best costs beyond the last sum.
        """
        best = self._path(sums, np.inf)
        limit = np.nextafter(best.highest, 0)
        while limit >= lowest:
            sums = self._sums(limit, blocks)
            found = self._path(sums, limit)
            if found.bytes < best.bytes:
                best = found
            limit = np.nextafter(min(found.highest, best.bytes - self._last(sums[-1])), 0)
        return best

    def _lowest_limits(self, most: int) -> list[float]:
        """For each number of blocks the smallest possible highest slice: a bottleneck shortest path."""
        reach, found = self._start(), []
        for _ in range(most + 1):
            found.append(self._last(reach))
            reach = np.maximum(reach[..., None], self.tables.local).min(axis=0)
        return found

    def _sums(self, limit: float, blocks: int) -> list[Array]:
        """After each block, by state, the smallest sum of resident bytes with no slice above the limit."""
        weights = self._weights(limit)
        sums = [self._start()]
        for _ in range(blocks):
            sums.append((sums[-1][..., None] + weights).min(axis=0))
        return sums

    def _weights(self, limit: float) -> Array:
        return np.where(self.tables.local <= limit, self.tables.auxiliary, np.inf)

    def _start(self) -> Array:
        state = np.full((self.end + 1,) * self.window, np.inf)
        state[(0,) * self.window] = 0
        return state

    def _last(self, state: Array) -> float:
        """The best of the states at the end."""
        return float(state[..., self.end].min())

    def _path(self, sums: list[Array], limit: float) -> Path:
        """The path that the sums belong to, read backwards."""
        last = sums[-1][..., self.end]
        state = (*(int(i) for i in np.unravel_index(last.argmin(), last.shape)), self.end)
        total, highest, flops, path = float(last.min()), 0.0, 0.0, [self.end]
        for before in reversed(sums[:-1]):
            local, auxiliary = (np.moveaxis(a, 0, -1)[state] for a in (self.tables.local, self.tables.auxiliary))
            costs = np.where(local <= limit, np.moveaxis(before, 0, -1)[state[:-1]] + auxiliary, np.inf)
            state = (int(costs.argmin()), *state[:-1])
            edge = (*state, path[-1])
            highest, flops = max(highest, float(self.tables.local[edge])), flops + float(self.tables.flops[edge])
            path.append(state[-1])
        return Path(tuple(reversed(path)), total + highest, highest, flops)

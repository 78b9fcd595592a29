"""The fewest blocks that fit a budget, and where to cut: exact, by dynamic programming over the legal cuts.

A path from the start of the backbone to its end, one block a step, costs what lives throughout (a sum over its cuts)
plus its highest slice (a maximum). For each number of blocks the smallest sum is found under every limit on the
maximum that can still win, which makes the optimum exact for any window; see `slices` for why slices are independent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..spec.models import SpecModel
from .draft import Draft
from .slices import START, Slices

Matrix = NDArray[np.float64]

EXACT_CUTS = {1: 400, 2: 16}  # more legal cuts than this are thinned, for windows of so many blocks; wider ones: 8


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
    """The split with the smallest predicted peak, for one block and for every number that the legal cuts allow."""
    slices = Slices(draft, config)
    graph = draft.graph
    legal = [graph.index[name] for name in graph.cuts]
    cuts = thinned(legal, EXACT_CUTS.get(slices.window, 8))
    network = _Paths(slices, cuts)
    whole = 3 * sum(node.flops for node in graph.nodes)
    rows = []
    for blocks in range(1, len(cuts) + 2):
        if 1 < blocks < slices.window:
            continue
        found = network.best(blocks)
        if found is not None:
            peak, path, flops = found
            rows.append(Row(blocks, tuple(graph.layers[c].name for c in path), peak, flops / whole))
    return Table(tuple(rows), len(cuts), len(legal))


def thinned(legal: list[int], most: int) -> list[int]:
    """At most `most` of the legal cuts, evenly spread."""
    if len(legal) <= most:
        return legal
    return [legal[round(i * (len(legal) - 1) / (most - 1))] for i in range(most)]


class _Paths:
    """The graph of all splits: a node is the last cuts of a path, as many as a window sees; an edge is one block."""

    def __init__(self, slices: Slices, cuts: list[int]) -> None:
        self.slices, self.base = slices, slices.base()
        self.nodes = list(_nodes(cuts, slices.end, slices.window))
        index = {node: i for i, node in enumerate(self.nodes)}
        n = len(self.nodes)
        self.local, self.auxiliary, self.flops = (np.full((n, n), np.inf) for _ in range(3))
        for node in self.nodes:
            for cut in (c for c in (*cuts, slices.end) if c > node[-1]):
                self._edge(index, node, cut)
        self.ends = [i for i, node in enumerate(self.nodes) if node[-1] == slices.end]

    def _edge(self, index: dict[tuple[int, ...], int], node: tuple[int, ...], cut: int) -> None:
        path = (*node, cut)
        if cut == self.slices.end and node == (START,) and self.slices.window > 1:
            return  # a single block is end-to-end training, which no wider window describes
        i, j = index[node], index[path[-self.slices.window :]]
        found = self.slices.measure(path)
        if found is None:
            return
        self.local[i, j], self.auxiliary[i, j], self.flops[i, j] = found.local, found.auxiliary, found.flops

    def best(self, blocks: int) -> tuple[int, list[int], float] | None:
        """The smallest peak of `blocks` blocks, its cuts, and its FLOPs an image."""
        limit = self._smallest_limit(blocks)
        least = self._cheapest(blocks, np.inf)
        if limit is None or least is None:
            return None
        best: tuple[float, list[int]] | None = None
        while best is None or limit + least[0] < best[0]:
            total, path = self._cheapest(blocks, limit) or (np.inf, [])
            if best is None or total + self._highest(path) < best[0]:
                best = total + self._highest(path), path
            higher = self.local[(self.local > limit) & np.isfinite(self.local)]
            if not higher.size:
                break
            limit = float(higher.min())
        path = best[1]
        flops = sum(float(self.flops[a, b]) for a, b in pairwise(path))
        return int(self.base + best[0]), [self.nodes[i][-1] for i in path[1:-1]], flops

    def _highest(self, path: list[int]) -> float:
        return max(float(self.local[a, b]) for a, b in pairwise(path))

    def _smallest_limit(self, blocks: int) -> float | None:
        """The smallest possible highest slice: a bottleneck shortest path with exactly `blocks` edges."""
        reach = np.full(len(self.nodes), np.inf)
        reach[0] = 0
        for _ in range(blocks):
            reach = np.minimum.reduce(np.maximum(reach[:, None], self.local), axis=0)
        found = float(min(reach[i] for i in self.ends))
        return found if np.isfinite(found) else None

    def _cheapest(self, blocks: int, limit: float) -> tuple[float, list[int]] | None:
        """The path of `blocks` edges, no slice above `limit`, with the smallest sum of resident bytes."""
        weights: Matrix = np.where(self.local <= limit, self.auxiliary, np.inf)
        cost = np.full(len(self.nodes), np.inf)
        cost[0] = 0
        came: list[NDArray[np.int64]] = []
        for _ in range(blocks):
            through = cost[:, None] + weights
            came.append(through.argmin(axis=0))
            cost = through.min(axis=0)
        end = min(self.ends, key=lambda i: cost[i])
        if not np.isfinite(cost[end]):
            return None
        path = [end]
        for back in reversed(came):
            path.append(int(back[path[-1]]))
        return float(cost[end]), path[::-1]


def _nodes(cuts: list[int], end: int, window: int) -> Iterator[tuple[int, ...]]:
    """All states, the start first: up to `window` last positions of a path."""
    yield (START,)
    states: set[tuple[int, ...]] = {(START,)}
    frontier = states
    for _ in range(window):
        frontier = {(*s, c)[-window:] for s in frontier for c in (*cuts, end) if s[-1] < c}
        states = states | frontier
    if window > 1:  # states that begin after the start
        grown = frontier
        while grown:
            grown = {(*s, c)[-window:] for s in grown for c in (*cuts, end) if s[-1] < c} - states
            states = states | grown
    yield from sorted(states - {(START,)})

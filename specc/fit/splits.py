"""The fewest blocks that fit a budget, and where to cut: exact, by dynamic programming over the legal cuts.

A path from the start of the backbone to its end, one block a step, costs what lives throughout (a sum over its cuts)
plus its highest block (a maximum). For each number of blocks the smallest sum is found under every limit on the
maximum that can still win, which makes the optimum exact; a state of the search is as many last cuts as a window sees.
See `block_costs` for why blocks are independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..compiler.draft import Draft
from ..spec.models import SpecModel
from .block_costs import BlockCosts
from .cost_tables import CostTables, Edges
from .interpolation import Array
from .roles import Roles

EXACT_CUTS = {1: 200, 2: 200}  # more legal cuts than this are thinned, for windows of so many blocks; wider ones: 12


@dataclass(frozen=True, slots=True)
class Row:
    """The best split into `blocks` blocks."""

    blocks: int
    after: tuple[str, ...]
    predicted_peak_bytes: int
    relative_flops: float  # of a step, against end-to-end training of the same backbone


def thinned(legal: list[int], most: int) -> list[int]:
    """At most `most` of the legal cuts, evenly spread."""
    if len(legal) <= most:
        return legal
    return [legal[round(i * (len(legal) - 1) / (most - 1))] for i in range(most)]


class Splits:
    """The best splits of a backbone under one configuration."""

    def __init__(self, draft: Draft, config: SpecModel, most: Mapping[int, int] = EXACT_CUTS) -> None:
        self.graph = draft.graph
        self.legal = [self.graph.index[name] for name in self.graph.cut_choices]
        self.cuts = thinned(self.legal, most.get(Roles(config).window, 12))
        self.costs = BlockCosts(draft, config, self.cuts)
        self.paths = Paths(CostTables(self.costs))
        self.base, self._whole = self.costs.base(), 3 * sum(node.flops for node in self.graph.nodes)

    @property
    def numbers(self) -> Iterator[int]:
        """The numbers of blocks that the spec and the cuts allow."""
        return (count for count in range(1, len(self.cuts) + 2) if self.costs.roles.possible(count))

    def best(self, blocks: int, below: float = np.inf) -> Row | None:
        """The split into so many blocks with the lowest predicted peak, if that is less than `below`."""
        found = self.paths.best(blocks, below - self.base)
        if found is None:
            return None
        after = tuple(self.graph.layers[self.cuts[i - 1]].name for i in found.path[:-1])
        return Row(blocks, after, self.base + round(found.bytes), found.flops / self._whole)


@dataclass(frozen=True, slots=True)
class Path:
    """A split: the places where its blocks end, the bytes that it adds, its highest block and its FLOPs an image."""

    path: tuple[int, ...]
    bytes: float
    highest: float
    flops: float


class Paths:
    """All splits. An edge is one block; a step takes all paths one block further."""

    def __init__(self, tables: CostTables) -> None:
        self.tables, self._edges = tables, Lowering(tables)
        self._lowest, self._sums = Chain(self._edges, _higher), Chain(self._edges, _sum)

    def bound(self, blocks: int, below: float = np.inf) -> float:
        """The lowest that the highest block can be, and the least that cuts can bring, of different splits maybe.

        No path is cheaper. Where none is cheaper than `below` it may be more than the cheapest: edges above that are
        not looked at.
        """
        return self._lowest.end(blocks, below) + self._sums.end(blocks, below)

    def best(self, blocks: int, below: float = np.inf) -> Path | None:
        """The cheapest path of so many blocks, if it is cheaper than `below`."""
        if not self.bound(blocks, below) < below:
            return None
        lowest, least = self._lowest.end(blocks, below), self._sums.end(blocks, below)
        edges = _within(self._edges.steps(blocks, below), below - least)
        best = self._path(edges, lowest)
        most = min(below, best.bytes)  # only what is cheaper is of interest
        edges = _compact(_within(edges, most - least))
        limits = self._limits(edges, lowest, most - least)
        waiting = [(0, len(limits), least)]  # limits from a to b, and a sum that none of them gets below
        while waiting:
            first, after, sums = waiting.pop()
            if first >= after or limits[first] + sums >= most:
                continue
            middle = (first + after) // 2
            found = self._path(edges, limits[middle])
            best, most = min(best, found, key=lambda path: path.bytes), min(most, found.bytes)
            waiting += [(middle + 1, after, sums), (first, middle, found.bytes - found.highest)]
        return best if best.bytes < below else None

    def _limits(self, edges: list[Edges], low: float, high: float) -> Array:
        """The heights of blocks in between, each of which may be the highest of the best path."""
        return np.unique(np.concatenate([e.local[(e.local > low) & (e.local < high)] for e in _distinct(edges)]))

    def _path(self, edges: list[Edges], limit: float) -> Path:
        """The path with the smallest sum and no block above the limit, read backwards."""
        steps = _within(edges, limit)
        costs = [_start(1 + max(int(step.target.max(initial=0)) for step in steps))]
        for step in steps:
            costs.append(step.step(costs[-1], _sum))
        state = int(np.argmin(costs[-1]))
        total, highest, flops, path = float(costs[-1][state]), 0.0, 0.0, list[int]()
        for step, before in zip(reversed(steps), reversed(costs[:-1]), strict=True):
            into = slice(*np.searchsorted(step.target, [state, state + 1]))
            edge = into.start + int(np.argmin(before[step.source[into]] + step.auxiliary[into]))
            highest, flops = max(highest, float(step.local[edge])), flops + float(step.flops[edge])
            path.append(int(step.windows[edge, -1]))
            state = int(step.source[edge])
        return Path(tuple(reversed(path)), total + highest, highest, flops)


class Lowering:
    """The edges of every number of blocks up to a limit, which mostly falls: those under the last one are kept."""

    def __init__(self, tables: CostTables) -> None:
        self.tables = tables
        self._kept: dict[int, tuple[float, Edges]] = {}

    def steps(self, blocks: int, limit: float) -> list[Edges]:
        """The edges of so many blocks, none higher than the limit; steps that are alike share them."""
        return _shared(self.tables.steps(blocks), lambda edges: self._within(edges, limit))

    def _within(self, edges: Edges, limit: float) -> Edges:
        last, found = self._kept.get(id(edges), (np.inf, edges))
        if limit != last:
            found = (found if limit < last else edges).within(limit)
            self._kept[id(edges)] = limit, found
        return found


class Chain:
    """The lowest cost of each state after one block, two, and so on; numbers of blocks share how they begin.

    Costs under a limit are no lower than under one above it, so what was found under that is kept.
    """

    def __init__(self, edges: Lowering, join: Callable[[Edges, Array], Array]) -> None:
        self._edges, self.join, self._limit = edges, join, np.inf
        self._taken: list[Edges] = []
        self._costs = [_start(edges.tables.states)]

    def end(self, blocks: int, limit: float) -> float:
        """The lowest cost at the end of the backbone, of paths under the limit or of some more."""
        if limit > self._limit:
            self._taken = []
        wanted, self._limit = self._edges.tables.steps(blocks), limit
        same = next((i for i, (a, b) in enumerate(zip(wanted, self._taken, strict=False)) if a is not b), None)
        same = min(len(wanted), len(self._taken)) if same is None else same
        del self._costs[same + 1 :]
        for edges in self._edges.steps(blocks, limit)[same:] if same < blocks else ():
            self._costs.append(edges.step(self._costs[-1], self.join))
        self._taken = wanted
        return float(self._costs[-1].min())


def _distinct(edges: list[Edges]) -> list[Edges]:
    """Each of them once: two hundred steps share a few."""
    return [*{id(e): e for e in edges}.values()]


def _shared(edges: list[Edges], change: Callable[[Edges], Edges]) -> list[Edges]:
    """All of them changed; those that are the same stay so."""
    changed = {id(e): change(e) for e in _distinct(edges)}
    return [changed[id(e)] for e in edges]


def _within(edges: list[Edges], limit: float) -> list[Edges]:
    """Those no higher than the limit."""
    return _shared(edges, lambda e: e.within(limit))


def _compact(edges: list[Edges]) -> list[Edges]:
    """The same with the states numbered anew, as few are left of many; the start stays the first."""
    used = np.unique(np.concatenate([[0], *(states for e in _distinct(edges) for states in (e.source, e.target))]))

    def numbered(e: Edges) -> Edges:
        return replace(e, source=np.searchsorted(used, e.source), target=np.searchsorted(used, e.target))

    return _shared(edges, numbered)


def _start(states: int) -> Array:
    """The state before the first block."""
    costs = np.full(states, np.inf)
    costs[0] = 0
    return costs


def _higher(edges: Edges, before: Array) -> Array:
    return np.maximum(before, edges.local)


def _sum(edges: Edges, before: Array) -> Array:
    return before + edges.auxiliary

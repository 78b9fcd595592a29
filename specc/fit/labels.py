"""The cheapest way to divide blocks into runs under a limit: shortest paths whose labels carry the bytes that count.

A label is a way to come to some part: what it cost, and what it has left in each of the sums that some later
instruction will reach. One that costs no less and has left no less in any of them than another one goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .layer_costs import NEVER, Array
from .sums import Model, Term
from .watching import Run

MOST_LABELS = 4_000  # at one place, where one sum counts; of more some are left out
MOST_TOGETHER = 800  # where several count, each of which may be what matters later
KEPT, AGAIN = 0, 1  # the run before


@dataclass(eq=False)
class Labels:
    """Ways to one place; `cells` are their sums, one a column."""

    cost: Array
    cells: Array
    parent: Array  # the place, the kind of run and the label that they come from

    def __len__(self) -> int:
        return len(self.cost)

    def take(self, which: Array) -> Labels:
        """Some of them."""
        return Labels(self.cost[which], self.cells[which], self.parent[which])


class Search:
    """The paths through all blocks under one limit; `free`: any that fits is as good as another."""

    def __init__(self, model: Model, limit: int, *, free: bool = False) -> None:
        self.model, self.limit, self.free, self.exact = model, limit, free, True
        self.open: list[tuple[Term, ...]] = [()] * len(model.checks)  # the sum that each check has so far
        self.chosen: list[list[Run]] | None = None
        self.cost = 0
        if model.fixed <= limit:
            self._run()

    def _run(self) -> None:
        labels = Labels(np.zeros(1, np.int64), np.zeros((1, 0), np.int64), np.zeros((1, 3), np.int64))
        keys: list[tuple[Term, ...]] = []
        history = []
        for block in range(len(self.model.sizes)):
            places = self._block(block, labels, keys)
            labels, keys, origin = self._close(block, places[-1], keys)
            history.append((places, origin))
            if not len(labels):
                return
        best = int(np.argmin(labels.cost))
        self.cost = int(labels.cost[best])
        self.chosen = self._back(history, best)

    def _back(self, history: list[tuple[list[list[Labels]], Array]], best: int) -> list[list[Run]]:
        """The runs of each block, along the parents of the label at the end."""
        chosen = []
        for places, origin in reversed(history):
            kind, label, place = int(origin[best, 0]), int(origin[best, 1]), len(places) - 1
            runs: list[Run] = []
            while place:
                before, other, index = (int(x) for x in places[place][kind].parent[label])
                runs.append((before, place - 1, kind == AGAIN))
                place, kind, label = before, other, index
            chosen.append(runs[::-1])
            best = label
        return chosen[::-1]

    # ------------------------------------------------------------------------------------------------ one block

    def _block(self, block: int, start: Labels, keys: list[tuple[Term, ...]]) -> list[list[Labels]]:
        """Labels at every place of a block, by the kind of the run before; what has been left comes in further cells.

        After the sums of earlier blocks stand what this one has left, and the highest points of its passes.
        """
        model, size = self.model, self.model.sizes[block]
        self.columns = list(model.columns[block])
        self.running = [(c, check) for c, check in enumerate(model.checks) if check.own == block and not check.direct]
        self.direct = [(c, check) for c, check in enumerate(model.checks) if check.own == block and check.direct]
        self.at = {key: i for i, key in enumerate(keys)}
        self.first = len(keys)
        n = len(start)
        fresh = np.zeros((n, len(self.columns)), np.int64)
        highest = np.full((n, len(self.running)), NEVER, np.int64)
        cells = np.concatenate([start.cells, fresh, highest], axis=1)
        index = np.stack([np.zeros(n, np.int64), np.full(n, AGAIN, np.int64), np.arange(n)], axis=1)
        nothing = Labels(np.zeros(0, np.int64), cells[:0], index[:0])
        places = [[nothing, Labels(start.cost, cells, index)]]
        for place in range(1, size + 1):
            found: list[list[Labels]] = [[nothing], [nothing]]
            for before in range(place):
                kept, again = places[before]
                if len(again):
                    found[KEPT].append(self._extended(block, again, before, place, AGAIN, again=False))
                    found[AGAIN].append(self._extended(block, again, before, place, AGAIN, again=True))
                if len(kept):
                    found[AGAIN].append(self._extended(block, kept, before, place, KEPT, again=True))
            places.append([self._best(each) for each in found])
        return places

    def _extended(self, block: int, labels: Labels, first: int, place: int, kind: int, *, again: bool) -> Labels:
        """Labels with one more run, those that stay below the limit."""
        model, last = self.model, place - 1
        cells = labels.cells.copy()
        fits = np.ones(len(labels), np.bool_)
        for c, check in self.direct:
            assert check.table is not None
            assert check.column is not None
            table = check.table.again if again else check.table.kept
            fits &= self._load(c, cells) + cells[:, self._of(check.column)] + table[first, last] <= self.limit
        for i, (_, check) in enumerate(self.running):
            assert check.table is not None
            table = check.table.again if again else check.table.kept
            there = 0 if check.column is None else cells[:, self._of(check.column)]
            at = self.first + len(self.columns) + i
            cells[:, at] = np.maximum(cells[:, at], there + table[first, last])
        for name, runs in model.columns[block].items():
            cells[:, self._of(name)] += (runs.again if again else runs.kept)[first, last]
        cost = labels.cost + (model.costs[block][first, last] if again and not self.free else 0)
        n = len(labels)
        parent = np.stack([np.full(n, first), np.full(n, kind), np.arange(n)], axis=1)
        return Labels(cost, cells, parent).take(np.flatnonzero(fits))

    def _of(self, column: Term) -> int:
        return self.first + self.columns.index(column)

    def _load(self, check: int, cells: Array) -> Array | int:
        """The sum that a check has from earlier blocks."""
        key = self.open[check]
        return cells[:, self.at[key]] if key else 0

    def _best(self, found: list[Labels]) -> Labels:
        labels = Labels(
            np.concatenate([each.cost for each in found]),
            np.concatenate([each.cells for each in found]),
            np.concatenate([each.parent for each in found]),
        )
        most = MOST_LABELS if different(labels.cells).shape[1] <= 1 else MOST_TOGETHER
        if len(labels) > 8 * most:
            self.exact = False
            labels = labels.take(spread(labels.cost, labels.cells, 2 * most))
        kept = labels.take(undominated(labels.cost, labels.cells))
        if len(kept) > most:
            self.exact = False
            kept = kept.take(spread(kept.cost, kept.cells, most))
        return kept

    def _close(self, block: int, ends: list[Labels], keys: list[tuple[Term, ...]]) -> tuple[
        Labels, list[tuple[Term, ...]], Array
    ]:  # fmt: skip
        """The labels at a block's end with the sums that later blocks need, and where each of them was."""
        cells = np.concatenate([each.cells for each in ends])
        cost = np.concatenate([each.cost for each in ends])
        origin = np.concatenate([
            np.stack([np.full(len(each), kind), np.arange(len(each))], axis=1) for kind, each in enumerate(ends)
        ])  # fmt: skip
        running = {c: self.first + len(self.columns) + i for i, (c, _) in enumerate(self.running)}
        fits, sums = np.ones(len(cost), np.bool_), dict[tuple[Term, ...], Array]()
        for c, check in enumerate(self.model.checks):
            if check.last < block or (check.direct and check.last == block):
                continue  # it was decided
            key, total = self.open[c], np.zeros(len(cost), np.int64) + self._load(c, cells)
            for term in check.terms.get(block, ()):
                total, key = total + cells[:, self._of(term)], (*key, term)
            if c in running:
                total, key = total + cells[:, running[c]], (*key, ("highest", c))
            if check.last == block:
                fits &= total + check.fixed <= self.limit
            elif key:
                key = tuple(sorted(key, key=repr))
                self.open[c], sums[key] = key, total
        stack = np.stack([*sums.values()], axis=1) if sums else np.zeros((len(cost), 0), np.int64)
        which = np.flatnonzero(fits)
        which = which[undominated(cost[which], stack[which])]
        return Labels(cost[which], stack[which], np.zeros((len(which), 3), np.int64)), list(sums), origin[which]


def undominated(cost: Array, cells: Array) -> Array:
    """Which rows no other row is at most as costly as with no more in any cell; of equal ones the first."""
    cells = different(cells)
    order = np.lexsort((*cells.T[::-1], cost))
    if cells.shape[1] <= 1:
        least = np.minimum.accumulate(cells[order, 0]) if cells.shape[1] else np.zeros(len(order), np.int64)
        return order[np.flatnonzero(np.diff(least, prepend=1 << 62) < 0)] if len(order) else order
    found = []
    while len(order):
        first, rest = order[0], order[1:]
        found.append(first)
        order = rest[np.any(cells[rest] < cells[first], axis=1)]
    return np.array(found, np.int64)


def different(cells: Array) -> Array:
    """Without columns that rank rows as another one does."""
    ranks: dict[bytes, int] = {}
    for i in range(cells.shape[1]):
        column = cells[:, i]
        if len(column) and (column != column[0]).any():
            ranks.setdefault((column - column[0]).tobytes(), i)
    return cells[:, sorted(ranks.values())]


def spread(cost: Array, cells: Array, most: int) -> Array:
    """Not many more rows than so many: the cheapest of each neighbourhood, and the lowest in each cell and in all."""
    cells = different(cells)
    if not cells.shape[1]:
        return np.argsort(cost, kind="stable")[:1]
    low, width = cells.min(axis=0), np.maximum(np.ptp(cells, axis=0), 1)
    lowest = [int(np.argmin(cells.sum(axis=1))), *(int(i) for i in np.argmin(cells, axis=0))]
    found = np.arange(len(cost))
    fine = most
    while len(found) > most and fine > 1:
        fine = fine * 2 // 3
        place = (cells - low) * fine // (width + 1)
        order = np.lexsort((cells.sum(axis=1), cost, *place.T))
        new = np.any(np.diff(place[order], axis=0, prepend=-1) != 0, axis=1)
        found = order[new]
    return np.union1d(found, np.array(lowest))

"""The search for the cheapest path, on tables of chance: against all paths there are."""

from __future__ import annotations

from itertools import combinations, pairwise
from math import inf
from random import Random
from typing import cast

import numpy as np
import pytest

from specc.fit.cost_tables import CostTables, Edges
from specc.fit.splits import Paths


class Chances:
    """Tables of chance: blocks between any two of seven places, of which each number costs something else."""

    end, states = 6, 7

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        self.local, self.auxiliary = chance.integers(1, 60, (2, 3, 7, 7)).astype(float)
        self.made = {(kind, last): self.edges(kind, last) for kind in range(3) for last in (True, False)}

    def edges(self, kind: int, last: bool) -> Edges:
        p, q = np.array([(p, q) for q in range(1, 7) for p in range(q)
                         if (p == 0) == (kind == 0) and (q == self.end) == last]).reshape(-1, 2).T  # fmt: skip
        return Edges(np.stack([p, q], 1), p, q, self.local[kind, p, q], self.auxiliary[kind, p, q], np.zeros(len(p)))

    def steps(self, count: int) -> list[Edges]:
        return [self.made[min(number, 2), number == count - 1] for number in range(count)]

    def cheapest(self, count: int) -> float:
        """What the cheapest of all paths costs."""
        return min(self.cost((*between, self.end)) for between in combinations(range(1, self.end), count - 1))

    def cost(self, path: tuple[int, ...]) -> float:
        blocks = [(min(i, 2), *block) for i, block in enumerate(pairwise((0, *path)))]
        return float(sum(self.auxiliary[block] for block in blocks) + max(self.local[block] for block in blocks))


@pytest.mark.parametrize("seed", range(30))
def test_the_cheapest_of_all_paths_under_any_limit(seed: int) -> None:
    """Limits that rise and fall, and numbers of blocks in any order: what is kept from one to the next may not show."""
    tables, order = Chances(seed), Random(seed)
    cheapest = {count: tables.cheapest(count) for count in range(1, 7)}
    limits = [*sorted({limit for cost in cheapest.values() for limit in (0.9 * cost, cost, cost + 1)}), inf]
    paths = Paths(cast(CostTables, tables))
    for _ in range(40):
        blocks, limit = order.choice([*cheapest]), order.choice(limits)
        found = paths.best(blocks, limit)
        assert (found is None) == (cheapest[blocks] >= limit)
        if found is not None:
            assert found.bytes == tables.cost(found.path) == cheapest[blocks]
            assert paths.bound(blocks, limit) <= found.bytes

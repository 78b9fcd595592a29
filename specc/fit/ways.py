"""The fastest split into so many blocks that fits a budget, where what lies between layers may be computed again.

A path through the cuts costs a sum (its time) and must not exceed a limit on its highest block, which is what the
budget leaves beside all that lives throughout. A block that is higher than the limit computes as much again as brings
it below, and takes time in proportion to what it frees. That is an estimate; what it proposes is compiled, and the
exact choice of layers is made there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..compiler.draft import Draft
from ..profiles import Profile
from ..spec.models import SpecModel
from .cost_tables import Edges
from .cut_times import CutTimes
from .interpolation import Array
from .splits import EXACT_CUTS, Row, Splits

PRICES = (0.0, 0.3, 3.0)  # of what a cut keeps throughout: of the whole time for all that the budget leaves
ROUNDS = 3
HALF, SHARE = 0.5, 0.6  # what groups of layers come to, and cost, where each by itself comes to one


@dataclass(frozen=True, slots=True)
class Way:
    """A split, what it is thought to cost an image, and whether it does so by computing something again."""

    after: tuple[str, ...]
    cost: float
    again: bool


@dataclass(frozen=True)
class Step:
    """The blocks that may stand at one place of a path: as they are, and with everything computed again."""

    edges: Edges
    low: Array  # the highest point with everything computed again
    slow: Array  # what that costs

    def cost(self, limit: float) -> Array:
        """The least time that each takes under a limit on its highest point; infinite where none is short enough."""
        high, fast, low = self.edges.local, self.edges.flops, HALF * self.low
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(high > low, (high - limit) / (high - low), 1.0)
            between = np.where(limit >= low, fast + SHARE * (self.slow - fast) * share, np.inf)
        return np.where(high <= limit, fast, between)


class Ways:
    """The splits of one configuration, and of the same one that computes everything again, where that is allowed."""

    def __init__(
        self, draft: Draft, config: SpecModel, again: SpecModel | None, profile: Profile | None = None,
        most: Mapping[int, int] = EXACT_CUTS,
    ) -> None:  # fmt: skip
        self.splits = Splits(draft, config, most)
        self.other = Splits(draft, again, most) if again is not None else None
        self.times = CutTimes(self.splits, profile) if profile is not None else None
        self.base = self.splits.base
        self._steps: dict[int, list[Step]] = {}
        self._pairs: dict[int, Step] = {}

    @property
    def numbers(self) -> Iterator[int]:
        """The numbers of blocks that there can be."""
        return self.splits.numbers

    def steps(self, blocks: int) -> list[Step]:
        """What may stand at each place of so many blocks."""
        if blocks not in self._steps:
            plain = self.splits.paths.tables.steps(blocks)
            again = self.other.paths.tables.steps(blocks) if self.other else plain
            self._steps[blocks] = [self._paired(a, b) for a, b in zip(plain, again, strict=True)]
        return self._steps[blocks]

    def _paired(self, plain: Edges, again: Edges) -> Step:
        """The same windows of both, which are mostly all of them."""
        if id(plain) not in self._pairs:
            one, other = _common(plain, again)
            more = other.flops - one.flops
            if self.times is not None:
                one, more = replace(one, flops=self.times.of(one)), more * self.times.rate
            self._pairs[id(plain)] = Step(one, other.local, one.flops + more)
        return self._pairs[id(plain)]

    def quickest(self, blocks: int) -> Way | None:
        """The fastest split into so many blocks, whatever the memory."""
        path = self._path(self.steps(blocks), np.inf, 0.0)
        return Way(self._names(path), path.cost, False) if path.chosen else None

    def best(self, blocks: int, budget: int) -> Way | None:
        """The fastest way found that fits; None where none does."""
        steps, room = self.steps(blocks), float(budget - self.base)
        least = self._path(steps, np.inf, 0.0)
        found: list[Way] = []
        for price in PRICES if least.chosen and room > 0 else ():
            limit = room
            for _ in range(ROUNDS):
                path = self._path(steps, limit, price * least.cost / room)
                if not path.chosen:  # whatever the price, some block is too high
                    break
                own = room - path.kept
                if (cost := path.under(own)) < np.inf:
                    found.append(Way(self._names(path), cost, path.highest > own))
                if own >= limit:
                    break
                limit = own
        return min(found, key=lambda way: way.cost, default=None)

    def lowest(self, blocks: int) -> Row | None:
        """The split with the lowest peak of all, everything computed again where that may be."""
        return (self.other or self.splits).best(blocks)

    def _names(self, path: Path) -> tuple[str, ...]:
        layers, cuts = self.splits.graph.layers, self.splits.cuts
        return tuple(layers[cuts[i - 1]].name for i in path.ends[:-1])

    def _path(self, steps: Sequence[Step], limit: float, price: float) -> Path:
        """The cheapest path under a limit, where what is kept throughout has a price; read backwards."""
        costs = {id(step): step.cost(limit) for step in steps}
        totals = [np.full(self.splits.paths.tables.states, np.inf)]
        totals[0][0] = 0.0
        for step in steps:
            own = costs[id(step)] + price * step.edges.auxiliary
            totals.append(step.edges.step(totals[-1], lambda edges, before, own=own: before + own))  # type: ignore[misc]
        state, chosen = int(np.argmin(totals[-1])), list[tuple[Step, int]]()
        if not np.isfinite(totals[-1][state]):
            return Path(())
        for step, before in zip(reversed(steps), reversed(totals[:-1]), strict=True):
            edges = step.edges
            into = slice(*np.searchsorted(edges.target, [state, state + 1]))
            own = costs[id(step)][into] + price * edges.auxiliary[into]
            edge = into.start + int(np.argmin(before[edges.source[into]] + own))
            chosen.append((step, edge))
            state = int(edges.source[edge])
        return Path(tuple(reversed(chosen)))


@dataclass(frozen=True)
class Path:
    """One block a step."""

    chosen: tuple[tuple[Step, int], ...]

    @property
    def cost(self) -> float:
        """The time without recomputation; infinite where there is no path."""
        return sum(float(step.edges.flops[i]) for step, i in self.chosen) if self.chosen else np.inf

    @property
    def kept(self) -> float:
        """What its cuts keep throughout."""
        return sum(float(step.edges.auxiliary[i]) for step, i in self.chosen)

    @property
    def highest(self) -> float:
        """The highest block where nothing is computed again."""
        return max(float(step.edges.local[i]) for step, i in self.chosen)

    @property
    def ends(self) -> tuple[int, ...]:
        """The places where its blocks end."""
        return tuple(int(step.edges.windows[i, -1]) for step, i in self.chosen)

    def under(self, limit: float) -> float:
        """The time where no block may be higher than this."""
        return sum(float(step.cost(limit)[i]) for step, i in self.chosen)


def _common(one: Edges, other: Edges) -> tuple[Edges, Edges]:
    """The windows that both have."""
    if np.array_equal(one.windows, other.windows):
        return one, other
    places = 1 + max(int(edges.windows.max(initial=0)) for edges in (one, other))
    a, b = (edges.windows @ places ** np.arange(edges.windows.shape[1]) for edges in (one, other))
    _, first, second = np.intersect1d(a, b, return_indices=True)
    order: NDArray[np.int64] = np.argsort(one.target[first], kind="stable")
    return one.only(first[order]), other.only(second[order])

"""Under which budgets local learning is the faster: two curves of cost over memory, of what was measured and compiled.

An estimate, unlike the rows of a table: between nothing and everything computed again cost and peak are taken to lie on
a line, and of splits the search's own proposals are taken at their word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from .attempts import Candidate
from .ways import Ways

ALIKE = 0.05  # of the cost: no prediction of time tells what differs by less apart, and what is exact is preferred
POINTS = 12  # budgets that are looked at


@dataclass(frozen=True, slots=True)
class Range:
    """Budgets from one to another; without a lowest where below it nothing else fits."""

    lowest: int | None
    highest: int


@dataclass(frozen=True, slots=True)
class Known:
    """A budget of which it is known who is the faster: no estimate of it can be better."""

    budget: int
    local: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """One configuration with nothing and with everything computed again."""

    plain: Candidate
    again: Candidate | None

    def under(self, budget: int) -> float:
        """What it costs with as little of it as fits."""
        plain, again = self.plain, self.again
        if plain.peak <= budget:
            return plain.cost
        if again is None or again.peak > budget:
            return inf
        return plain.cost + (again.cost - plain.cost) * (plain.peak - budget) / (plain.peak - again.peak)

    @property
    def floor(self) -> int:
        """The lowest that it comes to."""
        return min(each.peak for each in (self.plain, self.again) if each is not None)


@dataclass(frozen=True, slots=True)
class Proposals:
    """The splits of a method, as they are proposed; `scale` is what one came to for one that was thought to cost."""

    ways: Ways
    numbers: Sequence[int]
    scale: float

    def under(self, budget: int) -> float:
        """What the fastest proposal costs."""
        found = (self.ways.best(blocks, budget) for blocks in self.numbers)
        return self.scale * min((way.cost for way in found if way is not None), default=inf)


def wins(
    exact: Sequence[Pair], local: Sequence[Pair | Proposals], lowest: int, highest: int, known: Known
) -> Range | None:
    """The budgets that are better served by local learning: the longest run of those looked at; None where none is.

    Of the budget whose rows were compiled they decide, and of several runs the one with it is taken.
    """
    steps = sorted({known.budget, *(int(lowest * (highest / lowest) ** (i / (POINTS - 1))) for i in range(POINTS))})
    runs: list[list[int]] = [[]]
    for budget in steps:
        ours, theirs = (min((each.under(budget) for each in side), default=inf) for side in (local, exact))
        if known.local if budget == known.budget else ours < theirs * (1 - ALIKE):
            runs[-1].append(budget)
        elif ours < inf or theirs < inf:
            runs.append([])
    best = max(runs, key=lambda run: (known.budget in run, len(run)))
    if not best:
        return None
    beyond = any(min((each.under(b) for each in exact), default=inf) < inf for b in steps if b < best[0])
    return Range(best[0] if beyond else None, best[-1])

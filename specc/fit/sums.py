"""What a step reaches, as sums of what blocks have left and of what their runs take: each is held under a limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .layer_costs import NEVER, Array, Measured, Runs, backward_peaks, forward_peaks, left_by
from .watching import Run

Term = tuple[object, ...]  # of a sum of bytes: what one block has left, or the highest point of one of its passes


@dataclass(eq=False)
class Check:
    """One highest point: a sum of terms of earlier blocks and of its own, which the limit bounds."""

    fixed: int
    terms: dict[int, tuple[Term, ...]] = field(default_factory=dict)  # of each block
    own: int | None = None  # the block whose runs it goes through
    table: Runs | None = None  # for each of its runs, above what the block has left by then
    column: Term | None = None  # what the block has left by then; None: above all that it leaves

    @property
    def last(self) -> int:
        """The last block that has to do with it."""
        return max((*self.terms, -1 if self.own is None else self.own), default=-1)

    @property
    def direct(self) -> bool:
        """Whether it is decided run by run."""
        return self.column is not None and self.own == self.last and self.own not in self.terms


class Model:
    """The checks of a step, and what each block's runs leave; `costs` are those of runs that are computed again."""

    def __init__(self, measured: Measured, costs: Sequence[Array]) -> None:
        self.costs, self.sizes = costs, measured.sizes
        self.columns: list[dict[Term, Runs]] = [{} for _ in self.sizes]  # of each block
        self._left = [self._column(k, measured) for k in range(len(measured.passes))]
        self.checks: list[Check] = []
        self.fixed = NEVER  # what is reached whatever is chosen
        for n, _ in enumerate(measured.instructions):
            self._check(n, measured)
        self._merge()

    def _column(self, k: int, measured: Measured) -> tuple[Term, Term, int]:
        """What a pass leaves, when it is over and meanwhile, and how much more that is."""
        block, figures = measured.passes[k].block, measured.left[k]
        gone = set(figures.gone.values())
        meanwhile = left_by(figures, after=False)
        fixed = gone.pop() if len(gone) == 1 else None
        after = meanwhile if fixed is not None else left_by(figures, after=True)
        names: list[Term] = []
        for runs in (after, meanwhile):
            names.append(("left", block, runs.key))
            self.columns[block][names[-1]] = runs
        return names[0], names[1], fixed or 0

    def _check(self, n: int, measured: Measured) -> None:
        figured = measured.instructions[n]
        others = [(measured.passes[k].block, *self._left[k]) for k in measured.alive(n)]
        shift = sum(fixed for *_, fixed in others)
        terms: dict[int, tuple[Term, ...]] = {}
        for block, after, _, _ in others:
            terms[block] = (*terms.get(block, ()), after)
        k = measured.own.get(n)
        if k is None:
            self.checks.append(Check(figured.fixed + shift, terms))
            return
        one, (after, meanwhile, fixed) = measured.passes[k], self._left[k]
        full = terms | {one.block: (*terms.get(one.block, ()), after)}
        if n == one.instruction:
            self.checks.append(Check(figured.fixed + shift, terms))
            table, column = forward_peaks(figured, measured.left[k]), meanwhile
            self.checks.append(Check(shift, terms, one.block, table, column))
        elif measured.retains(n):
            self.checks.append(Check(figured.fixed + shift + fixed, full))
            table = backward_peaks(figured, measured.left[k], retains=True)
            self.checks.append(Check(shift + fixed, full, one.block, table))
        else:
            self.checks.append(Check(figured.fixed + shift + fixed, full))
            table = backward_peaks(figured, measured.left[k], retains=False)
            self.checks.append(Check(shift + fixed, terms, one.block, table, after))

    def peak(self, chosen: Sequence[Sequence[Run]]) -> int:
        """The highest of all sums where the blocks are divided into these runs."""
        return max([self.fixed, *(self._reached(check, chosen) for check in self.checks)])

    def _reached(self, check: Check, chosen: Sequence[Sequence[Run]]) -> int:
        def left(block: int, term: Term, count: int | None = None) -> int:
            return sum(self.columns[block][term].of(run) for run in chosen[block][:count])

        total = check.fixed + sum(left(block, term) for block, own in check.terms.items() for term in own)
        if check.own is None or check.table is None:
            return total
        through = (
            check.table.of(run) + (left(check.own, check.column, i) if check.column else 0)
            for i, run in enumerate(chosen[check.own])
        )
        return total + max(through)

    def _merge(self) -> None:
        """Checks of the same sums as one: the highest."""
        found: dict[object, Check] = {}
        for check in self.checks:
            if check.table is not None:
                check.table, check.fixed = _raised(check.table, check.fixed), 0
            terms = tuple(sorted((block, tuple(sorted(own, key=repr))) for block, own in check.terms.items()))
            key = terms, check.own, check.column
            old = found.setdefault(key, check)
            if old is not check:
                old.fixed = max(old.fixed, check.fixed)
                if old.table is not None and check.table is not None:
                    old.table = old.table.both(check.table)
        chosen = {key: bool(check.terms) or check.own is not None for key, check in found.items()}
        self.checks = [check for key, check in found.items() if chosen[key]]
        self.fixed = max((check.fixed for key, check in found.items() if not chosen[key]), default=NEVER)


def _raised(runs: Runs, by: int) -> Runs:
    return Runs(runs.kept + by, runs.again + by)

"""Where the blocks of a network are cut into stages: so that the slowest of them takes as little as can be."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import accumulate, pairwise
from math import inf

from ..plan import Extension, Free, Layout, Plan, Unit
from ..plan.flops import flops_of
from ..profiles import Profile
from ..timing import step_time
from .owners import Owners
from .ranks import laid_out

Fits = Callable[[int, int], bool]  # the first of a run, and the first after it


def stages_of(plan: Plan, costs: Sequence[float] | None = None) -> tuple[int, ...]:
    """The first block of every stage; `costs` are of the blocks with their units, by default FLOPs.

    Where a budget is given and there is a division of which each stage keeps to it, one of those; else as if there
    were no budget, which whoever checks the ranks then finds exceeded.
    """
    devices, count = plan.config.devices, plan.config.devices.block_parallel
    if devices.after is not None:
        last = {block.layers[-1]: block.index for block in plan.blocks}
        return (0, *(last[name] + 1 for name in devices.after))
    costs = block_flops(plan) if costs is None else costs
    found, budget = balanced(costs, count), plan.config.budget
    if found is None:
        raise ValueError(f"{len(plan.blocks)} blocks are no {count} stages")
    if budget is None or count == 1:
        return found
    return balanced(costs, count, Peaks(plan, budget.memory).fits) or found


def crossed(plan: Plan, stages: Sequence[int]) -> tuple[Unit, int] | None:
    """The first unit whose gradient goes back over the beginning of a stage, and that block; None where none does."""
    found = ((unit, stage) for unit in plan.units for stage in stages if unit.start < stage <= unit.end)
    return next(found, None)


def stages_on(plan: Plan, profile: Profile | None) -> tuple[int, ...]:
    """Where stages begin on such devices: cut by time where that is known, else by FLOPs.

    What decoupled stages learn depends on where they begin, so that no calibration may change it: by FLOPs always. And
    what a package adds to a step was found to be possible with those of the compiler, which knows no calibration.
    """
    added = any(isinstance(each, Extension) for each in plan.instructions)
    if profile is None or added or plan.config.devices.mode == "decoupled":
        return stages_of(plan)
    return stages_of(plan, block_seconds(plan, step_time(plan, profile).instructions))


class Peaks:
    """What each run of blocks takes as a stage of its own, as far as somebody asked."""

    def __init__(self, plan: Plan, budget: int) -> None:
        self.plan, self.budget = plan, budget
        self.known: dict[tuple[int, int], int] = {}

    def fits(self, first: int, end: int) -> bool:
        """Whether the stage of the blocks `first` to before `end` keeps to the budget."""
        if (first, end) not in self.known:
            starts = tuple(sorted({0, first, end} - {len(self.plan.blocks)}))
            largest = (self.plan.config.devices.data_parallel - 1) * len(starts)  # of the copies the last has most
            own = laid_out(self.plan, largest + starts.index(first), starts)
            self.known[first, end] = own.memory.peak_bytes
        return self.known[first, end] <= self.budget


def block_flops(plan: Plan) -> list[float]:
    """FLOPs of a step for one image, by the block that they are of or at whose end."""
    return [float(flops_of((plan.instructions[i] for i in own), plan.networks, plan.units)) for own in _by_block(plan)]


def block_seconds(plan: Plan, seconds: Sequence[float]) -> list[float]:
    """How long a step is at every block, of how long every instruction of the whole takes."""
    return [sum(seconds[i] for i in own) for own in _by_block(plan)]


def _by_block(plan: Plan) -> list[list[int]]:
    """The instructions that are done where a block is, by number."""
    layout = Layout(1, tuple(range(len(plan.blocks))), 0, "0" * 64)
    owners = Owners(plan, layout)
    by_block: list[list[int]] = [[] for _ in plan.blocks]
    for i, each in enumerate(plan.instructions):
        if not isinstance(each, Free):
            by_block[owners.of(each)].append(i)
    return by_block


def balanced(costs: Sequence[float], count: int, fits: Fits = lambda first, end: True) -> tuple[int, ...] | None:
    """The first of each of `count` runs of successive costs, none empty, the largest of whose sums is least.

    Only runs that fit are taken; None where there is no such division. Whether one fits is asked of those alone that
    would be taken: what does not fit is left out, and the best looked for anew.

    >>> balanced([1, 1, 1, 3, 1, 1], 3)
    (0, 3, 4)
    >>> balanced([5, 1, 1, 1], 2)
    (0, 1)
    >>> balanced([5, 1, 1, 1], 2, lambda first, end: end - first < 3)
    (0, 2)
    """
    too_large: set[tuple[int, int]] = set()
    while found := _divided(costs, count, too_large):
        runs = set(pairwise((*found, len(costs))))
        large = {run for run in runs if not fits(*run)}
        if not large:
            return found
        too_large |= large
    return None


def _divided(costs: Sequence[float], count: int, too_large: Container[tuple[int, int]]) -> tuple[int, ...] | None:
    """The best division into runs that are not known to be too large."""
    sums = [0.0, *accumulate(costs)]
    best = [[0.0, *[inf] * len(costs)]]  # by how many runs there are, and by how many costs are in them
    cuts: list[list[int]] = [[0] * (len(costs) + 1)]
    for _ in range(count):
        row, chosen = [inf] * (len(costs) + 1), [0] * (len(costs) + 1)
        for end in range(1, len(costs) + 1):
            firsts = (first for first in range(end) if (first, end) not in too_large)
            options = ((max(best[-1][first], sums[end] - sums[first]), first) for first in firsts)
            row[end], chosen[end] = min(options, default=(inf, 0))
        best.append(row)
        cuts.append(chosen)
    if best[count][-1] == inf:
        return None
    found, end = [], len(costs)
    for run in range(count, 0, -1):
        end = cuts[run][end]
        found.append(end)
    return tuple(reversed(found))

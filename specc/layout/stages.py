"""Where the blocks of a network are cut into stages: so that the slowest of them takes as little as can be."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from ..plan import Free, Layout, Plan
from ..plan.flops import flops_of
from .owners import Owners


def stages_of(plan: Plan, costs: Sequence[float] | None = None) -> tuple[int, ...]:
    """The first block of every stage; `costs` are of the blocks with their units, by default FLOPs."""
    devices, count = plan.config.devices, plan.config.devices.block_parallel
    if devices.after is not None:
        last = {block.layers[-1]: block.index for block in plan.blocks}
        return (0, *(last[name] + 1 for name in devices.after))
    return balanced(block_flops(plan) if costs is None else costs, count)


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


def balanced(costs: Sequence[float], count: int) -> tuple[int, ...]:
    """The first of each of `count` runs of successive costs, none empty, the largest of whose sums is least.

    >>> balanced([1, 1, 1, 3, 1, 1], 3)
    (0, 3, 4)
    >>> balanced([5, 1, 1, 1], 2)
    (0, 1)
    """
    sums = [0.0, *accumulate(costs)]
    best = [[0.0, *[float("inf")] * len(costs)]]  # by how many runs there are, and by how many costs are in them
    cuts: list[list[int]] = [[0] * (len(costs) + 1)]
    for _ in range(count):
        row, chosen = [float("inf")] * (len(costs) + 1), [0] * (len(costs) + 1)
        for end in range(1, len(costs) + 1):
            options = ((max(best[-1][first], sums[end] - sums[first]), first) for first in range(end))
            row[end], chosen[end] = min(options)
        best.append(row)
        cuts.append(chosen)
    found, end = [], len(costs)
    for run in range(count, 0, -1):
        end = cuts[run][end]
        found.append(end)
    return tuple(reversed(found))

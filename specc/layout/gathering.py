"""Parameters of which every copy of the network keeps a part: when a block's are gathered, and what that leaves.

A block is gathered for its own turn, and while it has it the next one is: forward, heads and backward of a block that
learns by itself are one turn, where a network that is trained end to end has two. Gradients stay in parts as well, so
that a sum goes round the ring once (fully sharded data parallel; Rajbhandari et al., 2020, arXiv:1910.02054).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..plan import Backward, Branch, BranchBackward, Forward, Head, Instruction, Plan, Reduce, Step


@dataclass(frozen=True, slots=True)
class Gather:
    """Parameters that are put together for a turn."""

    asked: int  # the instruction before which it begins
    needed: int  # ... and before which it has to be there
    whole: int  # bytes
    bytes: float  # that a device sends, and receives: (n - 1) / n of them
    latencies: int


@dataclass(slots=True)
class _Turn:
    block: int
    first: int
    groups: set[str]


def gathers(plan: Plan) -> Iterator[Gather]:
    """All of a step; none where every copy has all parameters."""
    layout = plan.layout
    if layout is None or layout.copies == 1 or not plan.config.devices.shard:
        return
    asked = 0
    for turn in _turns(plan):
        size = sum(4 * plan.networks[name].graph.parameter_count for g in turn.groups for name in plan.groups[g])
        yield Gather(asked, turn.first, size, (layout.copies - 1) / layout.copies * size, layout.copies - 1)
        asked = turn.first


def _turns(plan: Plan) -> Iterator[_Turn]:
    turn: _Turn | None = None
    for i, each in enumerate(plan.instructions):
        block, groups = _works_with(plan, each)
        if block is None:
            continue
        if turn is not None and turn.block != block:
            yield turn
            turn = None
        turn = turn or _Turn(block, i, set())
        turn.groups |= groups
    if turn is not None:
        yield turn


def _works_with(plan: Plan, each: Instruction) -> tuple[int | None, set[str]]:
    """The block at which an instruction computes, and the optimizer groups that it needs."""
    match each:
        case Forward() | Backward():
            networks = {f"block{each.block}"}
            block = each.block
        case Head():
            unit = plan.by_unit[each.unit]
            networks = {name for head in unit.heads if head.name == each.head for name in head.networks}
            block = unit.end
        case Branch() | BranchBackward():
            unit = plan.by_unit[each.unit]
            networks, block = {link.bias for link in unit.links if link.bias}, unit.end
        case _:
            return None, set()
    found = (plan.networks[name].group for name in networks)
    return block, {group for group in found if group is not None}


def sharded_peak(plan: Plan) -> int:
    """The most that is alive on a device that keeps a part of the state, and gathers what has its turn or is next.

    The gradients of a group are whole until their sum has begun.
    """
    layout = plan.layout
    assert layout is not None
    away, order = 1 - 1 / layout.copies, plan.config.train.optimizer
    shapes = [shape for n in plan.networks.values() if n.group is not None for shape in n.parameters.values()]
    of_groups = {group: sum(4 * plan.networks[name].graph.parameter_count for name in names)
                 for group, names in plan.groups.items()}  # fmt: skip
    always = away * (sum(of_groups.values()) + order.state_bytes(shapes))
    here, most, summed = list(gathers(plan)), 0.0, set[str]()
    for i, each in enumerate(plan.instructions):
        whole = sum(gather.whole for gather in _there(here, i))
        parts = away * sum(of_groups[group] for group in summed)
        most = max(most, plan.memory.timeline[i].bytes - always - parts + whole)
        if isinstance(each, Reduce):
            summed.add(each.group)
        if isinstance(each, Step):
            summed.discard(each.group)
    return round(most)


def _there(found: list[Gather], i: int) -> Iterator[Gather]:
    """What is gathered, or being gathered, at an instruction."""
    for number, gather in enumerate(found):
        later = found[number + 1 :]
        until = later[0].needed if later else float("inf")
        if gather.asked <= i < until:
            yield gather

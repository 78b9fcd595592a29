"""What each of several devices takes: their plans, and the highest peak, which a budget is held against."""

from __future__ import annotations

from ..plan import Plan
from ..profiles import Profile
from .ranks import every_rank
from .stages import stages_on


def ranks_of(plan: Plan, profile: Profile | None = None) -> tuple[Plan, ...] | None:
    """The plans of all ranks; None where there are fewer blocks than stages, or fewer images than slices of copies."""
    devices, train = plan.config.devices, plan.config.train
    if devices.block_parallel > len(plan.blocks):
        return None
    if plan.config.data.batch_size < devices.data_parallel * train.micro_batches:
        return None
    return every_rank(plan, stages_on(plan, profile))


def largest_of(plan: Plan) -> Plan | None:
    """The rank with the highest peak, the first of several."""
    ranks = ranks_of(plan)
    return None if ranks is None else max(ranks, key=lambda own: own.memory.peak_bytes)

"""A plan whose parameters live elsewhere than they did: what is computed stays what it was, in its order."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ..memory.prediction import Prediction
from ..plan import Free, Plan
from ..plan.lifetimes import with_frees, with_retain
from ..plan.offloading import held_by, with_moves, without_moves
from ..spec.sections.offload import Part


def offloaded(plan: Plan, parts: Collection[Part]) -> Plan:
    """The plan with so much of its state on the host; none of it where there are no parts. Its numbers are the same."""
    moved = replace(plan, config=plan.config.changed("train", offload=sorted(parts)))
    ordered = [each for each in without_moves(plan.instructions) if not isinstance(each, Free)]
    freed = with_frees(with_retain(list(with_moves(ordered, held_by(moved)))), len(plan.blocks) - 1)
    moved = replace(moved, instructions=tuple(freed))
    return replace(moved, memory=Prediction(moved, plan.memory.device).run())

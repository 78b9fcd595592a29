"""Pass 5: a topological order of the instructions that keeps little alive, with values freed after their last reader.

What ends lives goes first, what begins them last (`urgency`): a unit's backward runs before the next block's forward,
and an optimizer step as soon as its gradients are final, because both free memory that everything after them can use.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..memory.prediction import Prediction
from ..plan import Instruction
from ..plan.lifetimes import with_frees, with_retain
from ..plan.offloading import held, with_moves
from .dependencies import ORDERS, hazards
from .draft import Draft


def schedule(draft: Draft) -> Draft:
    """Order the instructions and predict their memory; of two orders of slices that are allowed the cheaper one."""
    wanted = draft.spec.config.schedule.order
    names = ORDERS if wanted == "auto" and draft.slices > 1 else [wanted if wanted in ORDERS else "slices"]
    drafts = [draft.updated(instructions=scheduled(draft, ORDERS[name](draft))) for name in names]
    predicted = (each.updated(memory=Prediction(each.plan, each.spec.device).run()) for each in drafts)
    return min(predicted, key=lambda d: d.predicted.peak_bytes)


def scheduled(draft: Draft, program: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """A program's instructions in the order that they run in, with what packages add."""
    for addition in draft.spec.config.train.instructions:
        program = list(addition.into(program))
    ordered = list(order(program))
    ordered = list(with_moves(ordered, held(draft.spec.config.train.offload, draft.networks, draft.units)))
    return tuple(with_frees(with_retain(ordered), len(draft.blocks) - 1))


def order(program: Sequence[Instruction]) -> Iterator[Instruction]:
    """Topological order, the most urgent ready instruction first and the program's order among equals."""
    import networkx as nx

    found = nx.lexicographical_topological_sort(hazards(program), key=lambda i: (program[i].urgency, i))
    return (program[i] for i in found)

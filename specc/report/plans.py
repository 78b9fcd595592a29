"""Figures of the plan itself: the memory of a step, instruction by instruction, and the network with its units."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from ..compiler.variants import end_to_end
from ..graph.ops import show
from ..pictures.blocks import block_diagram
from ..pictures.drawing import Picture
from ..pictures.timeline import memory_timeline
from ..plan import Plan
from ..views.timeline import Span, Timeline, timeline
from .charts.frames import NARROW
from .parts import Figure, Table
from .subject import Subject
from .words import show_bytes


def memory(subject: Subject, name: str) -> Figure | None:
    """What is alive while a step runs, by category, beside end-to-end training of the same network."""
    plan = subject.plan
    if plan is None or not plan.memory.timeline:
        return None
    found, other = timeline(plan), end_to_end(plan)
    rows = tuple(_span(found, span, subject.step.peak_bytes if subject.step else ()) for span in found.spans)
    table = Table(("block", "highest at", "predicted", "measured"), rows, frozenset({0, 1}))
    return Figure(name, "Memory of a step, from its first op to its last", partial(_memory, plan, other), table,
                  "As predicted; what was measured is in the table, as the highest point of every block.")  # fmt: skip


def _memory(plan: Plan, other: Plan | None, width: float) -> Picture:
    return memory_timeline(plan, other, 720 if width > NARROW else width)  # it has much to say at its side


def _span(found: Timeline, span: Span, measured: Sequence[int]) -> tuple[str, ...]:
    """While the step works on one block: where most is alive, by prediction, and the most that was measured."""
    top = found.top(span)
    at = {found.instants[position].instruction for position in range(span.first, span.last + 1)}
    seen = [measured[place] for place in at if place < len(measured)]
    most = show_bytes(max(seen)) if seen else "–"
    return (span.label, found.instruction(top), show_bytes(found.instants[top].bytes), most)


def network(subject: Subject, name: str) -> Figure | None:
    """The backbone as blocks, with heads, links and the windows of levels."""
    plan = subject.plan
    if plan is None:
        return None
    rows = []
    for unit in plan.units:
        blocks = str(unit.end) if unit.start == unit.end else f"{unit.start} to {unit.end}"
        heads = ", ".join(f"{head.name} × {head.weight:.3g}" for head in unit.heads)
        rows.append((unit.name, blocks, show(unit.feature), heads, str(len(unit.links))))
    table = Table(("unit", "blocks", "features", "heads and their weights", "links"), tuple(rows),
                  frozenset({0, 1, 2, 3}))  # fmt: skip
    return Figure(name, "Blocks, heads and units", partial(block_diagram, plan), table)

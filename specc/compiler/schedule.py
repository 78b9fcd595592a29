"""Pass 5: a topological order of the tasks that keeps little alive, with values freed after their last reader."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ..plan import Instruction
from .dependencies import Task
from .draft import Draft

if TYPE_CHECKING:
    import networkx as nx

# What ends lives goes first, what begins them last: a unit's backward runs before the next block's forward, and an
# optimizer step as soon as its gradients are final, because both free memory that everything after them can use.
URGENCY = {"ema_update": 0, "step": 1, "backward": 2, "branch_backward": 3, "head": 4, "branch": 5, "forward": 6}


def schedule(draft: Draft) -> Draft:
    """Order the tasks, mark which backward is a block's last, and free every value after its last reader."""
    assert draft.tasks is not None
    ordered = list(order(draft.tasks))
    return draft.updated(instructions=tuple(_with_frees(_with_retain(ordered))))


def order(graph: nx.DiGraph) -> Iterator[Task]:
    """Topological order, the most urgent ready task first and the program's order among equals."""
    missing = dict(graph.in_degree())
    ready = [_key(graph, i) for i, count in missing.items() if count == 0]
    heapq.heapify(ready)
    while ready:
        _, i = heapq.heappop(ready)
        yield graph.nodes[i]["task"]
        for j in graph.successors(i):
            missing[j] -= 1
            if missing[j] == 0:
                heapq.heappush(ready, _key(graph, j))


def _key(graph: nx.DiGraph, i: int) -> tuple[int, int]:
    return URGENCY[graph.nodes[i]["task"].instruction.kind], i


def _with_retain(tasks: list[Task]) -> list[Task]:
    """Every backward through a block but its last keeps what the next one needs."""
    last = {t.instruction.block: i for i, t in enumerate(tasks) if t.instruction.kind == "backward"}
    return [
        replace(t, instruction=replace(t.instruction, retain=i < last[t.instruction.block]))
        if t.instruction.kind == "backward" else t
        for i, t in enumerate(tasks)
    ]  # fmt: skip


def _with_frees(tasks: list[Task]) -> Iterator[Instruction]:
    """The instructions, each followed by the values that nobody reads any more; the logits stay for the caller."""
    last_use = {value: i for i, task in enumerate(tasks) for value in task.reads | task.writes if _is_value(value)}
    logits = max((t.instruction.block for t in tasks if t.instruction.kind == "forward"), default=-1) + 1
    dying: dict[int, list[str]] = {}
    for value, i in last_use.items():
        if value not in (f"x{logits}", "x0", "labels"):
            dying.setdefault(i, []).append(value)
    for i, task in enumerate(tasks):
        yield task.instruction
        if i in dying:
            yield Instruction("free", values=tuple(sorted(dying[i])))


def _is_value(name: str) -> bool:
    return not name.startswith(("params:", "grads:", "ema:"))


def values_of(instructions: Iterable[Instruction]) -> set[str]:
    """All values that are freed somewhere."""
    return {value for instruction in instructions for value in instruction.values}

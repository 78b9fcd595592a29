"""Pass 4: the tasks of one training step and the hazards between them, as a networkx graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..plan import Block, Instruction, Unit, branch_cotangent, branch_output, cotangent, features, tape
from .draft import Draft

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, slots=True)
class Task:
    """An instruction with what it reads and writes. Values carry data; `params:`, `grads:` and `ema:` are state."""

    instruction: Instruction
    reads: frozenset[str]
    writes: frozenset[str]


def depend(draft: Draft) -> Draft:
    """List the tasks in an order that is surely right, then keep only the order that hazards demand."""
    return draft.updated(tasks=hazards(list(tasks(draft))))


def hazards(program: list[Task]) -> nx.DiGraph:
    """Read-after-write, write-after-read and write-after-write edges of a program; nodes are its positions."""
    import networkx as nx

    graph = nx.DiGraph()
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    for i, task in enumerate(program):
        graph.add_node(i, task=task)
        for value in task.reads - task.writes:
            if value in writer:
                graph.add_edge(writer[value], i)
            readers.setdefault(value, []).append(i)
        for value in task.writes:
            graph.add_edges_from(
                (j, i) for j in (*readers.pop(value, ()), *([writer[value]] if value in writer else []))
            )
            writer[value] = i
    return graph


def tasks(draft: Draft) -> Iterator[Task]:
    """The program: forward block by block, each unit's losses when its last block is done, each window's gradient."""
    ends: dict[int, list[Unit]] = {}
    for unit in draft.units:
        ends.setdefault(unit.end, []).append(unit)
    last_end: dict[int, int] = {}
    for unit in draft.units:
        last_end[unit.start] = max(unit.end, last_end.get(unit.start, 0))
    starts = _windows(draft, last_end)
    for block in draft.blocks:
        yield _forward(block, starts[block.index], _images(draft, [block.name]))
        for unit in ends.get(block.index, ()):
            yield from _losses(unit, _images(draft, [link.ema for link in unit.links]))
        for start in sorted(s for s, end in last_end.items() if end == block.index):
            yield from (_backward(b, start) for b in range(block.index, start - 1, -1) if start in starts[b])
        for unit in ends.get(block.index, ()):
            if unit.links:
                yield _ema_update(unit)
    yield from _steps(draft, starts)


def _windows(draft: Draft, last_end: dict[int, int]) -> dict[int, list[int]]:
    """The windows whose gradient passes through each block, by their first block.

    A gradient ends at the first block of its window that has something to train: below it nobody would use it.
    """
    trains = [bool(draft.networks[block.name].graph.parameter_count) for block in draft.blocks]
    starts: dict[int, list[int]] = {block.index: [] for block in draft.blocks}
    for start, end in sorted(last_end.items()):
        first = next((b for b in range(start, end + 1) if trains[b]), end + 1)
        for block in range(first, end + 1):
            starts[block].append(start)
    return starts


def _images(draft: Draft, networks: Iterable[str]) -> frozenset[str]:
    """The images, where one of the networks reads them beside its input."""
    return frozenset({features(-1)} if any(draft.networks[name].graph.reads_images for name in networks) else ())


def _forward(block: Block, starts: list[int], images: frozenset[str]) -> Task:
    k = block.index
    instruction = Instruction("forward", block=k, needs_grad=bool(starts), input_grad=any(s < k for s in starts))
    writes = {features(k), *([tape(k)] if starts else [])}
    return Task(instruction, images | {features(k - 1), f"params:{block.name}"}, frozenset(writes))


def _losses(unit: Unit, images: frozenset[str]) -> Iterator[Task]:
    """The branch of a unit's EMA links, its heads, and the gradient back through the branch."""
    target = cotangent(unit.end, unit.start)
    source = features(unit.end)
    biases = [link.bias for link in unit.links if link.bias]
    copies = {f"ema:{unit.name}", *(f"params:{bias}" for bias in biases)}
    if unit.links:
        yield Task(
            Instruction("branch", unit=unit.name), images | {source, *copies}, frozenset({branch_output(unit.name)})
        )
    for head in unit.heads:
        reads = {branch_output(unit.name) if unit.links else source, f"params:{unit.name}.{head.name}"}
        reads |= {features(-1)} if head.target == "images" else {"labels"}
        writes = {branch_cotangent(unit.name) if unit.links else target, f"grads:{unit.name}.{head.name}"}
        yield Task(Instruction("head", unit=unit.name, head=head.name), frozenset(reads | writes), frozenset(writes))
    if unit.links:
        reads = {branch_output(unit.name), branch_cotangent(unit.name), *copies, target}
        writes = {target, branch_output(unit.name), *(f"grads:{bias}" for bias in biases)}
        yield Task(Instruction("branch_backward", unit=unit.name), frozenset(reads), frozenset(writes))


def _backward(block: int, start: int) -> Task:
    reads = {cotangent(block, start), tape(block), f"params:block{block}", f"grads:block{block}"}
    writes = {f"grads:block{block}", tape(block)}
    if start < block:
        reads |= {cotangent(block - 1, start)}
        writes |= {cotangent(block - 1, start)}
    return Task(Instruction("backward", block=block, start=start), frozenset(reads), frozenset(writes))


def _ema_update(unit: Unit) -> Task:
    """After the unit's backward, from the source's values before this step's optimizer step."""
    reads = {f"params:{link.source_block}" for link in unit.links} | {f"grads:block{unit.end}"}
    return Task(Instruction("ema_update", unit=unit.name), frozenset(reads), frozenset({f"ema:{unit.name}"}))


def _steps(draft: Draft, starts: dict[int, list[int]]) -> Iterator[Task]:
    """One optimizer step a group that has parameters and gets gradients."""
    groups = {network.group for network in draft.networks.values() if network.group and network.parameters}
    trained = [f"block{k}" for k, windows in starts.items() if windows]
    for unit in draft.units:
        trained += [f"{unit.name}.{head.name}" for head in unit.heads]
        trained += [link.bias for link in unit.links if link.bias]
    for group in trained:
        if group in groups:
            state = frozenset({f"params:{group}", f"grads:{group}"})
            yield Task(Instruction("step", group=group), state, state)

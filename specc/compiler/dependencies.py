"""Pass 4: the instructions of one training step and the hazards between them, as a networkx graph."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from ..graph.graph import INPUT
from ..plan import (
    Backward,
    Block,
    Branch,
    BranchBackward,
    EmaUpdate,
    Entry,
    Forward,
    Given,
    Head,
    Instruction,
    Outlet,
    Root,
    Step,
    Unit,
)
from ..plan.values import IMAGES, LABELS, cotangent, features, graph, leaf, of_branch, of_slice
from .draft import Draft
from .flows import Flows

if TYPE_CHECKING:
    import networkx as nx


def hazards(program: Sequence[Instruction]) -> nx.DiGraph:
    """Read-after-write, write-after-read and write-after-write edges of a program; nodes are its positions."""
    import networkx as nx

    found = nx.DiGraph()
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    for i, instruction in enumerate(program):
        found.add_node(i)
        reads, writes = instruction.reads, instruction.writes
        for value in reads - writes:
            if value in writer:
                found.add_edge(writer[value], i)
            readers.setdefault(value, []).append(i)
        for value in writes:
            found.add_edges_from(
                (j, i) for j in (*readers.pop(value, ()), *([writer[value]] if value in writer else []))
            )
            writer[value] = i
    return found


def by_slices(draft: Draft) -> list[Instruction]:
    """A program that is surely right: each slice of the batch through the whole network, then all steps."""
    return Program(draft).whole((block, slice) for slice in range(draft.slices) for block in draft.blocks)


def by_blocks(draft: Draft) -> list[Instruction]:
    """The same with all slices through a block before the next one's turn."""
    return Program(draft).whole((block, slice) for block in draft.blocks for slice in range(draft.slices))


ORDERS: dict[str, Callable[[Draft], list[Instruction]]] = {"slices": by_slices, "blocks": by_blocks}


class Program:
    """The instructions of a draft, in parts that two programs put in different orders."""

    def __init__(self, draft: Draft) -> None:
        self.draft, self.networks = draft, draft.networks
        self.ends: dict[int, list[Unit]] = {}
        for unit in draft.units:
            self.ends.setdefault(unit.end, []).append(unit)
        self.flows = Flows(draft.blocks, draft.networks, draft.units)

    def whole(self, passes: Iterable[tuple[Block, int]]) -> list[Instruction]:
        """Blocks and slices in their order, then all updates and steps."""
        parts = (self._block(*each) for each in passes)
        return [*chain.from_iterable(parts), *self._updates(), *self._steps()]

    def _block(self, block: Block, slice: int) -> Iterator[Instruction]:
        """A block's forward, the losses of the units that it ends, and the gradients of the windows that it ends."""
        yield self._forward(block, slice)
        for unit in self.ends.get(block.index, ()):
            yield from self._losses(unit, slice)
        for start in sorted(s for s, end in self.flows.last_end.items() if end == block.index):
            passed = (b for b in range(block.index, start - 1, -1) if start in self.flows.passages[b])
            yield from (self._backward(b, start, slice) for b in passed)

    def _images(self, networks: Iterable[str], slice: int) -> str | None:
        """The images, where one of the networks reads them beside its input."""
        read = any(self.networks[name].reads_images for name in networks)
        return of_slice(IMAGES, slice) if read else None

    def _forward(self, block: Block, slice: int) -> Instruction:
        k, network, flows = block.index, self.networks[block.name].graph, self.flows
        source = of_slice(IMAGES, slice) if k == 0 and self.draft.from_images else features(k - 1, slice)
        return Forward(
            block=k, slice=slice, source=source, images=self._images([block.name], slice), uses=(block.name,),
            output=features(k, slice), graph=graph(k, slice) if flows.enters(k, network.output) else None,
            leaf=leaf(k, slice) if flows.leaves(k, INPUT) else None,
            skips=tuple(self._entry(k, skip.name, slice) for skip in network.reads),
            gives=tuple(self._given(k, name, slice) for name in network.gives),
        )  # fmt: skip

    def _entry(self, block: int, name: str, slice: int) -> Entry:
        made, skip = self.flows.source(block, name)
        own = leaf(block, slice, name) if self.flows.leaves(block, name) else None
        return Entry(source=features(made, slice, skip), leaf=own)

    def _given(self, block: int, name: str, slice: int) -> Given:
        own = graph(block, slice, name) if self.flows.enters(block, name) else None
        return Given(output=features(block, slice, name), graph=own)

    def _losses(self, unit: Unit, slice: int) -> Iterator[Instruction]:
        """The branch of a unit's EMA links, its heads, and the gradient back through the branch."""
        gradient = cotangent(unit.end, unit.start, slice, unit.read)
        source = features(unit.end, slice, unit.read)
        biases = tuple(link.bias for link in unit.links if link.bias)
        at, output, leaf, graph = (of_branch(unit.name, w, slice) for w in ("grad", "features", "leaf", "graph"))
        if unit.links:
            images = self._images([link.ema for link in unit.links], slice)
            yield Branch(unit=unit.name, slice=slice, source=source, images=images, copies=unit.name, uses=biases,
                         leaf=leaf, graph=graph, output=output)  # fmt: skip
        for head in unit.heads:
            yield Head(
                unit=unit.name, head=head.name, slice=slice, source=output if unit.links else source,
                target=of_slice(IMAGES if head.target == "images" else LABELS, slice),
                trains=(f"{unit.name}.{head.name}",), gradient=at if unit.links else gradient,
            )  # fmt: skip
        if unit.links:
            yield BranchBackward(unit=unit.name, slice=slice, cotangent=at, copies=unit.name, trains=biases,
                                 gradient=gradient, leaf=leaf, graph=graph)  # fmt: skip

    def _backward(self, block: int, start: int, slice: int) -> Instruction:
        passage, flows = self.flows.passages[block][start], self.flows
        first, *others = (self._root(block, start, name, slice) for name in passage.roots)
        reads = (skip.name for skip in self.networks[self.draft.blocks[block].name].graph.reads)
        return Backward(
            block=block, start=start, slice=slice, graph=first.graph, cotangent=first.cotangent,
            leaf=leaf(block, slice) if flows.leaves(block, INPUT) else None, trains=(f"block{block}",),
            gradient=cotangent(block - 1, start, slice) if INPUT in passage.outlets else None, roots=tuple(others),
            outlets=tuple(self._outlet(block, start, name, slice) for name in reads if flows.leaves(block, name)),
        )  # fmt: skip

    def _root(self, block: int, start: int, name: str, slice: int) -> Root:
        skip = self.flows.skip(block, name)
        return Root(graph=graph(block, slice, skip), cotangent=cotangent(block, start, slice, skip))

    def _outlet(self, block: int, start: int, name: str, slice: int) -> Outlet:
        made, skip = self.flows.source(block, name)
        goes_on = name in self.flows.passages[block][start].outlets
        return Outlet(leaf(block, slice, name), cotangent(made, start, slice, skip) if goes_on else None)

    def _updates(self) -> Iterator[Instruction]:
        """The averages of EMA links, from their sources' values before this step."""
        for unit in self.draft.units:
            if unit.links:
                sources = tuple(dict.fromkeys(link.source_block for link in unit.links))
                yield EmaUpdate(unit=unit.name, uses=sources, after=(f"block{unit.end}",), copies=unit.name)

    def _steps(self) -> Iterator[Instruction]:
        """One optimizer step a group that has parameters and gets gradients."""
        groups = {network.group for network in self.networks.values() if network.group and network.graph.trained}
        trained = [f"block{block.index}" for block in self.draft.blocks if self.flows.passages[block.index]]
        for unit in self.draft.units:
            trained += [f"{unit.name}.{head.name}" for head in unit.heads]
            trained += [link.bias for link in unit.links if link.bias]
        yield from (Step(group=group) for group in trained if group in groups)

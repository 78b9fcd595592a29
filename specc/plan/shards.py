"""Networks of which every copy keeps a part (`devices.shard`): which part, and how long one has all of a network.

As torch's `fully_shard` does it: a parameter's rows are dealt to the copies, as many to each, the last ones padded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..graph.graph import Graph
from ..graph.ops import Shape, numel
from .instructions import Backward, Branch, BranchBackward, Forward, Instruction
from .layout import Layout
from .model import Network, Plan


@dataclass(frozen=True, slots=True)
class Deal:
    """Which of so many copies this is."""

    copies: int
    copy: int

    def padded(self, shape: Shape) -> Shape:
        """What a copy has of a parameter in memory."""
        return (-(-shape[0] // self.copies), *shape[1:])

    def rows(self, count: int) -> range:
        """Those of so many that are there, which optimizers keep their state for.

        >>> [list(Deal(3, copy).rows(4)) for copy in range(3)]
        [[0, 1], [2, 3], []]
        """
        (each,) = self.padded((count,))
        return range(min(self.copy * each, count), min((self.copy + 1) * each, count))

    def own(self, shape: Shape) -> Shape:
        """The part of a parameter that is there."""
        return (len(self.rows(shape[0])), *shape[1:])

    def step_bytes(self, graphs: Iterable[Graph]) -> int:
        """What an optimizer takes for a moment that steps parameter after parameter: two numbers for each."""
        shapes = (shape for graph in graphs for shape in graph.trained.values())
        return max((8 * numel(self.own(shape)) for shape in shapes), default=0)

    def part_bytes(self, shapes: Iterable[Shape]) -> int:
        """Of a copy's part of these parameters."""
        return sum(4 * numel(self.padded(shape)) for shape in shapes)


def deal_of(layout: Layout | None) -> Deal | None:
    """What a rank keeps of parameters; none where that is all of them."""
    return Deal(layout.copies, layout.copy) if layout is not None and layout.sharded else None


def same(plan: Plan, layout: Layout) -> tuple[int, ...]:
    """What ranks that do the same have in common: the stage, the samples of every slice, the rows of parameters."""
    deal = deal_of(layout)
    shapes = (shape for network in plan.networks.values() for shape in network.graph.parameters.values())
    rows = () if deal is None else (len(deal.rows(shape[0])) for shape in shapes)
    return layout.stage, *layout.rows(plan.config.data.batch_size), *rows


def kept(network: Network, deal: Deal | None) -> dict[str, Shape]:
    """Of all tensors of a network what a copy has: of parameters its part."""
    if deal is None:
        return network.tensors
    parameters = network.parameters
    return {name: deal.own(shape) if name in parameters else shape for name, shape in network.tensors.items()}


def staying(plan: Plan) -> frozenset[str]:
    """Networks that are gathered once for their forward and their backward, which is the next that is computed.

    So it is where a block learns by itself; where gradients come back later the network is gathered again for them.
    """
    found = {name for unit in plan.units for head in unit.heads for name in head.networks}
    again: set[str] = set()
    for names, ends in _turns(plan):
        (found if ends else again).update(names)
    return frozenset(found - again)


def _turns(plan: Plan) -> Iterator[tuple[Sequence[str], bool]]:
    """What computes something that a backward goes along, and whether that comes before anything of another block."""
    block: Instruction | None = None  # that comes next
    branch: Instruction | None = None
    for each in reversed(plan.instructions):
        if isinstance(each, Forward) and each.graph is not None:
            ends = isinstance(block, Backward) and (block.block, block.slice) == (each.block, each.slice)
            yield (f"block{each.block}",), ends
        elif isinstance(each, Branch):
            ends = isinstance(branch, BranchBackward) and (branch.unit, branch.slice) == (each.unit, each.slice)
            yield [name for link in plan.by_unit[each.unit].links for name in (link.ema, link.bias) if name], ends
        if isinstance(each, Forward | Backward):
            block = branch = each
        elif isinstance(each, BranchBackward):
            branch = each

"""What a block diagram shows of a plan, whichever way it is written: blocks, units with their heads, EMA links."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..graph.node import Node
from ..graph.ops import show
from ..plan import Block, HeadPlan, LinkPlan, Plan
from ..views.plan import copied_layers, layer_of


@dataclass(frozen=True, slots=True)
class LayerShown:
    """A layer of a block."""

    name: str
    ops: str
    output: str


@dataclass(frozen=True, slots=True)
class BlockShown:
    """A run of layers between two cuts."""

    index: int
    span: str  # its first and last layer
    input: str
    output: str
    parameters: int
    layers: tuple[LayerShown, ...]


@dataclass(frozen=True, slots=True)
class HeadShown:
    """A loss at a unit's end."""

    name: str
    loss: str
    weight: float
    grid: tuple[int, int] | None  # of patches

    @property
    def said(self) -> str:
        """All there is to it."""
        patches = f", {self.grid[0]}×{self.grid[1]} patches" if self.grid else ""
        return f"{self.name}: {self.loss} × {self.weight:.3g}{patches}"


@dataclass(frozen=True, slots=True)
class LinkShown:
    """An averaged copy of a later block's layers."""

    source: int  # the block
    layers: str
    bias: str
    momentum: float

    @property
    def said(self) -> str:
        """All there is to it."""
        return f"EMA of {self.layers} (block {self.source}), momentum {self.momentum:g}, bias {self.bias}"


@dataclass(frozen=True, slots=True)
class UnitShown:
    """A window of blocks, with what it learns by."""

    name: str
    level: int
    start: int
    end: int
    heads: tuple[HeadShown, ...]
    links: tuple[LinkShown, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """All there is to it."""
        return (self.name, *(link.said for link in self.links), *(head.said for head in self.heads))


@dataclass(frozen=True, slots=True)
class LevelShown:
    """All units of one window size."""

    name: str
    window: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """Everything that is shown."""

    name: str
    levels: tuple[LevelShown, ...]
    blocks: tuple[BlockShown, ...]
    units: tuple[UnitShown, ...]
    samples: str = "images"

    def ending(self, block: int) -> Iterator[UnitShown]:
        """The units whose losses stand behind a block, narrow windows first."""
        return (unit for unit in self.units if unit.end == block)

    @property
    def summary(self) -> str:
        """What is to be seen, in words."""
        levels = ", ".join(f"{level.name} (windows of {_count(level.window, 'block')})" for level in self.levels)
        links = sum(len(unit.links) for unit in self.units)
        heads = Counter(head.name for unit in self.units for head in unit.heads)
        counted = ", ".join(f"{count} {name}" for name, count in heads.items())
        text = f"{_count(len(self.blocks), 'block')}, {_count(len(self.units), 'local unit')} of the levels {levels}"
        return f"{text}; heads: {counted}" + (f"; {_count(links, 'EMA link')}" if links else "") + "."


def diagram(plan: Plan) -> Diagram:
    """What there is to show of a plan; it need not be scheduled."""
    windows = {unit.level: unit.end - unit.start + 1 for unit in plan.units}
    levels = tuple(LevelShown(level.name, windows.get(level.name, 0)) for level in plan.config.levels)
    numbers = {level.name: i for i, level in enumerate(levels)}
    units = tuple(
        UnitShown(unit.name, numbers[unit.level], unit.start, unit.end, tuple(map(_head, unit.heads)),
                  tuple(_link(plan, link) for link in unit.links))
        for unit in plan.units if unit.heads
    )  # fmt: skip
    blocks = tuple(_block(plan, block) for block in plan.blocks)
    return Diagram(plan.name, levels, blocks, units, plan.config.samples)


def _block(plan: Plan, block: Block) -> BlockShown:
    first, last, graph = block.layers[0], block.layers[-1], plan.networks[block.name].graph
    span = first if first == last else f"{first} … {last}"
    layers = tuple(_layers(block, graph.nodes))
    return BlockShown(block.index, span, show(block.input), show(block.output), graph.parameter_count, layers)


def _layers(block: Block, nodes: Sequence[Node]) -> Iterator[LayerShown]:
    """The layers with ops that bear their names; all others belong to the layer before them."""
    found: dict[str, list[Node]] = {name: [] for name in block.layers}
    name = block.layers[0]
    for node in nodes:
        name = layer_of(block, node.name) or name
        found[name].append(node)
    for name, own in found.items():
        if own:
            ops = Counter(node.op.name for node in own)
            listed = ", ".join(f"{count}× {op}" if count > 1 else op for op, count in ops.items())
            yield LayerShown(name, listed, show(own[-1].shape))


def _head(head: HeadPlan) -> HeadShown:
    grid = (head.patches.grid[0], head.patches.grid[1]) if head.patches else None
    return HeadShown(head.name, head.loss, head.weight, grid)


def _link(plan: Plan, link: LinkPlan) -> LinkShown:
    source = next(block.index for block in plan.blocks if block.name == link.source_block)
    return LinkShown(source, copied_layers(plan, link), link.mode, link.momentum)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")

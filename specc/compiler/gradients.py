"""Which gradients pass where, value by value through all of a plan: the verifier's own reckoning. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..graph.graph import IMAGES, INPUT, Node
from ..plan import Entry, Given, Outlet, Plan, Root, Unit
from ..plan.values import cotangent, features, graph, leaf


@dataclass(frozen=True, slots=True)
class Window:
    """What the gradient of all units that begin with one block reaches."""

    end: int
    learning: set[str] = field(default_factory=set)  # values that depend on parameters in it
    heads: dict[str, set[str]] = field(default_factory=dict)  # by value those whose gradient comes there


class Gradients:
    """Every node of every block, and what it reads by the name that it has in the whole network."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.graphs = [plan.networks[block.name].graph for block in plan.blocks]
        self.made: dict[str, int] = {}  # the block of every value
        self.nodes: list[list[tuple[Node, list[str]]]] = []  # of every block
        self.readers: dict[str, list[tuple[int, Node]]] = {}
        for block, own in enumerate(self.graphs):
            self.made |= {node.name: block for node in own.nodes}
            self.nodes.append([(node, [self.real(block, name) for name in node.inputs]) for node in own.nodes])
            for node, names in self.nodes[-1]:
                for name in names:
                    self.readers.setdefault(name, []).append((block, node))
        self.windows = {start: self._window(start) for start in sorted({unit.start for unit in plan.units})}

    def real(self, block: int, name: str) -> str:
        """What an input of a block's graph is called where it is made."""
        if name == INPUT and block:
            return self.graphs[block - 1].output
        return IMAGES if name == INPUT else name

    def read(self, unit: Unit) -> str:
        """The value that a unit's links or heads read."""
        return unit.read or self.graphs[unit.end].output

    def _window(self, start: int) -> Window:
        own = [unit for unit in self.plan.units if unit.start == start]
        found = Window(max(unit.end for unit in own))
        for block in range(start, found.end + 1):
            for node, names in self.nodes[block]:
                if node.trained or not (node.op.blocks_gradient or found.learning.isdisjoint(names)):
                    found.learning.add(node.name)
        for unit in own:
            for head in unit.heads:
                found.heads.setdefault(self.read(unit), set()).add(f"{unit.name}.{head.name}")
        for block in range(found.end, start - 1, -1):
            for node, names in reversed(self.nodes[block]):
                if node.name in found.heads and not node.op.blocks_gradient:
                    for name in names:
                        found.heads.setdefault(name, set()).update(found.heads[node.name])
        return found

    def starts(self, block: int) -> list[int]:
        """The windows whose gradient passes through a block: where it trains something, there or before."""
        return [start for start in self.windows if any(self.roots(block, start))]

    def roots(self, block: int, start: int) -> Iterator[str]:
        """The values of a block at which the gradient of a window comes into it."""
        own, window = self.graphs[block], self.windows[start]
        if start <= block <= window.end:
            for name in (own.output, *own.gives):
                if name in window.learning and self.arriving(block, start, name):
                    yield name

    def arriving(self, block: int, start: int, name: str) -> set[str]:
        """The heads whose gradient comes to a value of a block from outside of it."""
        window = self.windows[start]
        ends = [unit for unit in self.plan.units if (unit.start, unit.end) == (start, block)]
        here = {f"{unit.name}.{head.name}" for unit in ends for head in unit.heads if name == self.read(unit)}
        return here.union(*(self.leaving(later, start, name) for later in range(block + 1, window.end + 1)))

    def leaving(self, block: int, start: int, name: str) -> set[str]:
        """The heads whose gradient goes out of a block to a value that it reads."""
        heads = self.windows[start].heads
        own = (node for reader, node in self.readers.get(name, ()) if reader == block and not node.op.blocks_gradient)
        return set().union(*(heads.get(node.name, ()) for node in own))

    def outlets(self, block: int, start: int) -> dict[str, str]:
        """The inputs of a block at which the gradient of a window goes on, and where they are made."""
        window, own = self.windows[start], self.graphs[block]
        inputs = {name: self.real(block, name) for name in (INPUT, *(skip.name for skip in own.reads))}
        return {
            name: value
            for name, value in inputs.items()
            if start <= self.made.get(value, -1) and value in window.learning and self.leaving(block, start, value)
        }

    # -- instructions ---------------------------------------------------------------------------------------------

    def forward(self, block: int, slice: int) -> dict[str, object]:
        """Fields of a forward."""
        own = self.graphs[block]
        entered = {name for start in self.starts(block) for name in self.roots(block, start)}
        left = self._left(block)
        skips = (
            Entry(self._value(skip.name, slice), leaf(block, slice, skip.name) if skip.name in left else None)
            for skip in own.reads
        )
        gives = (
            Given(features(block, slice, name), graph(block, slice, name) if name in entered else None)
            for name in own.gives
        )
        return {
            "graph": graph(block, slice) if own.output in entered else None, "skips": tuple(skips),
            "gives": tuple(gives), "leaf": leaf(block, slice) if INPUT in left else None,
        }  # fmt: skip

    def backward(self, block: int, start: int, slice: int) -> dict[str, object]:
        """Fields of a backward."""
        left, goes_on = self._left(block), self.outlets(block, start)
        first, *others = (
            Root(graph(block, slice, self._skip(name)), cotangent(block, start, slice, self._skip(name)))
            for name in self.roots(block, start)
        )
        outlets = (
            Outlet(leaf(block, slice, skip.name), self.into(block, start, slice, skip.name))
            for skip in self.graphs[block].reads
            if skip.name in left
        )
        return {
            "graph": first.graph, "cotangent": first.cotangent, "roots": tuple(others), "outlets": tuple(outlets),
            "leaf": leaf(block, slice) if INPUT in left else None,
            "gradient": self.into(block, start, slice, INPUT) if INPUT in goes_on else None,
        }  # fmt: skip

    def into(self, block: int, start: int, slice: int, name: str) -> str | None:
        """The cotangent that a gradient is added to which leaves a block at one of its inputs."""
        value = self.outlets(block, start).get(name)
        return None if value is None else cotangent(self.made[value], start, slice, self._skip(value))

    def _left(self, block: int) -> set[str]:
        """The inputs of a block at which any gradient goes on."""
        return {name for start in self.starts(block) for name in self.outlets(block, start)}

    def _skip(self, value: str) -> str:
        return "" if value == self.graphs[self.made[value]].output else value

    def _value(self, value: str, slice: int) -> str:
        return features(self.made[value], slice, self._skip(value))


def beside(plan: Plan) -> Iterable[str]:
    """What crosses cuts in another way than blocks say: made in no block before, or for nobody."""
    known: dict[str, object] = {}
    read = {skip.name for block in plan.blocks for skip in plan.networks[block.name].graph.reads}
    for block in plan.blocks:
        own = plan.networks[block.name].graph
        for skip in own.reads:
            if known.get(skip.name) != skip.shape:
                yield f"{block.name}: reads `{skip.name}`, which no block before gives so"
        shapes = {node.name: node.shape for node in own.nodes}
        known |= {name: shapes.get(name) for name in (own.output, *own.gives)}
        yield from (f"{block.name}: gives `{name}` to nobody" for name in own.gives if name not in read)

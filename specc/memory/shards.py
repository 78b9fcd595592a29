"""Networks of which every copy keeps a part (`devices.shard`): what is gathered for their turn, and what comes back.

As torch's `fully_shard` does it: a parameter's rows are dealt to the copies, as many to each, the last ones padded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from ..graph.graph import Graph
from ..graph.ops import Shape, numel
from ..plan import Network
from .autograd import Engine, Function, Gradient, Leaf, Value
from .operations import Parameters
from .storage import Allocator, Storage


@dataclass(frozen=True, slots=True)
class Deal:
    """Which of so many copies this is."""

    copies: int
    copy: int

    def padded(self, shape: Shape) -> Shape:
        """What a copy has of a parameter in memory."""
        return (-(-shape[0] // self.copies), *shape[1:])

    def own(self, shape: Shape) -> Shape:
        """The rows of it that are there, which optimizers keep their state for."""
        rows = self.padded(shape)[0]
        return (max(min(rows, shape[0] - self.copy * rows), 0), *shape[1:])

    def step_bytes(self, graphs: Iterable[Graph]) -> int:
        """What an optimizer takes for a moment that steps parameter after parameter: two numbers for each."""
        shapes = (shape for graph in graphs for shape in graph.parameters.values())
        return max((8 * numel(self.own(shape)) for shape in shapes), default=0)

    def part_bytes(self, shapes: Iterable[Shape]) -> int:
        """Of a copy's part of these parameters."""
        return sum(4 * numel(self.padded(shape)) for shape in shapes)


@dataclass(slots=True, eq=False)
class Turn:
    """One run of a network: gathered for its forward and its backward, whose gradients are summed and dealt."""

    memory: Allocator
    leaves: Sequence[Leaf]  # of trained parameters
    part: int  # bytes
    copies: int
    full: Storage | None = None
    before: list[Gradient | None] = field(default_factory=list)  # parts of gradients of an earlier slice

    @classmethod
    def of(cls, memory: Allocator, deal: Deal, network: Network, parameters: Parameters) -> Turn:
        """Of a network with these parameters."""
        own = [value.graph for values in parameters.values() for value in values if isinstance(value.graph, Leaf)]
        return cls(memory, own, deal.part_bytes(network.parameters.values()), deal.copies)

    def gather(self) -> Storage:
        """The parameters, and the message of all parts that they are made of."""
        self.memory.moves("gather", self.part, 2 * self.part * self.copies, calls=2)
        message = self.memory.new(self.part * self.copies, "parameters")
        self.full = self.memory.new(message.bytes, "parameters")
        return message

    def run(self, x: Value, compute: Callable[[Value], Value]) -> Value:
        """The forward, after which only a part is kept, and until which torch keeps the message."""
        message = self.gather()
        result = compute(x if x.graph is None else x.like(x.storage, Left(x, self)))
        self.full = None
        del message
        return result if result.graph is None else result.like(result.storage, Entered(result, self))

    def begin(self) -> None:
        """The backward begins."""
        self.before = [leaf.gradient for leaf in self.leaves]
        for leaf in self.leaves:
            leaf.gradient = None
        self.gather()

    def end(self, engine: Engine) -> None:
        """Gradients travel in one message, which is kept until the engine ends, and a part of the sums comes back."""
        if self.full is None:
            return
        self.full = None
        if any(leaf.gradient for leaf in self.leaves):
            message = self.memory.new(self.part * self.copies, "gradients")
            engine.kept.append(message)
            self.memory.moves("copy", message.bytes, message.bytes)
            for leaf in self.leaves:
                leaf.gradient = None
            self.memory.moves("scatter", message.bytes, self.part)
            part = self.memory.new(self.part, "gradients")
            for leaf in self.leaves:
                leaf.gradient = Gradient(part, "plain")
        for leaf, old in zip(self.leaves, self.before, strict=True):
            leaf.gradient = old or leaf.gradient
        self.before = []


class Entered(Function):
    """Where a backward enters a network."""

    __slots__ = ("turn",)

    def __init__(self, result: Value, turn: Turn) -> None:
        super().__init__([result])
        self.turn = turn

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Gather, and see to it that the network is left."""
        self.turn.begin()
        engine.last.append(lambda: self.turn.end(engine))
        super().back(engine, incoming)


class Left(Function):
    """Where a backward leaves a network, if anybody wants a gradient of what it read."""

    __slots__ = ("turn",)

    def __init__(self, x: Value, turn: Turn) -> None:
        super().__init__([x])
        self.turn = turn

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Sum and deal the gradients of its parameters."""
        self.turn.end(engine)
        super().back(engine, incoming)

"""Networks of which every copy keeps a part (`devices.shard`): what is gathered for their turn, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..plan import Network
from ..plan.shards import Deal
from .autograd import Engine, Function, Gradient, Leaf, Value
from .operations import Parameters
from .storage import Allocator, Storage


class Shards:
    """The networks of a copy, and what it has in full of them."""

    def __init__(self, memory: Allocator, deal: Deal, stays: frozenset[str]) -> None:
        self.memory, self.deal, self.stays = memory, deal, stays
        self.whole: dict[str, Storage] = {}

    def run(
        self, network: Network, parameters: Parameters, read: Sequence[Value],
        compute: Callable[[Sequence[Value]], list[Value]],
    ) -> list[Value]:  # fmt: skip
        """The forward, after which only a part is kept unless the backward follows at once.

        Until then torch keeps the message that the parameters have come in.
        """
        own = [value.graph for values in parameters.values() for value in values if isinstance(value.graph, Leaf)]
        turn = Turn(self, network.name, own, self.deal.part_bytes(network.parameters.values()))
        message = turn.gather()
        found = compute([x if x.graph is None else x.like(x.storage, Left(x, turn)) for x in read])
        if found[0].graph is None or network.name not in self.stays:
            del self.whole[network.name]
        del message
        return [out if out.graph is None else out.like(out.storage, Entered(out, turn)) for out in found]


@dataclass(slots=True, eq=False)
class Turn:
    """One run of a network: gathered for its forward and its backward, whose gradients are summed and dealt."""

    shards: Shards
    network: str
    leaves: Sequence[Leaf]  # of trained parameters
    part: int  # bytes
    begun: bool = False  # its backward
    before: list[Gradient | None] = field(default_factory=list)  # parts of gradients of an earlier slice

    @property
    def whole(self) -> int:
        """Bytes of a message of all parts."""
        return self.part * self.shards.deal.copies

    def gather(self) -> Storage | None:
        """The parameters, and the message of all parts that they are made of; nothing where they are there."""
        memory = self.shards.memory
        if self.network in self.shards.whole:
            return None
        memory.moves("gather", self.part, 2 * self.whole, calls=2)
        message = memory.new(self.whole, "parameters")
        self.shards.whole[self.network] = memory.new(self.whole, "parameters")
        return message

    def begin(self) -> None:
        """The backward begins."""
        self.before = [leaf.gradient for leaf in self.leaves]
        for leaf in self.leaves:
            leaf.gradient = None
        self.begun = True
        self.gather()

    def end(self, engine: Engine) -> None:
        """Gradients travel in one message, which is kept until the engine ends, and a part of the sums comes back."""
        if not self.begun:
            return
        self.begun = False
        del self.shards.whole[self.network]
        if any(leaf.gradient for leaf in self.leaves):
            self._deal(engine)
        for leaf, old in zip(self.leaves, self.before, strict=True):
            leaf.gradient = old or leaf.gradient
        self.before = []

    def _deal(self, engine: Engine) -> None:
        memory = self.shards.memory
        message = memory.new(self.whole, "gradients")
        engine.kept.append(message)
        memory.moves("copy", message.bytes, message.bytes)
        for leaf in self.leaves:
            leaf.gradient = None
        memory.moves("scatter", message.bytes, self.part)
        part = memory.new(self.part, "gradients")
        for leaf in self.leaves:
            leaf.gradient = Gradient(part, "plain")


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

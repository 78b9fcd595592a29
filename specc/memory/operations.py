"""What one op of a recorded forward keeps, and what its backward makes, as torch handles its tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..graph.graph import Node
from ..graph.ops import Saved, numel
from ..graph.ops.footprint import highest
from .autograd import Engine, Function, Gradient, Gradients, Value, dense
from .storage import GRADIENT, Allocator, Storage


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes that hold for a whole step."""

    low: int = 4  # bytes of one number where autocast computes in low precision; 4: there is no autocast
    traced: bool = False  # as counted on a CPU, under a dispatch mode: masks are floats
    swapped: bool = False  # images and the weights of convolutions have their channels last

    def width(self, node: Node) -> int:
        """Bytes of one number where the op computes in a precision of its own."""
        return self.low if node.op.autocast == "low" else 4


@dataclass(frozen=True, slots=True)
class Tensors:
    """A network's tensors: whose gradients go where, if they are trained."""

    memory: Allocator
    costs: Costs
    prefix: str
    grads: Gradients | None


class Piece:
    """Part of a network whose values are computed again in the backward, from what enters it."""

    __slots__ = ("compute", "last", "source")

    def __init__(self, source: Value, compute: Callable[[Value, str], dict[str, Function]]) -> None:
        self.source, self.compute = source, compute
        self.last = ""  # where torch stops computing again: the last operation that keeps something

    def again(self) -> dict[str, Function]:
        """The operations, with what they keep."""
        source = self.source.like(self.source.storage, self.source.graph and Function(()))
        return self.compute(source, self.last)


def finishes(saved: Saved) -> bool:
    """Whether an op keeps something that it makes itself."""
    return saved.output or any((saved.elements, saved.bytes, saved.floats))


class Cast(Function):
    """A copy of a value in another precision; torch casts back right after the op, before the op's parameters."""

    __slots__ = ("width",)

    def __init__(self, value: Value) -> None:
        super().__init__([value.graph])
        self.width = value.storage.width


class Operation(Function):
    """One op of a recorded forward."""

    __slots__ = ("computed", "footprint", "node", "order", "orders", "rows", "saves", "tensors", "widths")

    def __init__(self, node: Node, inputs: Sequence[Value], tensors: Tensors) -> None:
        super().__init__([value.graph for value in inputs])
        self.node, self.tensors = node, tensors
        self.rows = inputs[0].rows
        self.widths = tuple(value.storage.width for value in inputs)  # bytes of one number
        self.orders = tuple(value.order for value in inputs)
        self.computed = 0  # bytes of one number of the op's own arithmetic
        trained = tensors.grads is not None
        if trained:
            self.keys = tuple(f"{tensors.prefix}{node.name}.{name}" for name in node.parameters)
        self.footprint = node.op.footprint(tensors.costs.low < 4, self.widths)  # of an op whose memory was measured
        factor = node.saved.if_trained and not trained and not any(self.edges)
        self.saves = finishes(node.saved) or (bool(node.saved.inputs) and not factor)  # anything, weights included

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Gradients made to fit the operands.

        In between it lets go of what it held; what was computed again for it alone goes as soon as it was used.
        """
        memory, costs, node, rows = self.tensors.memory, self.tensors.costs, self.node, self.rows
        memory.at(node.name)
        held, eager = self._taken_from(engine)
        width, lies = costs.width(node), incoming.order
        if node.op.gathers(dense(lies, node.shape), node.shape):  # what it needs of its input it needs of its gradient
            incoming.replace(node.size * rows, incoming.storage.width)
        if self.footprint is not None:
            moments = self.footprint.backward if held or eager else self.footprint.again
            memory.passing(max(highest(moments, rows), 0), GRADIENT)
            held.clear()  # bit by bit, as was measured
            eager.clear()
        wanted = [i for i, edge in enumerate(self.edges) if edge in engine.wanted]
        sizes = [numel(shape) * rows for shape in node.in_shapes]
        own = list(zip(self.keys, map(numel, node.parameters.values()), strict=False))
        made = self.widths if self.footprint is not None else (self.computed,) * len(sizes)
        outgoing = {i: self._gradient(incoming, sizes[i], GRADIENT, made[i]) for i in wanted}
        fresh = [self._gradient(incoming, size, "gradients", width) for _, size in own]
        surplus = []
        if node.op.answers_all and not wanted:
            surplus.append(memory.new(sizes[0] * self.computed, GRADIENT, self.computed))
        if node.saved.passing:
            memory.passing(rows * node.saved.passing, GRADIENT)
        eager.clear()
        if node.op.spreads:
            _fit(fresh, own, width)
        for i, gradient in outgoing.items():
            if not node.op.passes_gradient:
                gradient.fit(sizes[i], made[i])
            gradient.cast(sizes[i], self.widths[i])
        _fit(fresh, own, width)
        del incoming.storage
        surplus.clear()
        held.clear()
        for i, gradient in outgoing.items():
            gradient.order = node.op.gradient_order("plain" if self.orders[i] == "slice" else self.orders[i], lies)
            if isinstance(edge := self.edges[i], Cast):
                gradient.cast(sizes[i], edge.width)
        for i, gradient in outgoing.items():
            edge = self.edges[i]
            engine.send(edge.edges[0] if isinstance(edge, Cast) else edge, gradient, sizes[i])
        outgoing.clear()
        for (key, size), shape in zip(own, node.parameters.values(), strict=False):  # none where nothing is trained
            gradient = fresh.pop(0)
            gradient.cast(size, 4)
            lay = dense(self.orders[0], shape[1:]) if len(shape) == 4 and not costs.swapped else "plain"
            assert self.tensors.grads is not None
            if lay == "swapped" and key not in self.tensors.grads:
                gradient.replace(size, 4)  # it lay as the input does, and is to lie as the weights do
            engine.accumulate(self.tensors.grads, key, gradient)

    def _taken_from(self, engine: Engine) -> tuple[list[object], list[Storage]]:
        """What is held until the gradients are made, and what only until it was used."""
        held: list[object] = [] if engine.retain else list(self.saved)
        piece = self.saved[0] if self.saved and isinstance(self.saved[0], Piece) else None
        engine.release(self)
        if piece is None:
            return held, []
        if id(piece) not in engine.again:
            engine.again[id(piece)] = piece.again()
        again = engine.again[id(piece)].pop(self.node.name, None)
        return held, again.saved if again else []

    def _gradient(self, incoming: Gradient, size: int, category: str, width: int) -> Gradient:
        """An operand's gradient as the op computes it: the incoming one, or as large as the result or the operand."""
        if self.node.op.passes_gradient:
            return Gradient(incoming.storage, incoming.order)
        numbers = self.node.size * self.rows if self.node.op.spreads else size
        return Gradient(self.tensors.memory.new(numbers * width, category, width), "plain")


def _fit(fresh: Sequence[Gradient], own: Sequence[tuple[str, int]], width: int) -> None:
    """Sum up gradients of parameters that are as large as the result."""
    for gradient, (_, size) in zip(fresh, own, strict=True):
        gradient.fit(size, width)

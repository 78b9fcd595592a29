"""One op of a forward, and the backward of it, as torch handles their tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..graph.graph import Node
from ..graph.ops import Conv, ConvTranspose, Op, Order
from ..graph.ops.base import without_gaps
from ..graph.ops.footprint import Footprint
from . import measured
from .autograd import Engine, Function, Gradient, Value, dense
from .storage import GRADIENT, Allocator, Storage


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes that hold for a whole step."""

    low: int = 4  # bytes of one number where autocast computes in low precision; 4: there is no autocast
    traced: bool = False  # as counted on a CPU, under a dispatch mode: masks are floats
    copies: int = 1  # of the network, whose batch norms are as one
    swapped: bool = False  # images and the weights of convolutions have their channels last


class Piece:
    """What the backward computes again, once for all of its operations."""

    def __init__(self, memory: Allocator) -> None:
        self.memory = memory
        self.left: list[dict[str, Operation]] = []  # what was computed again and nobody has used yet, by backward

    def computed_again(self) -> dict[str, Operation]:
        """The operations up to the last one that keeps something, with what they keep."""
        raise NotImplementedError


class Operation(Function):
    """One op of a forward; its operands are the inputs, and then the parameters."""

    __slots__ = ("alone", "computed", "exchange", "footprint", "node", "rows")

    def __init__(self, node: Node, inputs: Sequence[Value], parameters: Sequence[Value], costs: Costs) -> None:
        super().__init__((*inputs, *parameters))
        if node.op.held_back:
            self.edges = tuple(e._replace(to=None) if i in node.op.held_back else e for i, e in enumerate(self.edges))
        self.node, self.rows = node, inputs[0].rows
        self.computed = 0  # bytes of one number of the op's own arithmetic
        self.exchange = node.op.exchange(node.in_shapes, costs.copies) if costs.copies > 1 else None
        self.footprint: Footprint | None = None  # of an op whose memory was measured
        self.alone: Footprint | None = None  # and where it keeps nothing
        if type(node.op).footprint is not Op.footprint:  # of hardly any, and there are hundreds of thousands
            low, widths = costs.low < 4, tuple(value.storage.width for value in inputs)
            wanted, trained = [value.graph is not None for value in inputs], any(value.graph for value in parameters)
            self.footprint = node.op.footprint(low, widths, tuple(wanted), trained)
            self.alone = node.op.footprint(low, widths, (False,) * len(inputs), False)

    @property
    def keeps_anything(self) -> bool:
        """Whether it keeps anything for its backward."""
        return self.node.saved.anything if self.footprint is None else bool(self.footprint.kept)

    def measured(
        self, memory: Allocator, inputs: Sequence[Value], *, keeping: bool, stops: bool
    ) -> tuple[Storage, list[object]]:
        """The forward of an op whose memory was measured: its result, unless it stops before, and what it keeps."""
        footprint = self.footprint if keeping else self.alone
        assert footprint is not None
        return measured.forward(memory, footprint, self.rows, [value.storage for value in inputs], stops=stops)

    def keeps(self, inputs: Sequence[Storage], parameters: Sequence[Value], out: Storage) -> list[object]:
        """What it keeps of what it reads, and of its result."""
        edges, saved = self.edges, self.node.saved
        kept: list[object] = [out] if saved.output else []
        if not saved.if_trained or any(value.graph for value in parameters):
            kept += [inputs[i] for i in saved.inputs if not saved.factors or edges[1 - i].to]
        if (
            parameters
            and self.node.saved.anything
            and (not saved.if_trained or any(edge.to for edge in edges[: len(inputs)]))
        ):
            kept += [parameters[i].storage for i in self.node.factors]
        return kept

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Gradients made to fit the operands.

        In between it lets go of what it held; what was computed again for it alone goes as soon as it was used.
        """
        memory, node, lies = incoming.storage.allocator, self.node, incoming.order
        memory.at(node.name)
        held, eager = self._taken_from(engine)
        turned = self._turned(lies)
        if node.op.gathers(dense(lies, node.shape), node.shape):  # what it needs of its input it needs of its gradient
            incoming.fit(node.size * self.rows, incoming.storage.width, anyway=True)
            turned = self._turned("plain" if lies == "swapped" else lies)
        if self.footprint is not None:
            self._replayed(engine, incoming, (eager, held))
            return
        outgoing = {i: self._made(incoming, i) for i, edge in enumerate(self.edges) if edge.to in engine.wanted}
        self._tell(memory, outgoing, turned=turned)
        made = {"wanted": 0, "input": 1, "all": len(self.edges)}[node.op.answers]
        surplus = [self._made(incoming, i) for i in range(made) if i not in outgoing]
        if node.saved.passing:
            memory.passing(self.rows * node.saved.passing, GRADIENT)
        if self.exchange is not None:
            trained = any(i >= len(node.inputs) for i in outgoing)
            memory.passing(4 * (self.exchange.backward + self.exchange.summed * (not trained)), GRADIENT)
            memory.moves("reduce", 4 * self.exchange.summed, 0, direction="input")
        eager.clear()
        for i, gradient in reversed(outgoing.items()):
            if i >= len(node.inputs) or not node.op.passes_gradient:
                gradient.fit(self.edges[i].numbers, gradient.storage.width)
            gradient.cast(self.edges[i])
        del incoming.storage
        surplus.clear()
        held.clear()
        for i, gradient in outgoing.items():
            gradient.order = self._order(i, lies)
            engine.send(self, i, gradient)

    def _replayed(self, engine: Engine, incoming: Gradient, held: Sequence[list[object]]) -> None:
        """The backward of an op whose memory was measured; what it kept is one of the lists that are held."""
        assert self.footprint is not None
        lies, first, memory = incoming.order, len(self.node.inputs), incoming.storage.allocator
        kept = next((each for each in held if len(each) == len(self.footprint.kept)), [])

        def collect(tensor: int, storage: Storage) -> None:
            engine.send(self, first + tensor, Gradient(storage, self._order(first + tensor, lies), settled=True))

        self._tell(memory, [i for i, edge in enumerate(self.edges) if edge.to in engine.wanted], turned=False)
        found = measured.backward(memory, self.footprint, self.rows, incoming, kept, collect)
        kept.clear()
        while found:
            gradient = found.pop()
            if gradient is not None:
                gradient.order = self._order(len(found), lies)
                engine.send(self, len(found), gradient)

    def _turned(self, lies: Order) -> bool:
        """Whether a map's gradient has its channels elsewhere than the map itself."""
        given, made = self.node.in_shapes[0], self.node.shape
        orders = dense(without_gaps(lies), made), dense(without_gaps(self.edges[0].order), given)
        return len(given) == len(made) == 3 and orders[0] != orders[1]

    def _tell(self, memory: Allocator, wanted: Iterable[int], *, turned: bool) -> None:
        """What gradients are computed: of all inputs at once, and of all parameters, or of both in one go."""
        if turned and isinstance(self.node.op, Conv | ConvTranspose):  # it turns the gradient first, for itself
            size = self.node.size * self.rows * self.computed
            memory.moves("turn", size, size, direction="input")
            turned = False
        parts = {i >= len(self.node.inputs) and self.node.op.answers == "wanted" for i in wanted}
        for parameters in sorted(parts):
            memory.computes(self, "parameters" if parameters else "input", turned=turned)

    def _taken_from(self, engine: Engine) -> tuple[list[object], list[object]]:
        """What is held until the gradients are made, and what only until it was used."""
        held = [] if engine.retain else list(self.saved)
        piece = self.saved[0] if self.saved and isinstance(self.saved[0], Piece) else None
        engine.release(self)
        if piece is None:
            return held, []
        if id(piece) not in engine.again:
            piece.memory.again(True)
            piece.left.append(engine.again.setdefault(id(piece), piece.computed_again()))
            piece.memory.again(False)
        gone = piece.left[-1:] if engine.retain else piece.left  # what it left of earlier backwards goes with the last
        *older, again = (made.pop(self.node.name, None) for made in gone)
        return [*held, *older], again.saved if again else []

    def _made(self, incoming: Gradient, operand: int) -> Gradient:
        """A gradient as the op computes it: the incoming one, or as large as the result or the operand."""
        if self.node.op.passes_gradient:
            return Gradient(incoming.storage, incoming.order, view=self.node.op.view)
        memory, (_, numbers, width, _) = incoming.storage.allocator, self.edges[operand]
        if self.node.op.spreads:
            numbers = self.node.size * self.rows
        if operand >= len(self.node.inputs):
            return Gradient(memory.new(numbers * width, "gradients", width), "plain")
        return Gradient(memory.new(numbers * self.computed, GRADIENT, self.computed), "plain")

    def _order(self, operand: int, lies: Order) -> Order:
        """How a gradient lies; a kernel's as the kernel or as the input does."""
        own = self.edges[operand].order
        if operand < len(self.node.inputs):
            return self.node.op.gradient_order(own, lies)
        return "swapped" if "swapped" in (own, self.edges[0].order) else "plain"

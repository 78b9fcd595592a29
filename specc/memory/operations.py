"""A network's forward and the backward of its ops, as torch handles their tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..graph.graph import IMAGES, INPUT, Graph, Node
from ..graph.ops import BYTES, Conv, ConvTranspose, Order, Saved
from ..graph.ops.base import Exchange, without_gaps
from ..graph.ops.footprint import highest
from ..plan import Network
from .autograd import Engine, Function, Gradient, Value, dense
from .storage import GRADIENT, Allocator, Storage

Parameters = Mapping[str, Sequence[Value]]  # of each node


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes that hold for a whole step."""

    low: int = 4  # bytes of one number where autocast computes in low precision; 4: there is no autocast
    traced: bool = False  # as counted on a CPU, under a dispatch mode: masks are floats
    copies: int = 1  # of the network, whose batch norms are as one
    swapped: bool = False  # images and the weights of convolutions have their channels last


def run(memory: Allocator, costs: Costs, network: Network, graph: Graph, parameters: Parameters,
        given: Sequence[Value], images: Value | None, *, record: bool) -> list[Value]:  # fmt: skip
    """A network's output, and what it gives beside it; of pieces that are computed again only what enters is kept."""
    read, gives, skips = [given[0]], list[Value](), dict(zip(graph.reads, given[1:], strict=True))
    del given
    for part, again in network.parts(graph):
        own = {skip.name: skips[skip] for skip in part.reads}
        read += Forward(memory, costs, part, parameters, images, own, record=record, again=again and record).run(read)
        gives += read[1:]
        del read[1:]
    return read + gives


class Forward:
    """One run of a graph.

    Of one that the backward computes `again` only the source is kept. That ends after the last node that is needed, or
    before the result of that one is made where it keeps nothing of its own.
    """

    def __init__(
        self, memory: Allocator, costs: Costs, graph: Graph, parameters: Parameters, images: Value | None,
        skips: Mapping[str, Value], *, record: bool = True, again: bool = False, until: str = "",
    ) -> None:  # fmt: skip
        self.memory, self.costs, self.graph, self.parameters = memory, costs, graph, parameters
        self.images, self.skips = images, skips
        self.record, self.again, self.until = record, again, until
        self.source: Value | None = None  # of what is computed again
        self.last = ""  # where torch stops computing it: the last op that keeps something
        self.made: dict[str, Operation] = {}  # while it is computed again
        self.left: list[dict[str, Operation]] = []  # what was computed again and nobody has used yet, by backward

    def run(self, read: list[Value]) -> list[Value]:
        """The graph's results; what it reads is taken from the list, so that nobody else need hold it."""
        x = read.pop()
        self.source = x if self.again else None
        uses = Counter(name for node in self.graph.simple for name in node.inputs)
        uses.update((IMAGES, *self.graph.results))
        values = {INPUT: x, **self.skips} if self.images is None else {INPUT: x, **self.skips, IMAGES: self.images}
        del x
        for node in self.graph.simple:
            self.memory.at(node.name)
            values[node.name] = self._value(node, [values[name] for name in node.inputs])
            if node.name == self.until:
                break
            for name in node.inputs:
                uses[name] -= 1
                if uses[name] == 0:
                    del values[name]
        return [values[name] for name in ([self.until] if self.until else self.graph.results)]

    def computed_again(self) -> dict[str, Operation]:
        """The operations up to the last one that keeps something, with what they keep."""
        assert self.source is not None
        skips = {name: value.again() for name, value in self.skips.items()}
        again = Forward(self.memory, self.costs, self.graph, self.parameters, self.images, skips, until=self.last)
        again.run([self.source.again()])
        return again.made

    def _value(self, node: Node, inputs: Sequence[Value]) -> Value:
        inputs, parameters = self._cast(node, inputs, self.parameters[node.name])
        first, size = inputs[0].storage, inputs[0].numbers * inputs[0].storage.width  # which is all of a batch's slices
        gathers = node.op.gathers(dense(inputs[0].order, node.in_shapes[0]), node.in_shapes[0])
        order = node.op.order(tuple(value.order for value in inputs), node.shape)
        if any(value.order == "swapped" for value in parameters):
            order = "swapped"
        needed = self.record and any(value.graph for value in (*inputs, *parameters))
        operation = Operation(node, inputs, parameters, self.costs)
        stops = node.name == self.until and not node.saved.own
        gathered = self.memory.new(size, width=first.width) if gathers else None  # one after the other
        if gathered:
            self.memory.moves("turn", size, size)
        keeping = needed and not self.again
        if operation.exchange is not None:
            self._gather(operation.exchange, node.saved)
        if stops or (gathered and not parameters):
            out = gathered or first
        else:
            out = self._result(operation, inputs)
            if gathered and "bias" in node.parameters:  # the product and then the sum
                self.memory.passing(max(out.bytes - (0 if keeping else gathered.bytes), 0))
        extra = None if stops else self._extra(operation, out, keeping=keeping)
        operation.computed = out.width
        if not stops and (parameters or not gathered):
            self.memory.computes(operation, "forward")
        if keeping:
            read = [gathered if gathered and parameters else first, *(value.storage for value in inputs[1:])]
            operation.saved = [*operation.keeps(read, parameters, out), extra]
        elif needed and node.saved.anything:
            operation.saved, self.last = [self], node.name
        if self.until:
            self.made[node.name] = operation
        return Value(out, operation.rows, node.shape, order, operation if needed else None)

    def _cast(self, node: Node, inputs: Sequence[Value], parameters: Sequence[Value]) -> tuple[
        Sequence[Value], Sequence[Value]
    ]:  # fmt: skip
        """What the op computes with in mixed precision; what is cast last, the first input, is the first to go back."""
        if self.costs.low == 4 or node.op.autocast == "same":
            return inputs, parameters
        width = self.costs.low if node.op.autocast == "low" else 4
        if node.op.autocast == "widest" and not parameters:
            width = _widest(inputs)
        cast = [self._copy(value, width) for value in reversed((*inputs, *parameters))][::-1]
        return cast[: len(inputs)], cast[len(inputs) :]

    def _copy(self, value: Value, width: int) -> Value:
        if value.storage.width == width:
            return value
        own = value.storage.category
        category = "parameters in low precision" if own == "parameters" else own
        self.memory.moves("cast", value.numbers * value.storage.width, value.numbers * width)
        return value.like(self.memory.new(value.numbers * width, category, width), value.graph and Function([value]))

    def _result(self, operation: Operation, inputs: Sequence[Value]) -> Storage:
        node = operation.node
        if node.op.view or node.name in self.graph.overwriting:
            return inputs[0].storage
        if operation.footprint is not None:
            width = operation.footprint.gives
        elif "int64" in (node.dtype, node.op.reads):
            width = BYTES[node.dtype]
        elif node.op.autocast == "low":
            width = self.costs.low
        else:  # parameters that no cast touches are fp32, and make the sum or product so
            width = 4 if node.parameters and (node.op.spreads or node.op.passes_gradient) else _widest(inputs)
        return self.memory.new(node.size * operation.rows * width, width=width)

    def _gather(self, exchange: Exchange, saved: Saved) -> None:
        """What the copies tell each other before any of them has a result."""
        self.memory.passing(4 * (exchange.forward + saved.floats))
        self.memory.moves("gather", 4 * exchange.gathered, 4 * exchange.gathered * self.costs.copies)

    def _extra(self, operation: Operation, out: Storage, *, keeping: bool) -> Storage | None:
        """What the op makes beside its result, whether that is kept or not."""
        node, saved, rows, measured = operation.node, operation.node.saved, operation.rows, operation.footprint
        if measured is not None:  # what was there at its worst, before
            worst = highest(measured.forward if keeping else measured.alone, rows)
            self.memory.passing(max(worst - (0 if node.op.view else out.bytes), 0))
            return self.memory.new(measured.own.of(rows) if keeping else 0)
        elements, others = saved.elements, saved.bytes
        if self.costs.traced and saved.cpu_elements is not None:
            elements, others = elements + saved.cpu_elements, 0
        again = saved.again if self.until and operation.exchange is None else 0
        extra = rows * (elements * out.width + others) + 4 * (saved.floats + again)
        return self.memory.new(extra) if extra else None


class Operation(Function):
    """One op of a forward; its operands are the inputs, and then the parameters."""

    __slots__ = ("computed", "exchange", "footprint", "node", "rows")

    def __init__(self, node: Node, inputs: Sequence[Value], parameters: Sequence[Value], costs: Costs) -> None:
        super().__init__((*inputs, *parameters))
        self.node, self.rows = node, inputs[0].rows
        self.computed = 0  # bytes of one number of the op's own arithmetic
        self.exchange = node.op.exchange(node.in_shapes, costs.copies) if costs.copies > 1 else None
        widths = tuple(value.storage.width for value in inputs)
        self.footprint = node.op.footprint(costs.low < 4, widths)  # of an op whose memory was measured

    def keeps(self, inputs: Sequence[Storage], parameters: Sequence[Value], out: Storage) -> list[object]:
        """What it keeps of what it reads, and of its result."""
        found, edges = self.footprint, self.edges
        saved = self.node.saved if found is None else Saved(found.inputs, output=found.output)
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
            moments = self.footprint.backward if held or eager else self.footprint.again
            memory.passing(max(highest(moments, self.rows), 0), GRADIENT)
            held.clear()  # bit by bit, as was measured
            eager.clear()
        outgoing = {i: self._made(incoming, i) for i, edge in enumerate(self.edges) if edge.to in engine.wanted}
        self._tell(memory, outgoing, turned=turned)
        surplus = []
        if node.op.answers_all and 0 not in outgoing:
            surplus.append(memory.new(self.edges[0].numbers * self.computed, GRADIENT, self.computed))
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
        parts = {i >= len(self.node.inputs) and not self.node.op.answers_all for i in wanted}
        for parameters in sorted(parts):
            memory.computes(self, "parameters" if parameters else "input", turned=turned)

    def _taken_from(self, engine: Engine) -> tuple[list[object], list[object]]:
        """What is held until the gradients are made, and what only until it was used."""
        held = [] if engine.retain else list(self.saved)
        piece = self.saved[0] if self.saved and isinstance(self.saved[0], Forward) else None
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
        if self.footprint is None:
            width = self.computed
        return Gradient(memory.new(numbers * width, GRADIENT, width), "plain")

    def _order(self, operand: int, lies: Order) -> Order:
        """How a gradient lies; a kernel's as the kernel or as the input does."""
        own = self.edges[operand].order
        if operand < len(self.node.inputs):
            return self.node.op.gradient_order(own, lies)
        return "swapped" if "swapped" in (own, self.edges[0].order) else "plain"


def _widest(inputs: Sequence[Value]) -> int:
    """The most bytes that a number of them takes."""
    return max(value.storage.width for value in inputs)

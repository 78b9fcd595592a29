"""A network's forward and the backward of its ops, as torch handles their tensors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from ..graph.graph import IMAGES, INPUT, Graph, Node
from ..graph.ops import BYTES, Saved
from ..graph.ops.base import Exchange
from ..plan import Network
from .autograd import Function, Value, dense
from .operation import Costs, Operation, Piece
from .storage import Allocator, Storage

Parameters = Mapping[str, Sequence[Value]]  # of each node


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


class Forward(Piece):
    """One run of a graph.

    Of one that the backward computes `again` only the source is kept. That ends after the last node that is needed, or
    before the result of that one is made where it keeps nothing of its own.
    """

    def __init__(
        self, memory: Allocator, costs: Costs, graph: Graph, parameters: Parameters, images: Value | None,
        skips: Mapping[str, Value], *, record: bool = True, again: bool = False, until: str = "",
    ) -> None:  # fmt: skip
        super().__init__(memory)
        self.costs, self.graph, self.parameters = costs, graph, parameters
        self.images, self.skips = images, skips
        self.record, self.again, self.until = record, again, until
        self.source: Value | None = None  # of what is computed again
        self.last = ""  # where torch stops computing it: the last op that keeps something
        self.made: dict[str, Operation] = {}  # while it is computed again

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
        stops = node.name == self.until and not (node.saved.own and operation.footprint is None)
        gathered = self.memory.new(size, width=first.width) if gathers else None  # one after the other
        if gathered:
            self.memory.moves("turn", size, size)
        keeping = needed and not self.again
        if operation.exchange is not None:
            self._gather(operation.exchange, node.saved)
        kept: list[object] | None = None
        if operation.footprint is not None:
            out, kept = operation.measured(self.memory, inputs, keeping=keeping, stops=stops)
        elif stops or (gathered and not parameters):
            out = gathered or first
        else:
            out = self._result(operation, inputs)
            if gathered and "bias" in node.parameters:  # the product and then the sum
                self.memory.passing(max(out.bytes - (0 if keeping else gathered.bytes), 0))
        extra = None if stops else self._extra(operation, out)
        operation.computed = out.width
        if not stops and (parameters or not gathered):
            self.memory.computes(operation, "forward")
        if keeping:
            read = [gathered if gathered and parameters else first, *(value.storage for value in inputs[1:])]
            operation.saved = [*operation.keeps(read, parameters, out), extra] if kept is None else kept
        elif needed and operation.keeps_anything:
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
        if "int64" in (node.dtype, node.op.reads):
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

    def _extra(self, operation: Operation, out: Storage) -> Storage | None:
        """What the op makes beside its result, whether that is kept or not."""
        saved, rows = operation.node.saved, operation.rows
        if operation.footprint is not None:
            return None
        elements, others = saved.elements, saved.bytes
        if self.costs.traced and saved.cpu_elements is not None:
            elements, others = elements + saved.cpu_elements, 0
        again = saved.again if self.until and operation.exchange is None else 0
        extra = rows * (elements * out.width + others) + 4 * (saved.floats + again)
        return self.memory.new(extra) if extra else None


def _widest(inputs: Sequence[Value]) -> int:
    """The most bytes that a number of them takes."""
    return max(value.storage.width for value in inputs)

"""Memory of a network's forward, op by op, as torch handles its tensors."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..graph.graph import IMAGES, INPUT, Graph, Node
from ..graph.ops import BYTES, Saved, numel
from ..graph.ops.footprint import Footprint, highest
from ..plan import Network
from .autograd import Function, Value, dense
from .operations import Cast, Operation, Piece, Tensors, finishes
from .storage import Storage


def run(
    tensors: Tensors, network: Network, graph: Graph, x: Value, images: Value | None, *, record: bool,
    sums: Mapping[str, Storage] | None = None,
) -> Value:  # fmt: skip
    """A network's output; of one with pieces only what enters each of them is kept.

    `sums` are parameters that were computed for this forward alone.
    """
    if not network.pieces or not record:
        return Forward(tensors, graph, x, images, record=record, sums=sums).run()
    for part in graph.pieces(network.pieces):
        piece = Piece(x, partial(_again, tensors, part, images))
        x = Forward(tensors, part, x, images, piece=piece).run()
    return x


def _again(tensors: Tensors, graph: Graph, images: Value | None, source: Value, until: str) -> dict[str, Function]:
    """The operations of a piece, up to the last one that is needed."""
    made: dict[str, Function] = {}
    Forward(tensors, graph, source, images, until=until, made=made).run()
    return made


class Forward:
    """One run of a graph.

    A forward in a `piece` records what would be kept, and keeps nothing. One that computes again ends after the node
    `until`, or before its result is made where it keeps nothing of its own.
    """

    def __init__(
        self, tensors: Tensors, graph: Graph, x: Value, images: Value | None, *, record: bool = True,
        piece: Piece | None = None, until: str = "", made: dict[str, Function] | None = None,
        sums: Mapping[str, Storage] | None = None,
    ) -> None:  # fmt: skip
        self.tensors, self.graph, self.record, self.piece = tensors, graph, record, piece
        self.until, self.made, self.sums = until, made, sums
        self.memory, self.costs, self.trainable = tensors.memory, tensors.costs, tensors.grads is not None
        self.values = {INPUT: x} if images is None else {INPUT: x, IMAGES: images}
        self.rows = x.rows

    def run(self) -> Value:
        """The graph's result."""
        uses = _uses(self.graph)
        for node in self.graph.simple:
            self.memory.at(node.name)
            self.values[node.name] = self._value(node)
            if node.name == self.until:
                break
            for name in node.inputs:
                uses[name] -= 1
                if uses[name] == 0:
                    del self.values[name]
        return self.values[self.until or self.graph.result]

    def _value(self, node: Node) -> Value:
        inputs, copies = self._cast(node, [self.values[name] for name in node.inputs])
        first = inputs[0].storage
        gathers = node.op.gathers(dense(inputs[0].order, node.in_shapes[0]), node.in_shapes[0])
        order = node.op.order(tuple(value.order for value in inputs), node.shape)
        if self.costs.swapped and any(len(shape) == 4 for shape in node.parameters.values()):
            order = "swapped"
        trained = self.trainable and bool(node.parameters)
        needed = self.record and (trained or any(value.graph is not None for value in inputs))
        operation = Operation(node, inputs, self.tensors) if needed else None
        footprint = node.op.footprint(self.costs.low < 4, tuple(value.storage.width for value in inputs))
        stops = node.name == self.until and not finishes(node.saved)
        gathered = self.memory.new(first.bytes, width=first.width) if gathers else None  # one after the other
        keeping = needed and self.piece is None
        if stops or (gathered and not node.parameters):
            out = gathered or first
        else:
            out = self._result(node, inputs, footprint)
            if gathered and "bias" in node.parameters:  # the product and then the sum
                self.memory.passing(max(out.bytes - (0 if keeping else gathered.bytes), 0))
        extra = None if stops else self._made(node, footprint, out, keeping=keeping)
        if operation is not None:
            operation.computed = out.width
            if keeping:
                read = [value.storage for value in inputs]
                if gathered and node.parameters:
                    read[0] = gathered
                operation.saved = self._keep(operation, read, copies, out, extra)
            elif self.piece is not None and operation.saves:
                operation.saved, self.piece.last = [self.piece], node.name
            if self.made is not None:
                self.made[node.name] = operation
        return Value(out, self.rows, node.shape, order, operation)

    def _cast(self, node: Node, inputs: list[Value]) -> tuple[list[Value], dict[str, Storage]]:
        """The inputs as mixed precision gives them to the op, and the copies that it makes of parameters."""
        if self.costs.low == 4 or node.op.autocast == "same":
            return inputs, {}
        width = self.costs.width(node)
        if node.op.autocast == "widest" and not node.parameters:
            width = _widest(inputs)
        cast = [value if value.storage.width == width else self._copy(value, width) for value in inputs]
        parameters = node.parameters.items() if width < 4 else ()
        low = "parameters in low precision"
        return cast, {name: self.memory.new(numel(shape) * width, low, width) for name, shape in parameters}

    def _copy(self, value: Value, width: int) -> Value:
        storage = self.memory.new(value.numbers * width, width=width)
        return value.like(storage, value.graph and Cast(value))

    def _result(self, node: Node, inputs: list[Value], footprint: Footprint | None) -> Storage:
        if node.op.view or node.name in self.graph.overwriting:
            return inputs[0].storage
        if footprint is not None:
            width = footprint.gives
        elif "int64" in (node.dtype, node.op.reads):
            width = BYTES[node.dtype]
        elif node.op.autocast == "low":
            width = self.costs.low
        else:  # parameters that no cast touches are fp32, and make the sum or product so
            width = 4 if node.parameters and (node.op.spreads or node.op.passes_gradient) else _widest(inputs)
        return self.memory.new(node.size * self.rows * width, width=width)

    def _made(self, node: Node, footprint: Footprint | None, out: Storage, *, keeping: bool) -> Storage | None:
        """What the op makes beside its result, whether that is kept or not."""
        if footprint is not None:  # what was there at its worst, before
            worst = highest(footprint.forward if keeping else footprint.alone, self.rows)
            self.memory.passing(max(worst - (0 if node.op.view else out.bytes), 0))
            return self.memory.new(footprint.own.of(self.rows) if keeping else 0)
        saved = node.saved
        elements, others = saved.elements, saved.bytes
        if self.costs.traced and saved.cpu_elements is not None:
            elements, others = elements + saved.cpu_elements, 0
        again = saved.again * bool(self.until)
        extra = self.rows * (elements * out.width + others) + 4 * (saved.floats + again)
        return self.memory.new(extra) if extra else None

    def _keep(self, operation: Operation, inputs: list[Storage], copies: Mapping[str, Storage], out: Storage,
              made: Storage | None) -> list[Storage]:  # fmt: skip
        node, needs = operation.node, [edge is not None for edge in operation.edges]
        saved, found = node.saved, operation.footprint
        if found is not None:
            saved = Saved(found.inputs, output=found.output)
        kept = [
            inputs[i]
            for i in saved.inputs
            if (self.trainable or not saved.if_trained) and (not saved.factors or needs[1 - i])
        ]
        if not saved.if_trained or any(needs):
            kept += [copy for name, copy in copies.items() if not name.endswith("bias")]
        if saved.output:
            kept.append(out)
        if made:
            kept.append(made)
        if self.sums is not None and operation.saves and not (self.costs.low < 4 and node.op.autocast == "low"):
            kept += [self.sums[f"{node.name}.{name}"] for name in node.parameters if _kept_by_name(node, name)]
        return kept


def _widest(inputs: list[Value]) -> int:
    """The most bytes that a number of them takes."""
    return max(value.storage.width for value in inputs)


def _kept_by_name(node: Node, parameter: str) -> bool:
    """Whether a backward needs the parameter: no bias but layer norm's, which torch keeps all the same."""
    return not parameter.endswith("bias") or node.op.name == "layer_norm"


def _uses(graph: Graph) -> dict[str, int]:
    """How many inputs of simple nodes read each value; the result is read by whoever asked for it."""
    counts = {INPUT: 0, IMAGES: 1, graph.result: 1} | {node.name: 0 for node in graph.simple}
    counts[graph.result] = 1
    for node in graph.simple:
        for name in node.inputs:
            counts[name] += 1
    return counts

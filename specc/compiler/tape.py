"""Memory of a graph's forward and backward, op by op, as torch's autograd engine handles its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..backbone.graph import INPUT, Graph, Node
from ..backbone.ops import numel
from ..plan import Network
from .allocator import Allocator, Storage

GRADIENT = "gradients of activations"


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes that hold for a whole step."""

    batch: int
    low: int = 4  # bytes of one number where autocast computes in low precision; 4: there is no autocast
    traced: bool = False  # as under a dispatch mode, where gradients are never added to in place

    @property
    def casts(self) -> bool:
        """Whether matrix products and convolutions run in low precision."""
        return self.low < 4

    def width(self, node: Node) -> int:
        """Bytes of one number where the op computes in a precision of its own."""
        return self.low if node.op.autocast == "low" else 4


@dataclass(slots=True)
class Kept:
    """What one op keeps for its backward."""

    node: Node
    storages: list[Storage]
    needs: tuple[bool, ...]  # which inputs get a gradient
    widths: tuple[int, ...]  # bytes of one number of each input, before any cast
    computed: int  # bytes of one number of the op's own arithmetic


@dataclass
class Tape:
    """A recorded forward: its entries in order."""

    graph: Graph
    trainable: bool
    entries: list[Kept] = field(default_factory=list)
    pieces: list[tuple[Graph, Storage]] = field(default_factory=list)  # to be recomputed, with what enters each
    input_grad: bool = False


def forward_in_pieces(memory: Allocator, costs: Costs, network: Network, source: Storage, *, record: bool,
                      input_grad: bool = False) -> tuple[Storage, Tape]:  # fmt: skip
    """Run a network of which only what enters each piece is kept; see `Network.pieces`."""
    if not network.pieces or not record:
        return forward(memory, costs, network.graph, source, record=record, input_grad=input_grad)
    tape = Tape(network.graph, trainable=True, input_grad=input_grad)
    value = memory.hold(source)
    for graph in network.graph.pieces(network.pieces):
        out, _ = forward(memory, costs, graph, value, record=False)
        tape.pieces.append((graph, value))  # the tape holds it from here on
        value = memory.hold(out)
        memory.drop(out)
    return value, tape


def forward(memory: Allocator, costs: Costs, graph: Graph, source: Storage, *, record: bool, trainable: bool = True,
            input_grad: bool = False) -> tuple[Storage, Tape]:  # fmt: skip
    """Run a graph on `source` (held by the caller); the result has one holder, the caller."""
    tape = Tape(graph, trainable)
    values = {INPUT: memory.hold(source)}
    needs = {INPUT: input_grad and record}
    uses = graph.uses()
    for node in graph.nodes:
        inputs = [values[name] for name in node.inputs]
        copies = _casts(memory, costs, node, inputs)
        out = _result(memory, costs, node, inputs, node.name in graph.overwriting)
        needs[node.name] = record and (any(needs[i] for i in node.inputs) or (trainable and bool(node.parameters)))
        if needs[node.name]:
            entry = Kept(node, [], tuple(needs[i] for i in node.inputs), tuple(s.width for s in inputs), out.width)
            entry.storages = _keep(memory, costs, node, inputs, copies, out, trainable)
            tape.entries.append(entry)
        memory.drop(*copies.values())
        values[node.name] = out
        for name in node.inputs:
            uses[name] -= 1
            if uses[name] == 0:
                memory.drop(values.pop(name))
    result = memory.hold(values[graph.output])
    memory.drop(*values.values())
    return result, tape


def _casts(memory: Allocator, costs: Costs, node: Node, inputs: list[Storage]) -> dict[int | str, Storage]:
    """The copies that mixed precision makes of inputs (by index) and parameters (by name)."""
    if not costs.casts or node.op.autocast == "same":
        return {}
    width = costs.width(node)
    copies: dict[int | str, Storage] = {
        i: memory.new(s.bytes * width // s.width, "activations", width)
        for i, s in enumerate(inputs)
        if s.width != width
    }
    for name, shape in node.parameters.items():
        if width < 4:
            copies[name] = memory.new(numel(shape) * width, "parameters in low precision", width)
    return copies


def _result(memory: Allocator, costs: Costs, node: Node, inputs: list[Storage], inplace: bool) -> Storage:
    if node.op.view or inplace:
        return memory.hold(inputs[0])
    width = max((s.width for s in inputs), default=4) if node.op.autocast == "same" else costs.width(node)
    return memory.new(node.size * costs.batch * width, "activations", width)


def _keep(memory: Allocator, costs: Costs, node: Node, inputs: list[Storage], copies: dict[int | str, Storage],
          out: Storage, trainable: bool) -> list[Storage]:  # fmt: skip
    saved = node.saved
    kept = [memory.hold(copies.get(i, inputs[i])) for i in saved.inputs if trainable or not saved.if_trained]
    kept += [memory.hold(copy) for name, copy in copies.items() if isinstance(name, str)]
    if saved.output:
        kept.append(memory.hold(out))
    extra = costs.batch * (saved.elements * out.width + saved.bytes) + 4 * saved.floats
    if extra:
        kept.append(memory.new(extra, "activations"))
    return kept


def backward(memory: Allocator, costs: Costs, tape: Tape, gradient: Storage, grads: dict[str, Storage], prefix: str,
             *, retain: bool = False, input_grad: bool = False, owned: bool = False) -> Storage | None:  # fmt: skip
    """Send `gradient` back; parameters' gradients go to `grads`, the input's is returned.

    The caller holds `gradient` throughout, as Python does in `torch.autograd.backward`, unless it is `owned` by the
    engine alone, as below a loss.
    """
    if tape.pieces:
        return _backward_in_pieces(memory, costs, tape, gradient, grads, prefix, retain=retain, input_grad=input_grad)
    flowing = {tape.graph.output: gradient if owned else memory.hold(gradient)}
    for kept in reversed(tape.entries):
        incoming = flowing.pop(kept.node.name)
        outgoing = [_input_gradient(memory, costs, kept, incoming, i, input_grad) for i in range(len(kept.node.inputs))]
        if tape.trainable:
            _parameter_gradients(memory, costs, kept.node, grads, prefix)
        memory.drop(incoming)
        if not retain:
            memory.drop(*kept.storages)
        for name, storage, shape in zip(kept.node.inputs, outgoing, kept.node.in_shapes, strict=True):
            if storage is not None:
                _accumulate(memory, costs, flowing, name, storage, numel(shape) * costs.batch)
    if not retain:
        tape.entries.clear()
    found = flowing.pop(INPUT, None)
    memory.drop(*flowing.values())
    return found


def _backward_in_pieces(memory: Allocator, costs: Costs, tape: Tape, gradient: Storage, grads: dict[str, Storage],
                        prefix: str, *, retain: bool, input_grad: bool) -> Storage | None:  # fmt: skip
    """Recompute each piece, the last first, and go back through it; the input's gradient is returned."""
    incoming: Storage | None = memory.hold(gradient)
    for i, (graph, source) in reversed(list(enumerate(tape.pieces))):
        assert incoming is not None
        wanted = i > 0 or tape.input_grad
        out, again = forward(memory, costs, graph, source, record=True, input_grad=wanted)
        memory.drop(out)
        incoming = backward(memory, costs, again, incoming, grads, prefix, input_grad=i > 0 or input_grad, owned=True)
        if not retain:
            memory.drop(source)
    if not retain:
        tape.pieces.clear()
    return incoming


def _input_gradient(
    memory: Allocator, costs: Costs, kept: Kept, incoming: Storage, i: int, input_grad: bool
) -> Storage | None:
    if not kept.needs[i] or (kept.node.inputs[i] == INPUT and not input_grad):
        return None
    if kept.node.op.passes_gradient:
        return memory.hold(incoming)
    width = kept.widths[i] if kept.node.op.autocast == "same" else kept.computed
    gradient = memory.new(numel(kept.node.in_shapes[i]) * costs.batch * width, GRADIENT, width)
    return gradient if width == kept.widths[i] else _recast(memory, gradient, kept.widths[i])


def _recast(memory: Allocator, gradient: Storage, width: int) -> Storage:
    """The gradient of a cast: as wide as the value was before it."""
    recast = memory.new(gradient.bytes * width // gradient.width, gradient.category, width)
    memory.drop(gradient)
    return recast


def _parameter_gradients(memory: Allocator, costs: Costs, node: Node, grads: dict[str, Storage], prefix: str) -> None:
    width = costs.width(node)
    fresh = [memory.new(numel(shape) * width, "gradients", width) for shape in node.parameters.values()]
    for name, gradient in zip(node.parameters, fresh, strict=True):
        wide = gradient if width == 4 else _recast(memory, gradient, 4)
        if grads.setdefault(f"{prefix}{node.name}.{name}", wide) is not wide:
            memory.drop(wide)  # added to the one that is there


def _accumulate(
    memory: Allocator, costs: Costs, flowing: dict[str, Storage], name: str, storage: Storage, count: int
) -> None:
    """Sum at a fan-out, of `count` numbers. A gradient that nobody else holds is added to in place."""
    if name not in flowing:
        flowing[name] = storage
        return
    old = flowing[name]
    if old.holders > 1 or costs.traced:
        flowing[name] = memory.new(count * old.width, old.category, old.width)  # the old one may be a slice of it all
        memory.drop(old)
    memory.drop(storage)

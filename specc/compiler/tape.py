"""Memory of a graph's forward and backward, op by op, as torch's autograd engine handles its tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..backbone.graph import INPUT, Graph, Node
from ..backbone.ops import numel
from .allocator import Allocator, Storage


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes that hold for a whole step."""

    batch: int
    activation: int  # bytes of one number of an activation
    parameter: int = 4  # bytes of one number of a parameter, its gradient and its optimizer state


@dataclass(slots=True)
class Kept:
    """What one op keeps for its backward."""

    node: Node
    storages: list[Storage]
    needs: tuple[bool, ...]  # which inputs get a gradient


@dataclass
class Tape:
    """A recorded forward: its entries in order, and the gradient buffers of its parameters."""

    graph: Graph
    trainable: bool
    entries: list[Kept] = field(default_factory=list)


def forward(memory: Allocator, costs: Costs, graph: Graph, source: Storage, *, record: bool, trainable: bool = True,
            input_grad: bool = False) -> tuple[Storage, Tape]:  # fmt: skip
    """Run a graph on `source` (held by the caller); the result has one holder, the caller."""
    tape = Tape(graph, trainable)
    values = {INPUT: memory.hold(source)}
    needs = {INPUT: input_grad and record}
    uses = graph.uses()
    for node in graph.nodes:
        out = _result(memory, costs, node, values, node.name in graph.overwriting)
        needs[node.name] = record and (any(needs[i] for i in node.inputs) or (trainable and bool(node.parameters)))
        if needs[node.name]:
            tape.entries.append(_keep(memory, costs, node, values, out, tuple(needs[i] for i in node.inputs)))
        values[node.name] = out
        for name in node.inputs:
            uses[name] -= 1
            if uses[name] == 0:
                memory.drop(values.pop(name))
    result = memory.hold(values[graph.output])
    memory.drop(*values.values())
    return result, tape


def _result(memory: Allocator, costs: Costs, node: Node, values: dict[str, Storage], inplace: bool) -> Storage:
    if node.op.view or inplace:
        return memory.hold(values[node.inputs[0]])
    return memory.new(numel(node.shape) * costs.batch * costs.activation, "activations")


def _keep(memory: Allocator, costs: Costs, node: Node, values: dict[str, Storage], out: Storage,
          needs: tuple[bool, ...]) -> Kept:  # fmt: skip
    saved = node.op.saved(node.in_shapes, node.shape)
    kept = [memory.hold(values[node.inputs[i]]) for i in saved.inputs]
    if saved.output:
        kept.append(memory.hold(out))
    extra = costs.batch * (saved.elements * costs.activation + saved.bytes) + 4 * saved.floats
    if extra:
        kept.append(memory.new(extra, "activations"))
    return Kept(node, kept, needs)


def backward(memory: Allocator, costs: Costs, tape: Tape, gradient: Storage, grads: dict[str, Storage], prefix: str,
             *, retain: bool = False, input_grad: bool = False, owned: bool = False) -> Storage | None:  # fmt: skip
    """Send `gradient` back; parameters' gradients go to `grads`, the input's is returned.

    The caller holds `gradient` throughout, as Python does in `torch.autograd.backward`, unless it is `owned` by the
    engine alone, as below a loss.
    """
    flowing = {tape.graph.output: gradient if owned else memory.hold(gradient)}
    for kept in reversed(tape.entries):
        incoming = flowing.pop(kept.node.name)
        outgoing = [_input_gradient(memory, costs, kept, incoming, i, input_grad) for i in range(len(kept.node.inputs))]
        if tape.trainable:
            _parameter_gradients(memory, costs, kept.node, grads, prefix)
        memory.drop(incoming)
        if not retain:
            memory.drop(*kept.storages)
        for name, storage in zip(kept.node.inputs, outgoing, strict=True):
            if storage is not None:
                _accumulate(memory, flowing, name, storage)
    if not retain:
        tape.entries.clear()
    found = flowing.pop(INPUT, None)
    memory.drop(*flowing.values())
    return found


def _input_gradient(
    memory: Allocator, costs: Costs, kept: Kept, incoming: Storage, i: int, input_grad: bool
) -> Storage | None:
    if not kept.needs[i] or (kept.node.inputs[i] == INPUT and not input_grad):
        return None
    if kept.node.op.passes_gradient:
        return memory.hold(incoming)
    return memory.new(numel(kept.node.in_shapes[i]) * costs.batch * costs.activation, "gradients of activations")


def _parameter_gradients(memory: Allocator, costs: Costs, node: Node, grads: dict[str, Storage], prefix: str) -> None:
    fresh = []
    for name, shape in node.parameters.items():
        key = f"{prefix}{node.name}.{name}"
        storage = memory.new(numel(shape) * costs.parameter, "gradients")
        if key in grads:
            fresh.append(storage)  # added to the one that is there
        else:
            grads[key] = storage
    memory.drop(*fresh)


def _accumulate(memory: Allocator, flowing: dict[str, Storage], name: str, storage: Storage) -> None:
    """Sum at a fan-out. A gradient that nobody else holds is added to in place."""
    if name not in flowing:
        flowing[name] = storage
        return
    old = flowing[name]
    if old.holders > 1:
        flowing[name] = memory.new(old.bytes, old.category)
        memory.drop(old)
    memory.drop(storage)

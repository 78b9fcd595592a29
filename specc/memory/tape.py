"""Memory of a graph's forward and backward, op by op, as torch's autograd engine handles its tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from ..graph.graph import IMAGES, INPUT, Graph, Node
from ..graph.ops import BYTES, Order, Saved, Shape, numel
from ..graph.ops.footprint import Footprint, highest
from ..plan import Network
from .allocator import Allocator, Storage

GRADIENT = "gradients of activations"


@dataclass(frozen=True, slots=True)
class Images:
    """What a network may read beside its input: held by the caller throughout, and without gradient."""

    storage: Storage
    order: Order


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes that hold for a whole step."""

    batch: int
    low: int = 4  # bytes of one number where autocast computes in low precision; 4: there is no autocast
    _: KW_ONLY
    traced: bool = False  # as counted on a CPU, under a dispatch mode: gradients are never added to in place, masks
    # are floats
    views: int = 1  # of every image in the batch
    meeting: bool = False  # gradients of one parameter meet in one backward: a network runs several times before it
    swapped: bool = False  # images and the weights of convolutions have their channels last

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
    taken: tuple[int, ...]  # and as the op takes it
    computed: int  # bytes of one number of the op's own arithmetic
    saves: bool  # whether it keeps anything, weights included
    finishes: bool  # whether it keeps something that it makes itself
    orders: tuple[Order, ...]  # of its inputs in memory
    footprint: Footprint | None  # of an op whose memory was measured


@dataclass
class Tape:
    """A recorded forward: its entries in order."""

    graph: Graph
    trainable: bool
    entries: list[Kept] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    order: Order = "plain"  # of the result
    source: Order = "plain"  # of what it starts from


@dataclass
class Flowing:
    """Gradients on their way back, by the value that they belong to, and how they lie in memory."""

    storages: dict[str, Storage]
    orders: dict[str, Order] = field(default_factory=dict)


@dataclass
class Piece:
    """Part of a network whose values are computed again in the backward."""

    graph: Graph
    order: Order
    source: Storage | None  # what enters it; None where nothing in it is kept for a backward
    entries: list[Kept]
    input_grad: bool
    images: Images | None

    @property
    def last(self) -> Kept | None:
        """Where torch stops computing again: the last entry that keeps something."""
        return next((entry for entry in reversed(self.entries) if entry.saves), None)


def forward_in_pieces(memory: Allocator, costs: Costs, network: Network, source: Storage, *, record: bool,
                      input_grad: bool = False, order: Order = "plain",
                      images: Images | None = None) -> tuple[Storage, Tape]:  # fmt: skip
    """Run a network of which only what enters each piece is kept; see `Network.pieces`."""
    if not network.pieces or not record:
        return forward(
            memory, costs, network.graph, source, record=record, input_grad=input_grad, order=order, images=images
        )
    tape = Tape(network.graph, trainable=True, source=dense(order, network.graph.input))
    value = memory.hold(source)
    for graph in network.graph.pieces(network.pieces):
        out, part = forward(
            memory, costs, graph, value, record=True, input_grad=input_grad, order=order, forgetful=True, images=images
        )
        piece = Piece(graph, order, value, part.entries, input_grad, images)
        if piece.last is None:
            memory.drop(value)
            piece.source = None
        tape.pieces.append(piece)
        value, order = out, part.order
        input_grad = input_grad or bool(part.entries)
    tape.order = order
    return value, tape


def forward(memory: Allocator, costs: Costs, graph: Graph, source: Storage, *, record: bool, trainable: bool = True,
            input_grad: bool = False, order: Order = "plain", forgetful: bool = False,
            until: str = "", images: Images | None = None) -> tuple[Storage, Tape]:  # fmt: skip
    """Run a graph on `source` (held by the caller); the result has one holder, the caller.

    A forgetful forward records what would be kept, and keeps nothing. It ends after the node `until`, or before its
    result is made where it keeps nothing of its own.
    """
    tape = Tape(graph, trainable, source=dense(order, graph.input))
    values = {INPUT: memory.hold(source)}
    orders: dict[str, Order] = {INPUT: order}
    needs = {INPUT: input_grad and record}
    if images is not None:
        values[IMAGES], orders[IMAGES], needs[IMAGES] = memory.hold(images.storage), images.order, False
    uses = _uses(graph)
    for node in graph.simple:
        memory.at(node.name)
        inputs = [values[name] for name in node.inputs]
        gathers = node.op.gathers(dense(orders[node.inputs[0]], node.in_shapes[0]), node.in_shapes[0])
        orders[node.name] = node.op.order(tuple(orders[name] for name in node.inputs), node.shape)
        if costs.swapped and any(len(shape) == 4 for shape in node.parameters.values()):
            orders[node.name] = "swapped"
        copies = _casts(memory, costs, node, inputs)
        taken = tuple(copies.get(i, s).width for i, s in enumerate(inputs))
        needs[node.name] = record and (any(needs[i] for i in node.inputs) or (trainable and bool(node.parameters)))
        entry = Kept(node, [], tuple(needs[i] for i in node.inputs), tuple(s.width for s in inputs), taken, 0,
                     *_keeps(node, [needs[i] for i in node.inputs], trainable),
                     tuple(orders[name] for name in node.inputs), node.op.footprint(costs.casts, taken))  # fmt: skip
        stops = node.name == until and not entry.finishes
        gathered = _gathered(memory, inputs, copies) if gathers else None
        if stops:
            out = memory.hold(gathered or inputs[0])
        elif gathered and not node.parameters:
            out = memory.hold(gathered)
        else:
            out = _result(memory, costs, entry, inputs, inplace=node.name in graph.overwriting)
            if gathered and "bias" in node.parameters:  # the product and then the sum
                kept = needs[node.name] and not forgetful
                memory.drop(memory.new(max(out.bytes - (0 if kept else gathered.bytes), 0), "activations", out.width))
        entry.computed = out.width
        keeping = needs[node.name] and not forgetful
        made = None if stops else _made(memory, costs, entry, out, again=bool(until), keeping=keeping)
        if needs[node.name]:
            if keeping:
                held = copies | ({0: gathered} if gathered and node.parameters else {})
                entry.storages = _keep(memory, entry, inputs, held, out, made, trainable)
            tape.entries.append(entry)
        memory.drop(*copies.values(), *([made] if made else []), *([gathered] if gathered else []))
        values[node.name] = out
        for name in node.inputs:
            uses[name] -= 1
            if uses[name] == 0:
                memory.drop(values.pop(name))
        if node.name == until:
            break
    result = memory.hold(values[until or graph.result])
    memory.drop(*values.values())
    tape.order = orders[until or graph.result]
    return result, tape


def _uses(graph: Graph) -> dict[str, int]:
    """How many inputs of simple nodes read each value."""
    counts = {INPUT: 0, IMAGES: 0} | {node.name: 0 for node in graph.simple}
    for node in graph.simple:
        for name in node.inputs:
            counts[name] += 1
    return counts


def dense(order: Order, shape: Shape) -> Order:
    """The order with regard to a shape: a single channel or a single position lies the same in every order."""
    many = (shape[0] > 1, numel(shape[1:]) > 1) if len(shape) > 1 else (False, False)
    if order == "slice":
        return order if len(shape) == 3 and many[1] else "plain"
    return order if all(many) else "plain"


def _casts(memory: Allocator, costs: Costs, node: Node, inputs: list[Storage]) -> dict[int | str, Storage]:
    """The copies that mixed precision makes of inputs (by index) and parameters (by name)."""
    if not costs.casts or node.op.autocast == "same":
        return {}
    width = costs.width(node)
    if node.op.autocast == "widest" and not node.parameters:
        width = max(s.width for s in inputs)
    copies: dict[int | str, Storage] = {
        i: memory.new(numel(node.in_shapes[i]) * costs.batch * width, "activations", width)
        for i, s in enumerate(inputs)
        if s.width != width
    }
    for name, shape in node.parameters.items():
        if width < 4:
            copies[name] = memory.new(numel(shape) * width, "parameters in low precision", width)
    return copies


def _gathered(memory: Allocator, inputs: list[Storage], copies: dict[int | str, Storage]) -> Storage:
    """The copy of the first input whose numbers lie one after the other."""
    source = copies.get(0, inputs[0])
    return memory.new(source.bytes, "activations", source.width)


def _result(memory: Allocator, costs: Costs, entry: Kept, inputs: list[Storage], *, inplace: bool) -> Storage:
    node = entry.node
    if node.op.view or inplace:
        return memory.hold(inputs[0])
    if entry.footprint is not None:
        width = entry.footprint.gives
    elif "int64" in (node.dtype, node.op.reads):
        width = BYTES[node.dtype]
    elif node.op.autocast == "low":
        width = costs.low
    else:  # parameters that no cast touches are fp32, and make the sum or product so
        width = 4 if node.parameters and (node.op.spreads or node.op.passes_gradient) else max(entry.taken)
    return memory.new(node.size * costs.batch * width, "activations", width)


def _made(memory: Allocator, costs: Costs, entry: Kept, out: Storage, *, again: bool, keeping: bool) -> Storage | None:
    """What the op makes beside its result, whether that is kept or not."""
    if entry.footprint is not None:
        return _measured(memory, costs, entry.footprint, 0 if entry.node.op.view else out.bytes, keeping=keeping)
    saved = entry.node.saved
    elements, others = saved.elements, saved.bytes
    if costs.traced and saved.cpu_elements is not None:
        elements, others = elements + saved.cpu_elements, 0
    extra = costs.batch * (elements * out.width + others) + 4 * (saved.floats + saved.again * again)
    return memory.new(extra, "activations") if extra else None


def _measured(memory: Allocator, costs: Costs, found: Footprint, result: int, *, keeping: bool) -> Storage:
    """What a measured op keeps of its own, beside a result that is there; before, what was there at its worst."""
    worst = highest(found.forward if keeping else found.alone, costs.batch)
    memory.drop(memory.new(max(worst - result, 0), "activations"))
    return memory.new(found.own.of(costs.batch) if keeping else 0, "activations")


def _keeps(node: Node, needs: list[bool], trainable: bool) -> tuple[bool, bool]:
    """Whether the op keeps anything for its backward, and whether it keeps something that it makes."""
    saved = node.saved
    finishes = saved.output or any((saved.elements, saved.bytes, saved.floats))
    factor = saved.if_trained and not trainable and not any(needs)
    return finishes or (bool(saved.inputs) and not factor), finishes


def _keep(memory: Allocator, entry: Kept, inputs: list[Storage], copies: dict[int | str, Storage], out: Storage,
          made: Storage | None, trainable: bool) -> list[Storage]:  # fmt: skip
    saved, found = entry.node.saved, entry.footprint
    if found is not None:
        saved = Saved(found.inputs, output=found.output)
    kept = [
        copies.get(i, inputs[i])
        for i in saved.inputs
        if (trainable or not saved.if_trained) and (not saved.factors or entry.needs[1 - i])
    ]
    if not saved.if_trained or any(entry.needs):
        kept += [copy for name, copy in copies.items() if isinstance(name, str) and not name.endswith("bias")]
    if saved.output:
        kept.append(out)
    if made:
        kept.append(made)
    return [memory.hold(storage) for storage in kept]


def backward(memory: Allocator, costs: Costs, tape: Tape, gradient: Storage, grads: dict[str, Storage], prefix: str,
             *, retain: bool = False, input_grad: bool = False, owned: bool = False,
             arrived: Storage | None = None, more: bool = False) -> Storage | None:  # fmt: skip
    """Send `gradient` back; parameters' gradients go to `grads`, the input's is returned.

    The caller holds `gradient` throughout, as Python does in `torch.autograd.backward`, unless it is `owned` by the
    engine alone, as below a loss. The input's gradient is added to what has `arrived`. What no gradient
    passes through stays on the tape until it is released.
    """
    if tape.pieces:
        return _backward_in_pieces(memory, costs, tape, gradient, grads, prefix, retain=retain, input_grad=input_grad)
    flowing = Flowing({tape.graph.result: gradient if owned else memory.hold(gradient)})
    flowing.orders[tape.graph.result] = "plain" if owned else tape.order
    if arrived is not None:
        flowing.storages[INPUT] = arrived
        flowing.orders[INPUT] = tape.source
    executed = _executed(tape.entries, tape.trainable, input_grad)
    for kept in reversed(tape.entries):
        if kept.node.name in executed:
            own = grads if tape.trainable else None
            held, kept.storages = ([], kept.storages) if retain else (kept.storages, [])
            _step_back(memory, costs, kept, executed, flowing, own, prefix, held=held)
    leaf: Order = "plain" if tape.source == "slice" else tape.source
    return _arrived(memory, costs, tape.graph, flowing, leaf, more=more)


def keep_parameters(memory: Allocator, costs: Costs, tape: Tape) -> None:
    """Let the tape alone hold the parameters that were computed for its forward, as far as a backward needs them."""
    for kept in tape.entries:
        copied = costs.casts and kept.node.op.autocast == "low"  # the copies are kept instead
        names = [name for name in kept.node.parameters if _kept_by_name(kept.node, name)]
        if kept.saves and not copied and names:
            size = 4 * sum(numel(kept.node.parameters[name]) for name in names)
            kept.storages.append(memory.new(size, "parameters"))


def _kept_by_name(node: Node, parameter: str) -> bool:
    """Whether a backward needs the parameter: no bias but layer norm's, which torch keeps all the same."""
    return not parameter.endswith("bias") or node.op.name == "layer_norm"


def release(memory: Allocator, tape: Tape) -> None:
    """Let go of everything that no backward has let go of."""
    for kept in tape.entries:
        _release(memory, kept)
    for piece in tape.pieces:
        for kept in piece.entries:
            _release(memory, kept)
        if piece.source is not None:
            memory.drop(piece.source)
            piece.source = None


def _release(memory: Allocator, kept: Kept) -> None:
    memory.drop(*kept.storages)
    kept.storages = []


def _executed(entries: list[Kept], trainable: bool, input_grad: bool) -> set[str]:
    """The values whose gradients lead to a parameter or, where it is wanted, to the input."""
    found = {INPUT} if input_grad else set()
    for kept in entries:
        if (trainable and kept.node.parameters) or not found.isdisjoint(kept.node.inputs):
            found.add(kept.node.name)
    return found


def _arrived(memory: Allocator, costs: Costs, graph: Graph, flowing: Flowing, leaf: Order, *,
             more: bool = False) -> Storage | None:  # fmt: skip
    """The gradient of the input, a leaf of autograd's graph: copied unless it lies in memory as the leaf does.

    Where `more` is to come, a part of another gradient stays one until the two are added.
    """
    found, order = flowing.storages.pop(INPUT, None), flowing.orders.get(INPUT, "plain")
    memory.drop(*flowing.storages.values())
    size = numel(graph.input) * costs.batch
    if found is not None and found.numbers != size and more:
        return found
    if found is not None and (found.numbers != size or dense(order, graph.input) != leaf):
        return _replaced(memory, found, size, found.width)
    return found


def _backward_in_pieces(memory: Allocator, costs: Costs, tape: Tape, gradient: Storage, grads: dict[str, Storage],
                        prefix: str, *, retain: bool, input_grad: bool) -> Storage | None:  # fmt: skip
    """Go back piece by piece, the last first; each is computed again when the first of its kept values is needed."""
    incoming: Storage | None = memory.hold(gradient)
    order, flowing = tape.order, Flowing({})
    reached = [input_grad]  # which pieces' inputs want a gradient
    for piece in tape.pieces:
        reached.append(piece.graph.result in _executed(piece.entries, True, reached[-1]))
    for piece, wanted in zip(reversed(tape.pieces), reversed(reached[:-1]), strict=True):
        if incoming is None:
            return None
        flowing = Flowing({piece.graph.result: incoming}, {piece.graph.result: order})
        _backward_of_piece(memory, costs, piece, flowing, grads, prefix, retain=retain, wanted=wanted)
        incoming, order = flowing.storages.get(INPUT), flowing.orders.get(INPUT, "plain")
    return _arrived(memory, costs, tape.graph, flowing, leaf=tape.source)


def _backward_of_piece(memory: Allocator, costs: Costs, piece: Piece, flowing: Flowing, grads: dict[str, Storage],
                       prefix: str, *, retain: bool, wanted: bool) -> None:  # fmt: skip
    executed = _executed(piece.entries, True, wanted)
    again: dict[str, Kept] = {}
    computed = False
    waiting = sum(kept.saves for kept in piece.entries)
    for kept in reversed(piece.entries):
        if kept.node.name not in executed:
            continue
        if kept.saves and not computed and piece.last is not None and piece.source is not None:
            out, tape = forward(memory, costs, piece.graph, piece.source, record=True, input_grad=piece.input_grad,
                                order=piece.order, until=piece.last.node.name, images=piece.images)  # fmt: skip
            memory.drop(out)
            again, computed = {entry.node.name: entry for entry in tape.entries}, True
        waiting -= kept.saves
        eager = again.pop(kept.node.name).storages if kept.node.name in again else []
        held = [] if retain or waiting or piece.source is None else [piece.source]
        piece.source = None if held else piece.source
        _step_back(memory, costs, kept, executed, flowing, grads, prefix, held=held, eager=eager)
    for entry in again.values():  # what no gradient passed through
        _release(memory, entry)


def _step_back(memory: Allocator, costs: Costs, kept: Kept, executed: set[str], flowing: Flowing,
               grads: dict[str, Storage] | None, prefix: str, *,
               held: Sequence[Storage], eager: Sequence[Storage] = ()) -> None:  # fmt: skip
    """The backward of one op: its gradients, made to fit its operands; then those of the casts before it.

    In between it lets go of what it `held`; what was computed again for it alone goes as soon as it was used.
    """
    memory.at(kept.node.name)
    node, incoming, width = kept.node, flowing.storages.pop(kept.node.name), costs.width(kept.node)
    lies = flowing.orders.get(node.name, "plain")
    if node.op.gathers(dense(lies, node.shape), node.shape):  # what it needs of its input it needs of its gradient
        incoming = _replaced(memory, incoming, node.size * costs.batch, incoming.width)
    if kept.footprint is not None:
        moments = kept.footprint.backward if held or eager else kept.footprint.again
        memory.drop(memory.new(max(highest(moments, costs.batch), 0), GRADIENT))
        memory.drop(*held, *eager)  # bit by bit, as was measured
        held = eager = ()
    wanted = [i for i, name in enumerate(node.inputs) if kept.needs[i] and name in executed]
    sizes = {i: numel(node.in_shapes[i]) * costs.batch for i in wanted}
    own = {} if grads is None else {name: numel(shape) for name, shape in node.parameters.items()}
    made = {i: kept.taken[i] if kept.footprint is not None else kept.computed for i in wanted}
    outgoing = {i: _gradient(memory, costs, kept, incoming, sizes[i], GRADIENT, made[i]) for i in wanted}
    fresh = {name: _gradient(memory, costs, kept, incoming, size, "gradients", width) for name, size in own.items()}
    size = numel(node.in_shapes[0]) * costs.batch
    surplus = [] if wanted or not node.op.answers_all else [memory.new(size * kept.computed, GRADIENT, kept.computed)]
    memory.drop(*eager, *([memory.new(costs.batch * node.saved.passing, GRADIENT)] if node.saved.passing else []))
    if node.op.spreads:
        fresh = {name: _fitted(memory, fresh[name], size, width) for name, size in own.items()}
    for i in wanted:
        view = sizes[i] if not node.op.passes_gradient else outgoing[i].numbers
        outgoing[i] = _cast(memory, _fitted(memory, outgoing[i], view, made[i]), sizes[i], kept.taken[i])
    fresh = {name: _fitted(memory, fresh[name], size, width) for name, size in own.items()}
    memory.drop(incoming, *surplus)
    memory.drop(*held)
    for i in wanted:
        outgoing[i] = _cast(memory, outgoing[i], sizes[i], kept.widths[i])
    for i in wanted:
        order = node.op.gradient_order("plain" if kept.orders[i] == "slice" else kept.orders[i], lies)
        _accumulate(memory, costs, flowing, node.inputs[i], outgoing[i], sizes[i], order)
    for name, size in own.items():
        assert grads is not None
        wide = _cast(memory, fresh[name], size, 4)
        key, shape = f"{prefix}{node.name}.{name}", node.parameters[name]
        lay = dense(kept.orders[0], shape[1:]) if len(shape) == 4 and not costs.swapped else "plain"
        if lay == "swapped" and key not in grads:
            wide = _replaced(memory, wide, size, 4)  # it lay as the input does, and is to lie as the weights do
        if grads.setdefault(key, wide) is not wide:
            if costs.traced and costs.meeting:  # the sum is a new one
                memory.drop(memory.new(4 * size, "gradients"))
            memory.drop(wide)  # added to the one that is there


def _gradient(memory: Allocator, costs: Costs, kept: Kept, incoming: Storage, size: int, category: str,
              width: int) -> Storage:  # fmt: skip
    """An operand's gradient as the op computes it: the incoming one, or as large as the result or the operand."""
    if kept.node.op.passes_gradient:
        return memory.hold(incoming)
    numbers = kept.node.size * costs.batch if kept.node.op.spreads else size
    return memory.new(numbers * width, category, width)


def _fitted(memory: Allocator, gradient: Storage, size: int, width: int) -> Storage:
    """The gradient summed up where the operand was repeated."""
    return gradient if gradient.numbers == size else _replaced(memory, gradient, size, width)


def _cast(memory: Allocator, gradient: Storage, size: int, width: int) -> Storage:
    """The gradient in the precision that its operand has."""
    return gradient if gradient.width == width else _replaced(memory, gradient, size, width)


def _replaced(memory: Allocator, gradient: Storage, size: int, width: int) -> Storage:
    new = memory.new(size * width, gradient.category, width)
    memory.drop(gradient)
    return new


def _accumulate(
    memory: Allocator, costs: Costs, flowing: Flowing, name: str, storage: Storage, count: int, order: Order
) -> None:
    """Sum at a fan-out, of `count` numbers. A gradient that nobody else holds is added to in place."""
    if name not in flowing.storages:
        flowing.storages[name] = storage
        flowing.orders[name] = order
        return
    old = flowing.storages[name]
    if old.holders > 1 or costs.traced or old.numbers != count:
        flowing.storages[name] = memory.new(count * old.width, old.category, old.width)
        memory.drop(old)
    memory.drop(storage)

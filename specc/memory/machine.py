"""The machine of shapes: what torch's does to memory, and nothing else (see `specc.step.machine`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, partial

from ..graph.layout import Layout
from ..graph.ops import Order, Shape, is_grid, numel, on_grid
from ..learning.heads.patches import Cell
from ..learning.losses import LOSSES, Sizes
from ..plan import HeadPlan, LinkPlan, Load, Network, Receive
from ..plan.buckets import buckets
from ..plan.offloading import NOTHING, PARAMETERS, Held
from ..plan.shards import kept
from ..spec.sections.train import Train
from ..step.machine import Wanted
from .autograd import Engine, Function, Gradient, Leaf, Mean, Product, Value
from .lent import Lent
from .losses import LossGradient
from .operation import Costs
from .operations import Parameters, run
from .shards import Shards
from .stepping import HOST, tell_step
from .storage import GRADIENT, Allocator, Storage

SCALAR = 4  # bytes of a loss
_WITH_GAPS: dict[Order, Order] = {"plain": "slice", "swapped": "swapped slice"}


def tensor_bytes(shape: Shape) -> int:
    """Of a parameter or buffer; a counter is one integer."""
    return 4 * numel(shape) if shape else 8


class ShapeMachine:
    """Runs a step on `networks`."""

    def __init__(self, memory: Allocator, costs: Costs, networks: Mapping[str, Network], classes: int,
                 views: int, train: Train | None = None, host: Held = NOTHING) -> None:  # fmt: skip
        self.memory, self.costs, self.networks, self.train = memory, costs, networks, train
        self.classes, self.view_count = classes, views
        self.parameters: dict[str, Parameters] = {}  # of the networks that have run
        self.lent = Lent(memory, host, networks)
        self.shards: Shards | None = None  # where this copy has a part of every parameter
        self.sent: list[Storage] = []  # to other stages, in this step
        self.sent_bytes = 0  # in the last one

    def _made(self, rows: int, shape: Shape, category: str = "activations", *, width: int = 4,
              graph: Function | None = None) -> Value:  # fmt: skip
        storage = self.memory.new(rows * numel(shape) * width, category, width)
        return Value(storage, rows, shape, "plain", graph)

    def add(self, total: Value, x: Value) -> None:
        self.memory.moves("add", total.storage.bytes + x.storage.bytes, total.storage.bytes)

    def shrink(self, x: Value, by: float) -> None:
        self.memory.moves("mul", x.storage.bytes, x.storage.bytes)

    def write(self, part: Value, x: Value) -> None:
        size = x.numbers * x.storage.width
        self.memory.moves("write", size, size)

    def average(self, link: LinkPlan) -> None:
        shapes = [self._own(shape) for shape in self.networks[link.ema].graph.parameters.values()]
        size, there = 4 * sum(map(numel, shapes)), HOST if link.ema in self.lent.held.networks else ""
        self.memory.moves(f"{there}average", 2 * size, size, calls=len(shapes))

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Of all tensors of its networks, or of a copy's parts of them."""
        deal = self.shards.deal if self.shards else None
        return {name: shape for network in self.networks.values() for name, shape in kept(network, deal).items()}

    def rows(self, x: Value) -> int:
        return x.rows

    def slices(self, batch: Value, rows: Sequence[int]) -> list[Value]:
        return [Value(batch.storage, count, batch.shape, batch.order) for count in rows]

    def views(self, images: Value, labels: Value, first: int) -> Value:
        if self.view_count == 1:
            return images
        made = self._made(images.rows * self.view_count, images.shape, "inputs")
        self.memory.moves("views", made.storage.bytes, made.storage.bytes, calls=self.view_count)
        return made

    def target(self, head: HeadPlan, given: Value) -> Value:
        if head.target == "images":
            self.memory.moves("mul", 4 * given.numbers, 4 * given.numbers)
            return Value(self.memory.new(4 * given.numbers, "inputs"), given.rows, on_grid(given.shape), given.order)
        if head.target == "one_hot" and not given.shape:  # mixtures have shares of the classes anyway
            return self._made(given.rows, (self.classes,), "inputs")
        return given

    def detach(self, x: Value) -> Value:
        return x.like(x.storage)

    def leaf(self, x: Value) -> Value:
        return x.like(x.storage, Leaf(x))

    def gradient(self, leaf: Value) -> Value:
        assert isinstance(leaf.graph, Leaf)
        assert leaf.graph.gradient is not None
        found, leaf.graph.gradient = leaf.graph.gradient, None
        return Value(found.storage, leaf.rows, leaf.shape, found.order)

    def run(self, network: str, x: Value, images: Value | None = None, *, variant: int = 0, record: bool = True,
            track: bool = True) -> Value:  # fmt: skip
        (out,) = self._run(network, variant, [x], images, record=record)
        return out

    def block(self, name: str, x: Value, images: Value | None, skips: Sequence[Value], *,
              record: bool) -> Sequence[Value]:  # fmt: skip
        return self._run(name, 0, [x, *skips], images, record=record)

    def _run(self, network: str, variant: int, read: Sequence[Value], images: Value | None, *,
             record: bool) -> list[Value]:  # fmt: skip
        plan = self.networks[network]
        parameters = self._parameters(plan)
        compute = partial(
            run, self.memory, self.costs, plan, plan.graphs[variant], parameters, images=images, record=record
        )
        shards = self.shards if plan.parameters else None
        return compute(read) if shards is None else shards.run(plan, parameters, read, compute)

    def _parameters(self, plan: Network) -> Parameters:
        """Those of a network; their bytes are counted with what lives throughout."""
        if plan.name not in self.parameters:
            nothing, own = self.memory.new(0, "parameters"), plan.group is not None
            self.parameters[plan.name] = {
                n.name: [self._parameter(nothing, s, trained=own and p in n.trained) for p, s in n.parameters.items()]
                for n in plan.graph.simple
            }
        return self.parameters[plan.name]

    def _parameter(self, storage: Storage, shape: Shape, *, trained: bool) -> Value:
        value = Value(storage, 1, shape, "swapped" if self.costs.swapped and len(shape) == 4 else "plain")
        return value.like(storage, Leaf(value, trained=True)) if trained else value

    def leaves(self, group: str) -> list[Leaf]:
        """Of the parameters that an optimizer group trains."""
        own = (self._parameters(network).values() for network in self.networks.values() if network.group == group)
        return [value.graph for nodes in own for values in nodes for value in values if isinstance(value.graph, Leaf)]

    def averaged(self, link: LinkPlan, x: Value, images: Value | None) -> Value:
        assert link.bias is not None
        plan, memory = self.networks[link.bias], self.memory
        sums = {
            name: [p.like(memory.new(4 * p.numbers, "parameters"), Function([p])) for p in own]
            for name, own in self._parameters(plan).items()
        }
        size = 4 * plan.graph.parameter_count
        memory.moves("add", 2 * size, size, calls=len(plan.graph.parameters))
        return run(memory, self.costs, plan, plan.graph, sums, [x], images, record=True)[0]

    def scaled(self, link: LinkPlan, branch: Value, average: Value) -> Value:
        products = [x.new(Product([x], [x.storage])) for x in (branch, average)]
        self.memory.moves("mul", 2 * branch.storage.bytes, 2 * branch.storage.bytes, calls=3)
        return self.plus(*products)

    def plus(self, a: Value, b: Value) -> Value:
        self.memory.moves("add", a.storage.bytes + b.storage.bytes, a.storage.bytes)
        return a.new(Function((a, b)) if a.graph or b.graph else None)

    def divide(self, x: Value, by: float) -> Value:
        self.memory.moves("mul", x.storage.bytes, x.storage.bytes)
        return x.new()

    def mean(self, tensors: Sequence[Value]) -> Value:
        first, size = tensors[0], sum(x.storage.bytes for x in tensors)
        stacked = self.memory.new(size, width=first.storage.width)
        self.memory.moves("mean", 2 * size, size + first.storage.bytes, calls=2)
        mean = first.new(Mean(tensors))
        del stacked
        return mean

    def backward(self, roots: Sequence[tuple[Value, Value]], *, retain: bool = False,
                 only: Wanted[Value] | None = None) -> None:  # fmt: skip
        self.memory.moves("engine", 0, 0)
        into = None if only is None else [leaf.graph for leaf in only.leaves]
        engine = Engine(traced=self.costs.traced, retain=retain, into=into)
        engine.run([(x, Gradient(gradient.storage, gradient.order)) for x, gradient in roots])

    def zero(self, like: Value) -> Value:
        return self._scalar()

    def _scalar(self, graph: Function | None = None) -> Value:
        return self._made(1, (), "losses", graph=graph)

    def loss(self, head: HeadPlan, out: Value, target: Value) -> Value:
        rows = {"images": out.rows, "pairs": 2 * target.rows}.get(head.target, target.rows)
        sizes = Sizes(rows, numel(out.shape), out.shape[0] if is_grid(out.shape) else numel(out.shape), self.classes)
        use = LOSSES[head.loss].takes(sizes, head.smoothing)
        wide = out.storage if out.storage.width == 4 else self.memory.new(sizes.full)
        kept = [wide] * use.keeps_output + [self.memory.new(size) for size in use.kept]
        self.memory.passing(use.passing)
        self.memory.moves(f"loss/{head.loss}", sizes.full + use.passing, use.passing + sum(use.kept))
        del wide
        return self._scalar(LossGradient(head.loss, out, use, sizes, kept))

    def total(self, losses: Sequence[Value]) -> Value:
        self.memory.moves("add", SCALAR * len(losses), SCALAR, calls=2)
        return self._scalar(Function(losses))

    def backward_loss(self, loss: Value, weight: float) -> None:
        weighted = self.memory.new(2 * SCALAR, "losses")  # and where the backward starts
        self.memory.moves("engine", 0, 0)
        self.memory.moves("mul", SCALAR, SCALAR, calls=3)
        Engine(traced=self.costs.traced).run([(loss, Gradient(self.memory.new(SCALAR, "losses"), "plain"))])
        del weighted

    def size(self, x: Value, tokens: Layout | None) -> Sequence[int]:
        return tokens.size if tokens else x.shape[-2:]

    def patches(self, x: Value, tokens: Layout | None, cells: Sequence[Cell]) -> list[Value]:
        channels = x.shape[-1:] if tokens else x.shape[:-2]
        order = x.order if len(cells) == 1 and not tokens else _WITH_GAPS.get(x.order, x.order)
        return [
            Value(x.storage, x.rows, (*channels, bottom - top, right - left), order)
            for top, bottom, left, right in cells
        ]

    def copy(self, x: Value) -> Value:
        made = self._made(x.rows, x.shape, width=x.storage.width)
        self.memory.moves("copy", made.storage.bytes, made.storage.bytes)
        return made

    def place(self, x: Value, *, cleared: bool) -> Value:
        made = x.like(self.memory.new(x.numbers * x.storage.width, GRADIENT, x.storage.width))
        self.memory.moves("place", 0, made.storage.bytes * cleared)
        return made

    def step(self, group: str) -> None:
        graphs = [network.graph for network in self.networks.values() if network.group == group]
        there = PARAMETERS + group in self.lent  # the host makes it
        if self.train is not None:
            shapes = [[self._own(shape) for shape in graph.trained.values()] for graph in graphs]
            tell_step(self.memory, self.train, shapes, HOST if there else "")
        if there:
            return
        if self.shards is not None:
            self.memory.passing(self.shards.deal.step_bytes(graphs), "gradients")
        elif self.train is not None and not self.train.steps_in_place:
            self.memory.passing(self.train.step_bytes(graphs), "gradients")
        for leaf in self.leaves(group):
            leaf.gradient = None

    def _own(self, shape: Shape) -> Shape:
        """What this copy has of a parameter between its network's turns."""
        return shape if self.shards is None else self.shards.deal.own(shape)

    def reduce(self, group: str) -> None:
        for bucket in buckets(self._gradients(group), lambda each: each.storage.bytes):
            self.memory.moves("reduce", sum(each.storage.bytes for each in bucket), 0)
            if len(bucket) > 1:
                flat = self.memory.new(sum(each.storage.bytes for each in bucket), "gradients")
                self.memory.moves("copy", flat.bytes, flat.bytes)
                for each in bucket:
                    each.storage = flat

    def _gradients(self, group: str) -> list[Gradient]:
        return [leaf.gradient for leaf in self.leaves(group) if leaf.gradient is not None]

    def send(self, x: Value, to: int, *, channels_last: bool) -> None:
        self.memory.moves("send", x.numbers * x.storage.width, 0)
        own = x.order == ("swapped" if channels_last else "plain")
        self.sent.append(x.storage if own else self.copy(x).storage)

    def receive(self, value: Receive, rows: int) -> Value:
        category = "activations" if value.what == "activations" else "inputs"
        made = self._made(rows, value.shape, category, width=value.width)
        self.memory.moves("receive", 0, made.storage.bytes)
        return Value(made.storage, rows, made.shape, "swapped" if value.channels_last else "plain")

    def send_sources(self, unit: str, tensors: Sequence[str], to: int) -> None:
        size = sum(tensor_bytes(self.shapes[name]) for name in tensors)
        self.memory.moves("send", 2 * size, size, calls=len(tensors))
        self.sent.append(self.memory.new(size, "parameters"))

    def receive_sources(self, unit: str, tensors: Sequence[str], source: int) -> None:
        """Into tensors that live throughout."""

    def settle(self) -> None:
        self.sent_bytes = sum(storage.bytes for storage in {id(each): each for each in self.sent}.values())
        self.sent.clear()

    def load(self, what: Load) -> None:
        self.lent.load(what)

    def evict(self, state: str) -> None:
        self.lent.evict(state, self.leaves(state.removeprefix(PARAMETERS)))

    def first(self, x: Value, rows: int) -> Value:
        return Value(x.storage, rows, x.shape, x.order)

    def join(self, parts: Sequence[Value]) -> Value:
        made = self._made(sum(part.rows for part in parts), parts[0].shape, width=parts[0].storage.width)
        self.memory.moves("copy", made.storage.bytes, made.storage.bytes)
        return made

"""The machine of shapes: what torch's does to memory, and nothing else (see `specc.step.machine`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ..graph.layout import Layout
from ..graph.ops import numel
from ..learning.heads.patches import Cell
from ..learning.losses import LOSSES, Sizes, Use
from ..plan import HeadPlan, LinkPlan, Network
from ..spec.sections.train import Train
from .autograd import Engine, Function, Gradient, Gradients, Leaf, Product, Sharing, Value
from .forward import run
from .operations import Costs, Tensors
from .storage import GRADIENT, Allocator, Storage

SCALAR = 4  # bytes of a loss


class ShapeMachine:
    """Runs a step on `networks`; `grads` are the parameters' gradients by optimizer group."""

    def __init__(self, memory: Allocator, costs: Costs, networks: Mapping[str, Network], classes: int,
                 views: int, train: Train | None = None) -> None:  # fmt: skip
        self.memory, self.costs, self.networks, self.train = memory, costs, networks, train
        self.classes, self.view_count = classes, views
        self.grads: dict[str, Gradients] = {}

    def rows(self, x: Value) -> int:
        return x.rows

    def slices(self, batch: Value, count: int) -> list[Value]:
        ends = [i * batch.rows // count for i in range(count + 1)]
        return [Value(batch.storage, end - first, batch.shape, batch.order) for first, end in pairwise(ends)]

    def views(self, images: Value, labels: Value, first: int) -> Value:
        if self.view_count == 1:
            return images
        rows = images.rows * self.view_count
        return Value(self.memory.new(4 * rows * numel(images.shape), "inputs"), rows, images.shape, "plain")

    def target(self, head: HeadPlan, given: Value) -> Value:
        if head.target == "images":
            return given.like(self.memory.new(4 * given.numbers, "inputs"))
        if head.target == "one_hot":
            return Value(self.memory.new(4 * given.rows * self.classes, "inputs"), given.rows, (self.classes,), "plain")
        return given

    def detach(self, x: Value) -> Value:
        return x.like(x.storage)

    def leaf(self, x: Value) -> Value:
        leaf = x.like(x.storage)
        return leaf.like(leaf.storage, Leaf(leaf))

    def gradient(self, leaf: Value) -> Value:
        assert isinstance(leaf.graph, Leaf)
        assert leaf.graph.gradient is not None
        found, leaf.graph.gradient = leaf.graph.gradient, None
        return Value(found.storage, leaf.rows, leaf.shape, found.order)

    def run(self, network: str, x: Value, images: Value | None = None, *, variant: int = 0, record: bool = True,
            track: bool = True) -> Value:  # fmt: skip
        plan = self.networks[network]
        return run(self._tensors(plan), plan, plan.graphs[variant], x, images, record=record)

    def _tensors(self, plan: Network) -> Tensors:
        grads = None if plan.group is None else self.grads.setdefault(plan.group, {})
        return Tensors(self.memory, self.costs, plan.prefix, grads)

    def averaged(self, link: LinkPlan, x: Value, images: Value | None) -> Value:
        assert link.bias is not None
        plan = self.networks[link.bias]
        sums = {name: self.memory.new(4 * numel(s), "parameters") for name, s in plan.graph.parameters.items()}
        return run(self._tensors(plan), plan, plan.graph, x, images, record=True, sums=sums)

    def scaled(self, link: LinkPlan, branch: Value, average: Value) -> Value:
        products = [x.new(Product(x)) for x in (branch, average)]
        return self.plus(*products)

    def plus(self, a: Value, b: Value) -> Value:
        return a.new(Sharing((a, b)) if a.graph or b.graph else None)

    def add(self, total: Value, x: Value) -> None:
        """In place, nothing new."""

    def divide(self, x: Value, by: float) -> Value:
        return x.new()

    def shrink(self, x: Value, by: float) -> None:
        """In place, nothing new."""

    def mean(self, tensors: Sequence[Value]) -> Value:
        first, size = tensors[0], sum(x.storage.bytes for x in tensors)
        stacked = self.memory.new(size, width=first.storage.width)
        mean = first.new(Sharing(tensors, size // stacked.width))
        del stacked
        return mean

    def backward(self, x: Value, gradient: Value, *, retain: bool = False, only: Sequence[str] = ()) -> None:
        engine = Engine(traced=self.costs.traced, retain=retain, only_parameters=bool(only))
        engine.run(x, Gradient(gradient.storage, gradient.order))

    def zero(self, like: Value) -> Value:
        return self._scalar()

    def _scalar(self, graph: Function | None = None) -> Value:
        return Value(self.memory.new(SCALAR, "losses"), 1, (), "plain", graph)

    def loss(self, head: HeadPlan, out: Value, target: Value) -> Value:
        rows = {"images": out.rows, "pairs": 2 * target.rows}.get(head.target, target.rows)
        sizes = Sizes(rows, numel(out.shape), out.shape[0] if len(out.shape) == 3 else numel(out.shape), self.classes)
        use = LOSSES[head.loss].takes(sizes, head.smoothing)
        wide = out.storage if out.storage.width == 4 else self.memory.new(sizes.full)
        kept = [wide] * use.keeps_output + [self.memory.new(size) for size in use.kept]
        self.memory.passing(use.passing)
        del wide
        return self._scalar(LossGradient(out, use, sizes, kept))

    def total(self, losses: Sequence[Value]) -> Value:
        return self._scalar(Sharing(losses))

    def backward_loss(self, loss: Value, weight: float) -> None:
        weighted = self.memory.new(2 * SCALAR, "losses")  # and where the backward starts
        Engine(traced=self.costs.traced).run(loss, Gradient(self.memory.new(SCALAR, "losses"), "plain"))
        del weighted

    def size(self, x: Value, tokens: Layout | None) -> Sequence[int]:
        return tokens.size if tokens else x.shape[-2:]

    def patches(self, x: Value, tokens: Layout | None, cells: Sequence[Cell]) -> list[Value]:
        channels = x.shape[-1:] if tokens else x.shape[:-2]
        order = "slice" if len(cells) > 1 or tokens else x.order
        return [
            Value(x.storage, x.rows, (*channels, bottom - top, right - left), order)
            for top, bottom, left, right in cells
        ]

    def copy(self, x: Value) -> Value:
        width = x.storage.width
        return Value(self.memory.new(x.numbers * width, width=width), x.rows, x.shape, "plain")

    def place(self, x: Value, *, cleared: bool) -> Value:
        return x.like(self.memory.new(x.numbers * x.storage.width, GRADIENT, x.storage.width))

    def write(self, part: Value, x: Value) -> None:
        """In place, nothing new."""

    def step(self, group: str) -> None:
        if self.train is not None and not self.train.steps_in_place:
            graphs = [network.graph for network in self.networks.values() if network.group == group]
            self.memory.passing(self.train.step_bytes(graphs), "gradients")
        self.grads.pop(group, None)

    def average(self, link: LinkPlan) -> None:
        """In place, nothing new."""

    def first(self, x: Value, rows: int) -> Value:
        return Value(x.storage, rows, x.shape, x.order)

    def join(self, parts: Sequence[Value]) -> Value:
        first, rows = parts[0].storage, sum(part.rows for part in parts)
        return Value(self.memory.new(rows * numel(parts[0].shape) * first.width, width=first.width), rows,
                     parts[0].shape, "plain")  # fmt: skip


class LossGradient(Function):
    """Through a loss to its output."""

    __slots__ = ("rows", "sizes", "use", "width")

    def __init__(self, out: Value, use: Use, sizes: Sizes, kept: Sequence[Storage]) -> None:
        super().__init__([out.graph], kept)
        self.use, self.sizes = use, sizes
        self.rows, self.width = out.rows, out.storage.width

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """In fp32, then as wide as the output, then with zeros for the views that the loss does not look at."""
        memory = incoming.storage.allocator
        del incoming.storage
        for size, staying in self.use.backward:
            del self.saved[staying:]
            memory.passing(size, GRADIENT)
        gradient = Gradient(memory.new(self.sizes.full, GRADIENT), "plain")
        self.saved.clear()
        gradient.cast(gradient.numbers, self.width)
        if self.sizes.rows < self.rows:
            gradient.replace(self.rows * self.sizes.numbers, self.width)
        engine.send(self.edges[0], gradient, self.rows * self.sizes.numbers)

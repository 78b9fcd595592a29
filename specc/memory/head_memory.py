"""Memory of one head: its forward, its loss and its backward on a detached leaf, whole or patch by patch.

Mirrors `runtime.engine.heads` step by step; a change there without one here fails the tests that hold both together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..graph.graph import Graph
from ..graph.ops import Order, numel
from ..plan import HeadPlan, Network
from . import tape as tapes
from .allocator import Allocator, Storage
from .loss_memory import RULES, Loss
from .tape import GRADIENT, Costs, Tape

SCALAR = 4  # bytes of a loss
SCALARS = 8  # bytes of further numbers: its weighted self, and where its backward starts


@dataclass(slots=True)
class Run:
    """What runs on the features or on one of their patches, and the copy that it reads, where it does not read them."""

    network: Network
    graph: Graph
    leaf: Storage | None = None


@dataclass(slots=True)
class Output:
    """What a network of the head gave: its storage, its size in numbers, and the tape to go back along."""

    storage: Storage
    numbers: int
    network: Network | None = None
    tape: Tape | None = None
    channels: int = 0  # of a map


@dataclass
class HeadSimulation:
    """Walks one head; `grads` collects the gradients of its parameters."""

    memory: Allocator
    costs: Costs
    head: HeadPlan
    networks: Mapping[str, Network]
    source: Storage
    feature: int  # numbers of one sample's features
    image: int  # numbers of one image
    grads: dict[str, Storage]
    classes: int
    order: Order = "plain"  # in which the features lie in memory
    lasting: Sequence[Storage] = ()  # what Python has a name for
    scalars: Sequence[Storage] = ()
    losses: list[Storage] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Images that the loss looks at; of views with labels written in those that it has targets for."""
        samples = self.costs.batch // self.costs.views
        views = {"images": self.costs.views, "pairs": 2}.get(self.head.target, 1)
        return samples * views

    def __post_init__(self) -> None:
        graphs = self.head.graphs(self.networks)
        if len(set(self.head.networks)) < len(graphs) and not self._sequential:
            self.costs = replace(self.costs, meeting=True)
        self.runs = [Run(self.networks[name], graph) for name, graph in zip(self.head.networks, graphs, strict=True)]

    @property
    def _sequential(self) -> bool:
        return self.head.patches is not None and self.head.patches.execution == "sequential"

    def run(self) -> Storage:
        """The gradient at the features, held by the caller."""
        target = None
        if self.head.target == "images":
            target = self.memory.new(4 * self.image * self.costs.batch, "inputs")
        if self.head.target == "one_hot":
            target = self.memory.new(4 * self.classes * self.costs.batch, "inputs")
        patches = self.head.patches
        if patches is None:
            gradient = self._whole()
        elif patches.fuse == "losses":
            gradient = self._losses()
        else:
            gradient = self._outputs()
        self.memory.drop(*self.scalars)
        if target is not None:
            self.memory.drop(target)
        return gradient

    def _whole(self) -> Storage:
        (gradient,) = self._round(self.runs[:1] or [None])
        return gradient

    def _losses(self) -> Storage:
        self.memory.new(SCALAR, "losses")  # their sum, which alone stays
        whole = self._whole_gradient()
        for members in [[run] for run in self.runs] if self._sequential else [self.runs]:
            leaves = self._leaves(members)
            self.memory.drop(*self._round(members), *leaves, *self.losses)
            self.losses = []
        return whole

    def _leaves(self, members: Sequence[Run]) -> list[Storage]:
        """The patches where they are copies: tokens lie the other way round."""
        assert self.head.patches is not None
        for run in members if self.head.patches.tokens else ():
            size = numel(run.graph.input) * self.costs.batch * self.source.width
            run.leaf = self.memory.new(size, "activations", self.source.width)
        return [run.leaf for run in members if run.leaf]

    def _outputs(self) -> Storage:
        leaves = self._leaves(self.runs)
        parts = self._sequential_outputs() if self._sequential else self._joint_outputs()
        whole = self._whole_gradient()
        self.memory.drop(*parts, *self.lasting, *leaves)
        return whole

    def _whole_gradient(self) -> Storage:
        width = self.source.width
        return self.memory.new(self.feature * self.costs.batch * width, GRADIENT, width)

    def _round(self, members: Sequence[Run | None]) -> list[Storage]:
        """Forward, loss and backward of some networks together; the gradients at their inputs."""
        outputs = [self._forward(run) for run in members]
        kept = [self._loss(output) for output in outputs]
        if members[1:]:
            total = self.memory.new(SCALAR, "losses")
            self.memory.drop(*self.losses)
            self.losses = [total]
        self.memory.drop(*(output.storage for output in outputs))
        arrived = [self._loss_backward(output, k) for output, k in zip(reversed(outputs), reversed(kept), strict=True)]
        return [self._backward(output, g) for output, g in zip(reversed(outputs), arrived, strict=True)]

    def _forward(self, run: Run | None, *, record: bool = True) -> Output:
        if run is None:  # the backbone's own head: the logits are the features
            return Output(self.memory.hold(self.source), self.feature)
        storage, tape = tapes.forward(
            self.memory, self.costs, run.graph, run.leaf or self.source,
            record=record, input_grad=record, order=self._order(),
        )  # fmt: skip
        shape = run.graph.shape
        return Output(storage, numel(shape), run.network, tape, shape[0] if len(shape) == 3 else 0)

    def _order(self) -> Order:
        """How the network's input lies in memory: a patch is cut out of the features."""
        patches = self.head.patches
        if patches is None:
            return self.order
        if patches.tokens is not None:
            return "plain"
        return self.order if patches.grid == (1, 1) else "slice"

    def _backward(self, output: Output, gradient: Storage) -> Storage:
        if output.network is None or output.tape is None:
            return gradient
        found = tapes.backward(
            self.memory,
            self.costs,
            output.tape,
            gradient,
            self.grads,
            output.network.prefix,
            input_grad=True,
            owned=True,
        )
        assert found is not None
        return found

    def _loss(self, output: Output) -> list[Storage]:
        """What the loss keeps for its backward. Losses are computed in fp32."""
        copy = self.memory.new(self._sizes(output).full, "activations") if output.storage.width < 4 else None
        kept = self._sizes(output).forward(copy or self.memory.hold(output.storage))
        self.losses.append(self.memory.new(SCALAR, "losses"))
        return kept

    def _sizes(self, output: Output) -> Loss:
        classes = self.classes if self.head.target == "one_hot" else 0
        rule = RULES[self.head.loss]
        return rule(self.memory, self.rows, output.numbers, output.channels or output.numbers, classes)

    def _loss_backward(self, output: Output, kept: list[Storage]) -> Storage:
        if not self.scalars:
            self.scalars = [self.memory.new(SCALARS, "losses")]
        gradient = self._sizes(output).backward(kept)
        width = output.storage.width
        if width < 4:
            rounded = self.memory.new(output.numbers * self.rows * width, GRADIENT, width)
            self.memory.drop(gradient)
            gradient = rounded
        if self.rows < self.costs.batch:  # zero for the views that the loss does not look at
            spread = self.memory.new(output.numbers * self.costs.batch * width, GRADIENT, width)
            self.memory.drop(gradient)
            gradient = spread
        return gradient

    def _joint_outputs(self) -> list[Storage]:
        """All patches, the mean of their outputs, one loss on it."""
        outputs = [self._forward(run) for run in self.runs]
        first = outputs[0].storage
        stacked = self.memory.new(sum(o.storage.bytes for o in outputs), "activations", first.width)
        self.memory.drop(*(output.storage for output in outputs))
        mean = Output(self.memory.new(first.bytes, "activations", first.width), outputs[0].numbers)
        self.memory.drop(stacked)
        kept = self._loss(mean)
        gradient = self._loss_backward(mean, kept)
        spread = self.memory.new(stacked.bytes, GRADIENT, first.width)
        self.memory.drop(gradient)
        views = [self.memory.hold(spread) for _ in outputs]
        self.memory.drop(spread)
        self.lasting = [mean.storage]
        return [self._backward(output, view) for output, view in zip(reversed(outputs), views, strict=True)]

    def _sequential_outputs(self) -> list[Storage]:
        """A pass without gradient for the mean; then one patch after the other with the mean's cotangent."""
        total: Storage | None = None
        for run in self.runs:
            output = self._forward(run, record=False)
            if total is None:
                total = output.storage
            else:
                self.memory.drop(output.storage)
        assert total is not None
        mean = Output(total, numel(self.runs[0].graph.shape))
        kept = self._loss(mean)
        gradient = self._loss_backward(mean, kept)
        cotangent = self.memory.new(gradient.bytes, GRADIENT, gradient.width)
        self.memory.drop(gradient)
        parts = []
        for run in self.runs:
            output = self._forward(run)
            parts.append(self._backward(output, self.memory.hold(cotangent)))
            self.memory.drop(output.storage)
        self.memory.drop(cotangent, total)
        return parts

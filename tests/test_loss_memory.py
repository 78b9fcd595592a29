"""Every loss that the runtime has is priced: its rule against the bytes that the loss really takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses import FakeTensorMode

from runtime.engine.losses import loss_function
from runtime.engine.machine import TorchMachine
from runtime.engine.network import GraphModule
from runtime.memory.meter import LiveTensors
from specc.graph.builder import Builder
from specc.graph.ops import Shape, Sigmoid, numel
from specc.learning.losses import LOSSES
from specc.memory.autograd import Value
from specc.memory.machine import ShapeMachine
from specc.memory.operation import Costs
from specc.memory.storage import Allocator
from specc.plan import HeadPlan, Network
from specc.step.heads import HeadRun

VECTORS: list[Shape] = [(4,), (512,)]
MAPS: list[Shape] = [(4, 2, 3), (3, 16, 16), (64, 4, 4)]
TOKENS: list[Shape] = [(16, 4), (4, 64)]
SHAPES: dict[str, list[Shape]] = {
    "cross_entropy": VECTORS,
    "bce_with_logits": VECTORS,
    "pixel_cross_entropy": [(2, 4, 6), *MAPS],
    "contrastive": VECTORS,
    "similarity": [*VECTORS, *MAPS, *TOKENS],
    "goodness": [*VECTORS, *MAPS, *TOKENS],
    "goodness_pairs": VECTORS,
    "bce": MAPS,
    "mse": MAPS,
}
TARGETS = {"similarity": "one_hot", "goodness_pairs": "pairs", "bce": "images", "mse": "images"}
BATCHES = (6, 120)
CLASSES = 4


def cases() -> Iterator[tuple[str, Shape, int, float]]:
    for loss, shapes in SHAPES.items():
        smoothed = (0.0, 0.1) if LOSSES[loss].smoothed else (0.0,)
        yield from ((loss, *case) for case in product(shapes, BATCHES, smoothed))


def head_of(loss: str, shape: Shape, smoothing: float) -> tuple[HeadPlan, Network]:
    """A head that is nothing but a sigmoid and the loss."""
    b = Builder(shape)
    b.add(Sigmoid())
    head = HeadPlan("head", "term", loss, 1.0, ("head",), smoothing=smoothing)
    return head, Network("head", "head.", b.graph(), "head")


def target_of(loss: str, shape: Shape, batch: int) -> Tensor:
    kind = TARGETS.get(loss, "labels")
    if kind == "images":
        return torch.rand(batch, *shape)
    if loss == "bce_with_logits":
        return torch.rand(batch, *shape)
    if loss == "pixel_cross_entropy":
        return torch.zeros(batch, *shape[1:], dtype=torch.int64)
    labels = torch.zeros(batch // 3 if kind == "pairs" else batch, dtype=torch.int64)
    return F.one_hot(labels, CLASSES).float() if kind == "one_hot" else labels


class HeadMachine(TorchMachine):
    """Of one head alone, which is no plan."""

    def __init__(self, network: Network) -> None:
        self.model = SimpleNamespace(networks={network.name: GraphModule(network)})
        self._scale = lambda loss: loss

    def cast(self) -> nullcontext[None]:
        return nullcontext()


def traced(loss: str, shape: Shape, batch: int, smoothing: float) -> tuple[int, int]:
    """Peak of a head's run and what it leaves, beyond the features and the target."""
    head, network = head_of(loss, shape, smoothing)
    with FakeTensorMode():
        features, target = torch.rand(batch, *shape), target_of(loss, shape, batch)
        with LiveTensors([features, target]) as live:
            before = live.alive
            result = HeadRun(HeadMachine(network), head, target, 1.0)(features)
            left = live.alive - before
        del result
    return live.peak - before, left


def predicted(loss: str, shape: Shape, batch: int, smoothing: float) -> tuple[int, int]:
    head, network = head_of(loss, shape, smoothing)
    rows = batch // 3 if head.target == "pairs" else batch
    memory = Allocator()
    machine = ShapeMachine(memory, Costs(traced=True), {"head": network}, CLASSES, 1)
    source = Value(memory.new(4 * numel(shape) * batch, "features"), batch, shape, "plain")
    given = Value(memory.new(0, "inputs"), rows, shape if head.target == "images" else (), "plain")
    memory.begin()
    result = HeadRun(machine, head, given, 1.0)(source)
    found = memory.highest - source.storage.bytes, memory.total - source.storage.bytes
    del result
    return found


def test_every_loss_has_a_measurement_and_a_function() -> None:
    assert set(LOSSES) == set(SHAPES)
    assert all(callable(loss_function(name)) for name in LOSSES)


@pytest.mark.parametrize(("loss", "shape", "batch", "smoothing"), cases())
def test_a_loss_takes_what_it_says(loss: str, shape: Shape, batch: int, smoothing: float) -> None:
    found = traced(loss, shape, batch, smoothing)
    assert predicted(loss, shape, batch, smoothing) == pytest.approx(found, rel=0.01, abs=64)


def test_a_loss_that_nobody_described_is_not_priced_as_another_one() -> None:
    with pytest.raises(KeyError, match="hinge"):
        _ = HeadPlan("head", "term", "hinge", 1.0, ("head",)).target

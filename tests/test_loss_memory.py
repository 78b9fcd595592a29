"""Every loss that the runtime has is priced: its rule against the bytes that the loss really takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses import FakeTensorMode

from runtime.engine.heads import run_head
from runtime.engine.losses import LOSSES
from runtime.engine.network import GraphModule
from runtime.memory.meter import LiveTensors
from specc.graph.builder import Builder
from specc.graph.ops import Shape, Sigmoid, numel
from specc.memory.allocator import Allocator
from specc.memory.head_memory import HeadSimulation
from specc.memory.loss_memory import RULES
from specc.memory.tape import Costs
from specc.plan import HeadPlan, Network

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


def cases() -> Iterator[tuple[str, Shape, int]]:
    for loss, shapes in SHAPES.items():
        yield from ((loss, shape, batch) for shape, batch in product(shapes, BATCHES))


def head_of(loss: str, shape: Shape) -> tuple[HeadPlan, Network]:
    """A head that is nothing but a sigmoid and the loss."""
    b = Builder(shape)
    b.add(Sigmoid())
    head = HeadPlan("head", "term", loss, TARGETS.get(loss, "labels"), 1.0, ("head",))  # type: ignore[arg-type]
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


def traced(loss: str, shape: Shape, batch: int) -> tuple[int, int]:
    """Peak of a head's run and what it leaves, beyond the features and the target."""
    head, network = head_of(loss, shape)
    with FakeTensorMode():
        features, target = torch.rand(batch, *shape), target_of(loss, shape, batch)
        with LiveTensors([features, target]) as live:
            before = live.alive
            result = run_head(head, [GraphModule(network)], features, target, nullcontext, lambda loss: loss)
            left = live.alive - before
        del result
    return live.peak - before, left


def predicted(loss: str, shape: Shape, batch: int) -> tuple[int, int]:
    head, network = head_of(loss, shape)
    views = 3 if head.target == "pairs" else 1
    memory, costs = Allocator(), Costs(batch, traced=True, views=views)
    source = memory.new(4 * numel(shape) * batch, "features")
    sized = numel(shape) if head.target == "images" else 0
    given = 4 * batch * {"images": sized, "one_hot": CLASSES}.get(head.target, 0)  # the simulation makes the target
    HeadSimulation(memory, costs, head, {"head": network}, source, numel(shape), sized, {}, CLASSES).run()
    return memory.highest - source.bytes - given, memory.total - source.bytes


def test_every_loss_has_a_rule_and_a_measurement() -> None:
    assert set(RULES) == set(LOSSES) == set(SHAPES)


@pytest.mark.parametrize(("loss", "shape", "batch"), cases())
def test_a_loss_takes_what_its_rule_says(loss: str, shape: Shape, batch: int) -> None:
    assert predicted(loss, shape, batch) == pytest.approx(traced(loss, shape, batch), rel=0.01, abs=64)


def test_a_loss_without_a_rule_is_not_priced_as_another_one() -> None:
    _, network = head_of("cross_entropy", (4,))
    stranger = HeadPlan("head", "term", "hinge", "labels", 1.0, ("head",))
    memory = Allocator()
    source = memory.new(4 * 4 * 6, "features")
    with pytest.raises(KeyError, match="hinge"):
        HeadSimulation(memory, Costs(6), stranger, {"head": network}, source, 4, 0, {}, CLASSES).run()

"""Links to a layer that reads more than the unit's features: a part of it is copied. And modules told of by lists."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import runtime
import specc
from runtime.memory.trace import trace
from specc.graph.ops import MaxPool
from specc.memory.prediction import as_traced
from specc.plan import Plan

WIDTH, CLASSES = 4, 3


class Cell(nn.Module):
    """What it makes of the cell before, and of the one before that."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.conv = nn.Conv2d(WIDTH, WIDTH, 1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.norm, self.act = nn.BatchNorm2d(WIDTH), nn.ReLU()
        self.out = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        left = self.before(before)
        return self.out(left + self.act(self.norm(self.conv(x))))


class Cells(nn.Module):
    """Three of them in a row, as NASNet has them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, WIDTH, 3, padding=1), nn.MaxPool2d([2, 2])
        self.cells = nn.ModuleList(Cell() for _ in range(3))
        self.fc = nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        before = x = self.pool(self.stem(x))
        for cell in self.cells:
            before, x = x, cell(x, before)
        return self.fc(x.mean((2, 3)))


@pytest.fixture(scope="module")
def plan() -> Plan:
    spec = {
        "specc": 1, "name": "cells", "split": {"after": ["cells.0"]}, "auxiliary": {"classifier": {"layers": "0c1f"}},
        "data": {"dataset": "synthetic", "image_size": 8, "channels": 3, "classes": CLASSES, "samples": 8,
                 "batch_size": 4},
        "ema_links": [{"from": "next", "bias": "branch"}],
    }  # fmt: skip
    return specc.compile(spec, backbone=specc.trace(Cells(), (3, 8, 8)))


def test_of_a_layer_that_reads_two_values_the_part_is_copied_that_reads_the_features(plan: Plan) -> None:
    (link,) = plan.units[0].links
    assert link.source_block == "block1"
    parameters = {"conv.weight", "conv.bias", "norm.weight", "norm.bias"}
    assert {source for source in link.sources.values() if "running" not in source} == {
        f"cells.1.{name}" for name in parameters
    }


def test_a_part_that_is_copied_trains_as_planned(plan: Plan) -> None:
    session = runtime.Session(plan, dtype=torch.float64, module=Cells().double())
    images, labels = torch.rand(4, 3, 8, 8, dtype=torch.float64), torch.arange(4) % CLASSES
    (link,) = plan.units[0].links
    source = dict(session.named_parameters())["cells.1.conv.weight"].detach().clone()
    averaged = {name: t.clone() for name, t in session.model.networks[link.ema].state_dict().items()}
    step = session.train_step(images, labels)
    assert all(bool(loss.isfinite()) for losses in step.losses.values() for loss in losses.values())
    after = session.model.networks[link.ema].state_dict()
    name = next(name for name, tensor in averaged.items() if tensor.shape == source.shape)
    expected = link.momentum * averaged[name] + (1 - link.momentum) * source
    assert torch.allclose(after[name], expected, rtol=1e-12, atol=1e-12)
    assert as_traced(plan).peak_bytes == trace(plan).peak_bytes


def test_a_pool_that_is_told_of_by_a_list_is_one() -> None:
    graph = specc.trace(Cells(), (3, 8, 8)).graph
    assert [node.op for node in graph.nodes if isinstance(node.op, MaxPool)] == [MaxPool(2, 2, 0)]

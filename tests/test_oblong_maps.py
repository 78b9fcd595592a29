"""Heads on feature maps that are wider than high: what holds for the height holds for the width."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.spec.load import loads

from .documents import Document

PATCHES: Document = {"grid": [2, 2], "weights": "separate"}
HEADS: dict[str, Document] = {
    "classifier": {"classifier": {"layers": "2c2f", "hidden": 4}},
    "contrastive": {"classifier": {"layers": "1c1f", "hidden": 4, "loss": "contrastive"}},
    "pointwise": {"pointwise": {"convolutions": 1, "linears": 1}},
    "pooled_linear": {"pooled_linear": {"features": 16}},
    "augmented": {"augmented": {"depth": 2, "pyramid": 0.0}},
    "periodic": {"periodic": {"pool": 2}},
    "goodness": {"goodness": {}},
    "goodness of images": {"goodness": {"negatives": "images"}},
    "similarity": {"similarity": {}},
    "decoder": {"reconstruction": {"channels": 2}},
    "patched classifier": {"classifier": {"layers": "1c1f", "patches": PATCHES}},
    "patched decoder": {"reconstruction": {"channels": 2, "patches": PATCHES}},
}


def planned(stride: list[int], **auxiliary: Any) -> Plan:
    """Features of 6×10 (or what the stride makes of 12×12 images) after the first of two blocks."""
    shrink = {"name": "shrink", "op": "conv", "out": 4, "k": [2, 3], "pad": [0, 0], "stride": stride}
    return specc.compile(loads(json.dumps({
        "specc": 1,
        "name": "oblong",
        "data": {"dataset": "synthetic", "image_size": 12, "channels": 1, "classes": 3, "samples": 8, "batch_size": 4},
        "backbone": {"layers": [
            shrink,
            {"name": "half", "op": "conv", "out": 6, "stride": 2},
            {"name": "pool", "op": "global_avg_pool"},
            {"name": "fc", "op": "linear", "out": 3},
        ]},
        "split": {"after": ["shrink"]},
        "auxiliary": auxiliary,
    })))  # fmt: skip


@pytest.mark.parametrize("auxiliary", HEADS.values(), ids=HEADS)
def test_every_head_trains_on_six_by_ten_as_predicted(auxiliary: Document) -> None:
    plan = planned([2, 1], **auxiliary)
    assert plan.blocks[0].output == (4, 6, 10)
    session = Session(plan, "cpu", dtype=torch.float64)
    images = torch.rand(4, *plan.data.shape, dtype=torch.float64)
    step = session.train_step(images, torch.arange(4) % 3)
    assert all(bool(loss.isfinite()) for losses in step.losses.values() for loss in losses.values())
    assert as_traced(plan).peak_bytes == pytest.approx(trace(plan).peak_bytes, rel=0.01)


def head_shapes(plan: Plan, head: str) -> list[tuple[int, ...]]:
    return [node.shape for node in plan.networks[f"unit0.independent.{head}"].graph.nodes]


def test_a_pool_to_a_quarter_quarters_height_and_width() -> None:
    assert head_shapes(planned([2, 1], pointwise={}), "pointwise")[0] == (4, 2, 3)


def test_periodic_pools_whichever_side_is_too_long() -> None:
    assert head_shapes(planned([12, 1], periodic={"pool": 2}), "periodic")[0] == (4, 1, 2)


def test_pooled_linear_goes_on_along_the_width_when_the_height_is_used_up() -> None:
    assert head_shapes(planned([12, 1], pooled_linear={"features": 8}), "pooled_linear")[0] == (4, 1, 2)


def test_augmented_halves_each_side_as_the_backbone_does() -> None:
    plan = planned([12, 1], augmented={"depth": 2, "pyramid": 0.0})
    assert plan.networks["unit0.independent.augmented"].graph.nodes[0].shape == (6, 1, 5)

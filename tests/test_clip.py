"""`train.clip`: the gradients of every optimizer step, block by block and head by head."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from runtime import Session
from runtime.memory.trace import trace, watch
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.spec.load import parse_spec

from .documents import HPFF, MAN, Document, compiled
from .test_runtime import batches

PLAIN: Document = {"name": "sgd", "lr": 1.0, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
WAYS: dict[str, Document] = {
    "one batch": {},
    "slices": {"micro_batches": 3},
    "fp16": {"precision": "fp16"},
    "fp16 in slices": {"precision": "fp16", "micro_batches": 2},
}


def gradients(plan: Plan, images: Tensor, labels: Tensor, **options: Any) -> dict[str, dict[str, Tensor]]:
    """What the losses give every group of parameters, unscaled; the weights are those of the beginning."""
    session = Session(plan, **options)
    session.train_step(images, labels, update=False)
    names = {id(p): name for name, p in session.named_parameters()}
    scale = session.scaler.get_scale()
    found = {g: {names[id(p)]: p.grad for p in session.model.group(g)} for g in session.optimizers}
    return {g: {n: grad / scale for n, grad in named.items() if grad is not None} for g, named in found.items()}


def moved(plan: Plan, images: Tensor, labels: Tensor, **options: Any) -> dict[str, Tensor]:
    """By how much a step of plain SGD at a rate of 1 moves every parameter: the gradient that it saw."""
    session = Session(plan, **options)
    before = {name: p.detach().clone() for name, p in session.named_parameters()}
    session.train_step(images, labels)
    return {name: before[name] - p.detach() for name, p in session.named_parameters()}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_group_is_as_long_as_its_limit_at_most(way: Document) -> None:
    """Some groups are clipped and others are not, each by its own norm; before that fp16's scale is taken out."""
    plan = compiled(**MAN | HPFF, train={"optimizer": PLAIN, "clip": {"norm": 0.3}} | way)
    options: Document = {} if "precision" in way else {"dtype": torch.float64}
    images, labels = next(batches(plan, dtype=options.get("dtype", torch.float32)))
    wanted = gradients(plan, images, labels, **options)
    found = moved(plan, images, labels, **options)
    norms = {g: torch.stack([t.norm() for t in each.values()]).norm().item() for g, each in wanted.items()}
    assert min(norms.values()) < 0.3 < max(norms.values()), norms
    for group, each in wanted.items():
        factor = min(1.0, 0.3 / (norms[group] + 1e-6))
        for name, gradient in each.items():
            torch.testing.assert_close(found[name], gradient * factor, rtol=1e-5, atol=1e-7, msg=f"{group} {name}")


def test_a_value_limits_every_number_by_itself() -> None:
    plan = compiled(train={"optimizer": PLAIN, "clip": {"value": 0.01}})
    images, labels = next(batches(plan))
    found = moved(plan, images, labels, dtype=torch.float64)
    for each in gradients(plan, images, labels, dtype=torch.float64).values():
        for name, gradient in each.items():
            torch.testing.assert_close(found[name], gradient.clamp(-0.01, 0.01), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("clip", [{"norm": 0.1}, {"value": 0.1}], ids=["norm", "value"])
@pytest.mark.parametrize("optimizer", ["sgd", "nadam"])
def test_clipping_takes_what_was_predicted(clip: Document, optimizer: str) -> None:
    """To the byte, in every instruction; the last block has one parameter alone."""
    layers: list[Document] = [
        {"name": "conv", "op": "conv", "out": 4, "k": 3},
        {"name": "pool", "op": "global_avg_pool"},
    ]
    layers.append({"name": "head", "op": "linear", "out": 4})
    train: Document = {"clip": clip, "optimizer": {"name": optimizer}}
    plan = compiled(backbone={"layers": layers}, split={"after": ["conv"]}, train=train)
    predicted = tuple(moment.bytes for moment in as_traced(plan).timeline)
    images, labels = next(batches(plan, dtype=torch.float32))
    assert predicted == trace(plan).timeline
    assert predicted == watch(Session(plan), images, labels).timeline


@pytest.mark.parametrize("clip", ["{norm: 1.0, value: 1.0}", "{}"])
def test_clipping_in_two_ways_or_none_is_refused(clip: str) -> None:
    text = f"specc: 1\nname: x\nbackbone: {{family: resnet_cifar}}\ntrain:\n  clip: {clip}\n"
    assert [(d.code, d.span and d.span.line) for d in parse_spec(text).diagnostics] == [("SPC616", 5)]


def test_clipping_decides_the_numbers_of_a_run() -> None:
    assert compiled().fingerprint != compiled(train={"clip": {"norm": 1.0}}).fingerprint

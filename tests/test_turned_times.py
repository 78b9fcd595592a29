"""Works whose tensors lie in different orders take several times as long: they are told apart, and measured apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from runtime.engine.session import Session
from runtime.memory.measure import random_batch
from runtime.timing.moves import copies
from runtime.timing.ops import Mixer, _gradient
from specc.graph import ops
from specc.graph.node import Node
from specc.graph.ops.tokens import Mixing
from specc.plan import Plan
from specc.profiles import find
from specc.profiles.model import Curve, Table
from specc.timing import Work, works
from specc.timing.features import features_of, kind_of
from specc.timing.measured import Times
from specc.timing.samples import Sample, samples

from .documents import MAN, compiled


def flattened(order: str, last: str = "flatten") -> Plan:
    """A map, and what is made a vector of it: behind `flatten` its gradient has the channels first."""
    layers: list[dict[str, Any]] = [
        {"op": "conv", "out": 4}, {"op": "batch_norm"}, {"op": "relu"}, {"op": last}, {"op": "linear", "out": 4},
    ]  # fmt: skip
    layers = [{"name": f"l{number}", **layer} for number, layer in enumerate(layers)]
    return compiled(backbone={"layers": layers}, split={"blocks": 1}, auxiliary={}, train={"memory_format": order})


def backwards(plan: Plan, what: str) -> list[Work]:
    found = [work for own in works(plan, "cpu") for work in own]
    return [work for work in found if work.what == what and work.node and work.direction != "forward"]


def test_a_gradient_whose_channels_lie_elsewhere_is_told_from_others() -> None:
    for what in ("relu", "batch_norm"):
        assert {work.turned for work in backwards(flattened("channels_last"), what)} == {True}
        assert {work.turned for work in backwards(flattened("contiguous"), what)} == {False}
        assert {kind_of(work) for work in backwards(flattened("channels_last"), what)} == {f"{what}, turned"}


def test_a_convolution_turns_the_gradient_first_and_is_none_of_a_kind_of_its_own() -> None:
    def turns(plan: Plan) -> int:
        return sum(work.what == "turn" for own in works(plan, "cpu") for work in own)

    last = flattened("channels_last")
    assert {kind_of(work) for work in backwards(last, "conv")} == {"conv"}
    assert turns(last) > turns(flattened("contiguous"))


def test_what_was_not_measured_turned_goes_by_what_was_measured_otherwise() -> None:
    work = backwards(flattened("channels_last"), "relu")[0]
    sheet = find("rtx3090")
    slopes = tuple(1e-9 for _ in range(15))
    table = Table((features_of(work),), {"input": Curve(slopes, (0.0,))})
    plain, both = (
        Times(replace(sheet, tables=tables))
        for tables in ({"relu": table}, {"relu": table, "relu, turned": replace(table, points=table.points)})
    )
    assert plain.of([work], "fp32") == both.of([work], "fp32") != Times(sheet).of([work], "fp32")


def test_ops_that_work_on_maps_are_measured_both_ways() -> None:
    turned = {sample.node.op.name for sample in samples("cpu") if sample.turned}
    assert {"relu", "batch_norm", "group_norm", "gelu", "silu", "max_pool", "resize"} <= turned
    assert not turned & {"conv", "linear", "add", "flatten", "layer_norm"}


@pytest.mark.parametrize("order", ["plain", "swapped"])
def test_the_measured_gradient_lies_otherwise_than_the_result(order: Any) -> None:
    node = Node("sample", ops.Relu(), ("input",), ((4, 3, 3),), (4, 3, 3))
    out = torch.randn(2, 4, 3, 3)
    if order == "swapped":
        out = out.contiguous(memory_format=torch.channels_last)
    for turned in (False, True):
        gradient = _gradient(Sample(node, 2, 4, order, turned), out)
        assert (gradient.stride() == out.stride()) is not turned


def test_attention_is_measured_window_by_window() -> None:
    x = torch.randn(2, 12, 3 * 8)
    whole = Mixer(Mixing(2, windows=3))(x)
    parts = [Mixer(Mixing(2))(part) for part in x.unflatten(1, (3, 4)).unbind(1)]
    assert torch.allclose(whole, torch.cat(parts, 1), atol=1e-6)


def test_a_single_position_lies_the_same_in_either_order() -> None:
    op = ops.Resize(8)
    node = Node("sample", op, ("input",), ((64, 1, 1),), op.output((64, 1, 1)))
    plain, swapped = (Work("resize", "forward", 2, 0, 0, 0, order=order, node=node) for order in ("plain", "swapped"))
    assert features_of(plain) == features_of(swapped)


def test_large_tensors_come_in_more_sets_than_a_cache_holds() -> None:
    assert copies(4 << 20) * (4 << 20) >= 16 << 20
    assert copies(1 << 30) == 1


def test_the_tensors_of_an_average_are_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = compiled(**MAN)
    session = Session(plan, torch.device("cpu"))
    batch = random_batch(plan, torch.device("cpu"))
    session.train_step(*batch)
    model = session.executor.machine.model
    before = {name: tensor.clone() for name, tensor in model.tensors().items()}
    monkeypatch.setattr(model, "tensors", lambda: pytest.fail("all tensors are gone through at every step"))
    session.train_step(*batch)
    monkeypatch.undo()
    after = model.tensors()
    link = model.links[0]
    assert any(not torch.equal(before[name], after[name]) for name in link.sources)

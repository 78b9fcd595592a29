"""DenseNet's concatenations grow by one value each: nested, they can be cut between, all numbers as they were."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import runtime
import specc
from runtime.memory.trace import trace
from specc.compiler.verify import verify
from specc.graph import builder
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .documents import Document, spec_of


def dense(count: int) -> list[Document]:
    """A dense block of so many layers, each reading all before it."""
    layers: list[Document] = [{"name": "f0", "op": "conv", "out": 4}]
    for i in range(1, count + 1):
        if i > 1:
            layers.append({"name": f"all{i}", "op": "concat", "from": [f"f{j}" for j in range(i)]})
        layers.append({"name": f"norm{i}", "op": "batch_norm"})
        layers.append({"name": f"f{i}", "op": "conv", "out": 2})
    layers.append({"name": "all", "op": "concat", "from": [f"f{j}" for j in range(count + 1)]})
    return [*layers, {"name": "pool", "op": "global_avg_pool"}, {"name": "head", "op": "linear", "out": 2}]


def plan_of(layers: list[Document], split: Document, **parts: Any) -> Plan:
    data = {"dataset": "synthetic", "samples": 8, "batch_size": 4, "image_size": 8, "channels": 3, "classes": 2}
    spec = {"specc": 1, "name": "dense", "data": data, "backbone": {"layers": layers}, "split": split}
    return specc.compile(spec_of(spec | {"auxiliary": {"classifier": {"layers": "0c1f"}}} | parts))


def inputs(plan: Plan) -> dict[str, tuple[str, ...]]:
    nodes = plan.config.backbone.expand((3, 8, 8), 2).nodes
    return {node.name.partition(".")[0]: node.inputs for node in nodes if node.op.name == "concat"}


def stepped(plan: Plan) -> dict[str, torch.Tensor]:
    """All tensors after two steps in single precision."""
    session = runtime.Session(plan, device="cpu")
    generator = torch.Generator().manual_seed(5)
    for _ in range(2):
        session.train_step(torch.rand(4, 3, 8, 8, generator=generator), torch.tensor([0, 1, 1, 0]))
    return session.model.tensors()


def test_each_one_reads_the_one_before_and_what_is_new() -> None:
    plan = plan_of(dense(3), {"blocks": 1})
    assert inputs(plan) == {
        "all2": ("f0.conv", "f1.conv"),
        "all3": ("all2.concat", "f2.conv"),
        "all": ("all3.concat", "f3.conv"),
    }


def test_there_is_a_cut_after_each_one() -> None:
    graph = plan_of(dense(3), {"blocks": 1}).config.backbone.expand((3, 8, 8), 2)
    assert {"all2", "all3", "all"} < set(graph.cuts)


def test_every_number_stays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    nested = stepped(plan_of(dense(4), {"blocks": 1}))
    monkeypatch.setattr(builder, "nested", iter)
    flat = plan_of(dense(4), {"blocks": 1})
    assert len(inputs(flat)["all"]) == 5
    assert nested.keys() == stepped(flat).keys()
    assert all(torch.equal(nested[name], tensor) for name, tensor in stepped(flat).items())


@pytest.mark.parametrize("flat", [True, False], ids=["as written", "nested"])
@pytest.mark.parametrize(
    "train", [{}, {"recompute": True}, {"memory_format": "channels_last"}, {"precision": "bf16"}], ids=str
)
def test_the_prediction_is_what_a_trace_finds(train: Document, flat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if flat:
        monkeypatch.setattr(builder, "nested", iter)
    plan = plan_of(dense(4), {"blocks": 1}, train=train)
    assert as_traced(plan).peak_bytes == pytest.approx(trace(plan).peak_bytes, rel=0.002)


def test_a_dense_block_in_several_blocks_takes_less() -> None:
    layers, split = dense(6), {"after": ["all3", "all5"]}
    parted = plan_of(layers, split, ema_links=[{"from": "next", "layers": 2}])
    assert verify(parted) == []
    assert as_traced(parted).peak_bytes == pytest.approx(trace(parted).peak_bytes, rel=0.002)
    whole = plan_of(layers, {"blocks": 1})
    assert plan_of(layers, split).memory.peak_bytes < 0.7 * whole.memory.peak_bytes


def concatenations(*sources: list[str], axis: int = 0) -> dict[str, tuple[str, ...]]:
    """What concatenations of maps `a`, `b`, `c` (and the images) read, one after the other."""
    layers: list[Document] = [{"name": n, "op": "conv", "out": 3, "from": "input"} for n in "abc"]
    layers += [
        {"name": f"j{i}", "op": "concat", "from": names, **({"axis": axis} if i else {})}
        for i, names in enumerate(sources)
    ]
    layers += [{"name": f"p{i}", "op": "global_avg_pool", "from": f"j{i}"} for i in range(len(sources))]
    layers.append({"name": "sum", "op": "concat", "from": [f"p{i}" for i in range(len(sources))]})
    return inputs(plan_of([*layers, {"name": "head", "op": "linear", "out": 2}], {"blocks": 1}))


def test_another_order_or_axis_is_another_concatenation() -> None:
    assert concatenations(["a", "b"], ["a", "b", "c"])["j1"] == ("j0.concat", "c.conv")
    assert concatenations(["a", "b"], ["b", "a", "c"])["j1"] == ("b.conv", "a.conv", "c.conv")
    assert concatenations(["a", "b"], ["a", "b", "c"], axis=1)["j1"] == ("a.conv", "b.conv", "c.conv")


def test_what_begins_with_the_images_is_left_as_it_is() -> None:
    assert concatenations(["input", "a"], ["input", "a", "b", "c"])["j1"] == ("input", "a.conv", "b.conv", "c.conv")

"""A layer far down may read the images once more: they need no gradient and live anyway, so that is no bar to a cut."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import runtime
import specc
from runtime.memory.trace import trace
from specc.compiler.verify import verify
from specc.fit.splits import Splits
from specc.graph.graph import IMAGES, INPUT
from specc.memory.prediction import as_traced
from specc.pipeline import CHECKS, run_passes
from specc.plan import Plan
from specc.spec.load import Spec

from .documents import Document, spec_of

LAYERS: list[Document] = [
    {"name": "one", "op": "conv_bn_relu", "out": 4},
    {"name": "two", "op": "conv", "out": 4},
    {"name": "again", "from": "input", "op": "conv", "out": 2},
    {"name": "both", "from": ["two", "again"], "op": "concat"},
    {"name": "three", "op": "conv_bn_relu", "out": 5},
    {"name": "soft", "from": "input", "op": "sigmoid"},
    {"name": "last", "from": ["three", "soft"], "op": "concat"},
    {"name": "four", "op": "conv", "out": 4},
    {"name": "pool", "op": "global_avg_pool"},
    {"name": "head", "op": "linear", "out": 2},
]
ALL = [{"name": "all", "window": 5}]


def plan_spec(after: list[str], **parts: Any) -> Spec:
    data = {"dataset": "synthetic", "samples": 8, "batch_size": 4, "image_size": 8, "channels": 3, "classes": 2}
    return spec_of({
        "specc": 1, "name": "again", "data": data, "backbone": {"layers": LAYERS},
        "split": {"after": after} if after else {"blocks": 1},
        "auxiliary": {"classifier": {"layers": "0c1f"}, "reconstruction": {"channels": 2}},
    } | parts)  # fmt: skip


def plan_of(after: list[str], **parts: Any) -> Plan:
    plan = specc.compile(plan_spec(after, **parts))
    assert verify(plan) == []
    return plan


def gradients(plan: Plan) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Every parameter's gradient for a fixed batch, and the logits."""
    session = runtime.Session(plan, device="cpu", dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64, generator=generator)
    labels = torch.tensor([0, 1, 1, 0])
    session.executor.run(images, labels, update=False)
    found = {name: p.grad for name, p in session.named_parameters() if p.grad is not None}
    return found, session.predict(images)


def test_every_place_where_the_images_alone_are_alive_beside_the_features_is_a_cut() -> None:
    graph = plan_of([]).config.backbone.expand((3, 8, 8), 2)
    assert graph.narrow_cuts == ("one", "two", "both", "three", "last", "four", "pool")
    assert {"again", "soft"} <= set(graph.index)  # after them, two values are alive


@pytest.mark.parametrize("recompute", [False, True])
def test_gradients_through_many_blocks_are_those_of_one(recompute: bool) -> None:
    train = {"train": {"recompute": recompute}}
    whole, logits = gradients(plan_of([]))
    parted, same = gradients(plan_of(["one", "two", "three", "last"], levels=ALL, **train))
    assert parted.keys() == whole.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(parted[name], gradient, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(same, logits, rtol=1e-12, atol=1e-12)


MAN = {"ema_links": [{"from": "next", "layers": 2}]}
FORWARD_FORWARD = {"auxiliary": {"goodness": {}}}


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"train": {"recompute": True}},
        {"train": {"memory_format": "channels_last"}},
        {"train": {"precision": "bf16"}},
        MAN,
        FORWARD_FORWARD,
        {"levels": [{"name": "wide", "window": 2}]},
    ],
    ids=str,
)
def test_the_prediction_is_what_a_trace_finds(parts: Document) -> None:
    plan = plan_of(["one", "two", "three"], **parts)
    predicted = [moment.bytes for moment in as_traced(plan).timeline]
    assert predicted == pytest.approx(trace(plan).timeline, rel=0.001)


def test_a_recomputed_first_block_reads_the_images_in_its_later_pieces() -> None:
    recomputed, _ = gradients(plan_of([], train={"recompute": True}))
    kept, _ = gradients(plan_of([]))
    for name, gradient in kept.items():
        torch.testing.assert_close(recomputed[name], gradient, rtol=1e-12, atol=1e-12)


def test_a_link_copies_what_reads_the_images_too() -> None:
    plan = plan_of(["three"], **MAN)
    (link,) = plan.units[0].links
    assert [node.inputs for node in plan.networks[link.ema].graph.nodes] == [
        (IMAGES,),
        (INPUT, "0.sigmoid"),
        ("1.concat",),
    ]
    session = runtime.Session(plan, device="cpu", dtype=torch.float64)
    images, labels = torch.rand(4, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 1, 0])
    step = session.train_step(images, labels)
    assert all(loss == loss for losses in step.losses.values() for loss in losses.values())


def test_next_is_the_layer_that_reads_the_features() -> None:
    plan = plan_of(["one"], ema_links=[{"from": "two"}])
    swapped = [LAYERS[0], LAYERS[2], LAYERS[1], *LAYERS[3:]]
    swapped[2] = {**swapped[2], "from": "one"}
    other = plan_of(["one"], ema_links=[{"from": "next"}], backbone={"layers": swapped})
    assert set(other.units[0].links[0].sources.values()) == set(plan.units[0].links[0].sources.values())


def test_the_verifier_sees_features_in_place_of_images() -> None:
    plan = plan_of(["one", "both"])
    block = plan.networks["block1"]
    nodes = tuple(replace(n, inputs=(INPUT,)) if n.name == "again.conv" else n for n in block.graph.nodes)
    broken = replace(
        plan, networks={**plan.networks, "block1": replace(block, graph=replace(block.graph, nodes=nodes))}
    )
    assert "block1: `again.conv` should read input, and reads one.relu" in verify(broken)


@pytest.mark.parametrize("window", [1, 2])
def test_fit_knows_what_blocks_that_read_the_images_take(window: int) -> None:
    levels = [{"name": "only", "window": window}]
    spec = plan_spec(["one"] if window == 1 else ["one", "two"], levels=levels)
    splits = Splits(run_passes(spec, CHECKS), spec.config)
    rows = [row for blocks in range(window + 1, 5) if (row := splits.best(blocks)) is not None]
    assert rows
    for row in rows:
        plan = plan_of(list(row.after), levels=levels)
        assert row.predicted_peak_bytes == pytest.approx(plan.memory.peak_bytes, rel=1e-3)

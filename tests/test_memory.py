"""The predicted memory against the traced one, the traced one against real tensors, and the search for splits."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
import torch

import specc
from runtime import Session
from runtime.memory.trace import Trace, fake_batch, trace, watch
from specc.compiler.variants import predicted_peak
from specc.compiler.verify import verify
from specc.fit.remedies import remedies
from specc.fit.search import search
from specc.fit.splits import Splits
from specc.memory.autograd import Gradient
from specc.memory.prediction import as_traced, first_difference
from specc.memory.storage import Allocator
from specc.pipeline import CHECKS, run_passes
from specc.plan import Plan
from specc.plan.flops import step_flops
from specc.spec.knobs import KNOBS
from specc.spec.load import Spec, loads

BASE: dict[str, Any] = {
    "specc": 1,
    "name": "memory",
    "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 8},
    "backbone": {"family": "resnet_cifar", "depth": 14, "widths": [8, 8, 16, 32]},
    "split": {"blocks": 3},
    "auxiliary": {"classifier": {"hidden": 16}, "reconstruction": {}},
}
LEVELS = [{"name": "independent"}, {"name": "cascade", "window": 2}]
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "end to end": {"split": {"blocks": 1}},
    "two levels": {"levels": LEVELS},
    "nothing cut": {"levels": [{"name": "all", "window": "all"}]},
    "EMA branch": {"ema_links": [{"from": "next"}]},
    "EMA scaled": {"ema_links": [{"from": "next", "bias": "scaled"}]},
    "EMA parameter": {"ema_links": [{"from": "next", "bias": "parameter"}]},
    "joint patches": {"auxiliary": {"reconstruction": {"patches": {"grid": [2, 2]}}}},
    "sequential patches": {"auxiliary": {"reconstruction": {"patches": {"execution": "sequential"}}}},
    "fused patches": {"auxiliary": {"classifier": {"patches": {"fuse": "outputs"}}}},
    "fused, sequential": {"auxiliary": {"classifier": {"patches": {"fuse": "outputs", "execution": "sequential"}}}},
    "contrastive": {"auxiliary": {"classifier": {"loss": "contrastive"}}},
    "other heads": {
        "auxiliary": {"pointwise": {}, "pooled_linear": {}, "similarity": {}, "augmented": {}, "periodic": {}}
    },
    "recompute": {"levels": LEVELS, "train": {"recompute": True}},
    "adamw": {"train": {"optimizer": {"name": "adamw"}}},
    "bf16": {"levels": LEVELS, "ema_links": [{"from": "next"}], "train": {"precision": "bf16"}},
}  # fmt: skip


def spec_of(**changes: Any) -> Spec:
    return loads(json.dumps(BASE | changes), "memory")


def plan_of(**changes: Any) -> Plan:
    return specc.compile(spec_of(**changes))


@cache
def variant(name: str) -> Plan:
    """With one residual block a stage: a trace takes as long as there are ops."""
    return plan_of(**{"backbone": BASE["backbone"] | {"depth": 8}} | VARIANTS[name])


@cache
def traced_variant(name: str) -> Trace:
    """Once for what is predicted and for real tensors."""
    return trace(variant(name))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_prediction_is_the_trace(name: str) -> None:
    """Within 0.5 % at the peak (scalars, details of low precision), and no instruction off by more than 2 %."""
    plan = variant(name)
    predicted, traced = as_traced(plan), traced_variant(name)
    assert predicted.peak_bytes == pytest.approx(traced.peak_bytes, rel=5e-3)
    assert first_difference(predicted, traced.timeline, 0.02) is None
    assert plan.memory.peak_bytes <= predicted.peak_bytes  # on a device fan-ins are added up in place


TOKENS = [
    {"name": "conv", "op": "conv", "out": 16, "k": 4, "stride": 4}, {"name": "tokens", "op": "to_tokens"},
    {"name": "norm1", "op": "layer_norm"}, {"name": "mix1", "op": "linear", "out": 16},
    {"name": "norm2", "op": "layer_norm"}, {"name": "mix2", "op": "linear", "out": 16},
    {"name": "map", "op": "to_map"}, {"name": "pool", "op": "global_avg_pool"},
    {"name": "fc", "op": "linear", "out": 10},
]  # fmt: skip


def test_a_gradient_is_added_to_in_place_where_nobody_else_holds_it() -> None:
    """As torch does outside of a dispatch mode, under which it never does."""
    memory = Allocator()
    total, *more = (Gradient(memory.new(8), "plain") for _ in range(4))
    first = id(total.storage)
    total.add(more.pop(), 2, traced=False)
    assert id(total.storage) == first
    held = total.storage
    total.add(more.pop(), 2, traced=False)
    assert total.storage is not held
    held = total.storage
    total.add(more.pop(), 2, traced=True)
    assert total.storage is not held


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_sums_of_averages_and_casts_are_exact_in_every_instruction(precision: str) -> None:
    """A layer norm keeps its bias too, which is a sum here; of several casts the first input's goes back first."""
    link = {"from": "norm2", "layers": 2, "bias": "parameter"}
    plan = plan_of(
        backbone={"layers": TOKENS}, split={"after": ["mix1"]}, auxiliary={"pooled_linear": {}},
        train={"precision": precision}, ema_links=[link],
    )  # fmt: skip
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(trace(plan).timeline)


@pytest.mark.parametrize("memory_format", ["contiguous", "channels_last"])
def test_gradients_of_patches_are_exact_however_the_map_lies(memory_format: str) -> None:
    """What is pooled of a patch with its channels last has a gradient that lies so; the patch's own has its lines."""
    plan = plan_of(
        auxiliary={"pointwise": {"patches": {"weights": "separate", "fuse": "losses"}}},
        train={"memory_format": memory_format},
    )
    assert [moment.bytes for moment in as_traced(plan).timeline] == list(trace(plan).timeline)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_trace_is_what_real_tensors_take(name: str) -> None:
    """Byte for byte, in every instruction; real batch norms keep fp32 statistics of bf16 values, fake ones do not."""
    plan = variant(name)
    images, labels = fake_batch(plan)
    real = watch(Session(plan), images, labels + torch.arange(len(labels)) % 10)
    exact = plan.config.train.precision == "fp32"
    assert traced_variant(name).timeline == (real.timeline if exact else pytest.approx(real.timeline, rel=1e-3))


def test_recomputation_changes_memory_and_nothing_else() -> None:
    plans = [plan_of(levels=LEVELS, train={"recompute": on}) for on in (False, True)]
    assert plans[1].memory.peak_bytes < 0.8 * plans[0].memory.peak_bytes
    sessions = [Session(plan, dtype=torch.float64) for plan in plans]
    images = torch.rand(8, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for _ in range(2):
        for session in sessions:
            session.train_step(images, torch.arange(8) % 10)
    tensors = [session.model.tensors() for session in sessions]
    assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_relative_flops_are_those_of_the_plan() -> None:
    spec = spec_of(levels=LEVELS)
    splits = Splits(run_passes(spec, CHECKS), spec.config)
    whole = step_flops(plan_of(split={"blocks": 1}))
    for blocks in range(2, 6):
        row = splits.best(blocks)
        assert row is not None
        plan = plan_of(levels=LEVELS, split={"after": list(row.after)})
        assert row.relative_flops == pytest.approx(step_flops(plan) / whole)


def test_the_chosen_option_fits_when_written() -> None:
    draft = run_passes(spec_of(backbone=BASE["backbone"] | {"depth": 8}, split={"blocks": 2}), CHECKS)
    floor = search(draft, 1, ("split", *KNOBS))
    assert floor.chosen is None
    budget = int(floor.floor.row.predicted_peak_bytes * 1.2)
    chosen = search(draft, budget, ("split", *KNOBS)).chosen
    assert chosen is not None
    found = predicted_peak(draft, chosen.config)
    assert found is not None
    assert found <= budget


def test_every_remedy_does_what_it_says() -> None:
    spec = spec_of(levels=LEVELS, auxiliary={"reconstruction": {"patches": {}}})
    draft = run_passes(spec)
    assert draft.memory is not None
    found = list(remedies(draft, int(0.9 * draft.memory.peak_bytes)))
    assert len(found) >= 3
    for remedy in found:
        assert remedy.peak <= 0.9 * draft.memory.peak_bytes
    batch = next(r for r in found if r.change.startswith("data.batch_size"))
    size = int(batch.change.split()[-1])
    data = BASE["data"] | {"batch_size": size}
    smaller = plan_of(levels=LEVELS, auxiliary={"reconstruction": {"patches": {}}}, data=data)
    assert smaller.memory.peak_bytes == batch.peak


def test_over_budget_names_the_unit_and_the_changes() -> None:
    with pytest.raises(specc.SpecError) as caught:
        plan_of(budget={"memory": "1 MB"})
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "SPC501"
    assert "unit" in diagnostic.help[0] or "block" in diagnostic.help[0]
    assert "peaks at" in diagnostic.help[1] or "no single change" in diagnostic.help[1]


@pytest.mark.parametrize("levels", [[{"name": "a"}], LEVELS, [{"name": "a", "window": "all"}]], ids=["1", "2", "all"])
def test_a_block_with_nothing_to_train(levels: list[dict[str, Any]]) -> None:
    """A block of pooling alone gets no backward of its own, and no step."""
    layers = [
        {"name": "a", "op": "conv_bn_relu", "out": 8}, {"name": "pool", "op": "max_pool"},
        {"name": "b", "op": "conv_bn_relu", "out": 8}, {"name": "mean", "op": "global_avg_pool"},
        {"name": "head", "op": "linear", "out": 10},
    ]  # fmt: skip
    plan = plan_of(backbone={"layers": layers}, split={"after": ["a", "pool", "b"]}, levels=levels)
    assert not any(i.kind == "step" and i.group == "block1" for i in plan.instructions)
    assert not any(i.kind == "backward" and i.block == i.start == 1 for i in plan.instructions)
    session = Session(plan)
    images, labels = torch.rand(8, 3, 16, 16), torch.arange(8)
    before = {name: p.clone() for name, p in session.named_parameters() if not name.startswith("unit")}
    session.train_step(images, labels)
    moved = {n for n, p in session.named_parameters() if not n.startswith("unit") and not torch.equal(p, before[n])}
    assert moved == set(before)
    assert verify(plan) == []

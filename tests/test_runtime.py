"""The runtime does what a naive loop does, in float64; and what only a runtime can get wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import Tensor

import specc
from runtime import Session
from runtime.errors import BudgetExceeded
from runtime.memory.meter import Meter
from runtime.run.progress import Silence
from runtime.run.rundir import RunDir
from runtime.run.trainer import Trainer
from specc.plan import Plan
from specc.spec.sections.split import Budget

from .conftest import SEED
from .documents import HPFF, MAN, PATCHES, Document, compiled, document, documents, spec_of
from .naive import Naive

METHODS: dict[str, Document] = {
    "end to end": {"split": {"blocks": 1}},
    "local": {},
    "MAN": MAN,
    "HPFF": HPFF,
    "MAN and HPFF": MAN | HPFF,
}


def session_of(plan: Plan, dtype: torch.dtype = torch.float64) -> Session:
    return Session(plan, dtype=dtype)


def batches(plan: Plan, count: int = 3, dtype: torch.dtype = torch.float64) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised images and labels, always the same ones."""
    generator = torch.Generator().manual_seed(SEED)
    size = plan.config.data.batch_size
    for _ in range(count):
        images = torch.rand(size, *plan.data.shape, generator=generator, dtype=torch.float64)
        mean, std = (torch.tensor(v, dtype=torch.float64).view(-1, 1, 1) for v in (plan.data.mean, plan.data.std))
        yield ((images - mean) / std).to(dtype), torch.randint(plan.data.classes, (size,), generator=generator)


def trained(plan: Plan, steps: int = 3, dtype: torch.dtype = torch.float64) -> Session:
    session = session_of(plan, dtype)
    for images, labels in batches(plan, steps, dtype):
        session.train_step(images, labels)
    return session


def gradients(plan: Plan, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Of one batch, without a step."""
    session = session_of(plan, dtype)
    session.train_step(*next(batches(plan, dtype=dtype)), update=False)
    return {name: p.grad for name, p in session.named_parameters() if p.grad is not None}


def tensors(session: Session) -> dict[str, Tensor]:
    return {name: tensor.detach() for name, tensor in session.model.tensors().items()}


def assert_close(got: dict[str, Any], want: dict[str, Any], tolerance: float = 1e-10) -> None:
    assert got.keys() == want.keys()
    for name in want:
        expected = want[name].detach().double()
        error = float((got[name].detach() - expected).norm())
        assert error <= tolerance * max(1.0, float(expected.norm())), f"{name} is off by {error:.1e}"


def assert_same(got: dict[str, Tensor], want: dict[str, Tensor]) -> None:
    differing = [name for name in want if not torch.equal(got[name], want[name])]
    assert got.keys() == want.keys()
    assert not differing, f"not bit for bit the same: {', '.join(differing[:5])}"


# ---------------------------------------------------------------------------------------------- the naive loop


@pytest.mark.parametrize("parts", METHODS.values(), ids=METHODS)
def test_three_steps_of_a_naive_loop(parts: Document) -> None:
    assert_naive(compiled(**parts), steps=3)


@given(documents())
@settings(max_examples=25)
def test_any_combination_of_a_naive_loop(drawn: Document) -> None:
    assert_naive(specc.compile(spec_of(drawn)), steps=2)


def assert_naive(plan: Plan, steps: int) -> None:
    session = session_of(plan)
    naive = Naive(session)
    for images, labels in batches(plan, steps):
        losses, _ = naive.step(images, labels)
        step = session.train_step(images, labels)
        for unit in plan.units:
            assert_close(step.losses[unit.name], losses[unit.name])
            weighted = sum(head.weight * losses[unit.name][head.term] for head in unit.heads)
            assert float(step.total[unit.name]) == pytest.approx(float(weighted), rel=1e-10)
        assert_close(dict(session.named_parameters()), naive.parameters)


@pytest.mark.parametrize("parts", METHODS.values(), ids=METHODS)
def test_the_order_in_memory_changes_no_number(parts: Document) -> None:
    plans = [compiled(**parts, train={"memory_format": order}) for order in ("contiguous", "channels_last")]
    plain, other = (trained(plan) for plan in plans)
    maps = [p for p in other.model.parameters.values() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert maps
    assert all(p.is_contiguous(memory_format=torch.channels_last) for p in maps)
    assert_close(tensors(other), tensors(plain))
    images, _ = next(batches(plans[0]))
    assert_close({"logits": other.predict(images)}, {"logits": plain.predict(images)})


def test_one_block_is_ordinary_backprop() -> None:
    plan = compiled(split={"blocks": 1})
    session, other = session_of(plan), session_of(plan)
    network = other.model.blocks[0]
    sgd = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4)
    for images, labels in batches(plan):
        network.train()
        sgd.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        sgd.step()
        step = session.train_step(images, labels)
        assert float(step.losses["unit0.independent"]["classification"]) == pytest.approx(loss.item(), rel=1e-12)
        assert_close(tensors(session), tensors(other), 1e-12)


@pytest.mark.parametrize("parts", METHODS.values(), ids=METHODS)
def test_gradients_of_a_naive_loop(parts: Document) -> None:
    plan = compiled(**parts)
    _, want = Naive(session_of(plan)).step(*next(batches(plan)))
    assert_close(gradients(plan), want)


# ---------------------------------------------------------------------------------------------- isolation and order


@pytest.mark.parametrize("level", [0, 1], ids=["independent", "cascade"])
@pytest.mark.parametrize("end", [1, 2])
def test_a_unit_moves_its_own_window_only(level: int, end: int) -> None:
    def weighing(weight: float) -> dict[str, Tensor]:
        levels = [dict(one) for one in HPFF["levels"]]
        levels[level]["units"] = [{"unit": end, "weight": weight}]
        return gradients(compiled(**MAN | HPFF | {"levels": levels}))

    light, heavy = weighing(1.0), weighing(3.0)
    plan = compiled(**MAN | HPFF)
    unit = plan.by_unit[f"unit{end}.{HPFF['levels'][level]['name']}"]
    window = {name for k in range(unit.start, unit.end + 1) for name in plan.networks[f"block{k}"].parameters}
    own = window | {name for name in light if name.startswith(unit.name + ".")}
    moved = {name for name in light if not torch.equal(light[name], heavy[name])}
    assert moved <= own
    assert own - moved == {name for name in own if float(light[name].norm()) == 0.0}, "a weight that moves nothing"


@pytest.mark.parametrize("parts", METHODS.values(), ids=METHODS)
def test_early_steps_are_late_steps(parts: Document) -> None:
    early = compiled(**parts)
    steps = tuple(i for i in early.instructions if i.kind == "step")
    late = replace(early, instructions=(*(i for i in early.instructions if i.kind != "step"), *steps))
    assert early.instructions != late.instructions or len(early.blocks) == 1
    assert_same(tensors(trained(early)), tensors(trained(late)))


def test_an_average_moves_before_its_source() -> None:
    plan = compiled(**MAN)
    session = session_of(plan)
    link = plan.units[0].links[0]
    copy, source = next(iter(link.sources.items()))
    before = {name: p.detach().clone() for name, p in session.named_parameters()}
    session.train_step(*next(batches(plan)))
    after = dict(session.named_parameters())
    assert not torch.equal(after[source], before[source])
    expected = 0.9 * before[copy] + 0.1 * before[source]
    torch.testing.assert_close(after[copy].detach(), expected, rtol=1e-14, atol=1e-15)
    assert after[copy].grad is None


def test_every_trainable_parameter_moves() -> None:
    plan = compiled(**HPFF, ema_links=[*MAN["ema_links"], *MAN["ema_links"]])
    start = tensors(session_of(plan))
    trainable = {name: p for name, p in trained(plan, 1).named_parameters() if p.requires_grad}
    assert {name.split(".")[2] for name in trainable if name.startswith("unit")} >= {"bias", "bias2", "classifier"}
    assert [name for name, p in trainable.items() if torch.equal(p.detach(), start[name])] == []


# ---------------------------------------------------------------------------------------------- heads and patches


@pytest.mark.parametrize(("weights", "fuse"), itertools.product(["shared", "separate"], ["losses", "outputs"]))
def test_sequential_patches_are_joint_patches(weights: str, fuse: str) -> None:
    def plan(execution: str) -> Plan:
        patches = PATCHES | {"weights": weights, "fuse": fuse, "execution": execution}
        heads = {"classifier": {"layers": "1c1f", "patches": patches}, "reconstruction": {"patches": patches}}
        return compiled(auxiliary=heads, split={"blocks": 3})

    joint, sequential = plan("joint"), plan("sequential")
    assert_close(gradients(sequential), gradients(joint))
    after = trained(sequential)
    assert_close(tensors(after), tensors(trained(joint)))  # parameters and running statistics
    counts = {int(b) for n, b in after.named_buffers() if n.endswith("num_batches_tracked") and ".patch" in n}
    assert counts == ({3} if weights == "separate" else set()), "a pass without gradient leaves statistics alone"


def test_weight_zero_removes_a_head() -> None:
    def plan(keep: str) -> Plan:
        heads = {"classifier": {}, "reconstruction": {"weight": {"first": 1.0, "last": 0.0}}}
        return compiled(auxiliary=heads, train={"zero_weight_heads": keep})

    removed, kept = gradients(plan("remove")), gradients(plan("keep"))
    extra = kept.keys() - removed.keys()
    assert {name.split(".")[:3:2] == ["unit2", "decoder"] for name in extra} == {True}
    assert all(float(kept[name].norm()) == 0.0 for name in extra)
    assert_close({name: kept[name] for name in removed}, removed, 1e-14)


# ---------------------------------------------------------------------------------------------- the session


def test_predict_reads_the_backbone_alone_and_changes_nothing() -> None:
    """That the logits are right as well is what the golden traces' evaluation logits say."""
    plan = compiled(**MAN | HPFF)
    session = trained(plan)
    images, _ = next(batches(plan))
    before = {name: tensor.clone() for name, tensor in tensors(session).items()}
    logits = session.predict(images)
    assert_same(tensors(session), before)
    for name, parameter in session.named_parameters():
        if name.startswith("unit"):
            parameter.detach().fill_(torch.nan)
    assert torch.equal(session.predict(images), logits)
    few = session.predict(images[:2])  # whose sums may be taken in another order
    assert torch.allclose(few, logits[:2], rtol=0, atol=1e-12), "no statistics of the batch"


def test_initial_values_come_from_seed_and_name() -> None:
    seeds = [compiled(**MAN, train={"seed": seed}) for seed in (0, 0, 1)]
    first, again, other = ({n: p.detach() for n, p in session_of(plan).named_parameters()} for plan in seeds)
    assert_same(first, again)
    drawn = [name for name, p in first.items() if p.dim() > 1]
    assert drawn
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    single = {n: p.detach() for n, p in session_of(compiled(split={"blocks": 1})).named_parameters()}
    assert_same({name: first[name] for name in single}, single)  # the backbone starts the same in every method


def test_convolutions_start_with_their_variance() -> None:
    plan = compiled(backbone={"family": "resnet_cifar", "depth": 8, "widths": [16, 16, 32, 64]}, split={"blocks": 1})
    weight = dict(session_of(plan).named_parameters())["stage3.0.conv1.weight"].detach()
    assert weight.shape == (64, 32, 3, 3)
    assert float(weight.std()) == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.05)
    assert abs(float(weight.mean())) < 0.002


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_mixed_precision_trains(precision: str) -> None:
    plan = compiled(**MAN | HPFF, train={"precision": precision})
    images, labels = next(batches(plan, dtype=torch.float32))
    exact = session_of(compiled(**MAN | HPFF)).train_step(images, labels).total
    session = session_of(plan, torch.float32)
    start = {name: p.detach().clone() for name, p in session.named_parameters()}
    for unit, value in session.train_step(images, labels).total.items():
        assert float(value) == pytest.approx(float(exact[unit]), rel=0.02)
        assert float(value) != pytest.approx(float(exact[unit]), rel=1e-6), "not rounded at all"
    session.train_step(images, labels)
    assert all(p.dtype == torch.float32 and bool(p.isfinite().all()) for _, p in session.named_parameters())
    moved = [name for name, p in session.named_parameters() if not torch.equal(p, start[name])]
    assert len(moved) > 0.9 * len(start)


# ---------------------------------------------------------------------------------------------- memory

ROUNDS: dict[str, Document] = {
    f"patches {fuse} {execution}": {
        "auxiliary": {"reconstruction": {"patches": PATCHES | {"fuse": fuse, "execution": execution}}}
    }
    for fuse, execution in itertools.product(["losses", "outputs"], ["joint", "sequential"])
}


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 0.025), ("bf16", 0.075)])
@pytest.mark.parametrize("parts", (METHODS | ROUNDS).values(), ids=METHODS | ROUNDS)
def test_the_predicted_peak_is_the_measured_one(parts: Document, precision: str, tolerance: float) -> None:
    """The meter of a run against the analytic model; the tolerances are what the model reaches on such small steps."""
    data = document()["data"] | {"image_size": 16, "batch_size": 32, "samples": 64}
    plan = compiled(**parts, data=data, train={"precision": precision})
    session = session_of(plan, torch.float32)
    meter = Meter(session.device, session.resident)
    for images, labels in batches(plan, 2, torch.float32):
        batch = (images, labels)
        meter.measure(lambda batch=batch: session.train_step(*batch), batch)
    assert plan.memory.peak_bytes == pytest.approx(meter.peak_bytes, rel=tolerance)


# ---------------------------------------------------------------------------------------------- the trainer


def digits(**parts: Any) -> Plan:
    data = {"dataset": "digits", "batch_size": 256, "augment": "paper"}
    return compiled(**{"data": data, **MAN, **parts})


def trainer_of(plan: Plan, folder: Path) -> Trainer:
    folder.mkdir(exist_ok=True)
    return Trainer(plan, torch.device("cpu"), RunDir(folder), Silence(), "text")


def test_a_measured_peak_over_budget_ends_the_run(tmp_path: Path) -> None:
    plan = digits()
    budget = Budget.model_validate({"memory": plan.memory.peak_bytes // 2})
    tight = replace(plan, config=plan.config.model_copy(update={"budget": budget}))
    trainer = trainer_of(tight, tmp_path)
    with pytest.raises(BudgetExceeded, match="over the budget of") as caught:
        trainer.train()
    assert caught.value.exit_code == 4
    assert trainer.taken == 2, "noticed in the third step"
    lenient = budget.model_copy(update={"on_exceed": "warn"})
    plan = replace(plan, config=plan.config.model_copy(update={"budget": lenient}))
    assert trainer_of(plan, tmp_path).train()["memory"]["within_budget"] is False

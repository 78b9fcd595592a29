"""Parameters on the host: the same numbers, every byte moved once each way, as much on the device as predicted."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import specc
from runtime.engine.session import Session
from runtime.memory.meter import Meter
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.compiler.verify import verify
from specc.language.schema import show_bytes
from specc.layout import every_rank
from specc.layout.witness import witness
from specc.memory.prediction import as_traced
from specc.plan import Evict, Load, Plan, Reduce, Step
from specc.plan.offloading import moved_bytes
from specc.plan.sound import faults
from specc.spec.load import loads

from .commands import ROOT
from .documents import HPFF, MAN, Document, compiled, document

OPTIMIZER, BOTH = ["optimizer"], ["optimizer", "parameters"]
SGD: Document = {"name": "sgd", "lr": 0.1, "momentum": 0.9}
ADAMW: Document = {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}
SCALED: Document = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "scaled"}]}
NETWORK: Document = {
    "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 6, 8]},
    "split": {"after": ["stage1.0", "stage2.0"]},
}
METHODS: dict[str, tuple[Document, Document]] = {
    "plain": ({}, {"optimizer": {"name": "nadam", "lr": 0.01}}),
    "links": (MAN | HPFF, {"optimizer": ADAMW, "recompute": True, "weight_average": {"decay": 0.9}}),
    "scaled": (SCALED, {"optimizer": SGD, "clip": {"norm": 0.1}}),
    "slices": (
        MAN | HPFF | {"schedule": {"order": "blocks"}},
        {"optimizer": SGD, "micro_batches": 2, "precision": "fp16"},
    ),
}
STEPS = 3


def plan_of(method: str, offload: list[str]) -> Plan:
    parts, train = METHODS[method]
    return compiled(**NETWORK, train={**train, "offload": offload}, **parts)


def batches(plan: Plan) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    size, classes = plan.config.data.batch_size, plan.data.classes
    drawn = (
        (torch.randn(size, *plan.data.shape, generator=generator), torch.randint(classes, (size,), generator=generator))
        for _ in range(STEPS)
    )
    return list(drawn)


def session_of(plan: Plan, *, behind: bool = False) -> Session:
    """`behind`: steps are made by a thread, as beside a GPU."""
    session = Session(plan)
    if session.model.offload is not None:
        session.model.offload._behind = behind
    return session


def results(session: Session) -> dict[str, Tensor]:
    """Everything that a training comes to: losses, weights, averages, what is told in evaluation."""
    found: dict[str, Tensor] = {}
    for i, (images, labels) in enumerate(batches(session.plan)):
        step = session.train_step(images, labels)
        found |= {f"{i} {unit} {term}": v for unit, said in step.losses.items() for term, v in said.items()}
    found |= {name: tensor.detach().clone() for name, tensor in session.model.tensors().items()}
    with session.averaged():
        found["predicted"] = session.predict(images)
        for i, answer in enumerate(session.answers(images, labels)):
            found[f"answer {i}"] = answer.output
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_training_comes_to_the_same_numbers(method: str) -> None:
    wanted = results(session_of(plan_of(method, [])))
    for offload, behind in ((OPTIMIZER, False), (BOTH, True)):
        found = results(session_of(plan_of(method, offload), behind=behind))
        assert found.keys() == wanted.keys()
        assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []


@pytest.mark.parametrize("offload", [OPTIMIZER, BOTH], ids=["optimizer", "both"])
@pytest.mark.parametrize("method", METHODS)
def test_parameters_come_once_a_step_and_gradients_leave_once(method: str, offload: list[str]) -> None:
    """Those of blocks, heads and branches; averaged copies come too where they live on the host."""
    plan = plan_of(method, offload)
    session = session_of(plan)
    assert session.model.offload is not None
    for images, labels in batches(plan):
        session.model.offload.moved[:] = [0, 0]
        session.train_step(images, labels)
        trained = sum(p.nbytes for optimizer in session.optimizers.values() for p in parameters(optimizer))
        copies = sum(p.nbytes for p in session.model.parameters.values() if not p.requires_grad)
        wanted = [trained + copies * (offload == BOTH), trained]
        assert session.model.offload.moved == wanted == list(moved_bytes(plan))


def parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


PEAKS = {"links": OPTIMIZER, "slices": BOTH}


@pytest.mark.parametrize(("method", "offload"), PEAKS.items(), ids=PEAKS)
def test_the_peak_is_the_predicted_one_to_the_byte(method: str, offload: list[str]) -> None:
    plan = plan_of(method, offload)
    predicted, traced = as_traced(plan), trace(plan)
    assert traced.peak_bytes == predicted.peak_bytes
    assert list(traced.timeline[:-1]) == [moment.bytes for moment in predicted.timeline[:-1]]  # the last: losses too
    session = session_of(plan)
    meter = Meter(torch.device("cpu"), session.resident)
    for images, labels in batches(plan)[1:]:
        meter.measure(lambda images=images, labels=labels: session.train_step(images, labels), (images, labels))
    assert meter.peak_bytes == predicted.peak_bytes


PAGE = (ROOT / "docs/offload.md").read_text(encoding="utf-8")


def of_the_page(name: str) -> Plan:
    """The transformer of 24 blocks that the page shows."""
    found = re.search(f'title="{name}.yaml"\n(.*?)```', PAGE, re.DOTALL)
    assert found is not None
    return specc.compile(loads(found[1]))


def test_a_deep_transformer_takes_less_than_three_blocks_with_their_state_and_activations() -> None:
    plan = of_the_page("offloaded")
    assert (len(plan.blocks), plan.config.train.offload) == (24, BOTH)
    block = max(plan.networks[b.name].graph.parameter_count for b in plan.blocks) * 4
    state = 3 * block * (1 + 2)  # AdamW's two averages
    resident = {"parameters", "optimizer state", "gradients", "EMA copies", "buffers"}
    activations = max(sum(n for name, n in m.categories.items() if name not in resident) for m in plan.memory.timeline)
    assert 2 * plan.memory.peak_bytes < state + activations
    come, leave = moved_bytes(plan)
    parameters = 4 * sum(network.graph.parameter_count for network in plan.networks.values())
    assert come == leave == parameters
    for size in (state, activations, plan.memory.peak_bytes, come):
        assert show_bytes(size) in PAGE


def test_what_is_loaded_is_used_next_and_evicted_before_its_step() -> None:
    plan = plan_of("links", BOTH)
    order = [str(each) for each in plan.instructions]
    for i, each in enumerate(plan.instructions):
        if isinstance(each, Load):
            following = next(other for other in plan.instructions[i + 1 :] if not isinstance(other, Load))
            assert each.state in following.reads
        if isinstance(each, Step):
            assert order.index(f"evict params:{each.group}") < i


@pytest.mark.parametrize("offload", [OPTIMIZER, BOTH], ids=["optimizer", "both"])
def test_the_verifier_misses_every_load_and_every_evict(offload: list[str]) -> None:
    plan = plan_of("links", offload)
    assert verify(plan) == []
    for i, each in enumerate(plan.instructions):
        if isinstance(each, Load | Evict):
            rest = plan.instructions[:i] + plan.instructions[i + 1 :]
            assert verify(replace(plan, instructions=rest))
            assert verify(replace(plan, instructions=(*rest, each)))
            assert verify(replace(plan, instructions=(each, *rest))) or i == 0


RANKS: Document = {"devices": {"data_parallel": 2, "block_parallel": 2}, **MAN}


def test_the_witness_of_ranks_misses_every_load_and_every_evict() -> None:
    """Nothing is worked with that is away, nothing stays, and each moves once each way."""
    plan = compiled(**NETWORK, **RANKS, train={"offload": BOTH})
    ranks = every_rank(plan, (0, 1))
    assert witness(plan, ranks) == []
    for number in (0, 3):
        own = ranks[number].instructions
        for i, each in enumerate(own):
            if isinstance(each, Load | Evict):
                rest, later = own[:i] + own[i + 1 :], i + 2 + isinstance(each, Load)
                for other in (rest, (*own[:later], each, *own[later:])):
                    done = [*ranks[:number], replace(ranks[number], instructions=other), *ranks[number + 1 :]]
                    assert any(each.state in line for line in witness(plan, done)), str(each)


def test_gradients_that_are_summed_leave_when_they_are() -> None:
    plan = compiled(**NETWORK, devices={"data_parallel": 2}, train={"offload": BOTH})
    ranks = every_rank(plan)
    own = list(ranks[0].instructions)
    at = own.index(Evict(state="params:block0"))
    early = 1 + next(i for i, each in enumerate(own) if isinstance(each, Reduce) and each.group == "block0")
    assert early < at
    own.insert(early, own.pop(at))
    said = witness(plan, [replace(ranks[0], instructions=tuple(own)), ranks[1]])
    assert any("summed until they leave" in line for line in said)


def test_a_plan_from_a_stranger_works_with_nothing_that_is_away() -> None:
    plan = plan_of("links", BOTH)
    assert list(faults(plan)) == []
    load = next(i for i, each in enumerate(plan.instructions) if isinstance(each, Load))
    evict = next(i for i, each in enumerate(plan.instructions) if isinstance(each, Evict))
    for i, other in ((load, Load(state="params:nobody")), (load, None), (evict, Evict(state="ema:x")), (evict, None)):
        made = [*plan.instructions[:i], *([other] if other else []), *plan.instructions[i + 1 :]]
        assert list(faults(replace(plan, instructions=tuple(made))))


def test_averages_are_made_where_their_sources_are_current() -> None:
    """Of a copy that stays on the device, the source must have come there in this step: its last one was stepped."""
    plan = plan_of("links", OPTIMIZER)
    order = [str(each) for each in plan.instructions]
    for unit in (unit for unit in plan.units if unit.links):
        update = order.index(f"ema_update {unit.name}")
        assert all(order.index(f"load params:{link.source_block}") < update for link in unit.links)


def test_a_step_that_fails_leaves_nothing_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_of(plan_of("links", BOTH))
    assert session.model.offload is not None
    own = {id(parameter) for parameter in session.model.parameters.values()}
    (images, labels), *_ = batches(session.plan)
    monkeypatch.setattr(session.executor.step, "_backward", lambda i: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        session.train_step(images, labels)
    assert list(session.model.offload.staying()) == []
    assert {id(p) for network in session.model.networks.values() for p in network.parameters()} <= own
    monkeypatch.undo()
    session.train_step(images, labels)


def test_what_a_step_without_an_update_leaves_behind_adds_up() -> None:
    plain, offloaded = (session_of(plan_of("scaled", offload)) for offload in ([], BOTH))
    for images, labels in batches(plain.plan):
        for session in (plain, offloaded):
            session.train_step(images, labels, update=False)
    for (name, wanted), (_, found) in zip(plain.named_parameters(), offloaded.named_parameters(), strict=True):
        assert (wanted.grad is None) == (found.grad is None), name
        assert wanted.grad is None or found.grad is None or torch.allclose(wanted.grad, found.grad, atol=1e-5), name


def test_it_decides_no_number_of_a_run() -> None:
    assert len({plan_of("links", offload).fingerprint for offload in ([], OPTIMIZER, BOTH)}) == 1
    plan = plan_of("links", BOTH)
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"train": {"offload": ["parameters"]}}, "offload: [>parameters"),
        ({"train": {"offload": OPTIMIZER}, "devices": {"data_parallel": 2, "shard": True}}, "offload: >"),
    ],
    ids=["parameters alone", "sharded"],
)
def test_what_cannot_be_is_said_where_it_stands(parts: Any, place: str) -> None:
    (found,) = [d for d in check_text(json.dumps(document(**parts))).diagnostics if d.is_error]
    assert found.code == "SPC619"
    assert found.span is not None

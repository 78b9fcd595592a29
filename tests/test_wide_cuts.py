"""Cuts that several tensors cross: the step is that of a plain loop that detaches all of them, in every way of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime import Session
from runtime.engine.predictor import Predictor
from runtime.memory.trace import trace
from specc.checking import check_text
from specc.compiler.verify import verify
from specc.layout.ranks import every_rank
from specc.layout.witness import witness
from specc.memory.prediction import as_traced, first_difference
from specc.plan import Backward, Entry, Forward, Given, Plan
from specc.plan.sound import faults

from .conftest import SEED
from .documents import Document
from .ranks import in_ranks
from .test_ranks_exact import batches, steps_of
from .wide_nets import BRANCHES, INCEPTION, NETS, UNET, Net, State, document, plan_of, windows


def plain(net: Net, plan: Plan, start: State, images: Tensor, labels: Tensor) -> tuple[dict[str, Tensor], State]:
    """Losses by unit, and gradients: every unit's blocks from what was alive before them, all of it detached."""
    p = {name: x.detach().clone().requires_grad_() for name, x in start.items() if x.is_floating_point()}
    alive: list[State] = [{"main": images}]
    for stage in net.stages:
        alive.append({name: x.detach() for name, x in stage(p, alive[-1]).items()})
    losses = {}
    for unit in plan.units:
        state = alive[unit.start]
        for stage in net.stages[unit.start : unit.end + 1]:
            state = stage(p, state)
        out = state["main"]
        for head in unit.heads:
            if head.networks:
                own = [p[f"{unit.name}.classifier.fc0.{name}"] for name in ("weight", "bias")]
                out = F.linear(out.mean((2, 3)) if out.dim() == 4 else out, *own)
            losses[unit.name] = F.cross_entropy(out, labels)
            (losses[unit.name] * head.weight).backward()
    return losses, {name: x.grad for name, x in p.items() if x.grad is not None}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(
    ("sizes", "train"),
    [((1,), {}), ((2,), {}), ((1, 2), {"recompute": True}), ((1, 3), {"micro_batches": 2})],
    ids=["one", "two", "one and two, again", "one and three, in slices"],
)
def test_a_step_is_that_of_a_plain_loop_that_detaches_all_that_crosses(
    name: str, sizes: tuple[int, ...], train: Document
) -> None:
    net = NETS[name]
    sizes = (1, 2) if name == "inception" and sizes == (2,) else sizes  # its first branch is read two blocks later
    plan = plan_of(net, levels=windows(*sizes), train=train)
    assert verify(plan) == []
    session = Session(plan, dtype=torch.float64)
    torch.manual_seed(SEED)
    images, labels = torch.rand(6, 3, 8, 8, dtype=torch.float64), torch.arange(6) % 5
    start = {name: x.clone() for name, x in session.model.tensors().items()}
    said = session.train_step(images, labels, update=False)
    losses, gradients = plain(net, plan, start, images, labels)
    for unit, loss in losses.items():
        assert torch.allclose(said.losses[unit]["classification"], loss.detach(), rtol=1e-10, atol=1e-12), unit
    found = {name: x.grad for name, x in session.named_parameters() if x.grad is not None}
    assert found.keys() == gradients.keys()
    for key, gradient in found.items():
        assert torch.allclose(gradient, gradients[key], rtol=1e-10, atol=1e-12), key


WAYS: dict[str, Document] = {
    "plain": {},
    "again": {"recompute": True},
    "low and turned": {"precision": "bf16", "memory_format": "channels_last"},
    "slices": {"recompute": True, "micro_batches": 2},
}


@pytest.mark.parametrize("name", ["unet", "dense", "branches"])
@pytest.mark.parametrize("way", WAYS)
def test_the_prediction_is_the_trace_to_the_byte(name: str, way: str) -> None:
    for sizes in ((1,), (2,), (1, 3)):
        plan = plan_of(NETS[name], levels=windows(*sizes), train=WAYS[way])
        found = first_difference(as_traced(plan), trace(plan).timeline, tolerance=0)
        assert found is None, (sizes, plan.instructions[found.instruction])


@pytest.mark.parametrize("name", NETS)
def test_evaluations_and_exports_pass_on_what_crosses(name: str) -> None:
    plan, images = plan_of(NETS[name]), torch.rand(3, 3, 8, 8)
    whole = plan_of(NETS[name], split={"blocks": 1})
    session, other = Session(plan), Session(whole)
    assert torch.equal(session.predict(images), other.predict(images))  # a seed starts both alike
    assert torch.equal(Predictor(session.model)(images), other.predict(images))
    told = [answer.output for answer in session.answers(images, torch.zeros(3, dtype=torch.int64))]
    for unit, output in zip(plan.units[:-1], told, strict=False):
        assert torch.equal(Predictor(session.model, unit)(images), output)


@pytest.mark.parametrize("name", NETS)
def test_what_crosses_moves_between_stages(name: str) -> None:
    plan = plan_of(NETS[name], levels=windows(1, 2), train={"micro_batches": 2})
    for stages in ((0, 1), (0, 2), tuple(range(len(plan.blocks)))):
        assert witness(plan, every_rank(plan, stages)) == []


def on_a_rank(rank: int, plans: Sequence[Plan]) -> Mapping[str, Any]:
    from runtime.engine.wire import Wire

    session = Session(plans[rank], dtype=torch.float64, wire=Wire(plans[rank]))
    found = steps_of(session, [6, 6])
    images, labels = batches(plans[rank], [6])[0]
    first = plans[rank].layout is not None and plans[rank].layout.stage == 0
    told = session.answers(images if first else None, labels if first else None, samples=6)
    return found | {"told": [answer.output for answer in told]}


def test_steps_and_answers_of_three_ranks_are_those_of_one() -> None:
    plan = plan_of(UNET, levels=windows(1, 3))
    alone = Session(plan, dtype=torch.float64)
    wanted = steps_of(alone, [6, 6])
    images, labels = batches(plan, [6])[0]
    told = [answer.output for answer in alone.answers(images, labels)]
    ranks = every_rank(plan, (0, 1, 3))
    found = in_ranks(on_a_rank, len(ranks), ranks)
    for rank in found:  # what several stages add to a gradient they add up in another order
        for kind in ("tensors", "said"):
            assert all(torch.allclose(x, wanted[kind][name], rtol=1e-12) for name, x in rank[kind].items()), kind
    alike = zip((x for rank in found for x in rank["told"]), told, strict=True)
    assert all(torch.allclose(x, y, rtol=1e-12) for x, y in alike)


def test_a_plan_of_wide_cuts_is_read_as_it_was_written_and_a_narrow_one_says_nothing_of_them() -> None:
    plan = plan_of(UNET, levels=windows(1, 2))
    assert Plan.from_json(plan.to_json()) == plan
    assert '"gives"' in plan.to_json()
    narrow = plan_of(UNET, split={"blocks": 1}).to_json()
    assert not any(f'"{key}"' in narrow for key in ("gives", "skips", "roots", "outlets"))


def test_a_value_lives_until_its_last_reader_and_no_block_between_holds_it() -> None:
    plan = plan_of(UNET)
    forwards = {i.block: i for i in plan.instructions if isinstance(i, Forward)}
    assert forwards[0].gives == (Given("x1.d1.relu"),)
    assert (forwards[1].skips, forwards[3].skips) == ((), (Entry("x1.d1.relu"),))
    assert forwards[2].skips == (Entry("x1"),)  # the features of a block before are a skip later


@pytest.mark.parametrize("field", ["skips", "gives", "roots", "outlets"])
def test_what_is_done_to_what_crosses_is_noticed(field: str) -> None:
    plan = plan_of(UNET, levels=windows(1, 4))
    kind = Forward if field in ("skips", "gives") else Backward
    at, wrong = next((i, each) for i, each in enumerate(plan.instructions)
                     if isinstance(each, kind) and getattr(each, field))  # fmt: skip
    damaged = (*plan.instructions[:at], replace(wrong, **{field: ()}), *plan.instructions[at + 1 :])
    assert verify(replace(plan, instructions=damaged))
    assert field in ("roots", "outlets") or list(faults(replace(plan, instructions=damaged)))


def test_a_block_that_gives_less_than_is_read_is_no_plan() -> None:
    plan = plan_of(UNET)
    network = plan.networks["block0"]
    less = replace(plan, networks={**plan.networks, "block0": replace(network, graph=replace(network.graph, gives=()))})
    assert any("which no block before gives" in wrong for wrong in verify(less))
    assert any("reads what no block before it gives" in wrong for wrong in faults(less))


def test_parameters_whose_result_only_crosses_have_no_loss_which_is_said() -> None:
    text = json.dumps(document(INCEPTION, split={"after": ["three1"]}))
    (found,) = check_text(text).diagnostics
    assert (found.code, found.message) == (
        "SPC433", "no loss trains `one`: the features that heads read after `three1` are not made of it"
    )  # fmt: skip
    assert found.help == ("cut after `one` too, or let a window reach to where that is read",)
    assert check_text(json.dumps(document(INCEPTION, split={"after": ["three1"]}, levels=windows(2)))).diagnostics == ()


def test_so_many_blocks_are_cut_where_one_tensor_crosses_as_long_as_there_are_such_places() -> None:
    backbone = {"family": "unet", "width": 4, "depth": 2}
    cuts = [plan_of(UNET, backbone=backbone, task="segmentation", split={"blocks": count}) for count in (5, 7)]
    assert [any(plan.networks[block.name].graph.gives for block in plan.blocks) for plan in cuts] == [False, True]
    assert all(plan.networks[block.name].parameters for plan in cuts for block in plan.blocks)


def test_copies_that_keep_a_part_each_are_refused_with_wide_cuts() -> None:
    devices = {"data_parallel": 2, "shard": True}
    (found,) = check_text(json.dumps(document(UNET, devices=devices))).diagnostics
    assert (found.code, "gives more than its features" in found.message) == ("SPC690", True)


@pytest.mark.parametrize(
    ("net", "cut"),
    [(UNET, "d2"), (replace(BRANCHES, after=["t", "ar"]), "ar")],
    ids=["features and a skip", "features of an earlier block"],
)
def test_recomputation_is_not_chosen_across_wide_cuts_which_is_said(net: Net, cut: str) -> None:
    asked = document(net, train={"recompute": {"fit": {}}}, budget={"memory": "1 GiB"})
    (found,) = check_text(json.dumps(asked)).diagnostics
    assert (found.code, f"cross the cut after `{cut}`" in found.message) == ("SPC509", True)

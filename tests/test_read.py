"""`split.read`: which of the tensors that cross a cut heads read there."""

from __future__ import annotations

import json
from dataclasses import replace

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
from specc.plan import Head, Plan
from specc.plan.sound import faults

from .conftest import SEED
from .documents import Document
from .wide_nets import UNET, State, c, document, plan_of, unet_bottom, unet_down, unet_end, unet_up

CUT: Document = {"split": {"after": ["d1", "b"], "read": {"b": "d2"}}}


def test_heads_read_what_is_named_and_the_rest_of_the_block_has_no_loss_which_is_said() -> None:
    (found,) = check_text(json.dumps(document(UNET, **CUT))).diagnostics
    assert (found.code, "trains `bottom`" in found.message) == ("SPC433", True)


WINDOWS = {"levels": [{"name": "one", "window": 1}, {"name": "all", "window": 3}]}


@pytest.mark.parametrize("train", [{}, {"recompute": True}, {"micro_batches": 2}], ids=["plain", "again", "slices"])
def test_a_step_is_that_of_a_plain_loop(train: Document) -> None:
    """The head after `b` reads `d2`, and trains what that is made of; the window of all blocks trains everything."""
    plan = plan_of(UNET, **CUT, **WINDOWS, train=train)
    assert verify(plan) == []
    assert list(faults(plan)) == []
    session = Session(plan, dtype=torch.float64)
    torch.manual_seed(SEED)
    images, labels = torch.rand(6, 3, 8, 8, dtype=torch.float64), torch.arange(6) % 5
    p = {name: x.detach().clone().requires_grad_() for name, x in session.model.tensors().items()}
    losses = session.train_step(images, labels, update=False).losses
    one = unet_down(p, {"main": images})["one"]
    wanted = {
        "unit0.one": F.cross_entropy(said(p, "unit0.one", one), labels),
        "unit1.one": F.cross_entropy(said(p, "unit1.one", down2(p, one.detach())), labels),
    }
    two = down2(p, one)
    whole = {"main": two, "one": one}
    for stage in (unet_bottom, unet_up, unet_end):
        whole = stage(p, whole)
    detached = unet_bottom(p, {"main": down2(p, one.detach()), "one": one})
    detached = {name: x.detach() for name, x in detached.items()}
    wanted |= {"unit2.all": F.cross_entropy(whole["main"], labels)}
    wanted |= {"unit2.one": F.cross_entropy(unet_end(p, unet_up(p, detached))["main"], labels)}
    for name, loss in wanted.items():
        assert torch.allclose(losses[name]["classification"], loss.detach(), rtol=1e-10), name
        loss.backward(retain_graph=True)
    found = {name: x.grad for name, x in session.named_parameters() if x.grad is not None}
    assert found.keys() == {name for name, x in p.items() if x.grad is not None}
    for name, gradient in found.items():
        assert torch.allclose(gradient, p[name].grad, rtol=1e-10, atol=1e-12), name


def said(p: State, unit: str, x: Tensor) -> Tensor:
    return F.linear(x.mean((2, 3)), *(p[f"{unit}.classifier.fc0.{name}"] for name in ("weight", "bias")))


def down2(p: State, one: Tensor) -> Tensor:
    return c(p, "down2", F.max_pool2d(one, 2)).relu()


@pytest.mark.parametrize("train", [{}, {"recompute": True}, {"micro_batches": 2, "precision": "bf16"}],
                         ids=["plain", "again", "low, in slices"])  # fmt: skip
def test_the_prediction_is_the_trace_to_the_byte(train: Document) -> None:
    plan = plan_of(UNET, **CUT, **WINDOWS, train=train)
    assert first_difference(as_traced(plan), trace(plan).timeline, tolerance=0) is None


def test_evaluations_and_exports_of_a_unit_read_the_same() -> None:
    plan, images = plan_of(UNET, **CUT, **WINDOWS), torch.rand(3, 3, 8, 8)
    session = Session(plan)
    told = {a.unit.name: a.output for a in session.answers(images, torch.zeros(3, dtype=torch.int64)) if a.unit}
    for unit in plan.units[:-1]:
        if unit.telling:
            assert torch.equal(Predictor(session.model, unit)(images), told[unit.name])
    assert plan.by_unit["unit1.one"].feature == (6, 4, 4)


def test_it_is_told_to_ranks_and_written_into_plans() -> None:
    plan = plan_of(UNET, **CUT, **WINDOWS)
    assert Plan.from_json(plan.to_json()) == plan
    assert witness(plan, every_rank(plan, (0, 1, 2))) == []
    assert '"read":""' not in plan.to_json().replace(" ", "")


def test_a_head_that_reads_another_tensor_is_noticed() -> None:
    plan = plan_of(UNET, **CUT, **WINDOWS)
    at, head = next((i, each) for i, each in enumerate(plan.instructions)
                    if isinstance(each, Head) and each.unit == "unit1.one")  # fmt: skip
    wrong = (*plan.instructions[:at], replace(head, source="x2"), *plan.instructions[at + 1 :])
    assert verify(replace(plan, instructions=wrong))


@pytest.mark.parametrize(
    ("split", "code", "message"),
    [
        ({"after": ["b"], "read": {"d2": "d1"}}, "SPC438", "after `d2`, where nothing is cut"),
        ({"after": ["b"], "read": {"b": "down1"}}, "SPC438", "heads cannot read `down1` after `b`"),
        ({"after": ["d2", "b"], "read": {"b": "d1"}}, "SPC438", "heads cannot read `d1` after `b`"),
        ({"after": ["b"], "read": {"b": "dd"}}, "SPC201", "no layer is called `dd`"),
        ({"blocks": 2, "read": {"b": "d1"}}, "SPC107", "`read` speaks of the cuts in `after`"),
    ],
)
def test_what_heads_cannot_read_is_refused_at_its_place(split: Document, code: str, message: str) -> None:
    found = check_text(json.dumps(document(UNET, split=split))).diagnostics[0]
    assert (found.code, message in found.message) == (code, True), found
    assert found.span is not None

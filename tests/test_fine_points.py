"""Single factors, orders and defaults that are easily got wrong without anything else noticing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

import specc
from runtime import Session
from specc.compiler.dependencies import by_slices, hazards
from specc.compiler.verify import verify
from specc.pipeline import run_passes
from specc.plan import Instruction, Plan
from specc.plan.flops import step_flops
from specc.spec.dump import dump, plain
from specc.spec.load import loads

from .documents import HPFF, MAN, PATCHES, Document, compiled, document, spec_of

SCALED: Document = {"ema_links": [{"from": "next", "momentum": 0.9, "bias": "scaled"}]}


def double(plan: Plan) -> Session:
    return Session(plan, "cpu", dtype=torch.float64)


# ---------------------------------------------------------------------------------------------- EMA links


def scaled_parts(value: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What a scaled link gives, its two branches alone, and the number that weighs them."""
    session = double(compiled(**SCALED))
    link = session.plan.units[0].links[0]
    assert link.scale is not None
    assert link.bias is not None
    scale = session.model.scales[link.scale]
    scale.detach().fill_(value)
    x = torch.rand(3, *session.plan.blocks[0].output, dtype=torch.float64)
    branch, average = session.model.networks[link.bias](x), session.model.networks[link.ema](x)
    return session.executor.machine.scaled(link, branch, average), branch, average, scale


@pytest.mark.parametrize("s", [0.0, 0.5, 1.0, 2.0])
def test_the_two_branches_of_a_scaled_link_weigh_two_together(s: float) -> None:
    found, branch, average, _ = scaled_parts(s)
    torch.testing.assert_close(found, s * branch + (2 - s) * average)


def test_the_scale_is_trained_by_what_tells_the_branches_apart() -> None:
    found, branch, average, scale = scaled_parts(0.5)
    cotangent = torch.rand_like(found)
    (gradient,) = torch.autograd.grad(found, [scale], cotangent)
    torch.testing.assert_close(gradient, (cotangent * (branch - average)).sum())


@pytest.mark.parametrize("parts", [MAN, MAN | HPFF, SCALED], ids=["MAN", "MAN + HPFF", "MAN++"])
def test_no_order_of_the_tasks_averages_after_the_source_was_stepped(parts: Document) -> None:
    """Not only the schedule that was chosen: the hazards themselves forbid it."""
    import networkx as nx

    draft = run_passes(spec_of(document(**parts)))
    program = by_slices(draft)
    position, before = {str(one): n for n, one in enumerate(program)}, hazards(program)
    links = [(unit, link) for unit in draft.units for link in unit.links]
    assert links
    for unit, link in links:
        assert nx.has_path(before, position[f"ema_update {unit.name}"], position[f"step {link.source_block}"])


def test_the_verifier_sees_an_average_of_a_source_that_was_stepped() -> None:
    plan = compiled(**MAN)
    unit = plan.units[0]
    update, step = one(plan, f"ema_update {unit.name}"), one(plan, f"step {unit.links[0].source_block}")
    late = [i for i in plan.instructions if i != update]
    late.insert(late.index(step) + 1, update)
    assert not verify(plan)
    assert any("after their step" in text and "ema_update" in text for text in verify(with_instructions(plan, late)))


def one(plan: Plan, text: str) -> Instruction:
    return next(i for i in plan.instructions if str(i) == text)


def with_instructions(plan: Plan, instructions: list[Instruction]) -> Plan:
    return replace(plan, instructions=tuple(instructions))


# ---------------------------------------------------------------------------------------------- patches


@pytest.mark.parametrize(("fuse", "more"), [("outputs", 1), ("losses", 0)])
def test_a_mean_of_outputs_one_after_the_other_takes_one_more_forward(fuse: str, more: int) -> None:
    plans = [
        compiled(
            split={"blocks": 2},
            auxiliary={"classifier": {"layers": "1c1f", "patches": {**PATCHES, "fuse": fuse, "execution": execution}}},
        )
        for execution in ("joint", "sequential")
    ]
    joint, sequential = map(step_flops, plans)
    (head,) = plans[0].units[0].heads
    forward = sum(plans[0].networks[name].graph.flops for name in head.networks)
    assert sequential - joint == more * forward


# ---------------------------------------------------------------------------------------------- first values


def test_matrices_start_within_one_over_the_root_of_their_inputs() -> None:
    plan = compiled(backbone={"family": "resnet_cifar", "depth": 8, "widths": [4, 4, 8, 256]}, split={"blocks": 1})
    weight = dict(double(plan).named_parameters())["head.fc.weight"].detach()
    assert weight.shape == (4, 256)
    assert 0.9 / 16 < float(weight.abs().max()) <= 1 / 16


@pytest.mark.parametrize(("before", "after"), [(4, 64), (64, 4)])
def test_convolutions_start_with_the_variance_of_their_outputs(before: int, after: int) -> None:
    widths = [before, before, before, after]
    plan = compiled(backbone={"family": "resnet_cifar", "depth": 8, "widths": widths}, split={"blocks": 1})
    weight = dict(double(plan).named_parameters())["stage3.0.conv1.weight"].detach()
    assert weight.shape[:2] == (after, before)
    assert float(weight.std()) == pytest.approx((2 / (9 * after)) ** 0.5, rel=0.1)


# ---------------------------------------------------------------------------------------------- what is written out


def overridden(own: dict[str, Any]) -> Document:
    level = {"name": "independent", "auxiliary": {"classifier": {"hidden": 6}}, "units": [{"unit": 1, **own}]}
    return document(auxiliary={"classifier": {"layers": "1c2f"}, "reconstruction": {"channels": 3}}, levels=[level])


OVERRIDES: dict[str, Document] = {
    "one number": {"auxiliary": {"classifier": {"weight": 0.5}}},
    "a number inside": {"auxiliary": {"reconstruction": {"patches": {"grid": [1, 2]}}}},
    "a head removed": {"auxiliary": {"reconstruction": None}},
    "a default said aloud": {"auxiliary": {"classifier": {"hidden": 128}}},
}


@pytest.mark.parametrize("own", OVERRIDES.values(), ids=OVERRIDES)
def test_the_override_of_a_unit_is_written_out_as_it_was_given(own: Document) -> None:
    """A default written out would override what the level says."""
    spec = spec_of(overridden(own))
    (unit,) = plain(spec.config)["levels"][0]["units"]
    assert unit["auxiliary"] == own["auxiliary"]
    again = specc.compile(loads(dump(spec.config)))
    assert json.loads(again.to_json()) == json.loads(specc.compile(spec).to_json())

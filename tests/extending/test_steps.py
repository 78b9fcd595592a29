"""Steps with what a package adds: every instruction's memory to the byte, and what its own instruction does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .processes import TOYS, told

SPEC = Path(__file__).parent / "toys.yaml"
CODE = """
import json, sys
import torch
import specc
from runtime import Session
from runtime.memory.trace import trace
from specc.memory.prediction import as_traced
from specc.fit.search import search
from specc.pipeline import run_passes
from specc.plan import Plan

def compiled(*overrides):
    return specc.compile(sys.argv[1], ["data.batch_size=64", *overrides])

def parameters(*overrides):
    torch.manual_seed(0)
    plain = "train.optimizer={name: sgd, momentum: 0.0, nesterov: false, weight_decay: 0.0}"
    session = Session(compiled(plain, *overrides), dtype=torch.float64)
    before = {name: p.detach().clone() for name, p in session.named_parameters()}
    session.train_step(torch.arange(16.0 * 64).view(16, 1, 8, 8).sin().double(), torch.arange(16) % 4)
    return {name: (p - before[name]).abs().sum().item() for name, p in session.named_parameters()}

found = {}
for name, overrides in {"whole": [], "slices": ["train.micro_batches=2", "schedule.order=blocks"]}.items():
    plan = compiled(*overrides)
    assert Plan.from_json(plan.to_json()) == plan
    found[name] = [[m.bytes, peak, str(i)] for m, peak, i in
                   zip(as_traced(plan).timeline, trace(plan).timeline, plan.instructions, strict=True)]
def searched(*overrides):
    wide = ["backbone.width=64", "data.batch_size=4", "split.blocks=3", *overrides]
    return search(run_passes(specc.load(sys.argv[1], wide)), 1).exact

found["exact"] = [searched(), searched("levels=[{name: a, window: 1}, {name: b, window: 2}]")]
soft, hard = parameters("train.instructions.0.by=4.0"), parameters("train.instructions=[]")
found["softer"] = {name: [soft[name], hard[name]] for name in hard}
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    return json.loads(told([TOYS], CODE, SPEC))


@pytest.mark.parametrize("way", ["whole", "slices"])
def test_every_instruction_takes_what_was_predicted(found: dict[str, list[list[object]]], way: str) -> None:
    predicted, traced, names = zip(*found[way], strict=True)
    assert list(zip(names, predicted, strict=True)) == list(zip(names, traced, strict=True))
    assert sum(str(name).startswith("soften grad") for name in names) == (2 if way == "whole" else 4)


def test_a_search_knows_what_steps_without_a_fused_kernel_take(found: dict[str, list[bool]]) -> None:
    assert all(found["exact"])


def test_the_instruction_of_a_package_changes_what_it_says(found: dict[str, dict[str, list[float]]]) -> None:
    """The backbone's gradients are a quarter, those of the heads what they were."""
    ratios = {name: soft / hard for name, (soft, hard) in found["softer"].items() if hard > 1e-12}
    heads = {name for name in ratios if name.startswith("unit")}
    assert heads
    assert heads != set(ratios)
    assert ratios == pytest.approx({name: 1.0 if name in heads else 0.25 for name in ratios})

"""What local learning is compared with: end-to-end training of the same backbone."""

from __future__ import annotations

from pathlib import Path

import pytest

import specc
from specc.compiler.variants import end_to_end
from specc.plan import Plan

from .documents import HPFF, MAN, compiled

SPECS = Path(__file__).parents[1] / "specs"


@pytest.mark.parametrize("name", ["hpff_fashion_mnist", "ff_fashion_mnist", "manpp_fashion_mnist"])
def test_it_is_what_the_recipe_of_end_to_end_training_plans(name: str) -> None:
    found = end_to_end(specc.compile(SPECS / f"{name}.yaml"))
    recipe = specc.compile(SPECS / "e2e_fashion_mnist.yaml")
    assert found is not None
    assert found.instructions == recipe.instructions
    assert (found.networks, found.memory) == (recipe.networks, recipe.memory)


def test_it_needs_nothing_but_the_plan_and_keeps_how_it_is_trained() -> None:
    plan = compiled(**MAN, **HPFF, train={"micro_batches": 2, "precision": "bf16"})
    found = end_to_end(Plan.from_json(plan.to_json()))
    assert found is not None
    assert ([unit.name for unit in found.units], len(found.blocks)) == (["unit0.independent"], 1)
    assert (found.config.train.micro_batches, found.config.train.precision) == (2, "bf16")
    assert found.data == plan.data
    assert end_to_end(found) is None

"""What is advised where a peak is over the budget: in which order, and in which batches."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from specc.compiler.draft import Draft
from specc.compiler.variants import predicted_peak
from specc.fit.remedies import remedies
from specc.pipeline import PREDICTING, run_passes
from specc.spec.load import loads

SPEC: dict[str, Any] = {
    "specc": 1,
    "name": "over",
    "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 61},
    "backbone": {"family": "resnet_cifar", "depth": 14, "widths": [8, 8, 16, 32]},
    "split": {"blocks": 2},
    "auxiliary": {"classifier": {"hidden": 16}, "reconstruction": {"patches": {"weights": "shared"}}},
}


@cache
def over() -> tuple[Draft, int]:
    draft = run_passes(loads(json.dumps(SPEC)), PREDICTING)
    assert draft.memory is not None
    return draft, draft.memory.peak_bytes


def test_what_costs_least_is_advised_first() -> None:
    draft, peak = over()
    kinds = [remedy.change.partition(":")[0] for remedy in remedies(draft, peak - 1)]
    order = [
        "patches.execution",
        "split",
        "train.recompute",
        "train.micro_batches",
        "train.precision",
        "data.batch_size",
        "train.offload",
    ]
    assert kinds == [kind for kind in order if kind in kinds]
    assert set(kinds) >= {"split", "train.recompute", "train.precision", "data.batch_size"}


@pytest.mark.parametrize("share", [0.9, 0.75, 0.6, 0.45, 0.3])
def test_a_smaller_batch_is_a_multiple_of_8_that_fits(share: float) -> None:
    draft, peak = over()
    (found,) = [r for r in remedies(draft, int(peak * share)) if r.change.startswith("data.batch_size")]
    size = int(found.change.partition(": ")[2])
    assert size % 8 == 0
    assert found.peak <= peak * share


def test_a_batch_of_less_than_8_is_better_than_none() -> None:
    draft, _ = over()
    small = draft.spec.config.model_copy(update={"data": draft.spec.config.data.model_copy(update={"batch_size": 5})})
    budget = predicted_peak(draft, small)
    assert budget is not None
    (found,) = [r for r in remedies(draft, budget) if r.change.startswith("data.batch_size")]
    assert 1 < int(found.change.partition(": ")[2]) <= 5

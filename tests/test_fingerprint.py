"""A plan's fingerprint is that of its numbers: who may resume a run, and which runs are alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from specc.memory.prediction import predicted_for

from .documents import MAN, Document, compiled, document


def data(**changes: Any) -> Document:
    return {"data": document()["data"] | changes}


@pytest.mark.parametrize(
    "parts",
    [
        {"budget": {"memory": "1 GiB"}},
        {"budget": {"memory": "1 MiB", "on_exceed": "warn"}},
        data(workers=3),
        data(root="/elsewhere"),
        data(download=True),
        {"train": {"compile": True, "graphs": True}},
        {"train": {"checkpoint": {"every": "3 steps", "keep_last": 5, "keep_best": {}}}},
    ],
    ids=["budget", "a budget that only warns", "workers", "root", "download", "how fast", "checkpoints"],
)
def test_what_decides_no_number_leaves_the_fingerprint_alone(parts: Document) -> None:
    assert compiled(**parts).fingerprint == compiled().fingerprint


def test_a_better_prediction_leaves_the_fingerprint_alone() -> None:
    """Or nobody could resume a run after an update of the memory model."""
    plan = compiled()
    better = replace(plan, memory=replace(plan.memory, peak_bytes=plan.memory.peak_bytes + 1))
    assert better != plan
    assert better.fingerprint == plan.fingerprint


def test_a_run_may_change_its_device() -> None:
    plans = [predicted_for(compiled(**MAN), device) for device in ("cpu", "cuda")]
    assert plans[0].memory != plans[1].memory
    assert plans[0].fingerprint == plans[1].fingerprint


def test_what_is_executed_is_in_the_fingerprint() -> None:
    plan = compiled()
    other = replace(plan, instructions=plan.instructions[:-1])
    assert other.fingerprint != plan.fingerprint

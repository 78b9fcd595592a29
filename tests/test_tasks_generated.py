"""Generated specs of another task than one class an image: predicted, traced, run, byte for byte."""

from __future__ import annotations

from typing import Any

import torch

from runtime import Session
from runtime.memory.measure import random_batch
from runtime.memory.trace import watch
from specc.testing.strategies import Document, specs

from .test_memory_generated import EXAMPLES, NEAR, compare, documents, plan_of, trained


def with_labels(value: Any) -> Any:
    """The document with any number of labels an image: heads that compare classes go, others take the task's loss."""
    if isinstance(value, list):
        return [with_labels(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {key: with_labels(item) for key, item in value.items()}
    if "auxiliary" in found:
        kept = {key: head for key, head in found["auxiliary"].items() if key not in ("similarity", "goodness")}
        if kept.get("classifier"):
            kept["classifier"] = {key: item for key, item in kept["classifier"].items() if key != "loss"}
        found["auxiliary"] = kept if any(kept.values()) else {"classifier": {"layers": "0c1f"}}
    return found


def of_labels(document: Document) -> Document:
    changed: Document = with_labels(document)
    return changed | {"task": "multi_label"}


def test_generated_specs_with_any_number_of_labels_take_what_is_predicted() -> None:
    drawn = documents(specs().flatmap(trained).map(of_labels), EXAMPLES // 10)
    assert len(drawn) == EXAMPLES // 10
    for document in drawn:
        plan = plan_of(document)
        assert {head.loss for unit in plan.units for head in unit.heads} <= {"bce_with_logits", "bce", "mse"}
        found = compare(plan)
        assert abs(found.error) <= NEAR, found
        if plan.config.train.memory_format == "contiguous":
            assert found.traced == watch(Session(plan), *random_batch(plan, torch.device("cpu"))), document

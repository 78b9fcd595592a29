"""The state of an optimizer is priced to the byte."""

from __future__ import annotations

import pytest
import torch

from runtime import Session
from specc.memory.prediction import resident

from .documents import HPFF, MAN, Document, compiled
from .test_runtime import batches

OPTIMIZERS: dict[str, Document] = {
    "momentum": {"name": "sgd"},
    "no momentum": {"name": "sgd", "momentum": 0.0, "nesterov": False},
    "AdamW with its counters": {"name": "adamw"},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_the_state_of_an_optimizer_is_what_was_predicted(optimizer: Document) -> None:
    plan = compiled(**MAN | HPFF, train={"optimizer": optimizer})
    session = Session(plan)
    session.train_step(*next(batches(plan, dtype=torch.float32)))
    states = [state for each in session.optimizers.values() for state in each.state.values()]
    tensors = [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]
    found = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    assert found == sum(resident(plan.config, n).get("optimizer state", 0) for n in plan.networks.values())

"""Pass 6: predict the memory of one step."""

from __future__ import annotations

from ..memory.prediction import Prediction, StepPlan
from .draft import Draft


def measure(draft: Draft) -> Draft:
    """Predict the timeline of one step."""
    return draft.updated(memory=Prediction(step_of(draft)).run())


def step_of(draft: Draft) -> StepPlan:
    """The step of a scheduled draft."""
    return StepPlan(draft.spec.config, draft.info, draft.networks, draft.units, draft.instructions, draft.spec.device)

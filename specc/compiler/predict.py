"""Pass 6: predict the memory of one step."""

from __future__ import annotations

from ..memory.simulation import Simulation, Step
from .draft import Draft


def measure(draft: Draft) -> Draft:
    """Predict the timeline of one step."""
    return draft.updated(memory=Simulation(step_of(draft)).run())


def step_of(draft: Draft) -> Step:
    """The step of a scheduled draft."""
    return Step(draft.spec.config, draft.info, draft.networks, draft.units, draft.instructions, draft.spec.device)

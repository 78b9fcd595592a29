"""The same backbone on the same images under another configuration: what remedies and searches try."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..plan.flops import step_flops
from ..spec.models import SpecModel
from .checks.slices import check_slices
from .draft import Draft
from .partition import partition
from .schedule import schedule
from .units import form_units

FROM_SPLIT: tuple[Callable[[Draft], Draft], ...] = (partition, form_units, check_slices, schedule)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What becomes of a configuration: its predicted peak, and FLOPs of a step, an image."""

    peak: int
    flops: int


def recompiled(draft: Draft, config: SpecModel) -> Draft | None:
    """The draft of another configuration; None where that has errors."""
    result = Draft(draft.spec.with_config(config), (), draft.data, draft.backbone)
    for step in FROM_SPLIT:
        result = step(result)
        if result.failed:
            return None
    return result


def predict(draft: Draft, config: SpecModel) -> Prediction | None:
    """What another configuration takes."""
    result = recompiled(draft, config)
    return None if result is None else Prediction(result.predicted.peak_bytes, step_flops(result.plan))


def predicted_peak(draft: Draft, config: SpecModel) -> int | None:
    """The peak of another configuration."""
    found = predict(draft, config)
    return None if found is None else found.peak

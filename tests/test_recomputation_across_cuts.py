"""The least recomputation where features are read on both sides of a cut, as in a U-Net: what fits is found."""

from __future__ import annotations

import specc
from specc.fit.labels import Search
from specc.fit.recomputation import Recomputation
from specc.pipeline import PREDICTING, run_passes

from .documents import Document, spec_of

DATA: Document = {"dataset": "synthetic", "image_size": 16, "channels": 1, "classes": 3, "samples": 8, "batch_size": 2}
UNET: Document = {
    "specc": 1, "name": "skips", "task": "segmentation", "data": DATA,
    "backbone": {"family": "unet", "width": 16, "depth": 3},
    "split": {"blocks": 2}, "auxiliary": {"classifier": {}}, "train": {"recompute": {"fit": {}}},
}  # fmt: skip


def test_a_budget_that_the_lowest_peak_fits_is_fitted() -> None:
    """What is added up there is too much, so that the search alone finds nothing below a higher budget."""
    draft = run_passes(spec_of(UNET | {"budget": {"memory": "1 GiB"}}), PREDICTING)
    least = Recomputation(draft, draft.spec.config)
    lowest = least.lowest
    assert Search(least.models[0], lowest.peak).chosen is None
    for budget in (lowest.peak, lowest.peak + 1):
        found = least.under(budget)
        assert found is not None
        assert found.peak <= budget
    assert least.under(lowest.peak - 1) is None
    plan = specc.compile(spec_of(UNET | {"budget": {"memory": lowest.peak}}))
    assert plan.memory.peak_bytes <= lowest.peak

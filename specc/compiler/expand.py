"""Pass 1: the data set's facts and the backbone's graph with all shapes."""

from __future__ import annotations

from ..backbone.ops import ShapeError
from ..datasets import INFO, DatasetInfo
from ..diagnostics import Diagnostic
from .draft import Draft


def expand(draft: Draft) -> Draft:
    """Expand `backbone:` into a graph for the data set's images."""
    spec = draft.spec
    try:
        data = resolve_data(draft)
    except ValueError as error:
        return draft.having(spec.error("SPC601", str(error), "data", label="does not fit the data set"))
    assert data.shape is not None
    assert data.classes is not None
    try:
        backbone = spec.config.backbone.expand(data.shape, data.classes)
    except ShapeError as error:
        found: Diagnostic = spec.error(
            "SPC301", f"the backbone does not fit images of {data.shape[1]}×{data.shape[2]} pixels: {error}",
            "backbone", label="a feature map vanishes here",
        )  # fmt: skip
        return draft.having(found)
    return draft.having(data=data, backbone=backbone)


def resolve_data(draft: Draft) -> DatasetInfo:
    """The data set's facts under the spec's options; `ValueError` says which option is missing or contradicts it."""
    data = draft.spec.config.data
    return INFO[data.dataset].resolved(
        image_size=data.image_size, channels=data.channels, classes=data.classes, samples=data.samples,
        mean=data.mean, std=data.std,
    )  # fmt: skip

"""One class a pixel. Whatever a data set calls a pixel that counts for nothing, in a batch it is `IGNORED`."""

from __future__ import annotations

from .datasets import MOST_MAPPED
from .task import Task, Values

IGNORED = MOST_MAPPED

SEGMENTATION = Task(
    name="segmentation",
    learns="one class a pixel",
    kind="map",
    target=Values(("height", "width"), "int64", below="classes"),
    output=Values(("classes", "height", "width")),
    loss="pixel_cross_entropy",
    term="segmentation",
    metrics=("mean_iou", "pixel_accuracy"),
    running="pixel_accuracy",
)

"""Any number of labels an image: what is there is 1, what is not is 0."""

from __future__ import annotations

from .task import Task, Values

MULTI_LABEL = Task(
    name="multi_label",
    learns="any number of labels an image",
    kind="multi_label",
    target=Values(("classes",), "float32", below=2),
    output=Values(("classes",)),
    loss="bce_with_logits",
    term="classification",
    metrics=("mean_average_precision", "label_accuracy"),
    running="label_accuracy",
)

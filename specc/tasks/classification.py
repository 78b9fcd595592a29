"""One class an image."""

from __future__ import annotations

from .task import Task, Values

CLASSIFICATION = Task(
    name="classification",
    learns="one class an image",
    kind="class",
    target=Values((), "int64", below="classes"),
    output=Values(("classes",)),
    loss="cross_entropy",
    term="classification",
    metrics=("accuracy",),
    running="accuracy",
)

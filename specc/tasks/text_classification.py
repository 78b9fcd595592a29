"""One class a text, which is a sequence of whole numbers: its tokens, each below the size of a vocabulary."""

from __future__ import annotations

from .task import Task, Values

TEXT_CLASSIFICATION = Task(
    name="text_classification",
    learns="one class a text",
    kind="class",
    target=Values((), "int64", below="classes"),
    output=Values(("classes",)),
    loss="cross_entropy",
    term="classification",
    metrics=("accuracy",),
    running="accuracy",
    input=Values(("length",), "int64", below="vocabulary"),
    restores=None,
    sample="text",
)

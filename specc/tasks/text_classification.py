"""One class a text, which is a sequence of whole numbers: its tokens, each below the size of a vocabulary."""

from __future__ import annotations

from dataclasses import replace

from .classification import CLASSIFICATION
from .task import Values

TEXT_CLASSIFICATION = replace(
    CLASSIFICATION,
    name="text_classification",
    learns="one class a text",
    input=Values(("length",), "int64", below="vocabulary"),
    restores=None,
    sample="text",
)

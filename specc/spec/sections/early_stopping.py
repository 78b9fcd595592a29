"""`train.early_stopping`: when a training is over before its last epoch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...language.schema import Config, Count, NonNegative, Text


class EarlyStopping(Config):
    """Stop where the validation set has not become better for a while."""

    metric: Text = Field(
        "", description="of the evaluation: one of the task's, or `loss`; by default the task's first one"
    )
    patience: Count = Field(10, description="epochs without a better figure, after which the training is over")
    min_delta: NonNegative = Field(0.0, description="a figure is better only if it is so by more than this")

    aliases: ClassVar[dict[str, str]] = {
        "monitor": "metric", "by": "metric", "name": "metric", "epochs": "patience", "delta": "min_delta",
        "threshold": "min_delta",
    }  # fmt: skip

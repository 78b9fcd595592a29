"""`schedule`: in which order a step's work is done."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Config


class StepOrder(Config):
    """In which order a step's work is done."""

    order: Literal["auto", "slices", "blocks"] = Field(
        "auto",
        description="with `train.micro_batches`: `slices`, each slice of the batch through the whole network, so that "
        "the gradients of all blocks stay; `blocks`, all slices through one block, its heads and its backward before "
        "the next one's turn, so that the features at the cut stay for the whole batch; `auto`: the lower peak",
    )

    alternatives: ClassVar[tuple[str, ...]] = ("order",)

"""`train.clip`: how large gradients may be."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from pydantic import Field, model_validator

from ...language.schema import Config, Positive, problem
from .optimizer import Shape

SCALAR = 4


class Clip(Config):
    """The largest gradient that an optimizer step sees.

    There is no gradient of the whole network to clip. What is clipped together is what one optimizer steps: the
    parameters of a block, those of a head (of all its patches), those of a link's trained branch. All losses that reach
    them, and all slices of the batch, have added to the gradient by then.
    """

    norm: Positive | None = Field(None, description="the largest Euclidean norm: longer gradients are made as long")
    value: Positive | None = Field(
        None, description="the largest number, of either sign: larger ones are made as large"
    )

    aliases: ClassVar[dict[str, str]] = {"max_norm": "norm", "clip_norm": "norm", "clip_value": "value"}
    alternatives: ClassVar[tuple[str, ...]] = ("norm", "value")

    @model_validator(mode="after")
    def _one_way(self) -> Clip:
        if (self.norm is None) == (self.value is None):
            message = "`clip` has a `norm` or a `value`" + (", not both" * (self.norm is not None))
            help = "like `clip: {norm: 1.0}`; to clip nothing, leave `clip` out"
            raise problem("SPC616", message, key="norm" if self.norm else "", beside="value", help=help)
        return self

    def bytes(self, parameters: Collection[Shape]) -> int:
        """What clipping takes for a moment: the norms one by one and side by side, then the norm of those."""
        return 0 if self.norm is None else max(2 * len(parameters) + 1, 4) * SCALAR

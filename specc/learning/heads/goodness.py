"""Forward-Forward: a unit learns to be active for what is right and quiet for what is wrong.

Goodness is the mean of squared activations. What is wrong is either another class's channel of a pointwise convolution,
one forward for all of them (Krutsylo, Scalable Forward-Forward, 2501.03176), or the same image with a wrong label
written into its first pixels (Hinton, The Forward-Forward Algorithm, 2212.13345, section 3.3).
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import Conv, Flatten, GroupNorm, LayerNorm, Linear, is_grid, numel, show
from ...tasks.task import Task
from .base import Context, Head, builder
from .errors import HeadError


class Goodness(Head):
    """Positive against negative goodness at the unit's features; nothing is trained in the head for `images`."""

    negatives: Literal["classes", "images"] = Field(
        "classes",
        description="what the right class is compared with: the other classes' channels of a pointwise convolution, or "
        "the image with a wrong label in its first pixels (a step then runs every image three times: without a "
        "label, with the right one and with a wrong one)",
    )

    key: ClassVar[str] = "goodness"
    term: ClassVar[str] = "goodness"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        if self.negatives == "images":
            if context.text:
                raise HeadError("a label is written into the pixels of an image, and the tokens of a text are none")
            if numel(context.image[1:]) < context.classes:
                raise HeadError(f"{context.classes} classes cannot be written into {show(context.image[1:])} pixels")
            b.add(Flatten())
        elif is_grid(context.feature):
            b.chain((GroupNorm(1), Conv(context.classes, k=1, bias=True)))
        else:
            b.chain((LayerNorm(), Linear(context.classes)))
        return b.graph()

    def loss_name(self, task: Task) -> str:
        return "goodness_pairs" if self.negatives == "images" else "goodness"

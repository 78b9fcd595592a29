"""Image reconstruction from a unit's features (InfoPro, 2101.10832, section 3)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import BatchNorm, Conv, Relu, Resize, Sigmoid, show
from ...graph.ops.entry import OpEntry
from ...language.schema import Width
from ...tasks.task import Task
from .base import Context, Head, builder, chain
from .errors import TargetError


class Decoder(Head):
    """Resize the features to the image, then convolutions to its channels and a sigmoid.

    Tokens are laid out as the map that they come from first, without the class token; a vector is a map of one pixel.
    """

    layers: Literal["2c"] | list[OpEntry] = Field(
        "2c",
        description="`2c`: resize, 3×3 conv, batch norm, ReLU, 3×3 conv; or a list of ops before the sigmoid",
    )
    channels: Width = Field(12, description="width of the hidden convolution of `2c`")
    loss: Literal["bce", "mse"] = Field("bce", description="against the image in [0, 1]")

    key: ClassVar[str] = "decoder"
    term: ClassVar[str] = "reconstruction"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        if self.layers == "2c":
            if len(context.feature) != 3:
                b.add(context.layout)
            b.chain((Resize((context.image[1], context.image[2])), Conv(self.channels, bias=True), BatchNorm(), Relu()))
            b.add(Conv(context.image[0], bias=True))
        else:
            chain(b, self.layers)
            if b.shape != context.image:
                raise TargetError(f"its layers give {show(b.shape)}, the image to restore is {show(context.image)}")
        b.add(Sigmoid())
        return b.graph()

    def loss_name(self, task: Task) -> str:
        return self.loss

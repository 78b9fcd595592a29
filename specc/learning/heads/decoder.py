"""Image reconstruction from a unit's features (InfoPro, 2101.10832, section 3)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import BatchNorm, Conv, Relu, Resize, ShapeError, Sigmoid, is_grid, on_grid, show
from ...graph.ops.entry import OpEntry
from ...graph.ops.sliding import sized
from ...language.schema import Width
from ...tasks.task import Task
from .base import Context, Head, builder, chain
from .errors import TargetError


class Decoder(Head):
    """Resize the features to the image, then convolutions to its channels and a sigmoid.

    Tokens are laid out as the map that they come from first, without the class token; a vector is a map of one pixel.
    Volumes are restored as images are; a signal is an image of one row.
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
        b, image = builder(context), on_grid(context.image)
        if context.text:
            raise ShapeError("a decoder restores images, and the tokens of a text are no pixels")
        if not is_grid(image):
            raise ShapeError(f"a decoder restores images, signals and volumes, not samples of {show(context.image)}")
        if self.layers == "2c":
            if not is_grid(context.feature):
                b.add(context.layout)
            if len(b.shape) != len(image):
                raise ShapeError(f"positions of {show(b.shape)} are not those of a sample, which is {show(image)}")
            b.chain((Resize(sized(image[1:])), Conv(self.channels, bias=True), BatchNorm(), Relu()))
            b.add(Conv(image[0], bias=True))
        else:
            chain(b, self.layers)
            if b.shape != image:
                raise TargetError(f"its layers give {show(b.shape)}, the image to restore is {show(image)}")
        b.add(Sigmoid())
        return b.graph()

    def loss_name(self, task: Task) -> str:
        return self.loss

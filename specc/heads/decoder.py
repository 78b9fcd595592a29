"""Image reconstruction from a unit's features (InfoPro, 2101.10832, section 3)."""

from __future__ import annotations

from math import isqrt
from typing import ClassVar, Literal

from pydantic import Field

from ..backbone.graph import Graph
from ..backbone.ops import BatchNorm, ClassToken, Conv, Relu, Resize, ShapeError, Sigmoid, ToMap, show
from ..backbone.ops.entry import OpEntry
from ..schema import Width
from .base import Context, Head, Target, TargetError, builder, chain


class Decoder(Head):
    """Resize the features to the image, then convolutions to its channels and a sigmoid.

    Tokens are laid out as a square map first, without the class token; a vector is a map of one pixel.
    """

    layers: Literal["2c"] | list[OpEntry] = Field(
        "2c",
        description="`2c`: resize, 3×3 conv, batch norm, ReLU, 3×3 conv; or a list of ops before the sigmoid",
    )
    channels: Width = Field(12, description="width of the hidden convolution of `2c`")
    loss: Literal["bce", "mse"] = Field("bce", description="against the image in [0, 1]")

    key: ClassVar[str] = "decoder"
    term: ClassVar[str] = "reconstruction"
    target: ClassVar[Target] = "images"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        if self.layers == "2c":
            if len(context.feature) != 3:
                b.add(ToMap(skip=class_tokens(context)))
            b.chain((Resize((context.image[1], context.image[2])), Conv(self.channels, bias=True), BatchNorm(), Relu()))
            b.add(Conv(context.image[0], bias=True))
        else:
            chain(b, self.layers)
            if b.shape != context.image:
                raise TargetError(f"its layers give {show(b.shape)}, the image to restore is {show(context.image)}")
        b.add(Sigmoid())
        return b.graph()

    def loss_name(self) -> str:
        return self.loss


def class_tokens(context: Context) -> int:
    """How many tokens stand before those of the image: the rest of a square.

    A graph with `class_token` ops says how many there are; one without (traced from elsewhere) may have made one.
    """
    if len(context.feature) != 2:
        return 0
    rest = context.feature[0] - isqrt(context.feature[0]) ** 2
    nodes = (node for layer in context.backbone.layers[: context.end + 1] for node in layer.nodes)
    known = sum(isinstance(node.op, ClassToken) for node in nodes)
    if rest != known and (known or rest > 1):
        raise ShapeError(f"the tokens {show(context.feature)}, {known} of them class tokens, do not form a square map")
    return rest

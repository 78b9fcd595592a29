"""U-Net (Ronneberger et al., 1505.04597), with padding, so that every pixel of the image gets an answer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...language.schema import Bool, Width
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..ops import BatchNorm, Concat, Conv, ConvTranspose, MaxPool, Relu, Resize, Shape, ShapeError, show
from .base import Family


class UNet(Family):
    """Down by max pools, up again, each level's features put beside those that come up from below.

    The features that wait for their level cross every cut on the way down and up again; one tensor alone crosses after
    each convolution of the first level.
    """

    family: Literal["unet"]
    width: Width = Field(64, description="channels of the first level; each level down has twice as many")
    depth: Annotated[int, Field(ge=1, le=8)] = Field(4, description="number of poolings")
    batch_norm: Bool = Field(True, description="batch norm after every 3×3 convolution; the paper has none")
    up: Literal["transposed", "bilinear"] = Field(
        "transposed",
        description="a 2×2 transposed convolution with stride 2, for images that halve evenly, or interpolation to the "
        "size that is asked for and a 1×1 convolution",
    )

    aliases: ClassVar[dict[str, str]] = {
        "bn": "batch_norm", "norm": "batch_norm", "channels": "width", "base": "width", "levels": "depth",
        "upsample": "up",
    }  # fmt: skip

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        if self.up == "transposed" and any(side % 2**self.depth for side in input[1:]):
            size = f"`up: transposed` undoes {self.depth} poolings of images that {2**self.depth} divides"
            raise ShapeError(f"{size}, not of {show(input[1:])}; `up: bilinear` does of any")
        b = LayerBuilder(input)
        waiting: list[str] = []
        for level in range(self.depth):
            waiting.append(self._level(b, f"down{level + 1}", level))
        self._level(b, "bottom", self.depth)
        for level in reversed(range(self.depth)):
            self._level(b, f"up{level + 1}", level, waiting[level])
        with b.layer("head"):
            b.add(Conv(classes, k=1, bias=True))
        return b.backbone()

    def _level(self, b: LayerBuilder, name: str, level: int, beside: str = "") -> str:
        """Two convolutions, after a pooling or beside the features of the same level."""
        for i in range(2):
            with b.layer(f"{name}.{i}"):
                if not i and beside:
                    self._ascend(b, self.width * 2**level, beside)
                elif not i and level:
                    b.add(MaxPool())
                b.add(Conv(self.width * 2**level, bias=not self.batch_norm))
                b.chain((BatchNorm(), Relu()) if self.batch_norm else (Relu(),))
        return b.last

    def _ascend(self, b: LayerBuilder, width: int, beside: str) -> None:
        """Half of the channels at the size of `beside`, and put behind them."""
        if self.up == "transposed":
            b.add(ConvTranspose(width, k=2, stride=2, bias=True), "up")
        else:
            _, height, breadth = b.shapes[beside]
            b.add(Resize((height, breadth)))
            b.add(Conv(width, k=1, bias=True), "up")
        b.add(Concat(), None, (beside, b.last))

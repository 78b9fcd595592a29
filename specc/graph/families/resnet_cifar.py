"""The CIFAR ResNets of He et al. 2016 (section 4.2), with the projection shortcuts of the local-learning papers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictInt

from ...language.schema import Width
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import BasicBlock, ConvBnRelu
from ..ops import Shape
from .base import Family, classifier_head, residual_stages


def _depth(value: int) -> int:
    if value < 8 or (value - 2) % 6:
        lower = max(8, value - (value - 2) % 6)
        raise ValueError(f"a CIFAR ResNet has depth 6n + 2; nearest: {lower} and {lower + 6}")
    return value


class ResNetCifar(Family):
    """Stem, three stages of n basic blocks, linear head; depth = 6n + 2."""

    family: Literal["resnet_cifar"]
    depth: Annotated[StrictInt, Field(ge=1, le=2000), AfterValidator(_depth)] = Field(
        32, description="6n + 2: 20, 32, 44, 56, 110, 1202, ..."
    )
    widths: list[Width] = Field([16, 16, 32, 64], min_length=4, max_length=4, description="stem and three stages")

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        b = LayerBuilder(input)
        with b.layer("stem"):
            ConvBnRelu(self.widths[0]).expand(b)
        n = (self.depth - 2) // 6
        residual_stages(b, (n, n, n), lambda stage, stride: BasicBlock(self.widths[stage + 1], stride))
        classifier_head(b, classes)
        return b.backbone()

"""Wide ResNets for ImageNet (Zagoruyko and Komodakis 2016): bottlenecks with a wider 3×3 convolution."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Width
from ..macros import Bottleneck, Macro
from .resnet import ImageNetResNet


class WideResNet(ImageNetResNet):
    """A ResNet whose 3×3 convolutions are `factor` times as wide; 50 and 101 with factor 2 are torchvision's."""

    family: Literal["wide_resnet"]
    depth: Literal[50, 101, 152] = Field(50, description="number of weighted layers")
    factor: Width = Field(2, description="how many times as wide as a ResNet's the 3×3 convolutions are")

    aliases: ClassVar[dict[str, str]] = {"widen_factor": "factor", "width": "factor", "k": "factor"}

    def _block(self, stage: int, stride: int) -> Macro:
        inner = 64 * 2**stage
        return Bottleneck(4 * inner, self.factor * inner, stride)

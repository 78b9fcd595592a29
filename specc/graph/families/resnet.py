"""The ImageNet ResNets of He et al. 2016 in torchvision's layout (the stride sits on the 3×3 convolution).

ResNeXt (Xie et al. 2017) has bottlenecks whose 3×3 convolution works in groups, wide ResNets (Zagoruyko and Komodakis
2016) bottlenecks with a wider one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Width
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import BasicBlock, Bottleneck, ConvBnRelu, Macro
from ..ops import MaxPool, Shape
from .base import Family, Rules, classifier_head, residual_stages
from .twins import Twin, coloured

STAGES: dict[int, tuple[int, int, int, int]] = {
    18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3),
}  # fmt: skip

TORCHVISION: Rules = (
    (r"stem\.conv\.", "conv1."),
    (r"stem\.bn\.", "bn1."),
    (r"stage(\d)\.(\d+)\.downsample\.conv\.", r"layer\1.\2.downsample.0."),
    (r"stage(\d)\.(\d+)\.downsample\.bn\.", r"layer\1.\2.downsample.1."),
    (r"stage(\d)\.", r"layer\1."),
    (r"head\.fc\.", "fc."),
)


class ImageNetResNet(Family):
    """What ResNets, ResNeXts and wide ResNets have in common: everything but the width of their blocks."""

    family: str
    depth: Literal[18, 34, 50, 101, 152] = Field(50, description="number of weighted layers")

    torchvision_rules: ClassVar[Rules] = TORCHVISION

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        b = LayerBuilder(input)
        with b.layer("stem"):
            ConvBnRelu(64, k=7, stride=2).expand(b)
            b.add(MaxPool(k=3, stride=2, pad=1), "pool")
        residual_stages(b, STAGES[self.depth], self._block)
        classifier_head(b, classes)
        return b.backbone()

    def twin(self, image: Shape) -> Twin:
        """torchvision's function of this depth, and the widths that tell the families apart."""
        coloured(image)
        return Twin(f"resnet{self.depth}", self._widths())

    def _widths(self) -> dict[str, int]:
        """torchvision's names for the widths of a block's inner convolution."""
        return {}

    def _block(self, stage: int, stride: int) -> Macro:
        """The pattern of one block."""
        raise NotImplementedError


class ResNet(ImageNetResNet):
    """7×7 stem with max pool, four stages of basic blocks (18, 34) or bottlenecks (50, 101, 152), linear head."""

    family: Literal["resnet"]

    def _block(self, stage: int, stride: int) -> Macro:
        inner = 64 * 2**stage
        return BasicBlock(inner, stride) if self.depth < 50 else Bottleneck(4 * inner, inner, stride)


class ResNeXt(ImageNetResNet):
    """A ResNet of bottlenecks with grouped convolutions: 32×4d, 32×8d, 64×4d are `groups` × `width_per_group`."""

    family: Literal["resnext"]
    depth: Literal[50, 101, 152] = Field(50, description="number of weighted layers")
    groups: Width = Field(32, description="groups of the 3×3 convolutions (cardinality)")
    width_per_group: Width = Field(4, description="channels of one group in the first stage; doubles with each stage")

    aliases: ClassVar[dict[str, str]] = {"cardinality": "groups", "base_width": "width_per_group"}

    def _block(self, stage: int, stride: int) -> Macro:
        inner = self.groups * self.width_per_group * 2**stage
        return Bottleneck(256 * 2**stage, inner, stride, self.groups)

    def _widths(self) -> dict[str, int]:
        return {"groups": self.groups, "width_per_group": self.width_per_group}


class WideResNet(ImageNetResNet):
    """A ResNet whose 3×3 convolutions are `factor` times as wide; 50 and 101 with factor 2 are torchvision's."""

    family: Literal["wide_resnet"]
    depth: Literal[50, 101, 152] = Field(50, description="number of weighted layers")
    factor: Width = Field(2, description="how many times as wide as a ResNet's the 3×3 convolutions are")

    aliases: ClassVar[dict[str, str]] = {"widen_factor": "factor", "width": "factor", "k": "factor"}

    def _block(self, stage: int, stride: int) -> Macro:
        inner = 64 * 2**stage
        return Bottleneck(4 * inner, self.factor * inner, stride)

    def _widths(self) -> dict[str, int]:
        return {"width_per_group": 64 * self.factor}

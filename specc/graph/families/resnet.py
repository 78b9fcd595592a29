"""The ImageNet ResNets of He et al. 2016 in torchvision's layout (the stride sits on the 3×3 convolution)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field

from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import BasicBlock, Bottleneck, ConvBnRelu, Macro
from ..names import Rules, rename
from ..ops import MaxPool, Shape
from .base import Family, classifier_head, residual_stages

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

    def torchvision_name(self, name: str) -> str:
        """What `torchvision.models.resnet` calls the tensor."""
        return rename(name, TORCHVISION)


class ResNet(ImageNetResNet):
    """7×7 stem with max pool, four stages of basic blocks (18, 34) or bottlenecks (50, 101, 152), linear head."""

    family: Literal["resnet"]
    depth: Literal[18, 34, 50, 101, 152] = Field(50, description="number of weighted layers")

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        return stem_stages_head(input, classes, self.depth, self._block)

    def _block(self, stage: int, stride: int) -> Macro:
        inner = 64 * 2**stage
        return BasicBlock(inner, stride) if self.depth < 50 else Bottleneck(4 * inner, inner, stride)


def stem_stages_head(input: Shape, classes: int, depth: int, block: Callable[[int, int], Macro]) -> BackboneGraph:
    """The graph of an ImageNet ResNet whose blocks are ``block(stage, stride)``."""
    b = LayerBuilder(input)
    with b.layer("stem"):
        ConvBnRelu(64, k=7, stride=2).expand(b)
        b.add(MaxPool(k=3, stride=2, pad=1), "pool")
    residual_stages(b, STAGES[depth], block)
    classifier_head(b, classes)
    return b.backbone()

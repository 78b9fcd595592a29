"""VGG (Simonyan and Zisserman 2015) in torchvision's layout."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from pydantic import Field

from ...language.schema import Bool, Probability, Width
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..ops import AdaptiveAvgPool, BatchNorm, Conv, Dropout, Flatten, Linear, MaxPool, Relu, Shape
from .base import Family, rename
from .twins import NoTwin, Twin, coloured

STAGES: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4),
}  # fmt: skip
WIDTHS = (64, 128, 256, 512, 512)
HIDDEN = 4096


class Vgg(Family):
    """Five stages of 3×3 convolutions, a max pool at the end of each, and three linear layers."""

    family: Literal["vgg"]
    depth: Literal[11, 13, 16, 19] = Field(16, description="number of weighted layers")
    batch_norm: Bool = Field(True, description="batch norm after every convolution")
    dropout: Probability = Field(0.5, description="after the first two linear layers")
    hidden: Width = Field(HIDDEN, description="width of the first two linear layers")

    aliases: ClassVar[dict[str, str]] = {"bn": "batch_norm", "norm": "batch_norm"}

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        b = LayerBuilder(input)
        for stage, (count, width) in enumerate(zip(STAGES[self.depth], WIDTHS, strict=True), 1):
            for i in range(count):
                with b.layer(f"stage{stage}.{i}"):
                    b.add(Conv(width, bias=True))
                    b.chain((BatchNorm(), Relu()) if self.batch_norm else (Relu(),))
                    if i == count - 1:
                        b.add(MaxPool())
        with b.layer("head"):
            b.chain((AdaptiveAvgPool(7), Flatten()))
            for i in (1, 2):
                b.add(Linear(self.hidden), f"fc{i}")
                b.chain((Relu(), Dropout(self.dropout)) if self.dropout else (Relu(),))
            b.add(Linear(classes), "fc3")
        return b.backbone()

    def twin(self, image: Shape) -> Twin:
        """torchvision's function of this depth, with batch norm or without."""
        coloured(image)
        if self.hidden != HIDDEN:
            raise NoTwin(f"its linear layers have a width of {HIDDEN}, and these of {self.hidden}")
        return Twin(f"vgg{self.depth}" + "_bn" * self.batch_norm)

    def torchvision_name(self, name: str) -> str:
        """What `torchvision.models.vgg` calls the tensor: modules are numbered, those without tensors too."""
        return rename(name, (
            (r"stage(\d)\.(\d)\.conv\.", lambda m: f"features.{self._number(m)}."),
            (r"stage(\d)\.(\d)\.bn\.", lambda m: f"features.{self._number(m) + 1}."),
            (r"head\.fc(\d)\.", lambda m: f"classifier.{3 * int(m[1]) - 3}."),
        ))  # fmt: skip

    def _number(self, layer: re.Match[str]) -> int:
        """How many modules come before a layer's convolution."""
        stages, convolutions = int(layer[1]) - 1, int(layer[2])
        before = sum(STAGES[self.depth][:stages]) + convolutions
        return before * (3 if self.batch_norm else 2) + stages

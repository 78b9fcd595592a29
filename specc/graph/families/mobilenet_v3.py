"""MobileNetV3 (Howard et al. 2019, tables 1 and 2) in torchvision's layout."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from ...language.schema import Positive, Probability
from ..builder import LayerBuilder
from ..graph import BackboneGraph
from ..macros import InvertedResidual
from ..ops import BatchNorm, Conv, Dropout, GlobalAvgPool, Hardswish, Linear, Shape
from .base import Family, Rules, rename
from .twins import Twin, coloured


class Row(NamedTuple):
    """One inverted residual of the paper's tables."""

    k: int
    expand_to: int
    out: int
    squeeze: bool
    activation: Literal["relu", "hardswish"]
    stride: int


RE: Literal["relu"] = "relu"
HS: Literal["hardswish"] = "hardswish"

ROWS: dict[str, tuple[Row, ...]] = {
    "small": (
        Row(3, 16, 16, True, RE, 2),
        Row(3, 72, 24, False, RE, 2),
        Row(3, 88, 24, False, RE, 1),
        Row(5, 96, 40, True, HS, 2),
        Row(5, 240, 40, True, HS, 1),
        Row(5, 240, 40, True, HS, 1),
        Row(5, 120, 48, True, HS, 1),
        Row(5, 144, 48, True, HS, 1),
        Row(5, 288, 96, True, HS, 2),
        Row(5, 576, 96, True, HS, 1),
        Row(5, 576, 96, True, HS, 1),
    ),
    "large": (
        Row(3, 16, 16, False, RE, 1),
        Row(3, 64, 24, False, RE, 2),
        Row(3, 72, 24, False, RE, 1),
        Row(5, 72, 40, True, RE, 2),
        Row(5, 120, 40, True, RE, 1),
        Row(5, 120, 40, True, RE, 1),
        Row(3, 240, 80, False, HS, 2),
        Row(3, 200, 80, False, HS, 1),
        Row(3, 184, 80, False, HS, 1),
        Row(3, 184, 80, False, HS, 1),
        Row(3, 480, 112, True, HS, 1),
        Row(3, 672, 112, True, HS, 1),
        Row(5, 672, 160, True, HS, 2),
        Row(5, 960, 160, True, HS, 1),
        Row(5, 960, 160, True, HS, 1),
    ),
}
HIDDEN = {"small": 1024, "large": 1280}


class MobileNetV3(Family):
    """Stem, inverted residuals with squeeze and excitation, a last 1×1 convolution, two linear layers."""

    family: Literal["mobilenet_v3"]
    size: Literal["small", "large"] = Field("small", description="table 2 or table 1 of the paper")
    width: Annotated[Positive, Field(le=1000)] = Field(
        1.0, description="factor on all numbers of channels, which are rounded to multiples of 8"
    )
    dropout: Probability = Field(0.2, description="before the last linear layer")

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W)."""
        b = LayerBuilder(input)
        with b.layer("stem"):
            self._conv(b, Conv(self._scaled(16), stride=2))
        for i, row in enumerate(ROWS[self.size]):
            with b.layer(f"bneck.{i}"):
                self._block(row).expand(b)
        with b.layer("last"):
            self._conv(b, Conv(6 * self._scaled(ROWS[self.size][-1].out), k=1))
        with b.layer("head"):
            b.add(GlobalAvgPool())
            b.add(Linear(self._scaled(HIDDEN[self.size])), "fc1")
            b.chain((Hardswish(), Dropout(self.dropout)) if self.dropout else (Hardswish(),))
            b.add(Linear(classes), "fc2")
        return b.backbone()

    def _conv(self, b: LayerBuilder, conv: Conv) -> None:
        b.chain((conv, BatchNorm(eps=1e-3, momentum=0.01), Hardswish()))

    def _block(self, row: Row) -> InvertedResidual:
        wide = self._scaled(row.expand_to)
        squeeze = divisible(wide // 4) if row.squeeze else None
        return InvertedResidual(self._scaled(row.out), wide, row.k, row.stride, squeeze, row.activation)

    def _scaled(self, channels: int) -> int:
        return divisible(channels * self.width)

    def twin(self, image: Shape) -> Twin:
        """torchvision's function of this size."""
        coloured(image)
        return Twin(f"mobilenet_v3_{self.size}", {"width_mult": self.width})

    def torchvision_name(self, name: str) -> str:
        """What `torchvision.models.mobilenetv3` calls the tensor."""
        last = f"features.{len(ROWS[self.size]) + 1}."
        rules: Rules = (
            (r"stem\.conv\.", "features.0.0."),
            (r"stem\.bn\.", "features.0.1."),
            (r"bneck\.(\d+)\.", lambda m: f"features.{int(m[1]) + 1}."),
            (r"last\.conv\.", last + "0."),
            (r"last\.bn\.", last + "1."),
            (r"head\.fc1\.", "classifier.0."),
            (r"head\.fc2\.", "classifier.3."),
        )
        return rename(name, rules)


def divisible(channels: float) -> int:
    """The nearest multiple of 8 that takes away no more than a tenth, as MobileNets round their widths.

    >>> [divisible(n) for n in (4, 18, 20, 68)]
    [8, 24, 24, 72]
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8

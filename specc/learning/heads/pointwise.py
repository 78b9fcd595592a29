"""DGL's auxiliary classifier: pointwise convolutions on a pooled map, then an MLP (Belilovsky et al., 1901.08164)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import AdaptiveAvgPool, BatchNorm, Conv, Flatten, Linear, Relu, ShapeError, is_grid, show
from ...graph.ops.sliding import sized
from ...language.schema import FewRepeats
from .base import Context, Head, builder


class Pointwise(Head):
    """Pool to a quarter of the size, 1×1 convolutions, pool to 2×2, linear layers with batch norm, a classifier."""

    convolutions: FewRepeats = Field(3, description="1×1 convolutions of the features' width")
    linears: FewRepeats = Field(2, description="hidden linear layers of four times the features' width")

    key: ClassVar[str] = "pointwise"
    term: ClassVar[str] = "classification"

    def build(self, context: Context) -> Graph:
        if not is_grid(context.feature):
            raise ShapeError(f"`pointwise` reads a feature map (C×H×W) or a volume, not {show(context.feature)}")
        b = builder(context)
        width, *sides = context.feature
        b.add(AdaptiveAvgPool(sized(-(-side // 4) for side in sides)))
        for _ in range(self.convolutions):
            b.chain((Conv(width, k=1), BatchNorm(), Relu()))
        b.chain((AdaptiveAvgPool(2), Flatten()))
        for _ in range(self.linears):
            b.chain((Linear(4 * width, bias=False), BatchNorm(), Relu()))
        b.add(Linear(context.classes))
        return b.graph()

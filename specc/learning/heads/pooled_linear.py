"""PredSim's classifier: average pooling to a bounded size, one linear layer (Nøkland & Eidnes, 1901.06656)."""

from __future__ import annotations

from operator import lt
from typing import ClassVar

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import AdaptiveAvgPool, AvgPool, Flatten, Linear, Shape, is_grid, numel
from ...graph.ops.sliding import sized
from ...language.schema import Width
from .base import Context, Head, builder


class PooledLinear(Head):
    """Halve height and width in turn until few enough numbers are left, then a linear classifier."""

    features: Width = Field(512, description="the most numbers that the linear layer reads")

    key: ClassVar[str] = "pooled_linear"
    term: ClassVar[str] = "classification"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        if is_grid(context.feature):
            kernel, sides = self._window(context.feature), context.feature[1:]
            if set(kernel) != {1}:
                b.add(_pool(kernel, sides))
        if len(b.shape) > 1:
            b.add(Flatten())
        b.add(Linear(context.classes))
        return b.graph()

    def _window(self, shape: Shape) -> list[int]:
        """The sides are halved in turn, the first one first."""
        kernel, sides = [1 for _ in shape[1:]], shape[1:]
        while self._left(shape, kernel) > self.features and any(map(lt, kernel, sides)):
            for axis, size in enumerate(sides):
                if self._left(shape, kernel) > self.features and kernel[axis] < size:
                    kernel[axis] *= 2
        return kernel

    def _left(self, shape: Shape, kernel: list[int]) -> int:
        return numel((shape[0], *(-(-s // k) for k, s in zip(kernel, shape[1:], strict=True))))


def _pool(kernel: list[int], sides: Shape) -> AvgPool | AdaptiveAvgPool:
    """With what a side lacks as padding; of volumes torch pads no side that is shorter than the window."""
    if len(sides) == 3:
        return AdaptiveAvgPool(sized(-(-s // k) for k, s in zip(kernel, sides, strict=True)))
    pads = (k * (-(-s // k) - s // k) // 2 for k, s in zip(kernel, sides, strict=True))
    return AvgPool(sized(kernel), pad=sized(pads))

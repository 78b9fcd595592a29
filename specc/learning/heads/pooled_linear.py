"""PredSim's classifier: average pooling to a bounded size, one linear layer (Nøkland & Eidnes, 1901.06656)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import AvgPool, Flatten, Linear, Shape, numel
from ...language.schema import Width
from .base import Context, Head, builder


class PooledLinear(Head):
    """Halve height and width in turn until few enough numbers are left, then a linear classifier."""

    features: Width = Field(512, description="the most numbers that the linear layer reads")

    key: ClassVar[str] = "pooled_linear"
    term: ClassVar[str] = "classification"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        if len(context.feature) == 3:
            kernel, pad = self._window(context.feature)
            if kernel != (1, 1):
                b.add(AvgPool(kernel, pad=pad))
        if len(b.shape) > 1:
            b.add(Flatten())
        b.add(Linear(context.classes))
        return b.graph()

    def _window(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Kernel and padding: height and width are halved in turn, height first."""
        kernel = [1, 1]
        while self._left(shape, kernel) > self.features and (kernel[0] < shape[1] or kernel[1] < shape[2]):
            for axis, size in enumerate(shape[1:]):
                if self._left(shape, kernel) > self.features and kernel[axis] < size:
                    kernel[axis] *= 2
        pads = [k * (-(-s // k) - s // k) // 2 for k, s in zip(kernel, shape[1:], strict=True)]
        return (kernel[0], kernel[1]), (pads[0], pads[1])

    def _left(self, shape: Shape, kernel: list[int]) -> int:
        return numel((shape[0], *(-(-s // k) for k, s in zip(kernel, shape[1:], strict=True))))

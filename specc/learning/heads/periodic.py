"""LLS: features are compared with fixed periodic vectors, one frequency a class; nothing is trained (2405.15868)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...graph.graph import Graph
from ...graph.ops import AdaptiveAvgPool, Flatten, PeriodicBasis, is_grid
from ...graph.ops.sliding import sized
from ...language.schema import Width
from .base import Context, Head, builder


class Periodic(Head):
    """Pool the map, flatten, and take the products with the classes' waves as logits."""

    pool: Width = Field(2, description="height and width to which a map is pooled")
    wave: Literal["cosine", "square"] = Field("cosine", description="shape of the basis vectors")

    key: ClassVar[str] = "periodic"
    term: ClassVar[str] = "classification"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        if is_grid(context.feature) and max(context.feature[1:]) > self.pool:
            b.add(AdaptiveAvgPool(sized(min(size, self.pool) for size in context.feature[1:])))
        if len(b.shape) > 1:
            b.add(Flatten())
        b.add(PeriodicBasis(context.classes, self.wave))
        return b.graph()

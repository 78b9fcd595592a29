"""AugLocal's auxiliary network: layers sampled evenly from the backbone's rest (Ma et al., 2402.17318, section 3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from ...graph.builder import Builder
from ...graph.graph import Graph, Layer
from ...graph.macros import BasicBlock
from ...graph.ops import BatchNorm, Gelu, GlobalAvgPool, LayerNorm, Linear, ToTokens, channels, is_grid
from ...graph.ops.sliding import sized
from ...language.schema import FewRepeats, Fraction
from .answers import answer, pool, start
from .base import Context, Head


class Augmented(Head):
    """Residual blocks with the shapes of sampled later layers, global average pool and a linear classifier.

    The number of blocks shrinks with depth: `depth` for the first unit, `depth` (1 - pyramid) + pyramid for the last.
    On tokens and vectors a sampled layer is a linear layer of its width with layer norm and GELU. Where every pixel has
    a class there is no pool: the classifier is a 1×1 convolution, whose result is resized to the image.
    """

    depth: FewRepeats = Field(2, description="layers sampled for the first unit")
    pyramid: Fraction = Field(0.5, description="how far the depth falls towards one at the last unit")

    key: ClassVar[str] = "augmented"
    term: ClassVar[str] = "classification"
    looks_ahead: ClassVar[bool] = True

    def build(self, context: Context) -> Graph:
        b = start(context)
        count = self.layers_at(context.index, context.count)
        for layer in sampled(context.backbone.layers[:-1], context.end, count):
            with b.scope(b.number("block")):
                _append(b, layer)
        pool(b, context)
        if count <= 1:
            b.add(BatchNorm())
        answer(b, context, context.classes)
        return b.graph()

    def layers_at(self, index: int, count: int) -> int:
        """Depth of unit `index` of `count`, at least one; halves round to even as in the released code."""
        ratio = index * self.pyramid / (count - 1) if count > 1 else 0.0
        return max(1, round(self.depth * (1 - ratio) + ratio))

    def varies(self, index: int, count: int) -> object:
        return self.layers_at(index, count)


def sampled(layers: tuple[Layer, ...], end: int, depth: int) -> Iterator[Layer]:
    """`depth` of the layers after `end`, evenly spaced, the last one always; all of them where there are fewer."""
    rest = len(layers) - 1 - end
    if depth >= rest:
        yield from layers[end + 1 :]
    else:
        yield from (layers[round(end + rest / depth * i)] for i in range(1, depth + 1))


def _append(b: Builder, layer: Layer) -> None:
    """One block in the shape of `layer`; a side that is still too long is halved by each block until it is not."""
    if is_grid(b.shape) and len(b.shape) == len(layer.shape):
        strides = {_stride(*sizes) for sizes in zip(b.shape[1:], layer.shape[1:], strict=True)}
        each = sized(_stride(*sizes) for sizes in zip(b.shape[1:], layer.shape[1:], strict=True))
        BasicBlock(layer.shape[0], stride=strides.pop() if len(strides) == 1 else each).expand(b)
    else:
        if is_grid(b.shape):
            b.add(GlobalAvgPool() if len(layer.shape) == 1 else ToTokens())
        b.chain((Linear(channels(layer.shape)), LayerNorm(), Gelu()))


def _stride(size: int, goal: int) -> int:
    """2 where half the size is still no less than the goal; a stride rounds up: 15 -> 8."""
    return 2 if size > goal and -(-size // 2) >= goal else 1

"""How a classifier ends: in one number a class, of the whole sample or of every pixel."""

from __future__ import annotations

from collections.abc import Sequence

from ...graph.builder import Builder
from ...graph.ops import Conv, GlobalAvgPool, Linear, Relu, Resize, ShapeError, show
from .base import Context


def start(context: Context) -> Builder:
    """A builder that starts at the features, laid out as a map where every pixel has a class."""
    b = Builder(context.feature)
    if context.pixels and len(context.feature) != 3:
        b.add(context.layout)
    return b


def pool(b: Builder, context: Context) -> None:
    """The mean of all positions, unless every pixel has a class."""
    if not context.pixels and len(b.shape) > 1:
        b.add(GlobalAvgPool())


def answer(b: Builder, context: Context, out: int, hidden: Sequence[int] = ()) -> None:
    """Linear layers with ReLU between them; for every pixel 1×1 convolutions, whose result is resized to the image."""
    if context.pixels and len(b.shape) != 3:
        raise ShapeError(f"every pixel has a class, and its layers give no map (C×H×W) but {show(b.shape)}")
    for width in hidden:
        b.chain((_linear(width, context), Relu()))
    b.add(_linear(out, context))
    if context.pixels:
        b.add(Resize((context.image[1], context.image[2])))


def _linear(out: int, context: Context) -> Conv | Linear:
    return Conv(out, k=1, bias=True) if context.pixels else Linear(out)

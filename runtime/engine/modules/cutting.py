"""Parts of a value, copied."""

from __future__ import annotations

from torch import nn

from specc.graph import ops
from specc.graph.ops import Shape
from specc.graph.ops.cutting import Cut

from .registry import Call, builder


@builder
def slice(op: ops.Slice, shapes: tuple[Shape, ...]) -> nn.Module:
    """Some positions of an axis."""
    return _cut(op, shapes[0])


@builder
def split(op: ops.Split, shapes: tuple[Shape, ...]) -> nn.Module:
    """One of equal parts."""
    return _cut(op, shapes[0])


def _cut(op: Cut, shape: Shape) -> nn.Module:
    start, length = op.run(shape)
    return Call(lambda x: x.narrow(op.axis + 1, start, length).clone())

"""Pooling."""

from __future__ import annotations

from torch import nn

from specc.graph import ops
from specc.graph.ops import Shape

from .registry import Call, builder


@builder
def max_pool(op: ops.MaxPool, shapes: tuple[Shape, ...]) -> nn.Module:
    """Maximum over a sliding window."""
    return nn.MaxPool2d(op.window.k, op.window.stride, op.window.pad, ceil_mode=op.ceil)


@builder
def avg_pool(op: ops.AvgPool, shapes: tuple[Shape, ...]) -> nn.Module:
    """Mean over a sliding window."""
    return nn.AvgPool2d(op.window.k, op.window.stride, op.window.pad, ceil_mode=op.ceil)


@builder
def adaptive_avg_pool(op: ops.AdaptiveAvgPool, shapes: tuple[Shape, ...]) -> nn.Module:
    """Means over a grid of cells."""
    return nn.AdaptiveAvgPool2d(op.size)


@builder
def global_avg_pool(op: ops.GlobalAvgPool, shapes: tuple[Shape, ...]) -> nn.Module:
    """Mean over all positions."""
    positions = (2, 3) if len(shapes[0]) == 3 else (1,)
    return Call(lambda x: x.mean(positions))

"""Convolutions and matrix products."""

from __future__ import annotations

from torch import nn

from specc.graph import ops
from specc.graph.ops import Shape
from specc.graph.ops.sliding import pair

from .registry import builder


@builder
def conv(op: ops.Conv, shapes: tuple[Shape, ...]) -> nn.Module:
    """2-d convolution."""
    w = op.window
    return nn.Conv2d(shapes[0][0], op.out, w.k, w.stride, w.pad, dilation=w.dilation, groups=op.groups, bias=op.bias)


@builder
def conv_transpose(op: ops.ConvTranspose, shapes: tuple[Shape, ...]) -> nn.Module:
    """Transposed convolution."""
    k, stride, pad, more = pair(op.k), pair(op.stride), pair(op.pad), pair(op.output_pad)
    return nn.ConvTranspose2d(shapes[0][0], op.out, k, stride, pad, more, groups=op.groups, bias=op.bias)


@builder
def linear(op: ops.Linear, shapes: tuple[Shape, ...]) -> nn.Module:
    """Matrix product over the last axis."""
    return nn.Linear(shapes[0][-1], op.out, bias=op.bias)

"""The same numbers in another shape, or at another resolution."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from specc.graph import ops
from specc.graph.ops import Shape

from .registry import Call, builder


@builder
def flatten(op: ops.Flatten, shapes: tuple[Shape, ...]) -> nn.Module:
    """All axes into one."""
    return nn.Flatten()


@builder
def reshape(op: ops.Reshape, shapes: tuple[Shape, ...]) -> nn.Module:
    """The same numbers as another shape."""
    return Call(lambda x: x.reshape(x.shape[0], *op.shape))


@builder
def transpose(op: ops.Transpose, shapes: tuple[Shape, ...]) -> nn.Module:
    """Tokens and channels exchanged."""
    return Call(lambda x: x.transpose(1, 2))


@builder
def to_tokens(op: ops.ToTokens, shapes: tuple[Shape, ...]) -> nn.Module:
    """Every pixel a token."""
    return Call(lambda x: x.flatten(2).transpose(1, 2))


@builder
def to_map(op: ops.ToMap, shapes: tuple[Shape, ...]) -> nn.Module:
    """Every token a pixel."""
    if len(shapes[0]) == 1:
        return Call(lambda x: x[..., None, None])
    _, *size = op.output(*shapes)
    return Call(lambda x: x[:, op.skip :].transpose(1, 2).unflatten(2, size))


@builder
def resize(op: ops.Resize, shapes: tuple[Shape, ...]) -> nn.Module:
    """Interpolation."""
    if op.mode == "nearest":
        return Call(lambda x: F.interpolate(x, op.hw, mode="nearest"))
    return Call(lambda x: F.interpolate(x, op.hw, mode="bilinear", align_corners=op.align_corners))

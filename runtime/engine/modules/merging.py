"""Several values become one."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from specc.graph import ops
from specc.graph.ops import Shape

from .registry import Call, builder


@builder
def add(op: ops.Add, shapes: tuple[Shape, ...]) -> nn.Module:
    """Sum."""
    return Call(_sum)


@builder
def mul(op: ops.Mul, shapes: tuple[Shape, ...]) -> nn.Module:
    """Product, a vector being a gate with one number a channel."""
    rank = 1 + max(map(len, shapes))
    return Call(lambda a, b: _spread(a, rank) * _spread(b, rank))


@builder
def concat(op: ops.Concat, shapes: tuple[Shape, ...]) -> nn.Module:
    """Values one after the other."""
    return Call(lambda *inputs: torch.cat(inputs, op.axis + 1))


def _sum(*inputs: Tensor) -> Tensor:
    total = torch.add(inputs[0], inputs[1])
    for other in inputs[2:]:
        total = total + other
    return total


def _spread(x: Tensor, rank: int) -> Tensor:
    """`x` with axes of length one behind, up to `rank` axes."""
    return x[(...,) + (None,) * (rank - x.dim())]

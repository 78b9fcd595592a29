"""Builders of products with fixed vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from specc.graph import ops
from specc.graph.ops import Shape

from .registry import Call, builder


@builder
def periodic_basis(op: ops.PeriodicBasis, shapes: tuple[Shape, ...]) -> nn.Module:
    """Products with one wave a class."""
    length = shapes[0][0]

    def products(x: Tensor) -> Tensor:
        return x @ waves(op.out, length, op.wave, x) / math.sqrt(length)

    return Call(products)


def waves(count: int, length: int, form: str, like: Tensor) -> Tensor:
    """A (length, count) matrix whose column c has c + 1 periods."""
    position = (torch.arange(length, dtype=like.dtype, device=like.device) + 0.5) / length
    periods = torch.arange(1, count + 1, dtype=like.dtype, device=like.device)
    cosine = torch.cos(2 * math.pi * position[:, None] * periods)
    return cosine if form == "cosine" else torch.sign(cosine)

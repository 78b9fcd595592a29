"""Activations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specc.graph import ops
from specc.graph.ops import Shape

from .registry import BUILDERS, Call, builder

BUILDERS.update(
    relu6=lambda op, shapes: nn.ReLU6(),
    silu=lambda op, shapes: nn.SiLU(),
    hardswish=lambda op, shapes: nn.Hardswish(),
    hardsigmoid=lambda op, shapes: nn.Hardsigmoid(),
    sigmoid=lambda op, shapes: nn.Sigmoid(),
    tanh=lambda op, shapes: nn.Tanh(),
)


class ReLU(nn.ReLU):
    """max(x, 0). It overwrites its input in training only: in evaluation a dropout before it hands on its own input."""

    def forward(self, input: Tensor) -> Tensor:
        """Rectify."""
        return F.relu(input, self.inplace and self.training)


@builder
def relu(op: ops.Relu, shapes: tuple[Shape, ...]) -> nn.Module:
    """max(x, 0)."""
    return ReLU()


@builder
def leaky_relu(op: ops.LeakyRelu, shapes: tuple[Shape, ...]) -> nn.Module:
    """x where it is positive, slope · x elsewhere."""
    return nn.LeakyReLU(op.slope)


@builder
def prelu(op: ops.Prelu, shapes: tuple[Shape, ...]) -> nn.Module:
    """x where it is positive, a learnt slope · x elsewhere."""
    return nn.PReLU(op.parameters(*shapes)["weight"][0], op.init)


@builder
def scale(op: ops.Scale, shapes: tuple[Shape, ...]) -> nn.Module:
    """A fixed factor."""
    return Call(lambda x: torch.mul(x, op.by))


@builder
def to_integers(op: ops.ToIntegers, shapes: tuple[Shape, ...]) -> nn.Module:
    """The steps between two values, counted from 0."""
    step = (op.high - op.low) / (op.levels - 1)

    @torch.no_grad()
    def rounded(x: Tensor) -> Tensor:
        return (x - op.low).div_(step).round_().clamp_(0, op.levels - 1).long()

    return Call(rounded)


@builder
def gelu(op: ops.Gelu, shapes: tuple[Shape, ...]) -> nn.Module:
    """x · Φ(x)."""
    return nn.GELU(op.approximate)


@builder
def softmax(op: ops.Softmax, shapes: tuple[Shape, ...]) -> nn.Module:
    """exp(x) over its sum over the channels."""
    return nn.Softmax(1 if len(shapes[0]) == 3 else -1)

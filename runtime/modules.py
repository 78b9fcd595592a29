"""One torch module builder an op, of the op's own name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specc.backbone import ops
from specc.backbone.ops import Shape

Builder = Callable[[Any, tuple[Shape, ...]], nn.Module]

BUILDERS: dict[str, Builder] = {}


def builder(function: Builder) -> Builder:
    """Register the builder of the op that the function is named after."""
    BUILDERS[function.__name__] = function
    return function


class Call(nn.Module):
    """A stateless op as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(*inputs)


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over any number of axes whose step may count several times in the running statistics.

    n updates with one batch equal one with momentum 1 - (1 - m)^n. With `tracking` off a training forward normalises
    by the batch and leaves the statistics alone, as a second pass over the same batch must.
    """

    def __init__(self, channels: int, eps: float, momentum: float, updates: int) -> None:
        super().__init__(channels, eps, momentum)
        self.updates = updates
        self.factor = 1 - (1 - momentum) ** updates
        self.tracking = True

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C) or (N, C, H, W)."""
        if not self.training:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        mean, var = (self.running_mean, self.running_var) if self.tracking else (None, None)
        if self.tracking and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(self.updates)
        return F.batch_norm(input, mean, var, self.weight, self.bias, True, self.factor, self.eps)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""


@builder
def conv(op: ops.Conv, shapes: tuple[Shape, ...]) -> nn.Module:
    """2-d convolution."""
    return nn.Conv2d(
        shapes[0][0], op.out, op.k, op.stride, op.padding, dilation=op.dilation, groups=op.groups, bias=op.bias
    )


@builder
def linear(op: ops.Linear, shapes: tuple[Shape, ...]) -> nn.Module:
    """Matrix product over the last axis."""
    return nn.Linear(shapes[0][-1], op.out, bias=op.bias)


@builder
def batch_norm(op: ops.BatchNorm, shapes: tuple[Shape, ...]) -> nn.Module:
    """Batch normalisation."""
    return BatchNorm(shapes[0][0], op.eps, op.momentum, op.updates)


@builder
def relu(op: ops.Relu, shapes: tuple[Shape, ...]) -> nn.Module:
    """max(x, 0)."""
    return nn.ReLU()


@builder
def sigmoid(op: ops.Sigmoid, shapes: tuple[Shape, ...]) -> nn.Module:
    """1 / (1 + exp(-x))."""
    return nn.Sigmoid()


@builder
def max_pool(op: ops.MaxPool, shapes: tuple[Shape, ...]) -> nn.Module:
    """Maximum over a sliding window."""
    return nn.MaxPool2d(op.k, op.step, op.pad)


@builder
def global_avg_pool(op: ops.GlobalAvgPool, shapes: tuple[Shape, ...]) -> nn.Module:
    """Mean over the spatial axes."""
    return Call(lambda x: x.mean((2, 3)))


@builder
def flatten(op: ops.Flatten, shapes: tuple[Shape, ...]) -> nn.Module:
    """All axes into one."""
    return nn.Flatten()


@builder
def resize(op: ops.Resize, shapes: tuple[Shape, ...]) -> nn.Module:
    """Bilinear interpolation."""
    return Call(lambda x: F.interpolate(x, op.hw, mode="bilinear", align_corners=op.align_corners))


@builder
def add(op: ops.Add, shapes: tuple[Shape, ...]) -> nn.Module:
    """Sum."""
    return Call(_sum)


def _sum(*inputs: Tensor) -> Tensor:
    total = torch.add(inputs[0], inputs[1])
    for other in inputs[2:]:
        total = total + other
    return total

"""Normalisation layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from specc.backbone import ops
from specc.backbone.ops import Shape, channels

from .registry import builder


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
        mean, var = self.running_mean, self.running_var
        if self.training and not self.tracking and mean is not None and var is not None:
            mean, var = mean.clone(), var.clone()  # passed, not left out: a recomputation must save as many tensors
        if self.training and self.tracking and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(self.updates)
        return F.batch_norm(input, mean, var, self.weight, self.bias, self.training, self.factor, self.eps)

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of every pixel."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@builder
def batch_norm(op: ops.BatchNorm, shapes: tuple[Shape, ...]) -> nn.Module:
    """Batch normalisation."""
    return BatchNorm(shapes[0][0], op.eps, op.momentum, op.updates)


@builder
def group_norm(op: ops.GroupNorm, shapes: tuple[Shape, ...]) -> nn.Module:
    """Normalisation over groups of channels."""
    return nn.GroupNorm(op.groups, shapes[0][0], op.eps)


@builder
def layer_norm(op: ops.LayerNorm, shapes: tuple[Shape, ...]) -> nn.Module:
    """Normalisation over the channels of each position."""
    kind = LayerNorm2d if len(shapes[0]) == 3 else nn.LayerNorm
    return kind(channels(shapes[0]), op.eps)

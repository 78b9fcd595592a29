"""A rectifier, learnt scales, gates and random masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specc.graph import ops
from specc.graph.ops import Shape


class ReLU(nn.ReLU):
    """max(x, 0). It overwrites its input in training only: in evaluation a dropout before it hands on its own input."""

    def forward(self, input: Tensor) -> Tensor:
        """Rectify."""
        return F.relu(input, self.inplace and self.training)


class LayerScale(nn.Module):
    """Every channel times a learnt number."""

    def __init__(self, shape: Shape, init: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full(shape, init))

    def forward(self, input: Tensor) -> Tensor:
        """Scale."""
        return self.weight * input


class SqueezeExcite(nn.Module):
    """Every channel times a gate computed from the means of all channels."""

    def __init__(self, op: ops.SqueezeExcite, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, op.squeeze, 1)
        self.fc2 = nn.Conv2d(op.squeeze, channels, 1)
        self.activation, self.gate = getattr(F, op.activation), getattr(F, op.gate)

    def forward(self, input: Tensor) -> Tensor:
        """Gate (N, C, H, W)."""
        gate: Tensor = self.gate(self.fc2(self.activation(self.fc1(F.adaptive_avg_pool2d(input, 1)))))
        return gate * input


class DropPath(nn.Module):
    """Drops whole samples in training."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, input: Tensor) -> Tensor:
        """Zero a sample with probability p, scale it by 1 / (1 - p) otherwise."""
        if not self.training or self.p == 0:
            return input
        kept = input.new_empty(input.shape[0], *[1] * (input.dim() - 1)).bernoulli_(1 - self.p)
        return input * kept.div_(1 - self.p)

"""Normalisation layers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .synchronised import Normalised, whole_statistics


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over any number of axes whose step may count several times in the running statistics.

    n updates with one batch equal one with momentum 1 - (1 - m)^n. With `tracking` off a training forward normalises
    by the batch and leaves the statistics alone, as a second pass over the same batch must. With `copies`, which is a
    process group, the batch is that of all of them.
    """

    def __init__(self, channels: int, eps: float, momentum: float, updates: int) -> None:
        super().__init__(channels, eps, momentum)
        self.updates = updates
        self.factor = 1 - (1 - momentum) ** updates
        self.tracking = True
        self.copies: Any = None

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C) or (N, C, H, W)."""
        if self.training and self.copies is not None:
            return self._synchronised(input)
        mean, var = self.running_mean, self.running_var
        if self.training and not self.tracking and mean is not None and var is not None:
            mean, var = mean.clone(), var.clone()  # passed, not left out: a recomputation must save as many tensors
        if self.training and self.tracking and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(self.updates)
        return F.batch_norm(input, mean, var, self.weight, self.bias, self.training, self.factor, self.eps)

    def _synchronised(self, input: Tensor) -> Tensor:
        running = self.running_mean, self.running_var
        assert running[0] is not None and running[1] is not None  # noqa: PT018
        with torch.no_grad():
            mean, variance, count = whole_statistics(input, running[0], self.copies)
            if self.tracking and self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(self.updates)
                running[0].lerp_(mean, self.factor)
                running[1].lerp_(variance * (count / (count - 1)), self.factor)
        del count
        result: Tensor = Normalised.apply(input, self.weight, self.bias, mean, variance, self.eps, self.copies)
        return result

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes."""


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of every pixel."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class RmsScaled(torch.autograd.Function):
    """Channels over the root of their mean square, times a scale; keeps the input and one number a position.

    Torch's own is one kernel on CUDA and a chain of ops elsewhere, which keeps another tensor as large as the input.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, axis: int, eps: float) -> Tensor:
        """Divide and scale."""
        mean_square = torch.linalg.vector_norm(x, dim=axis, keepdim=True).square_().div_(x.shape[axis])
        inverse = mean_square.add_(eps).rsqrt_()
        ctx.save_for_backward(x, inverse, weight)
        ctx.axis = axis
        result: Tensor = x * inverse
        return result.mul_(_along(weight, x, axis))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Gradients of input and scale, in one buffer as large as the input."""
        x, inverse, weight = ctx.saved_tensors
        scale, others = _along(weight, x, ctx.axis), [i for i in range(x.dim()) if i != ctx.axis % x.dim()]
        buffer = gradients[0] * x
        along = buffer.mul_(scale).sum(ctx.axis, keepdim=True)
        along.mul_(inverse).mul_(inverse).mul_(inverse).div_(x.shape[ctx.axis])
        torch.mul(gradients[0], x, out=buffer)
        found = buffer.mul_(inverse).sum(others)
        torch.mul(gradients[0], scale, out=buffer)
        return buffer.mul_(inverse).addcmul_(x, along, value=-1), found, None, None


def _along(weight: Tensor, x: Tensor, axis: int) -> Tensor:
    """One number a channel, laid along that axis."""
    return weight.view(-1, *[1] * (x.dim() - 1 - axis % x.dim()))


class RmsNorm(nn.Module):
    """Channels over the root of their mean square."""

    def __init__(self, channels: int, axis: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.axis, self.eps = axis, eps

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C), (N, T, C) or (N, C, H, W)."""
        if not torch.is_grad_enabled():
            inverse = torch.rsqrt(input.square().mean(self.axis, keepdim=True) + self.eps)
            return input * inverse * _along(self.weight, input, self.axis)
        result: Tensor = RmsScaled.apply(input, self.weight, self.axis, self.eps)
        return result

"""Batch norm by the statistics of the whole batch, of which every copy of the network has a part.

Torch's `SyncBatchNorm` runs on CUDA alone. This one is made of kernels that every device has: those of an evaluation,
which normalise by what they are given.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def whole_statistics(x: Tensor, like: Tensor, copies: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of every channel over the samples of all copies, and how many numbers these are of.

    In the precision of `like`. Means and squared distances from them are combined, no raw squares, which would cancel.
    """
    gathered = _gathered(x, like, copies)
    means, variances, counts = gathered.split([len(like), len(like), 1], 1)
    total = counts.sum()
    shares = counts / total
    mean = (means * shares).sum(0)
    spread = (means - mean).square_().add_(variances).mul_(shares)
    return mean, spread.sum(0), total


def _gathered(x: Tensor, like: Tensor, copies: Any) -> Tensor:
    """What every copy says of its own part: means, variances, and of how many numbers."""
    own = torch.batch_norm_update_stats(x, torch.zeros_like(like), torch.zeros_like(like), 0.0)
    message = torch.cat([*own, like.new_full((1,), x.numel() // len(like))])
    del own
    gathered = message.new_empty(dist.get_world_size(copies) * len(message))
    dist.all_gather_into_tensor(gathered, message, group=copies)
    return gathered.view(-1, len(message))


class Normalised(torch.autograd.Function):
    """By statistics that depend on the input, here and in the other copies; sums over all of them come back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float,
                copies: Any) -> Tensor:  # fmt: skip
        """Normalise, scale and shift."""
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.copies = eps, copies
        result: Tensor = torch.native_batch_norm(x, weight, bias, mean, variance, False, 0.0, eps)[0]
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None, None]:
        """Scale's and shift's of this copy alone, as those of other parameters are; the input's by everybody's."""
        x, weight, mean, variance = ctx.saved_tensors
        none, all_three = mean[:0], [True, True, True]
        incoming, along, straight = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, weight, mean, variance, none, none, False, ctx.eps, all_three
        )
        sums = torch.cat([straight, along, mean.new_full((1,), x.numel() // len(mean))])
        dist.all_reduce(sums, group=ctx.copies)
        shift, slope, count = sums.split([len(mean), len(mean), 1])
        inverse = (variance + ctx.eps).rsqrt_()
        scale = weight * inverse
        slope.mul_(inverse).mul_(scale).div_(count)
        shift.mul_(scale).div_(count).addcmul_(slope, mean, value=-1)
        shape = (-1, *[1] * (x.dim() - 2))
        incoming.addcmul_(x, slope.view(shape), value=-1).sub_(shift.view(shape))
        return incoming, along, straight, None, None, None, None

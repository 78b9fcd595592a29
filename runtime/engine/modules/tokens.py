"""What vision transformers do with tokens."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from specc.graph import ops
from specc.graph.ops import Shape

from .registry import Call, builder


class PatchEmbed(nn.Conv2d):
    """Patches as tokens."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, T, D)."""
        return super().forward(input).flatten(2).transpose(1, 2)


class Lookup(torch.autograd.Function):
    """Rows of a table. What was rounded to find them has a gradient of zero, where somebody asks for one."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
        """The rows."""
        ctx.save_for_backward(index)
        ctx.rows, ctx.like = len(weight), (x.shape, x.dtype)
        return F.embedding(index, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, None, Tensor]:
        """Every row gets the sum of the gradients of its uses."""
        (index,), (shape, dtype) = ctx.saved_tensors, ctx.like
        zeros = gradients[0].new_zeros(shape, dtype=dtype) if ctx.needs_input_grad[0] else None
        table = torch.ops.aten.embedding_dense_backward(gradients[0], index, ctx.rows, -1, False)
        return zeros, None, table


class Embedding(nn.Module):
    """A learnt vector for each step between two values."""

    def __init__(self, op: ops.Embedding) -> None:
        super().__init__()
        self.low, self.step = op.low, (op.high - op.low) / (op.levels - 1)
        self.weight = nn.Parameter(torch.empty(op.levels, op.out).uniform_(-1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """(N, 1, H, W) or (N, D) to (N, T, out)."""
        with torch.no_grad():
            steps = (input.flatten(1) - self.low).div_(self.step).round_().clamp_(0, len(self.weight) - 1)
            index = steps.long()
            del steps
        if not torch.is_grad_enabled():
            return F.embedding(index, self.weight)
        result: Tensor = Lookup.apply(input, index, self.weight)
        return result


class ClassToken(nn.Module):
    """A learnt token before all others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, 1, width))

    def forward(self, input: Tensor) -> Tensor:
        """(N, T, D) to (N, T + 1, D)."""
        return torch.cat((self.weight.expand(input.shape[0], -1, -1), input), 1)


class PositionEmbedding(nn.Module):
    """A learnt vector added to every token."""

    def __init__(self, tokens: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, tokens, width).normal_(std=0.02))  # as BERT

    def forward(self, input: Tensor) -> Tensor:
        """Add."""
        return input + self.weight


class Attention(nn.Module):
    """Self-attention under the parameter names of `torch.nn.MultiheadAttention`."""

    def __init__(self, width: int, heads: int, bias: bool, windows: int = 1) -> None:
        super().__init__()
        self.heads, self.windows = heads, windows
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width)) if bias else None
        self.out_proj = nn.Linear(width, width, bias=bias)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, input: Tensor) -> Tensor:
        """(N, T, D) to (N, T, D)."""
        projected = F.linear(input, self.in_proj_weight, self.in_proj_bias)
        q, k, v = (self._split(part) for part in projected.chunk(3, -1))  # views: one storage is kept for the three
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return F.linear(mixed.reshape(input.shape), self.out_proj.weight, self.out_proj.bias)

    def _split(self, x: Tensor) -> Tensor:
        """(N, T, D) to (N · windows, heads, T / windows, D / heads)."""
        heads = x.reshape(x.shape[0] * self.windows, x.shape[1] // self.windows, self.heads, x.shape[2] // self.heads)
        return heads.transpose(1, 2)


@builder
def patch_embed(op: ops.PatchEmbed, shapes: tuple[Shape, ...]) -> nn.Module:
    """Patches as tokens."""
    return PatchEmbed(shapes[0][0], op.out, op.k, op.k, bias=op.bias)


@builder
def embedding(op: ops.Embedding, shapes: tuple[Shape, ...]) -> nn.Module:
    """A learnt vector for each value."""
    return Embedding(op)


@builder
def class_token(op: ops.ClassToken, shapes: tuple[Shape, ...]) -> nn.Module:
    """A learnt token before all others."""
    return ClassToken(shapes[0][1])


@builder
def position_embedding(op: ops.PositionEmbedding, shapes: tuple[Shape, ...]) -> nn.Module:
    """A learnt vector added to every token."""
    return PositionEmbedding(*shapes[0])


@builder
def select_token(op: ops.SelectToken, shapes: tuple[Shape, ...]) -> nn.Module:
    """One of the tokens."""
    return Call(lambda x: x[:, op.index])


@builder
def attention(op: ops.Attention, shapes: tuple[Shape, ...]) -> nn.Module:
    """Multi-head self-attention."""
    return Attention(shapes[0][1], op.heads, op.bias, op.windows)

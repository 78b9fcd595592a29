"""What vision transformers do with tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchEmbed(nn.Conv2d):
    """Patches as tokens."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) to (N, T, D)."""
        return super().forward(input).flatten(2).transpose(1, 2)


class Embedding(nn.Embedding):
    """A learnt vector for each integer."""

    def __init__(self, rows: int, width: int) -> None:
        super().__init__(rows, width, _weight=torch.empty(rows, width).uniform_(-1, 1))

    def forward(self, input: Tensor) -> Tensor:
        """(N, 1, H, W) or (N, D) to (N, T, out)."""
        return super().forward(input.flatten(1))


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

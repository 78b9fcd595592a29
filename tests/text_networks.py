"""A small network as people write them: of 12 tokens below 20, of which 0 counts for nothing; three classes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LENGTH, VOCABULARY, CLASSES, WIDTH, HEADS = 12, 20, 3, 8, 2


class Layer(nn.Module):
    """Attention that leaves padding out, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 16), nn.Linear(16, WIDTH)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(2, (HEADS, WIDTH // HEADS)).transpose(1, 2) for part in self.qkv(self.before(x)).chunk(3, 2)
        )
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        x = x + self.dropout(self.out(seen.transpose(1, 2).flatten(2)))
        return x + self.down(F.gelu(self.up(self.between(x))))


class Text(nn.Module):
    """What tokens mean and where they stand, four layers, and the mean of the tokens that count."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(VOCABULARY, WIDTH, padding_idx=0)
        self.places = nn.Embedding(LENGTH, WIDTH)
        self.register_buffer("numbers", torch.arange(LENGTH)[None], persistent=False)
        self.layers = nn.ModuleList(Layer() for _ in range(4))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        mask = tokens != 0
        x = self.words(tokens) + self.places(self.numbers)
        for layer in self.layers:
            x = layer(x, mask)
        counts = mask.to(x.dtype)[..., None]
        found: Tensor = self.head((x * counts).sum(1) / counts.sum(1))
        return found

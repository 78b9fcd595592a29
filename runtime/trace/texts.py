"""Models of transformers that classify texts, as modules of one batch: of tokens, some of which may be padding."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

MASK = "attention_mask"


class ReadsTokens:
    """What is mixed into the class of a model: it is given tokens alone, and tells by them which of them count.

    Those that are not the configuration's `pad_token_id`; all of them where it has none, or the model takes no mask.
    """

    config: Any

    def forward(self, tokens: Tensor) -> Any:
        """What the model gives for tokens (batch, length)."""
        forward: Any = super().forward  # type: ignore[misc]
        padding = self.config.pad_token_id
        if padding is None or MASK not in inspect.signature(forward).parameters:
            return forward(tokens)
        return forward(tokens, **{MASK: (tokens != padding).to(torch.int64)})


def reading_tokens(model: nn.Module) -> nn.Module:
    """The same module, whose parameters keep their names."""
    kind: Any = type(model)
    model.__class__ = type(kind.__name__, (ReadsTokens, kind), {"__module__": kind.__module__})
    return model


@torch.no_grad()
def tried(network: nn.Module, length: int, vocabulary: int) -> None:
    """Raise `IndexError` where a table of the network has no place for the last token, or for the last place."""
    training = network.training
    network.eval()(torch.full((1, length), vocabulary - 1))
    network.train(training)

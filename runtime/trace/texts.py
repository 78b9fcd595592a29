"""Models of transformers that classify texts, as modules of one batch: of tokens, some of which may be padding."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence, Set
from typing import Any

import torch
from torch import Tensor, nn

from .calls import Call, Ref

MASK = "attention_mask"
SAME = {"view", "reshape", "contiguous", "to", "long"}  # what hands tokens on as they are


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


def tokens_known(calls: Sequence[Call], network: nn.Module) -> int:
    """How many tokens a network knows: the rows of the table in which they are looked up; 0 where none is seen.

    Only where the very tokens are: what is made of them may be anything.
    """
    given: set[Ref] = set()
    for call in calls:
        if call.what == "input" or (call.what in SAME and call.args and call.args[0] in given):
            given.add(Ref(call.name))
    return min(_rows(calls, given, network), default=0)


def _rows(calls: Sequence[Call], given: Set[Ref], network: nn.Module) -> Iterator[int]:
    """Of all tables in which one of these values is looked up."""
    shapes = {call.name: call.shape for call in calls}
    for call in calls:
        if call.path and call.args and call.args[0] in given:
            module = network.get_submodule(call.path)
            if isinstance(module, nn.Embedding):
                yield module.num_embeddings
        elif call.what == "embedding" and call.argument(0, "input") in given:
            table = call.argument(1, "weight")
            yield from (shapes[table.name][0],) if isinstance(table, Ref) else ()

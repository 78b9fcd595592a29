"""Networks that read the tokens of a text: traced, cut, and trained as their own code trains them."""

from __future__ import annotations

import torch

import specc

from .text_networks import LENGTH, VOCABULARY, Text


def batch(rows: int = 4) -> torch.Tensor:
    """Tokens, the last ones of which are padding."""
    tokens = torch.randint(1, VOCABULARY, (rows, LENGTH), generator=torch.Generator().manual_seed(0))
    tokens[0, 5:], tokens[1, -1] = 0, 0
    return tokens


def test_a_network_of_tokens_is_traced_layer_by_layer() -> None:
    """Tokens are read throughout, as every layer makes its mask of them, and end no layer thereby."""
    graph = specc.trace(Text(), batch()).graph
    assert (graph.input, graph.dtype, graph.part(0, 0).dtype) == ((LENGTH,), "int64", "int64")
    assert [layer.name for layer in graph.layers][1:5] == [f"layers.{i}" for i in range(4)]
    assert graph.cuts[1:] == tuple(f"layers.{i}" for i in range(4))
    assert {node.dtype for node in graph.nodes} == {"float32"}

"""Where the tokens of a traced network stand in the image: its calls are followed once, without numbers."""

from __future__ import annotations

from collections.abc import Mapping, Set
from math import prod
from operator import attrgetter
from typing import Any

import torch
from torch import nn

from specc.graph.layout import Layout

from .following import Following
from .origins import Origin, grid, of_images, turned


def positions(network: nn.Module, graph: Any, values: Mapping[Any, Any], last: Set[str]) -> dict[str, Layout]:
    """The places of the values that are tokens in the order of the image; `values` are those of one recording.

    Tokens stand where all that tells where they come from says so; of others nothing is said. Maps whose channels come
    `last` are tokens.
    """
    made: dict[Any, Any] = {}
    with torch.no_grad(), torch.device("meta"), Following() as following:
        for node in graph.nodes:
            if node.op == "placeholder":
                made[node] = values[node]
                following.tell(made[node], (of_images(values[node].shape),))
            elif node.op != "output":
                made[node] = _value(network, node, made, values)
    told = {n.name: {_layout(each, n.name in last) for each in following.of(value)} for n, value in made.items()}
    return {name: place for name, places in told.items() if len(places) == 1 for place in places if place is not None}


def _value(network: nn.Module, node: Any, made: Mapping[Any, Any], values: Mapping[Any, Any]) -> Any:
    if node.op == "get_attr":
        return attrgetter(node.target)(network)
    if node.target is max and not node.args:  # a number that grows with the batch
        return values[node]
    args, kwargs = torch.fx.map_arg((node.args, node.kwargs), made.__getitem__)
    if node.op == "call_module":
        return network.get_submodule(node.target)(*args, **kwargs)
    if node.op == "call_method":
        return getattr(args[0], node.target)(*args[1:], **kwargs)
    return node.target(*args, **kwargs)


def _layout(found: Origin, last: bool) -> Layout | None:
    """The places of tokens, or of their channels; a map's are those of its pixels."""
    if last:
        found = found.reshaped([found.shape[0], prod(found.shape[1:-1]), found.shape[-1]])
    if len(found.shape) != 3:
        return None
    for tokens, first in ((found, False), (turned(found), True)):
        if (size := grid(tokens)) is not None:
            return Layout(size[:2], size[2], first)
    return None

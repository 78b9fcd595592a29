"""Tensors of another stage that a unit averages: one message, and the tensors as views of it.

Of copies that keep a part of the parameters each these are the parts, since averages are dealt as what they average.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from specc.graph.ops import numel
from specc.plan import Plan, ReceiveSources
from specc.plan.shards import deal_of, kept

from .network import initialise


class Borrowed:
    """What a unit of this stage is lent before every average of it."""

    def __init__(self, plan: Plan, lent: ReceiveSources, device: torch.device, dtype: torch.dtype) -> None:
        copies = {source: copy for link in plan.by_unit[lent.unit].links for copy, source in link.sources.items()}
        networks = [plan.networks[link.ema] for link in plan.by_unit[lent.unit].links]
        self._deal = deal_of(plan.layout)
        shapes = {name: shape for network in networks for name, shape in kept(network, self._deal).items()}
        self._nodes = {f"{n.prefix}{node.name}": node for n in networks for node in n.graph.nodes}
        self._copies = {name: copies[name] for name in lent.tensors}
        sizes = [numel(shapes[copy]) for copy in self._copies.values()]
        self.message = torch.empty(sum(sizes), dtype=dtype, device=device)
        parts = self.message.split(sizes)
        self.tensors: dict[str, Tensor] = {
            name: part.view(shapes[copy]) for part, (name, copy) in zip(parts, self._copies.items(), strict=True)
        }

    def reset(self, seed: int) -> None:
        """As the other stage draws them."""
        for name, tensor in self.tensors.items():
            node, _, kind = self._copies[name].rpartition(".")
            op = self._nodes[node].op
            if kind in (shapes := self._nodes[node].parameters):
                whole = torch.empty(shapes[kind], dtype=tensor.dtype)
                initialise(name, whole, op.initial(kind), seed)
                rows = slice(None) if self._deal is None else list(self._deal.rows(len(whole)))
                tensor.copy_(whole[rows])
            else:
                tensor.fill_(1 if kind == "running_var" else 0)


def flattened(tensors: Iterable[Tensor]) -> Tensor:
    """One message of several tensors, a copy of their numbers in the order of their axes."""
    return torch.cat([tensor.detach().reshape(-1) for tensor in tensors])

"""Check 6: no two tensors have the same name, for one of them would be missing from all that is saved by name."""

from __future__ import annotations

from collections.abc import Iterator

from ...diagnostics import Diagnostic
from ...plan import Network
from ..draft import Draft


def check_tensors(draft: Draft) -> Draft:
    """Every parameter and buffer of the plan has a name of its own, whichever network it belongs to."""
    owner: dict[str, Network] = {}
    found: dict[tuple[str, str], Diagnostic] = {}
    for network in draft.networks.values():
        for name in _tensors(network):
            first = owner.setdefault(name, network)
            if first is not network and (first.name, network.name) not in found:
                found[first.name, network.name] = _taken(draft, name, first, network)
    return draft.updated(*found.values())


def _tensors(network: Network) -> Iterator[str]:
    for node in network.graph.nodes:
        yield from (f"{network.prefix}{node.name}.{tensor}" for tensor in (*node.parameters, *node.buffers))


def _taken(draft: Draft, name: str, first: Network, second: Network) -> Diagnostic:
    """Points at the backbone's layer, which can be given another name: levels and heads differ among themselves."""
    layers = {f"{node.name}.": layer for layer in draft.graph.layers for node in layer.nodes}
    layer = next(layer for start, layer in layers.items() if name.startswith(start))
    other = second if second.prefix else first
    message = f"`{name}` would be the name of a tensor of the layer `{layer.name}` and of one of `{other.name}`"
    own = (*layer.path, "name") if len(layer.path) > 2 else layer.path
    help = ("give the layer another name: names that begin with `unit` and a number are those of auxiliary networks",)
    return draft.spec.error("SPC209", message, *own, label="taken", help=help)

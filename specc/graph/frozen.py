"""Graphs of which some parameters stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from .called import layers_called
from .graph import BackboneGraph


def frozen(graph: BackboneGraph, names: Iterable[str]) -> BackboneGraph:
    """The graph with what is called so frozen; names that nothing has are of no effect."""
    return with_frozen(graph, {node for name in names for node in nodes_called(graph, name) or ()})


def nodes_called(graph: BackboneGraph, name: str) -> frozenset[str] | None:
    """The nodes with parameters of a layer, of all whose names begin so, or of a part of one; None: there is none."""
    layers = layers_called(graph, name)
    nodes = [node for i in layers for node in graph.layers[i].nodes] if layers else [
        node for node in graph.nodes if node.name == name or node.name.startswith(f"{name}.")
    ]  # fmt: skip
    return frozenset(node.name for node in nodes if node.parameters) if nodes else None


def with_frozen(graph: BackboneGraph, chosen: Set[str]) -> BackboneGraph:
    """The graph with some nodes frozen."""
    layers = (
        replace(each, nodes=tuple(replace(n, frozen=True) if n.name in chosen else n for n in each.nodes))
        for each in graph.layers
    )
    return replace(graph, layers=tuple(layers))

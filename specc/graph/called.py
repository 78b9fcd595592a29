"""Layers by the names that specs give them: one by its own, several by what their names begin with."""

from __future__ import annotations

from collections.abc import Iterator

from .graph import BackboneGraph


def names_of(layer: str) -> Iterator[str]:
    """Of a layer, and of those that it is one of: ``stage1.0`` is one of ``stage1``."""
    yield layer
    while layer := layer.rpartition(".")[0]:
        yield layer


def layers_called(graph: BackboneGraph, name: str) -> list[int]:
    """The layer of a name, or all whose names begin with it: those of a group, a repetition or a stage."""
    if name in graph.index:
        return [graph.index[name]]
    return [i for i, layer in enumerate(graph.layers) if layer.name.startswith(f"{name}.")]

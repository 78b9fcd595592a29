"""Which of the legal cuts to choose from: where a layer, a module or a residual block ends, as people mean it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from .node import Layer, Node
from .ops import ClassToken, LayerScale, Opaque, PositionEmbedding
from .ops.activation import Elementwise, Scale, ToIntegers
from .ops.normalization import Normalization


def chosen(layers: Sequence[Layer], legal: Collection[str]) -> dict[int, str]:
    """Of the legal cuts the one to choose after so many trained layers.

    It is the last between two layers with parameters: activations and poolings go with what comes before them. Pooling
    and flattening before the last such layer, the head, go with that.
    """
    found: dict[int, list[Layer]] = {}
    before = 0
    for layer in layers:
        before += layer.trained
        if layer.name in legal:
            found.setdefault(before, []).append(layer)
    return {
        count: next(each.name for each in reversed(own) if count < before - 1 or each.shape == own[0].shape)
        for count, own in found.items()
        if 0 < count < before
    }


def in_order(*choices: Mapping[int, str]) -> tuple[str, ...]:
    """The cuts of several choices, of two between the same trained layers that of the first choice."""
    found: dict[int, str] = {}
    for choice in choices:
        found = {**choice, **found}
    return tuple(found[count] for count in sorted(found))


def parted(layers: Sequence[Layer]) -> dict[str, str]:
    """The layers that a cut would part from what belongs to them, and the layer in which that is.

    A norm or an activation that is a layer of its own, or begins one without weights, belongs to the layer before it,
    unless somebody else reads that too, as a shortcut does; poolings and views may come between. A module that begins
    with its norm is a whole one.
    """
    readers: dict[str, list[tuple[Node, Layer]]] = {}
    for layer in layers:
        for node in layer.nodes:
            for name in node.inputs:
                readers.setdefault(name, []).append((node, layer))
    heavy = {layer.name for layer in layers if any(_weighty(node) for node in layer.nodes)}
    completed: dict[str, str] = {}  # by value
    for node in (node for layer in reversed(layers) for node in reversed(layer.nodes)):
        match readers.get(node.name, ()):
            case [(reader, layer)] if layer.name not in heavy:
                if completes(reader):
                    completed[node.name] = layer.name
                elif _passes(reader) and reader.name in completed:
                    completed[node.name] = completed[reader.name]
    return {
        layer.name: end for layer in layers if (end := completed.get(layer.nodes[-1].name)) not in (None, layer.name)
    }


def pieces(layer: Layer) -> list[Layer]:
    """The layer's nodes one by one, each with the norms and activations after it that read nothing else."""
    found: list[Layer] = []
    for node in layer.nodes:
        if found and completes(node) and node.inputs == (found[-1].nodes[-1].name,):
            found[-1] = replace(found[-1], name=node.name, nodes=(*found[-1].nodes, node))
        else:
            found.append(replace(layer, name=node.name, nodes=(node,)))
    return found


def completes(node: Node) -> bool:
    """Whether it belongs to the weights before it: a norm, an activation, what is added to tokens."""
    added = isinstance(node.op, Normalization | LayerScale | ClassToken | PositionEmbedding)
    return added or (isinstance(node.op, Elementwise) and not isinstance(node.op, Scale | ToIntegers))


def _weighty(node: Node) -> bool:
    return bool(node.parameters) and not completes(node)


def _passes(node: Node) -> bool:
    """Whether it only hands on what it reads, smaller or in another order."""
    return not node.parameters and len(node.inputs) == 1 and not isinstance(node.op, Opaque)

"""What the layers of a backbone are, whatever they are called: a long chain repeats the same few blocks."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

from ..graph.graph import INPUT, BackboneGraph, Layer
from ..spec.models import SpecModel


class Structure:
    """Tells which runs of layers are alike."""

    def __init__(self, graph: BackboneGraph, config: SpecModel, places: Sequence[int]) -> None:
        self.graph, self.places = graph, places
        self._known: dict[Hashable, int] = {}
        self._number = {node.name: i for i, node in enumerate(graph.nodes)}
        self._copied = max((link.layers for link in config.ema_links), default=0) + 1
        fixed = any(link.source != "next" for link in config.ema_links)
        self._apart = fixed or any(head.looks_ahead for _, head in config.heads())
        self.layers = [self._numbered(layer) for layer in graph.layers]

    def of(self, ends: Sequence[int], follow: Sequence[int]) -> Hashable:
        """What the cost of successive blocks depends on: these layers, those that a link copies, and where cuts lie."""
        first, last = ends[0], ends[-1]
        if self._apart:
            return (*ends, *follow)
        inside = tuple(place - last for place in self.places if first < place < last)
        next_layers = tuple(self.layers[last + 1 : last + 1 + self._copied])
        length = tuple(min(end - last, self._copied) for end in follow)
        run = tuple(self.layers[first + 1 : last + 1])
        return run, first < 0, tuple(end - last for end in ends[1:]), inside, next_layers, length

    def at(self, cut: int) -> Hashable:
        """What the units at a cut depend on: the layer that they end with, and those that they may copy."""
        return cut if self._apart else tuple(self.layers[cut : cut + 1 + self._copied])

    def _numbered(self, layer: Layer) -> int:
        content = tuple(self._nodes(layer)), self.graph.layouts[layer.nodes[-1].name]
        try:
            return self._known.setdefault(content, len(self._known))
        except TypeError:  # an op that holds something without a hash is like no other
            return self._known.setdefault(object(), len(self._known))

    def _nodes(self, layer: Layer) -> Iterator[Hashable]:
        """Ops with shapes; what they read counts by how far it lies before them."""
        for node in layer.nodes:
            here = self._number[node.name]
            read = tuple(INPUT if name == INPUT else here - self._number[name] for name in node.inputs)
            yield node.op, node.in_shapes, node.shape, read, node.frozen

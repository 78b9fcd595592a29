"""Whether a graph that was read from a file holds together; those that are built always do."""

from __future__ import annotations

from collections.abc import Iterator

from .graph import IMAGES, INPUT, Graph
from .ops import Shape


def faults(graph: Graph, images: Shape) -> Iterator[str]:
    """Nodes read what is there, and their shapes are those that their ops give."""
    known = {INPUT: graph.input, IMAGES: images, **{skip.name: skip.shape for skip in graph.reads}}
    for node in graph.nodes:
        if node.name in known:
            yield f"two values are called `{node.name}`"
        if node.in_shapes != tuple(known.get(name) for name in node.inputs):
            yield f"`{node.name}` reads what is not there, or of another shape"
        if node.op.output(*node.in_shapes) != node.shape:
            yield f"`{node.name}` gives another shape than it says"
        known[node.name] = node.shape
    if not {node.name for node in graph.nodes[:-1]}.issuperset(graph.gives):
        yield "it gives what it does not make"

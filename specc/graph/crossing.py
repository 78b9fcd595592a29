"""What crosses a cut, and which values a gradient leads from and to: of nodes in their order, wherever they are cut."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from .node import Node


def last_readers(layers: Sequence[Sequence[Node]]) -> dict[str, int]:
    """For every value that is read the number of the last layer that reads it."""
    return {name: i for i, layer in enumerate(layers) for node in layer for name in node.inputs}


def alive(layers: Sequence[Sequence[Node]], last: Mapping[str, int]) -> Iterator[dict[str, Node]]:
    """After every layer the values that later ones read, in the order of their making; the images do not count."""
    found: dict[str, Node] = {}
    for i, layer in enumerate(layers):
        found |= {node.name: node for node in layer}
        found = {name: node for name, node in found.items() if last.get(name, -1) > i}
        yield found


def reached(nodes: Sequence[Node], ends: Iterable[str]) -> set[str]:
    """The values whose gradient is not zero where there is one at the `ends`: these, and what they are made of."""
    found = set(ends)
    for node in reversed(nodes):
        if node.name in found and not node.op.blocks_gradient:
            found.update(node.inputs)
    return found


def learning(nodes: Iterable[Node], wanted: Collection[str] = ()) -> set[str]:
    """The values whose gradient leads to parameters, or to one of the values that are `wanted`."""
    found = set(wanted)
    for node in nodes:
        if node.trained or not (node.op.blocks_gradient or found.isdisjoint(node.inputs)):
            found.add(node.name)
    return found


def astray(nodes: Sequence[Node]) -> tuple[str, ...]:
    """The nodes with parameters that the last one's value does not depend on."""
    led = reached(nodes, (nodes[-1].name,))
    return tuple(node.name for node in nodes if node.trained and node.name not in led)

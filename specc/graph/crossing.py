"""What crosses a cut, and which values a gradient leads from and to: of nodes in their order, wherever they are cut."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from .node import Node
from .ops import Shape


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


def moved(nodes: Sequence[Node], ends: Iterable[str]) -> list[Shape]:
    """The trained parameters that a gradient comes to from the `ends`: parts may hold it back."""
    led = set(ends)
    for node in reversed(nodes):
        if node.name in led:
            led.update(name for i, name in enumerate(node.inputs) if i not in node.op.held_back)
    return [shape for node in nodes if node.name in led for shape in node.trained.values()]


def learning(nodes: Iterable[Node], wanted: Collection[str] = ()) -> set[str]:
    """The values whose gradient leads to parameters, or to one of the values that are `wanted`."""
    found = set(wanted)
    for node in nodes:
        if node.trained or not (node.op.blocks_gradient or found.isdisjoint(node.inputs)):
            found.add(node.name)
    return found


def complete(layers: Sequence[Sequence[Node]], joints: Collection[int]) -> Iterator[int]:
    """The layers to whose value all leads that is trained up to them; `joints` are those that hand on one value alone.

    What leads to no joint leads nowhere beyond it, so it is looked at between two of them.
    """
    nodes: list[Node] = []
    before: set[str] = set()  # the value of the last joint, if something is trained before it
    for i, layer in enumerate(layers):
        nodes += layer
        led = reached(nodes, (layer[-1].name,))
        wanted = before | {node.name for node in nodes if node.trained}
        if wanted <= led:
            yield i
        elif i in joints:
            return
        if i in joints:
            nodes, before = [], {layer[-1].name} if wanted else before

"""Growing concatenations, as DenseNet has them, written so that one value is alive between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from .node import Node
from .ops import INPUT, Concat


def nested(nodes: Iterable[Node]) -> Iterator[Node]:
    """concat(a, b, c) as concat(concat(a, b), c), where concat(a, b) is there already.

    The numbers are the same, for a concatenation moves numbers and changes none, and so are the gradients, which are
    added up in the same order. But after concat(a, b) nobody needs a and b any more: there the network can be cut.
    """
    made: dict[tuple[int, tuple[str, ...]], Node] = {}  # by axis and all that lies in it
    for node in nodes:
        if not isinstance(node.op, Concat):
            yield node
            continue
        inner, count = _longest(node, node.op.axis, made)
        made.setdefault((node.op.axis, node.inputs), node)
        yield (
            node
            if inner is None
            else replace(
                node,
                inputs=(inner.name, *node.inputs[count:]),
                in_shapes=(inner.shape, *node.in_shapes[count:]),
            )
        )


def _longest(node: Node, axis: int, made: dict[tuple[int, tuple[str, ...]], Node]) -> tuple[Node | None, int]:
    """The concatenation of the most first inputs that was made before, and how many they are.

    The images are there anyway: what begins with them is left as it is.
    """
    for count in range(len(node.inputs) - 1, 1, -1):
        found = made.get((axis, node.inputs[:count]))
        if found is not None and INPUT not in node.inputs[:count]:
            return found, count
    return None, 0

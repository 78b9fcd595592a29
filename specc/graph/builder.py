"""Builds graphs op by op: shapes are inferred and names given on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from .concats import nested
from .graph import INPUT, BackboneGraph, Graph, Layer, Node
from .ops import Op, RangeError, Shape, ShapeError
from .ops.ranges import check_ranges

MOST_OPS = 20_000  # of one graph; a ResNet-1202 has 4,200


class NameTaken(ShapeError):
    """Two ops of a graph would have the same name, so that one hides the other."""

    def __init__(self, name: str) -> None:
        super().__init__(f"two of its parts are called `{name}`")
        self.name = name


class Builder:
    """Adds ops one after the other; the unnamed ones are numbered by kind: conv0, bn0, conv1, ..."""

    def __init__(self, input: Shape) -> None:
        self.input = input
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {INPUT: input}
        self.last = INPUT
        self._scope = ""
        self._count: dict[str, int] = {}

    @property
    def shape(self) -> Shape:
        """Shape of the last value."""
        return self.shapes[self.last]

    def add(self, op: Op, name: str | None = None, inputs: Sequence[str] = ()) -> str:
        """Append one op reading `inputs` (full names; by default the last value) and return its full name.

        Raises `ShapeError` when the op does not fit, `RangeError` when one of its arguments is out of its range, and
        `NameTaken` where another op has its name.
        """
        check_ranges(op)
        if len(self.nodes) >= MOST_OPS:
            raise RangeError(f"these are more than {MOST_OPS:,} ops")
        sources = tuple(inputs) or (self.last,)
        if wanted := op.lacks(len(sources)):
            raise ShapeError(f"`{op.name}` takes {wanted}, not {len(sources)}")
        in_shapes = tuple(self.shapes[source] for source in sources)
        node = Node(self._scope + (name or self.number(op.prefix)), op, sources, in_shapes, op.output(*in_shapes))
        if node.name in self.shapes:
            raise NameTaken(node.name)
        self.nodes.append(node)
        self.shapes[node.name] = node.shape
        self.last = node.name
        return node.name

    def chain(self, ops: Iterable[Op]) -> str:
        """Append unnamed ops, each reading the one before."""
        for op in ops:
            self.add(op)
        return self.last

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Names given inside begin with ``name.``."""
        outer, self._scope = self._scope, f"{self._scope}{name}."
        try:
            yield
        finally:
            self._scope = outer

    def number(self, prefix: str) -> str:
        """The next name of a kind in the current scope."""
        key = self._scope + prefix
        i = self._count.get(key, 0)
        self._count[key] = i + 1
        return f"{prefix}{i}"

    def graph(self) -> Graph:
        """What was built so far."""
        return Graph(self.input, tuple(self.nodes))


class LayerBuilder(Builder):
    """Builds a backbone as named layers; nodes are called ``layer.node``, the first of a kind without a number."""

    def __init__(self, input: Shape) -> None:
        super().__init__(input)
        self.layers: list[Layer] = []

    @contextmanager
    def layer(self, name: str, path: tuple[str | int, ...] = ("backbone",)) -> Iterator[None]:
        """Everything added inside belongs to the layer `name`; `path` is where the spec says so."""
        first = len(self.nodes)
        with self.scope(name):
            yield
        self.layers.append(Layer(name, tuple(self.nodes[first:]), path))

    def trained_before(self, values: Sequence[str]) -> str | None:
        """The last node with parameters that one of the values depends on."""
        wanted = set(values)
        for node in reversed(self.nodes):
            if node.name in wanted:
                if node.parameters:
                    return node.name
                wanted.update(node.inputs)
        return None

    def number(self, prefix: str) -> str:
        """``conv``, ``conv1``, ``conv2``, ..."""
        name = super().number(prefix)
        return prefix if name == f"{prefix}0" else name

    def backbone(self, aliases: Mapping[str, str] | None = None) -> BackboneGraph:
        """The finished backbone."""
        nodes = nested(self.nodes)
        layers = (replace(layer, nodes=tuple(islice(nodes, len(layer.nodes)))) for layer in self.layers)
        return BackboneGraph(self.input, tuple(layers), aliases or {})

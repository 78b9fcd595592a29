"""Builds graphs op by op: shapes are inferred and names given on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from .concats import nested
from .graph import INPUT, BackboneGraph, Graph, Layer, Node
from .ops import DType, DTypeError, Op, RangeError, Shape, ShapeError
from .ops.codec import check_ranges

WORDS = ("integers", "floating-point numbers")
TO_INTEGERS = "`to_integers` before it makes integers of them: 8 bytes each, and no gradient comes through"
TO_FLOATS = "`embedding` before it looks up a learnt vector for each of them"
MOST_OPS = 20_000  # of one graph; a ResNet-1202 has 4,200


class NameTaken(ShapeError):
    """Two ops of a graph would have the same name, so that one hides the other."""

    def __init__(self, name: str) -> None:
        super().__init__(f"two of its parts are called `{name}`")
        self.name = name


class Builder:
    """Adds ops one after the other; the unnamed ones are numbered by kind: conv0, bn0, conv1, ..."""

    def __init__(self, input: Shape, dtype: DType = "float32", below: int = 0) -> None:
        self.input, self.dtype, self.below = input, dtype, below
        self.nodes: list[Node] = []
        self.shapes: dict[str, Shape] = {INPUT: input}
        self.makers: dict[str, Op] = {}
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
        for source in sources:
            self._check_numbers(op, source)
        in_shapes = tuple(self.shapes[source] for source in sources)
        node = Node(
            self._scope + (name or self.number(op.prefix or op.name)), op, sources, in_shapes, op.output(*in_shapes)
        )
        if node.name in self.shapes:
            raise NameTaken(node.name)
        self.nodes.append(node)
        self.shapes[node.name] = node.shape
        self.makers[node.name] = op
        self.last = node.name
        return node.name

    def _check_numbers(self, op: Op, source: str) -> None:
        """Raise `DTypeError` where the value holds other numbers than the op can read."""
        maker = self.makers.get(source)
        if op.reads != (maker.makes if maker else self.dtype):
            needs, instead = WORDS if op.reads == "int64" else WORDS[::-1]
            way = TO_INTEGERS if op.reads == "int64" else TO_FLOATS
            raise DTypeError(f"`{op.name}` takes {needs}, and `{source}` gives {instead}", way)
        if op.below and (most := (maker.below if maker else self.below) or 0) > op.below:
            text = f"`{op.name}` has {op.below} rows, and `{source}` gives integers from 0 to {most - 1}"
            raise DTypeError(text, f"`rows: {most}`, or as many `levels` as there are rows")

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
        return Graph(self.input, tuple(self.nodes), self.dtype)


class LayerBuilder(Builder):
    """Builds a backbone as named layers; nodes are called ``layer.node``, the first of a kind without a number."""

    def __init__(self, input: Shape, dtype: DType = "float32", below: int = 0) -> None:
        super().__init__(input, dtype, below)
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
        return BackboneGraph(self.input, tuple(layers), aliases or {}, self.dtype)

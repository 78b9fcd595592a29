"""One op of a graph at its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated

from pydantic import Field

from ..language.names import Name, Value
from .ops import INPUT, DType, Saved, Shape, numel
from .ops.codec import AnyOp

IfAny = Field(exclude_if=lambda value: not value)  # what most plans have none of is not written into them
IMAGES = "@images"  # what a graph that does not begin with the images calls them; no layer's name has an `@`


@dataclass(frozen=True)
class Node:
    """One op at its place: what it reads and what shapes pass through it (without the batch).

    What the op says of these shapes is asked once and kept: a search over cuts asks thousands of times.
    """

    name: Name
    op: AnyOp
    inputs: tuple[Value, ...]
    in_shapes: tuple[Shape, ...]
    shape: Shape
    frozen: Annotated[bool, IfAny] = False  # its parameters stay as they are

    @property
    def dtype(self) -> DType:
        """The kind of numbers of its result."""
        return self.op.makes

    @cached_property
    def parameters(self) -> dict[str, Shape]:
        """Parameters by torch name, frozen or not."""
        return self.op.parameters(*self.in_shapes)

    @property
    def trained(self) -> dict[str, Shape]:
        """Those that are trained."""
        return {} if self.frozen else self._moved

    @cached_property
    def _moved(self) -> dict[str, Shape]:
        unmoved = self.op.unmoved
        return {name: shape for name, shape in self.parameters.items() if name not in unmoved}

    @cached_property
    def parameter_count(self) -> int:
        """Numbers in its parameters."""
        return sum(map(numel, self.parameters.values()))

    @cached_property
    def factors(self) -> tuple[int, ...]:
        """Which parameters a backward needs: no bias but layer norm's, which torch keeps all the same."""
        norm = self.op.name == "layer_norm"
        return tuple(i for i, name in enumerate(self.parameters) if norm or not name.endswith("bias"))

    @cached_property
    def buffers(self) -> dict[str, Shape]:
        """State tensors by torch name."""
        return self.op.buffers(*self.in_shapes)

    @cached_property
    def flops(self) -> int:
        """FLOPs of one sample's forward."""
        return self.op.flops(self.in_shapes, self.shape)

    @cached_property
    def saved(self) -> Saved:
        """What autograd keeps for the backward."""
        return self.op.saved(self.in_shapes, self.shape)

    @cached_property
    def size(self) -> int:
        """Numbers of one sample's result."""
        return numel(self.shape)


@dataclass(frozen=True, slots=True)
class Layer:
    """A named run of nodes, the unit in which cuts are made and EMA links copy."""

    name: str
    nodes: tuple[Node, ...]
    path: tuple[str | int, ...] = ("backbone",)  # where the spec says so

    @property
    def shape(self) -> Shape:
        """Shape of what the layer hands on."""
        return self.nodes[-1].shape

    @property
    def trained(self) -> bool:
        """Whether there is anything to train in it."""
        return any(node.trained for node in self.nodes)

    @property
    def weighted(self) -> bool:
        """Whether it has parameters, frozen or not."""
        return any(node.parameters for node in self.nodes)


@dataclass(frozen=True, slots=True)
class Skip:
    """A value that crosses a cut beside the features: of the node of this name, in a block before."""

    name: Value
    shape: Shape


def sub_nodes(node: Node) -> Iterator[Node]:
    """The simple nodes that a node is made of."""
    parts = node.op.parts(*node.in_shapes)
    if not parts:
        yield node
        return
    names, shapes = {INPUT: node.inputs[0]}, {INPUT: node.in_shapes[0]}
    for i, (name, op, inputs) in enumerate(parts):
        names[name] = node.name if i == len(parts) - 1 else f"{node.name}.{name}"
        taken = tuple(shapes[source] for source in inputs)
        shapes[name] = op.output(*taken)
        yield Node(names[name], op, tuple(names[source] for source in inputs), taken, shapes[name], node.frozen)


def rewire(node: Node, names: dict[str, str]) -> Node:
    """The node with its inputs renamed."""
    if names.keys().isdisjoint(node.inputs):
        return node
    return replace(node, inputs=tuple(names.get(name, name) for name in node.inputs))

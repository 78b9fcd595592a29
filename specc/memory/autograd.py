"""Values without numbers, the graphs that they hang on, and torch's autograd engine over these.

A storage lives as long as a value, a gradient on its way or what a function keeps holds it, as with torch's tensors.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from itertools import count
from typing import Any

from ..graph.ops import Order, Shape, numel
from .storage import GRADIENT, Allocator, Storage

Gradients = dict[str, Storage]  # of one optimizer group's parameters, by canonical name


class Value:
    """So many rows of one shape."""

    __slots__ = ("graph", "order", "rows", "shape", "storage")

    def __init__(self, storage: Storage, rows: int, shape: Shape, order: Order, graph: Any = None) -> None:
        self.storage, self.rows, self.shape, self.order = storage, rows, shape, order
        self.graph: Function | Leaf | None = graph

    @property
    def numbers(self) -> int:
        """How many, of all rows."""
        return self.rows * numel(self.shape)

    def like(self, storage: Storage, graph: Any = None) -> Value:
        """As many of them elsewhere."""
        return Value(storage, self.rows, self.shape, self.order, graph)

    def new(self, graph: Any = None) -> Value:
        """As many of them in a storage of their own."""
        old = self.storage
        return self.like(old.allocator.new(old.bytes, old.category, old.width), graph)


class Gradient:
    """Numbers on their way back, in a storage that nobody else need hold."""

    __slots__ = ("order", "storage")

    def __init__(self, storage: Storage, order: Order) -> None:
        self.storage, self.order = storage, order

    @property
    def numbers(self) -> int:
        """How many there are."""
        return self.storage.bytes // self.storage.width

    @property
    def references(self) -> int:
        """How many hold its storage, and those that ask."""
        return sys.getrefcount(self.storage)

    @property
    def alone(self) -> bool:
        """Whether nobody else holds its storage."""
        return self.references == ALONE

    def replace(self, numbers: int, width: int) -> None:
        """Make a new one of it."""
        old = self.storage
        self.storage = old.allocator.new(numbers * width, old.category, width)

    def fit(self, numbers: int, width: int) -> None:
        """Sum it up where the operand was repeated."""
        if self.numbers != numbers:
            self.replace(numbers, width)

    def cast(self, numbers: int, width: int) -> None:
        """Put it into the precision that its operand has."""
        if self.storage.width != width:
            self.replace(numbers, width)

    def add(self, other: Gradient, numbers: int, traced: bool) -> None:
        """Add to it, in place if nobody else holds it."""
        if not self.alone or traced or self.numbers != numbers:
            self.replace(numbers, self.storage.width)
        del other.storage


ALONE = Gradient(Storage(Allocator(), 0, "", 4), "plain").references


class Leaf:
    """Where a graph begins and a gradient is collected."""

    __slots__ = ("gradient", "value")

    def __init__(self, value: Value) -> None:
        self.value = value
        self.gradient: Gradient | None = None


_NUMBERS = count()


class Function:
    """What made a value: which graphs its operands hang on, and what it keeps for its backward."""

    __slots__ = ("edges", "keys", "number", "saved")

    def __init__(self, edges: Sequence[Function | Leaf | None], saved: Sequence[Any] = ()) -> None:
        self.edges, self.saved = tuple(edges), list(saved)
        self.number = next(_NUMBERS)
        self.keys: tuple[str, ...] = ()  # of parameters, by canonical name

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Send on what came, and let go of what was kept."""
        raise NotImplementedError


class Sharing(Function):
    """Hands all operands the same gradient: the one that came, or a new one of so many `numbers`."""

    __slots__ = ("numbers",)

    def __init__(self, operands: Sequence[Value], numbers: int = 0) -> None:
        super().__init__([value.graph for value in operands])
        self.numbers = numbers

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Each gets it, or its part of it."""
        if self.numbers:
            incoming.replace(self.numbers, incoming.storage.width)
        for edge in self.edges:
            engine.send(edge, Gradient(incoming.storage, "plain" if self.numbers else incoming.order), incoming.numbers)


class Product(Function):
    """With a number that is trained, whose own gradient is a sum over as many numbers; the other factor stays."""

    __slots__ = ()

    def __init__(self, factor: Value) -> None:
        super().__init__([factor.graph], [factor.storage])

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Both gradients are products."""
        size, width = incoming.numbers, incoming.storage.width
        gradient = Gradient(incoming.storage.allocator.new(size * width, GRADIENT, width), incoming.order)
        gradient.storage.allocator.passing(size * width, GRADIENT)
        del incoming.storage
        engine.release(self)
        engine.send(self.edges[0], gradient, size)


def dense(order: Order, shape: Shape) -> Order:
    """The order with regard to a shape: a single channel or a single position lies the same in every order."""
    many = (shape[0] > 1, numel(shape[1:]) > 1) if len(shape) > 1 else (False, False)
    if order == "slice":
        return order if len(shape) == 3 and many[1] else "plain"
    return order if all(many) else "plain"


class Engine:
    """One backward. `traced`: as counted under a dispatch mode, where gradients are never added to in place."""

    def __init__(self, *, traced: bool, retain: bool = False, only_parameters: bool = False) -> None:
        self.traced, self.retain, self.only_parameters = traced, retain, only_parameters
        self.arrived: dict[Function | Leaf, Gradient] = {}
        self.again: dict[int, dict[str, Function]] = {}  # what was computed again, by the id of its piece
        self.meeting: dict[str, Gradient] = {}  # of parameters that several operations share
        self.uses: Counter[str] = Counter()
        self.wanted: set[Function | Leaf | None] = set()  # what leads to a gradient that somebody wants

    def run(self, start: Value, gradient: Gradient) -> None:
        """Send the gradient from a value to leaves and parameters."""
        functions = _reached(start)
        for function in functions:
            if not self.only_parameters:
                self.wanted.update(edge for edge in function.edges if isinstance(edge, Leaf))
            if function.keys or not self.wanted.isdisjoint(function.edges):
                self.wanted.add(function)
                self.uses.update(function.keys)
        assert start.graph is not None
        self.arrived[start.graph] = gradient
        del gradient
        for function in reversed(functions):
            if function in self.arrived:
                function.back(self, self.arrived.pop(function))
        for leaf, found in self.arrived.items():
            assert isinstance(leaf, Leaf)
            _collect(leaf, found)

    def send(self, edge: Function | Leaf | None, gradient: Gradient, numbers: int) -> None:
        """Hand on a gradient; at a fan-out they are added."""
        if edge is None:
            return
        if edge in self.arrived:
            self.arrived[edge].add(gradient, numbers, self.traced)
        else:
            self.arrived[edge] = gradient

    def release(self, function: Function) -> None:
        """A function has done its work."""
        if not self.retain:
            function.saved.clear()

    def accumulate(self, grads: Gradients, key: str, gradient: Gradient) -> None:
        """Add to a parameter's gradient, once all that this backward sends there has met."""
        if self.uses[key] > 1:
            self.uses[key] -= 1
            if key in self.meeting:
                self.meeting[key].add(gradient, gradient.numbers, self.traced)
            else:
                self.meeting[key] = gradient
            return
        if key in self.meeting:
            met = self.meeting.pop(key)
            met.add(gradient, met.numbers, self.traced)
            gradient = met
        grads.setdefault(key, gradient.storage)


def _reached(start: Value) -> list[Function]:
    """The functions that a value hangs on, in the order of their making."""
    found: set[Function] = set()
    waiting: list[Function | Leaf | None] = [start.graph]
    while waiting:
        function = waiting.pop()
        if isinstance(function, Function) and function not in found:
            found.add(function)
            waiting += function.edges
    return sorted(found, key=lambda function: function.number)


def _collect(leaf: Leaf, found: Gradient) -> None:
    """The gradient of a leaf: copied unless it is all of it, and lies in memory as the leaf does."""
    order: Order = dense("plain" if leaf.value.order == "slice" else leaf.value.order, leaf.value.shape)
    if found.numbers != leaf.value.numbers or dense(found.order, leaf.value.shape) != order:
        found.replace(leaf.value.numbers, found.storage.width)
    leaf.gradient = Gradient(found.storage, order)
    del found.storage

"""Values without numbers, the graphs that they hang on, and torch's autograd engine over these.

A storage lives as long as a value, a gradient on its way or what a function keeps holds it, as with torch's tensors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple

from ..graph.ops import Order, Shape, numel
from .storage import GRADIENT, Allocator, Storage


class Value:
    """So many rows of one shape."""

    __slots__ = ("edge", "graph", "numbers", "order", "rows", "shape", "storage")

    def __init__(
        self, storage: Storage, rows: int, shape: Shape, order: Order, graph: Function | Leaf | None = None
    ) -> None:
        self.storage, self.rows, self.shape, self.order, self.graph = storage, rows, shape, order, graph
        self.numbers = rows * numel(shape)
        self.edge = Edge(graph, self.numbers, storage.width, order)  # how a gradient gets here

    def like(self, storage: Storage, graph: Function | Leaf | None = None) -> Value:
        """As many of them elsewhere."""
        return Value(storage, self.rows, self.shape, self.order, graph)

    def again(self) -> Value:
        """What is computed anew from it has a graph of its own."""
        return self.like(self.storage, self.graph and Function(()))

    def new(self, graph: Function | None = None) -> Value:
        """As many of them in a storage of their own."""
        old = self.storage
        return self.like(old.allocator.new(old.bytes, old.category, old.width), graph)


class Gradient:
    """Numbers on their way back, in a storage that nobody else need hold."""

    __slots__ = ("order", "settled", "storage", "view")

    def __init__(self, storage: Storage, order: Order, *, view: bool = False, settled: bool = False) -> None:
        self.storage, self.order = storage, order
        self.view = view  # a tensor of its own, whoever else holds its storage
        self.settled = settled  # as a parameter keeps it, whatever else is in its storage

    @property
    def numbers(self) -> int:
        """How many there are."""
        return self.storage.bytes // self.storage.width

    @property
    def references(self) -> int:
        """How many hold its storage, and those that ask."""
        return sys.getrefcount(self.storage)

    def fit(self, numbers: int, width: int, *, anyway: bool = False) -> None:
        """Make a new one of it where it has not so many numbers of so many bytes."""
        old = self.storage
        if anyway or old.bytes != numbers * width or old.width != width:
            old.allocator.moves("turn" if anyway else "copy", old.bytes, numbers * width, direction="input")
            self._renew(numbers, width)

    def _renew(self, numbers: int, width: int) -> None:
        old = self.storage
        self.storage = old.allocator.new(numbers * width, old.category, width)

    def cast(self, edge: Edge) -> None:
        """Put it into the precision that its operand has."""
        if self.storage.width != edge.width:
            self.fit(edge.numbers, edge.width)

    def add(self, other: Gradient, numbers: int, traced: bool) -> None:
        """Add to it, in place if nobody else holds it."""
        old = self.storage
        size = numbers * old.width
        what = "add" if self.order == other.order else "add turned"
        old.allocator.moves(what, old.bytes + other.storage.bytes, size, direction="input")
        del old
        if traced or self.references != ALONE or self.storage.bytes != size:
            self._renew(numbers, self.storage.width)
        del other.storage


ALONE = Gradient(Storage(Allocator(), 0, "", 4), "plain").references


class Leaf:
    """Where a graph begins and a gradient is collected: a detached value, or a parameter."""

    __slots__ = ("gradient", "numbers", "order", "shape", "trained")

    def __init__(self, value: Value, *, trained: bool = False) -> None:
        self.numbers, self.trained = value.numbers, trained
        self.shape = value.shape  # to tell orders apart; of parameters only kernels have one
        if trained:
            self.shape = value.shape[1:] if len(value.shape) == 4 else ()
        self.order: Order = "plain" if "slice" in value.order else value.order  # of what has gaps it is made anew
        self.gradient: Gradient | None = None

    def collect(self, found: Gradient) -> None:
        """Copied unless it is all of it, no tensor of others, and lies as this does; more are added in place."""
        if self.gradient is None:
            turned = found.order != self.order and dense(found.order, self.shape) != dense(self.order, self.shape)
            shared = found.references != ALONE and not found.view
            if not found.settled:
                found.fit(self.numbers, found.storage.width, anyway=turned or shared)
            self.gradient = Gradient(found.storage, self.order)
        else:
            size = self.gradient.storage.bytes
            found.storage.allocator.moves("add", size + found.storage.bytes, size, direction="parameters")
        del found.storage


class Edge(NamedTuple):
    """An operand, for its gradient: where that goes, and as how many numbers of so many bytes."""

    to: Function | Leaf | None
    numbers: int
    width: int
    order: Order


_NUMBERS = count()


class Function:
    """What made a value: which graphs its operands hang on, and what it keeps for its backward."""

    __slots__ = ("edges", "number", "saved")

    def __init__(self, operands: Sequence[Value], saved: Sequence[object] = ()) -> None:
        self.edges, self.saved = tuple(value.edge for value in operands), list(saved)
        self.number = next(_NUMBERS)

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Send on what came, and let go of what was kept: here to every operand the same, in its own precision."""
        engine.release(self)
        passed = [Gradient(incoming.storage, incoming.order) for _ in self.edges]
        del incoming.storage
        for i, gradient in enumerate(passed):
            gradient.cast(self.edges[i])
            engine.send(self, i, gradient)


class Mean(Function):
    """Of several values, stacked before: the gradient is made for the stack."""

    __slots__ = ()

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Each gets its part of it."""
        incoming.fit(sum(edge.numbers for edge in self.edges), incoming.storage.width, anyway=True)
        incoming.order = "plain"
        super().back(engine, incoming)


class Product(Function):
    """With a number that is trained, whose own gradient is a sum over as many numbers; the other factor is kept."""

    __slots__ = ()

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """Both gradients are products."""
        size = incoming.storage.bytes
        incoming.storage.allocator.passing(2 * size, GRADIENT)
        incoming.storage.allocator.moves("mul", 3 * size, size, calls=3, direction="input")
        incoming.fit(incoming.numbers, incoming.storage.width, anyway=True)
        super().back(engine, incoming)


@lru_cache(maxsize=4096)
def dense(order: Order, shape: Shape) -> Order:
    """The order with regard to a shape: a single channel or a single position lies the same in every order."""
    many = (shape[0] > 1, numel(shape[1:]) > 1) if len(shape) > 1 else (False, False)
    if "slice" in order:
        return order if len(shape) == 3 and many[1] else "plain"
    return order if all(many) else "plain"


class Engine:
    """One backward. `traced`: as counted under a dispatch mode, where gradients are never added to in place."""

    def __init__(
        self, *, traced: bool, retain: bool = False, into: Sequence[Function | Leaf | None] | None = None
    ) -> None:
        self.traced, self.retain = traced, retain
        self.into = into  # the leaves that collect a gradient beside parameters; None: all
        self.arrived: dict[Function | Leaf, Gradient] = {}
        self.again: dict[int, dict[str, Any]] = {}  # what was computed again, by the id of its piece
        self.coming: dict[Leaf, int] = {}  # how many gradients are still to be collected there
        self.wanted: set[Function | Leaf | None] = set()  # what leads to a gradient that somebody wants
        self.last: list[Callable[[], None]] = []  # what is done when all functions have done their work
        self.kept: list[Storage] = []  # until then

    def run(self, roots: list[tuple[Value, Gradient]]) -> None:
        """Send gradients from values to their leaves: what was made last is the next to work."""
        functions = _reached([value for value, _ in roots])
        for function in functions:
            for to, *_ in function.edges:
                if isinstance(to, Leaf) and (to.trained or self.into is None or to in self.into):
                    self.coming[to] = self.coming.get(to, 0) + 1
                    self.wanted.add(to)
                if to in self.wanted:
                    self.wanted.add(function)
        while roots:
            self._begin(*roots.pop(0))
        for function in reversed(functions):
            if function in self.arrived:
                function.back(self, self.arrived.pop(function))
        while self.last:
            self.last.pop(0)()
        self.kept.clear()

    def _begin(self, start: Value, gradient: Gradient) -> None:
        """What comes in at a value; two values may hang on one function."""
        assert start.graph is not None
        if isinstance(start.graph, Leaf):
            start.graph.collect(gradient)
        if start.graph in self.arrived:
            self.arrived[start.graph].add(gradient, start.numbers, self.traced)
        else:
            self.arrived[start.graph] = gradient

    def send(self, function: Function, operand: int, gradient: Gradient) -> None:
        """Hand on a gradient to an operand that wants it; where several meet they are added."""
        to, numbers, *_ = function.edges[operand]
        if to is None or to not in self.wanted:
            return
        if to in self.arrived:
            self.arrived[to].add(gradient, numbers, self.traced)
        else:
            self.arrived[to] = gradient
        if isinstance(to, Leaf):
            self.coming[to] -= 1
            if not self.coming[to]:
                to.collect(self.arrived.pop(to))

    def release(self, function: Function) -> None:
        """A function has done its work."""
        if not self.retain:
            function.saved.clear()


def _reached(starts: Iterable[Value]) -> list[Function]:
    """The functions that values hang on, in the order of their making."""
    found: set[Function] = set()
    waiting = [start.graph for start in starts]
    while waiting:
        function = waiting.pop()
        if isinstance(function, Function) and function not in found:
            found.add(function)
            waiting += [edge.to for edge in function.edges]
    return sorted(found, key=lambda function: function.number)

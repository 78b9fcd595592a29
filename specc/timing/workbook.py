"""Writes down all the work of a step while the machine of shapes runs it."""

from __future__ import annotations

from ..memory.operation import Operation
from ..memory.prediction import Prediction
from ..memory.storage import Allocator, Direction
from ..plan import Plan
from ..system.devices import Device
from .work import Work


class Workbook(Allocator):
    """An allocator that is told of every piece of work; what comes before the first instruction counts with it."""

    def __init__(self) -> None:
        super().__init__()
        self.instructions: list[list[Work]] = []
        self._early: list[Work] = []

    def begin(self) -> None:
        """The next instruction."""
        super().begin()
        self.instructions.append(self._early)
        self._early = []

    def _note(self, work: Work) -> None:
        (self.instructions[-1] if self.instructions else self._early).append(work)

    def computes(self, operation: object, direction: Direction, *, turned: bool = False) -> None:
        """An op, or its backward."""
        assert isinstance(operation, Operation)
        self._note(_of(operation, direction, turned=turned))

    def moves(self, what: str, read: int, written: int, *, calls: int = 1, direction: Direction = "forward") -> None:
        """Something that is no op of a graph: one FLOP a number that it writes."""
        self._note(Work(what, direction, 1, written // 4, read, written, calls=calls))


def works(plan: Plan, device: Device) -> tuple[tuple[Work, ...], ...]:
    """The work of each instruction."""
    book = Workbook()
    Prediction(plan, device, book).run()
    return tuple(map(tuple, book.instructions))


def _of(operation: Operation, direction: Direction, *, turned: bool) -> Work:
    """An op's work; a gradient of operands is one more product, of as many FLOPs as the forward."""
    node, edges = operation.node, operation.edges
    width = operation.computed or edges[0].width
    given = sum(edge.numbers * edge.width for edge in edges[: len(node.inputs)])
    weights = sum(edge.numbers * edge.width for edge in edges[len(node.inputs) :])
    out = node.size * operation.rows * width
    read, written = {
        "forward": (given + weights, out),
        "input": (out + weights + given * node.saved.anything, given),
        "parameters": (out + given, weights),
    }[direction]
    if node.op.view:
        read = written = 0
    return Work(node.op.name, direction, operation.rows, node.flops * operation.rows, read, written, width,
                edges[0].order, node, turned)  # fmt: skip

"""One piece of work: a call of torch's, as far as its time depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph.node import Node
from ..graph.ops import Order
from ..memory.storage import Direction


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed, on how many samples, and the bytes that it reads and writes.

    `what` is an op's name, or that of something which is in no graph: `add`, `copy`, `loss/NAME`, `step/NAME`, ...
    """

    what: str
    direction: Direction
    rows: int
    flops: int
    read: int
    written: int
    width: int = 4  # bytes of a number
    order: Order = "plain"
    node: Node | None = None
    turned: bool = False  # a backward whose gradient lies in another order
    calls: int = 1  # of torch's; a view is one that moves nothing

    @property
    def moved(self) -> int:
        """Bytes read and written."""
        return self.read + self.written

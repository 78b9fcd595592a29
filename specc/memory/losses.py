"""The backward of a loss."""

from __future__ import annotations

from collections.abc import Sequence

from ..learning.losses import Sizes, Use
from .autograd import Engine, Function, Gradient, Value
from .storage import GRADIENT, Storage


class LossGradient(Function):
    """Through a loss to its output."""

    __slots__ = ("name", "sizes", "use")

    def __init__(self, name: str, out: Value, use: Use, sizes: Sizes, kept: Sequence[Storage]) -> None:
        super().__init__([out], kept)
        self.name, self.use, self.sizes = name, use, sizes

    def back(self, engine: Engine, incoming: Gradient) -> None:
        """In fp32, then as wide as the output, then with zeros for the views that the loss does not look at."""
        memory = incoming.storage.allocator
        del incoming.storage
        passing = sum(size for size, _ in self.use.backward)
        memory.moves(f"loss/{self.name}", self.sizes.full + passing, self.sizes.full + passing, direction="input")
        for size, staying in self.use.backward:
            del self.saved[staying:]
            memory.passing(size, GRADIENT)
        gradient = Gradient(memory.new(self.sizes.full, GRADIENT), "plain")
        self.saved.clear()
        numbers, width = self.edges[0].numbers, self.edges[0].width
        gradient.fit(gradient.numbers, width)
        gradient.fit(numbers, width)
        engine.send(self, 0, gradient)

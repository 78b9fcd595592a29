"""Memory of a loss in fp32 and of its backward: what stays between the two, and the most that passes in each.

Mirrors `runtime.losses`; the heads put it between the forward and the backward of their networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from .allocator import Allocator, Storage
from .tape import GRADIENT

FP32, BOOL = 4, 1  # bytes of one number


@dataclass(frozen=True)
class Loss:
    """A loss of `rows` outputs with so many `numbers` each, of so many `channels` where they are maps."""

    memory: Allocator
    name: str
    rows: int
    numbers: int
    channels: int
    classes: int = 0

    @property
    def full(self) -> int:
        """Bytes of the outputs in fp32."""
        return FP32 * self.rows * self.numbers

    def forward(self, held: Storage) -> list[Storage]:
        """What is kept; `held` is the output in fp32, which the loss owns from here on."""
        if self.name == "cross_entropy":
            kept = [self._new(self.full)]  # logarithms of probabilities
            self.memory.drop(held)
            return kept
        if self.name == "contrastive":
            return [held, *self._contrasts()]
        if self.name == "similarity":
            kept = self._cosines()
            if self.channels == self.numbers:  # centring needs no numbers for its backward
                self.memory.drop(held)
                held = self._new(0)
            return [held, *kept]
        self._pass(self.full)  # the loss of every number, of which only the mean stays
        return [held]

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output in fp32; what was kept is let go of."""
        if self.name in ("contrastive", "similarity"):
            return self._backward_of_pairs(kept)
        gradient = self._new(self.full, GRADIENT)
        if self.name.startswith("goodness"):  # the square's backward: x to the power of 1, twice that, the product
            self._pass(3 * self.full, GRADIENT)
        if self.name == "cross_entropy":
            second = self._new(self.full, GRADIENT)
            self.memory.drop(gradient)
            gradient = second
        self.memory.drop(*kept)
        return gradient

    def _contrasts(self) -> list[Storage]:
        """Rows of length one, then products of all pairs: exponentials and two masks stay."""
        pairs, row = self.rows**2, FP32 * self.rows
        kept = [self._new(0), self._new(self.full + 2 * row), self._new((FP32 + 2 * BOOL) * pairs + 2 * row)]
        self._pass(3 * FP32 * pairs)  # similarities, their logarithms of probabilities, those of positive pairs
        return kept

    def _cosines(self) -> list[Storage]:
        """Deviations over each map, centred rows, rows of length one, and cosines of all pairs before the clamp."""
        pairs, row, rows = FP32 * self.rows**2, FP32 * self.rows, FP32 * self.rows * self.channels
        deviations = self._new(rows if self.channels < self.numbers else 0)
        kept = [deviations, self._new(rows + 2 * row), self._new(rows + 3 * pairs)]
        self._pass(max(2 * FP32 * self.rows * self.classes, pairs) + pairs)
        return kept

    def _backward_of_pairs(self, kept: list[Storage]) -> Storage:
        """Through the products of all pairs, then the division by the lengths, then (of maps) the deviations."""
        rows = FP32 * self.rows * self.channels
        output, deviations, centred, pairs = kept
        self._pass(2 * rows, GRADIENT)  # both factors of the products
        self.memory.drop(pairs)
        self._pass(5 * rows, GRADIENT)
        self.memory.drop(centred)
        if deviations.bytes:
            self._pass(2 * self.full + 4 * rows, GRADIENT)  # every map is centred anew
        self.memory.drop(output, deviations)
        return self._new(self.full, GRADIENT)

    def _new(self, size: int, category: str = "activations") -> Storage:
        return self.memory.new(size, category)

    def _pass(self, size: int, category: str = "activations") -> None:
        self.memory.drop(self.memory.new(size, category))

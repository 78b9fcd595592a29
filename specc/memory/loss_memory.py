"""Memory of a loss in fp32 and of its backward: what stays between the two, and the most that passes in each.

Mirrors `runtime.engine.losses`, one class a loss; the heads put it between the passes of their networks.
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
        raise NotImplementedError

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output in fp32; what was kept is let go of."""
        raise NotImplementedError

    def _new(self, size: int, category: str = "activations") -> Storage:
        return self.memory.new(size, category)

    def _pass(self, size: int, category: str = "activations") -> None:
        self.memory.drop(self.memory.new(size, category))


class Elementwise(Loss):
    """The loss of every number, of which only the mean stays: bce and mse."""

    def forward(self, held: Storage) -> list[Storage]:
        """What is kept."""
        self._pass(self.full)
        return [held]

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output."""
        gradient = self._new(self.full, GRADIENT)
        self.memory.drop(*kept)
        return gradient


class WithLogits(Elementwise):
    """Logarithms of sigmoids beside the complement of the labels; sigmoids beside the gradient that arrives."""

    def forward(self, held: Storage) -> list[Storage]:
        """What is kept."""
        self._pass(2 * self.full)
        return [held]

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output."""
        gradient = self._new(self.full, GRADIENT)
        self._pass(2 * self.full, GRADIENT)
        self.memory.drop(*kept)
        return gradient


class Goodness(Elementwise):
    """Squares instead; their backward is x to the power of 1, twice that, and the product."""

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output."""
        gradient = self._new(self.full, GRADIENT)
        self._pass(3 * self.full, GRADIENT)
        self.memory.drop(*kept)
        return gradient


class CrossEntropy(Loss):
    """Logarithms of probabilities stay, not logits."""

    def forward(self, held: Storage) -> list[Storage]:
        """What is kept."""
        kept = [self._new(self.full)]
        self.memory.drop(held)
        return kept

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output."""
        first = self._new(self.full, GRADIENT)
        gradient = self._new(self.full, GRADIENT)
        self.memory.drop(first, *kept)
        return gradient


class Contrastive(Loss):
    """Rows of length one, then products of all pairs: exponentials and two masks stay."""

    def forward(self, held: Storage) -> list[Storage]:
        """What is kept."""
        pairs, row = self.rows**2, FP32 * self.rows
        kept = [held, self._new(self.full + 2 * row), self._new((FP32 + 2 * BOOL) * pairs + 2 * row)]
        self._pass(3 * FP32 * pairs)  # similarities, their logarithms of probabilities, those of positive pairs
        return kept

    def backward(self, kept: list[Storage]) -> Storage:
        """The gradient at the output."""
        output, units, pairs = kept
        self._pass(2 * self.full, GRADIENT)  # both factors of the products
        self.memory.drop(pairs)
        self._pass(4 * self.full, GRADIENT)
        self.memory.drop(units, output)
        return self._new(self.full, GRADIENT)


class Similarity(Loss):
    """Deviations over each map, centred rows, rows of length one, and cosines of all pairs before the clamp."""

    def forward(self, held: Storage) -> list[Storage]:
        """What is kept."""
        pairs, row, rows = FP32 * self.rows**2, FP32 * self.rows, self._rows
        deviations = self._new(rows if self.channels < self.numbers else 0)
        kept = [deviations, self._new(rows + 2 * row), self._new(rows + 3 * pairs)]
        self._pass(max(2 * FP32 * self.rows * self.classes, pairs) + pairs)
        if self.channels == self.numbers:  # centring needs no numbers for its backward
            self.memory.drop(held)
            held = self._new(0)
        return [held, *kept]

    def backward(self, kept: list[Storage]) -> Storage:
        """Through the products of all pairs, then the division by the lengths, then (of maps) the deviations."""
        output, deviations, centred, pairs = kept
        self._pass(2 * self._rows, GRADIENT)  # both factors of the products
        self.memory.drop(pairs)
        self._pass(5 * self._rows, GRADIENT)
        self.memory.drop(centred)
        if deviations.bytes:
            self._pass(2 * self.full + 4 * self._rows, GRADIENT)  # every map is centred anew
        self.memory.drop(output, deviations)
        return self._new(self.full, GRADIENT)

    @property
    def _rows(self) -> int:
        """Bytes of the rows that are compared."""
        return FP32 * self.rows * self.channels


RULES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy, "pixel_cross_entropy": CrossEntropy, "bce_with_logits": WithLogits,
    "contrastive": Contrastive, "similarity": Similarity, "goodness": Goodness,
    "goodness_pairs": Goodness, "bce": Elementwise, "mse": Elementwise,
}  # fmt: skip

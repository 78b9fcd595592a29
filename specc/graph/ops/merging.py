"""Several values become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...language.schema import Border
from .base import Autocast, Op, Order, Saved, Shape, ShapeError, numel, show


@dataclass(frozen=True, slots=True)
class Add(Op):
    """Sum of values of one shape."""

    keeps_positions: ClassVar[bool] = True
    arity: ClassVar[int | None] = None
    passes_gradient: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) != 1:
            raise ShapeError("`add` needs equal shapes, not " + " and ".join(map(show, inputs)))
        return inputs[0]

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return (len(inputs) - 1) * numel(output)


@dataclass(frozen=True, slots=True)
class Mul(Op):
    """Product of two values of one shape, or of a feature map and a gate with one number a channel, in any order."""

    cost: ClassVar[int] = 1
    keeps_positions: ClassVar[bool] = True
    arity: ClassVar[int | None] = 2
    saves: ClassVar[Saved] = Saved(inputs=(0, 1), factors=True)
    spreads: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        gate, value = sorted(inputs, key=lambda shape: (len(shape), numel(shape)))
        if gate != value and not (len(value) == 3 and gate in (value[:1], (value[0], 1, 1))):
            raise ShapeError(
                f"`mul` needs equal shapes, or a gate (C or C×1×1) for a feature map (C×H×W), "
                f"not {show(inputs[0])} and {show(inputs[1])}"
            )
        return value


@dataclass(frozen=True, slots=True)
class Concat(Op):
    """Values one after the other along an axis: 0 is the channels of feature maps, the tokens of tokens."""

    axis: Border = 0

    arity: ClassVar[int | None] = None
    aliases: ClassVar[dict[str, str]] = {"dim": "axis"}
    passes_gradient: ClassVar[bool] = True  # every input's is a slice
    autocast: ClassVar[Autocast] = "widest"

    def output(self, *inputs: Shape) -> Shape:
        if len({self._rest(shape) for shape in inputs}) != 1 or self.axis >= len(inputs[0]):
            raise ShapeError(
                f"`concat` along axis {self.axis} needs shapes equal elsewhere, not " + " and ".join(map(show, inputs))
            )
        total = sum(shape[self.axis] for shape in inputs)
        return (*inputs[0][: self.axis], total, *inputs[0][self.axis + 1 :])

    def order(self, orders: tuple[Order, ...], output: Shape) -> Order:
        return "swapped" if set(orders) == {"swapped"} and len(output) == 3 else "plain"

    def _rest(self, shape: Shape) -> Shape:
        return (len(shape), *shape[: self.axis], *shape[self.axis + 1 :])

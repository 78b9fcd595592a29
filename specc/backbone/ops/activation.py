"""Element-wise activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Op, Saved, Shape, numel


class Elementwise(Op):
    """An op that works on every number alone; `cost` is its FLOPs a number."""

    __slots__ = ()
    cost: ClassVar[int] = 1

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return self.cost * numel(output)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,))


@dataclass(frozen=True, slots=True)
class Relu(Elementwise):
    """max(x, 0), in place where nobody else needs x."""

    name: ClassVar[str] = "relu"
    prefix: ClassVar[str] = "relu"
    inplace: ClassVar[bool] = True

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(output=True)


@dataclass(frozen=True, slots=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))."""

    name: ClassVar[str] = "sigmoid"
    prefix: ClassVar[str] = "sigmoid"
    cost: ClassVar[int] = 4

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(output=True)

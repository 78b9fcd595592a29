"""Pooling: neighbouring positions become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import NOTHING, SAVES_INPUT, Lies, Op, Saved, Shape, ShapeError, channels, need_map, numel, show
from .sliding import Padding, Size, Window, pair


@dataclass(frozen=True, slots=True)
class Pool(Op):
    """A pool with a sliding window; without `stride` the windows lie side by side."""

    k: Size = 2
    stride: Size | None = None
    pad: Padding = 0
    ceil: bool = False

    prefix: ClassVar[str] = "pool"
    aliases: ClassVar[dict[str, str]] = {
        "kernel": "k", "kernel_size": "k", "padding": "pad", "strides": "stride", "ceil_mode": "ceil",
    }  # fmt: skip
    gradient_lies: ClassVar[Lies] = "input"

    @property
    def window(self) -> Window:
        """The sliding window with its stride decided."""
        return Window(pair(self.k), pair(self.stride or self.k), pair(self.pad), ceil=self.ceil)

    def output(self, *inputs: Shape) -> Shape:
        size = self.window.over(self, inputs[0])
        if any(2 * pad > k for k, pad in zip(self.window.k, self.window.pad, strict=True)):
            pad, k = show(self.window.pad), show(self.window.k)
            raise ShapeError(f"`{self.name}` of {show(inputs[0])} with pad {pad}: that is more than half of k {k}")
        return (inputs[0][0], *size)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * numel(self.window.k)


@dataclass(frozen=True, slots=True)
class MaxPool(Pool):
    """Maximum over a sliding window."""

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), bytes=8 * numel(output))  # int64 indices of the maxima


@dataclass(frozen=True, slots=True)
class AvgPool(Pool):
    """Mean over a sliding window, padding included."""

    saves: ClassVar[Saved] = SAVES_INPUT


@dataclass(frozen=True, slots=True)
class AdaptiveAvgPool(Op):
    """Means over a grid of `size` cells, whatever the size of the input."""

    size: Size

    prefix: ClassVar[str] = "pool"
    aliases: ClassVar[dict[str, str]] = {"output_size": "size", "grid": "size", "out": "size"}

    def output(self, *inputs: Shape) -> Shape:
        return (need_map(self, inputs[0])[0], *pair(self.size))

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return max(numel(inputs[0]), numel(output))

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return NOTHING if pair(self.size) == (1, 1) else SAVES_INPUT  # torch takes the plain mean for a single cell

    @property
    def gradient_lies(self) -> Lies:
        """That of a mean is the same for all."""
        return "plain" if pair(self.size) == (1, 1) else "input"


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(Op):
    """Mean over all positions: (C, H, W) becomes (C,), (T, D) becomes (D,)."""

    prefix: ClassVar[str] = "pool"
    gradient_lies: ClassVar[Lies] = "plain"

    def output(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) == 1:
            takes = "a feature map (C×H×W) or tokens (T×D)"
            raise ShapeError(f"`global_avg_pool` takes {takes}, not the vector {show(inputs[0])}")
        return (channels(inputs[0]),)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(inputs[0])

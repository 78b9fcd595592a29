"""Pooling: neighbouring positions become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import NOTHING, SAVES_INPUT, Lies, Op, Saved, Shape, ShapeError, channels, need_grid, numel, show
from .sliding import Paddings, Sizes, Window, spread


@dataclass(frozen=True, slots=True)
class Pool(Op):
    """A pool with a sliding window; without `stride` the windows lie side by side."""

    k: Sizes = 2
    stride: Sizes | None = None
    pad: Paddings = 0
    ceil: bool = False

    prefix: ClassVar[str] = "pool"
    aliases: ClassVar[dict[str, str]] = {
        "kernel": "k", "kernel_size": "k", "padding": "pad", "strides": "stride", "ceil_mode": "ceil",
    }  # fmt: skip
    gradient_lies: ClassVar[Lies] = "input"

    def window(self, shape: Shape) -> Window:
        """The sliding window over such an input, with its stride decided."""
        k, stride, pad = (spread(value, len(shape) - 1) for value in (self.k, self.stride or self.k, self.pad))
        return Window(k, stride, pad, (1,) * len(k), ceil=self.ceil)

    def output(self, *inputs: Shape) -> Shape:
        window = self.window(need_grid(self, inputs[0]))
        size = window.over(self, inputs[0])
        if any(2 * pad > k for k, pad in zip(window.k, window.pad, strict=True)):
            pad, k = show(window.pad), show(window.k)
            raise ShapeError(f"`{self.name}` of {show(inputs[0])} with pad {pad}: that is more than half of k {k}")
        return (inputs[0][0], *size)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * numel(self.window(inputs[0]).k)


@dataclass(frozen=True, slots=True)
class MaxPool(Pool):
    """Maximum over a sliding window."""

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), bytes=8 * numel(output))  # int64 indices of the maxima


@dataclass(frozen=True, slots=True)
class AvgPool(Pool):
    """Mean over a sliding window, padding included."""

    saves: ClassVar[Saved] = SAVES_INPUT

    def output(self, *inputs: Shape) -> Shape:
        found, k = super(AvgPool, self).output(*inputs), self.window(inputs[0]).k
        if len(k) == 3 and any(side < length for side, length in zip(inputs[0][1:], k, strict=True)):
            what = f"`avg_pool` with k {show(k)} does not fit into the volume {show(inputs[0])}"
            raise ShapeError(f"{what}: torch pads no side that is shorter than k")
        return found


@dataclass(frozen=True, slots=True)
class AdaptiveAvgPool(Op):
    """Means over a grid of `size` cells, whatever the size of the input."""

    size: Sizes

    prefix: ClassVar[str] = "pool"
    aliases: ClassVar[dict[str, str]] = {"output_size": "size", "grid": "size", "out": "size"}

    def output(self, *inputs: Shape) -> Shape:
        c, *sides = need_grid(self, inputs[0])
        return (c, *spread(self.size, len(sides)))

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return max(numel(inputs[0]), numel(output))

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return NOTHING if self._single else SAVES_INPUT  # torch takes the plain mean for a single cell

    @property
    def _single(self) -> bool:
        return self.size == 1 or (not isinstance(self.size, int) and {*self.size} == {1})

    @property
    def gradient_lies(self) -> Lies:
        """That of a mean is the same for all."""
        return "plain" if self._single else "input"


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(Op):
    """Mean over all positions: (C, H, W) and (C, D, H, W) become (C,), (T, D) becomes (D,)."""

    prefix: ClassVar[str] = "pool"
    gradient_lies: ClassVar[Lies] = "plain"

    def output(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) == 1:
            takes = "a feature map (C×H×W) or tokens (T×D)"
            raise ShapeError(f"`global_avg_pool` takes {takes}, not the vector {show(inputs[0])}")
        return (channels(inputs[0]),)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(inputs[0])

"""Pooling, resizing, reshaping and merging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import NOTHING, Op, Saved, Shape, ShapeError, need_map, numel, show, window


@dataclass(frozen=True, slots=True)
class MaxPool(Op):
    """Maximum over a sliding window."""

    k: int = 2
    stride: int | None = None
    pad: int = 0

    name: ClassVar[str] = "max_pool"
    prefix: ClassVar[str] = "pool"
    aliases: ClassVar[dict[str, str]] = {"kernel": "k", "kernel_size": "k", "padding": "pad", "strides": "stride"}

    @property
    def step(self) -> int:
        """The stride; the window's own size where none is given."""
        return self.k if self.stride is None else self.stride

    def output(self, *inputs: Shape) -> Shape:
        c, h, w = need_map(self, inputs[0])
        size = [window(s, self.k, self.step, self.pad) for s in (h, w)]
        if min(size) < 1 or 2 * self.pad > self.k:
            raise ShapeError(f"`{self.name}` with k {self.k} and pad {self.pad} does not fit into {show(inputs[0])}")
        return (c, *size)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * self.k * self.k

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), bytes=8 * numel(output))  # int64 indices of the maxima


@dataclass(frozen=True, slots=True)
class GlobalAvgPool(Op):
    """Mean over the spatial axes: (C, H, W) becomes (C,)."""

    name: ClassVar[str] = "global_avg_pool"
    prefix: ClassVar[str] = "pool"

    def output(self, *inputs: Shape) -> Shape:
        return (need_map(self, inputs[0])[0],)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(inputs[0])


@dataclass(frozen=True, slots=True)
class Flatten(Op):
    """All axes into one."""

    name: ClassVar[str] = "flatten"
    prefix: ClassVar[str] = "flatten"
    view: ClassVar[bool] = True
    passes_gradient: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        return (numel(inputs[0]),)


@dataclass(frozen=True, slots=True)
class Resize(Op):
    """Bilinear interpolation to a size in pixels, corners aligned as InfoPro's decoders do."""

    size: int | tuple[int, int]
    align_corners: bool = True

    name: ClassVar[str] = "resize"
    prefix: ClassVar[str] = "resize"

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the result."""
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    def output(self, *inputs: Shape) -> Shape:
        return (need_map(self, inputs[0])[0], *self.hw)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return 7 * numel(output)


@dataclass(frozen=True, slots=True)
class Add(Op):
    """Sum of values of one shape."""

    name: ClassVar[str] = "add"
    prefix: ClassVar[str] = "add"
    arity: ClassVar[int | None] = None
    passes_gradient: ClassVar[bool] = True

    def output(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) != 1:
            raise ShapeError("`add` needs equal shapes, not " + " and ".join(map(show, inputs)))
        return inputs[0]

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return (len(inputs) - 1) * numel(output)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return NOTHING

"""Convolutions and matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Op, Saved, Shape, ShapeError, need_map, numel, show, window

SAVES_INPUT = Saved(inputs=(0,))


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """2-d convolution; without `pad` the output has the input's size divided by the stride ("same" for odd `k`)."""

    out: int
    k: int = 3
    stride: int = 1
    pad: int | None = None
    groups: int = 1
    dilation: int = 1
    bias: bool = False

    name: ClassVar[str] = "conv"
    prefix: ClassVar[str] = "conv"
    aliases: ClassVar[dict[str, str]] = {
        "kernel": "k", "kernel_size": "k", "filters": "out", "out_channels": "out", "channels": "out", "width": "out",
        "padding": "pad", "strides": "stride", "use_bias": "bias",
    }  # fmt: skip

    @property
    def padding(self) -> int:
        """Padding on each side, in pixels."""
        return self.dilation * (self.k - 1) // 2 if self.pad is None else self.pad

    def output(self, *inputs: Shape) -> Shape:
        c, h, w = need_map(self, inputs[0])
        if c % self.groups or self.out % self.groups:
            raise ShapeError(f"`conv` with groups {self.groups} cannot divide {c} input and {self.out} output channels")
        size = [window(s, self.k, self.stride, self.padding, self.dilation) for s in (h, w)]
        if min(size) < 1:
            raise ShapeError(f"`conv` with k {self.k} and pad {self.padding} does not fit into {show(inputs[0])}")
        return (self.out, *size)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        weight = {"weight": (self.out, inputs[0][0] // self.groups, self.k, self.k)}
        return weight | ({"bias": (self.out,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * (2 * inputs[0][0] // self.groups * self.k * self.k + self.bias)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return SAVES_INPUT


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """Matrix product over the last axis."""

    out: int
    bias: bool = True

    name: ClassVar[str] = "linear"
    prefix: ClassVar[str] = "fc"
    aliases: ClassVar[dict[str, str]] = {"out_features": "out", "units": "out", "width": "out", "use_bias": "bias"}

    def output(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) == 3:
            raise ShapeError(f"`linear` takes a vector or tokens, not the feature map {show(inputs[0])}; flatten it first")
        return (*inputs[0][:-1], self.out)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (self.out, inputs[0][-1])} | ({"bias": (self.out,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * (2 * inputs[0][-1] + self.bias)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return SAVES_INPUT

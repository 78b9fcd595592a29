"""Convolutions and matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...language.schema import Width
from .base import (
    SAVES_FACTOR,
    SAVES_INPUT,
    Autocast,
    Lies,
    Op,
    Order,
    Saved,
    Shape,
    ShapeError,
    is_grid,
    need_grid,
    need_map,
    numel,
    show,
)
from .sliding import Padding, Paddings, Size, Sizes, Window, pair, spread


@dataclass(frozen=True, slots=True)
class Conv(Op):
    """Convolution over a map, or over a volume; without `pad` the output has the input's size divided by the stride
    ("same" for odd `k`).
    """

    out: Width
    k: Sizes = 3
    stride: Sizes = 1
    pad: Paddings | None = None
    groups: Width = 1
    dilation: Sizes = 1
    bias: bool = False

    saves: ClassVar[Saved] = SAVES_INPUT
    gradient_lies: ClassVar[Lies] = "input"
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {
        "kernel": "k", "kernel_size": "k", "filters": "out", "out_channels": "out", "channels": "out", "width": "out",
        "padding": "pad", "strides": "stride", "use_bias": "bias", "group": "groups", "rate": "dilation",
    }  # fmt: skip

    def window(self, shape: Shape) -> Window:
        """The sliding window over such an input, with its padding decided."""
        axes = len(shape) - 1
        k, dilation = spread(self.k, axes), spread(self.dilation, axes)
        same = tuple(gap * (side - 1) // 2 for gap, side in zip(dilation, k, strict=True))
        return Window(k, spread(self.stride, axes), same if self.pad is None else spread(self.pad, axes), dilation)

    def output(self, *inputs: Shape) -> Shape:
        c, *_ = need_grid(self, inputs[0])
        if c % self.groups or self.out % self.groups:
            sides = f"the channels of {show(inputs[0])} and {self.out} output channels"
            raise ShapeError(f"`conv` with groups {self.groups} cannot divide {sides}")
        return (self.out, *self.window(inputs[0]).over(self, inputs[0]))

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        weight = {"weight": (self.out, inputs[0][0] // self.groups, *spread(self.k, len(inputs[0]) - 1))}
        return weight | ({"bias": (self.out,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        kernel = numel(spread(self.k, len(inputs[0]) - 1))
        return numel(output) * (2 * inputs[0][0] // self.groups * kernel + self.bias)


@dataclass(frozen=True, slots=True)
class ConvTranspose(Op):
    """Transposed convolution: every pixel spreads over k×k pixels, `stride` apart; k 2 and stride 2 double the size."""

    out: Width
    k: Size = 2
    stride: Size = 2
    pad: Padding = 0
    output_pad: Padding = 0  # further rows and columns at the lower and right edge
    groups: Width = 1
    bias: bool = False

    saves: ClassVar[Saved] = SAVES_INPUT
    gradient_lies: ClassVar[Lies] = "input"
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {
        **{key: value for key, value in Conv.aliases.items() if value != "dilation"}, "output_padding": "output_pad",
    }  # fmt: skip

    def output(self, *inputs: Shape) -> Shape:
        c, *sides = need_map(self, inputs[0])
        if c % self.groups or self.out % self.groups:
            ends = f"the channels of {show(inputs[0])} and {self.out} output channels"
            raise ShapeError(f"`conv_transpose` with groups {self.groups} cannot divide {ends}")
        k, stride, pad, more = pair(self.k), pair(self.stride), pair(self.pad), pair(self.output_pad)
        if any(extra >= step for extra, step in zip(more, stride, strict=True)):
            raise ShapeError(f"`conv_transpose` with output_pad {show(more)} needs a larger stride than {show(stride)}")
        h, w = ((side - 1) * stride[i] - 2 * pad[i] + k[i] + more[i] for i, side in enumerate(sides))
        if min(h, w) < 1:
            raise ShapeError(
                f"`conv_transpose` with k {show(k)} and pad {show(pad)} leaves nothing of {show(inputs[0])}"
            )
        return (self.out, h, w)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        weight = {"weight": (inputs[0][0], self.out // self.groups, *pair(self.k))}
        return weight | ({"bias": (self.out,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return 2 * numel(inputs[0]) * self.out // self.groups * numel(pair(self.k)) + self.bias * numel(output)


@dataclass(frozen=True, slots=True)
class Linear(Op):
    """Matrix product over the last axis of a vector or of tokens."""

    out: Width
    bias: bool = True

    saves: ClassVar[Saved] = SAVES_FACTOR
    keeps_positions: ClassVar[bool] = True
    prefix: ClassVar[str] = "fc"
    result_lies: ClassVar[Lies] = "plain"
    gradient_lies: ClassVar[Lies] = "plain"
    gathered: ClassVar[tuple[Order, ...]] = ("swapped", "slice", "swapped slice")
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {
        "out_features": "out", "units": "out", "width": "out", "features": "out", "dim": "out", "use_bias": "bias",
    }  # fmt: skip

    def output(self, *inputs: Shape) -> Shape:
        if is_grid(inputs[0]):
            feature_map = show(inputs[0])
            raise ShapeError(f"`linear` takes a vector or tokens, not the feature map {feature_map}; flatten it first")
        return (*inputs[0][:-1], self.out)

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (self.out, inputs[0][-1])} | ({"bias": (self.out,)} if self.bias else {})

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) * (2 * inputs[0][-1] + self.bias)

    def fresh(self, *inputs: Shape) -> bool:
        return len(inputs[0]) == 1  # tokens of all samples are the rows of one matrix


@dataclass(frozen=True, slots=True)
class PeriodicBasis(Op):
    """Products of a vector with `out` waves of 1, 2, ... periods, divided by the root of its length (2405.15868)."""

    out: Width
    wave: Literal["cosine", "square"] = "cosine"

    prefix: ClassVar[str] = "basis"
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {"classes": "out", "waveform": "wave"}

    def output(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != 1:
            raise ShapeError(f"`periodic_basis` takes a vector (D), not {show(inputs[0])}")
        return (self.out,)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return 2 * inputs[0][0] * self.out

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(floats=inputs[0][0] * self.out)  # the waves, made anew in every forward

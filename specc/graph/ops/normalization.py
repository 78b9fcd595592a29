"""Normalisation layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...language.schema import Fraction, Positive, Width
from .base import (
    INPUT,
    Autocast,
    Exchange,
    Lies,
    Op,
    ParameterKind,
    Saved,
    Shape,
    ShapeError,
    SubOp,
    channels,
    is_grid,
    need_map,
    numel,
    show,
)
from .shaping import ToMap, ToTokens


class Normalization(Op):
    """An op that gives numbers mean 0 and variance 1 and then scales and shifts every channel."""

    __slots__ = ()
    holds: ClassVar[ParameterKind] = "norms"
    keeps_positions: ClassVar[bool] = True
    cost: ClassVar[int] = 5
    aliases: ClassVar[dict[str, str]] = {"epsilon": "eps"}

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (channels(inputs[0]),), "bias": (channels(inputs[0]),)}

    def initial(self, parameter: str) -> float | None:
        return 1.0 if parameter == "weight" else 0.0


@dataclass(frozen=True, slots=True)
class BatchNorm(Normalization):
    """Batch normalisation over every axis but the channels; works on feature maps and on vectors."""

    eps: Positive = 1e-5
    momentum: Fraction = 0.1
    updates: Width = 1  # how often a step updates the running statistics with one batch (DESIGN, section 4)

    prefix: ClassVar[str] = "bn"
    answers: ClassVar[Literal["wanted", "input", "all"]] = "input"
    gradient_lies: ClassVar[Lies] = "input"

    def output(self, *inputs: Shape) -> Shape:
        return no_tokens(self, inputs[0])

    def buffers(self, *inputs: Shape) -> dict[str, Shape]:
        return {"running_mean": inputs[0][:1], "running_var": inputs[0][:1], "num_batches_tracked": ()}

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), floats=2 * inputs[0][0], again=2 * inputs[0][0])  # copies of the running statistics

    def exchange(self, inputs: tuple[Shape, ...], copies: int) -> Exchange | None:
        c = inputs[0][0]  # of each copy there are means, variances, and of how many numbers these are
        return Exchange(2 * c + 1, 2 * c, copies * (2 * c + 1) + 1 + copies + copies * c, 4 * c + 1)


@dataclass(frozen=True, slots=True)
class GroupNorm(Normalization):
    """Normalisation of each sample over groups of channels; works on feature maps and on vectors."""

    groups: Width = 32
    eps: Positive = 1e-5

    prefix: ClassVar[str] = "gn"
    autocast: ClassVar[Autocast] = "full"  # as CUDA's autocast has it; the CPU's would not
    gradient_lies: ClassVar[Lies] = "input"
    aliases: ClassVar[dict[str, str]] = {"num_groups": "groups", "epsilon": "eps"}

    def output(self, *inputs: Shape) -> Shape:
        if inputs[0][0] % self.groups:
            raise ShapeError(f"`group_norm` with groups {self.groups} cannot divide the channels of {show(inputs[0])}")
        return no_tokens(self, inputs[0])

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(inputs=(0,), bytes=2 * 4 * self.groups)  # mean and deviation in fp32


@dataclass(frozen=True, slots=True)
class LayerNorm(Normalization):
    """Normalisation over the channels of each position: a token, a vector, a pixel (ConvNeXt's LayerNorm2d)."""

    eps: Positive = 1e-5

    prefix: ClassVar[str] = "ln"
    result_lies: ClassVar[Lies] = "plain"
    gradient_lies: ClassVar[Lies] = "plain"
    autocast: ClassVar[Autocast] = "full"  # as CUDA's autocast has it; the CPU's would not

    def output(self, *inputs: Shape) -> Shape:
        return need_map(self, inputs[0]) if is_grid(inputs[0]) else inputs[0]

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        positions = numel(inputs[0]) // channels(inputs[0])
        return Saved(inputs=(0,), bytes=2 * 4 * positions)  # mean and deviation in fp32

    def parts(self, *inputs: Shape) -> tuple[SubOp, ...]:
        if not is_grid(inputs[0]):
            return ()
        _, h, w = inputs[0]
        back = ("map", ToMap((h, w)), ("norm",))
        return ("tokens", ToTokens(), (INPUT,)), ("norm", self, ("tokens",)), back


@dataclass(frozen=True, slots=True)
class RmsNorm(Normalization):
    """The channels of each position divided by the root of their mean square, times a learnt scale (1910.07467)."""

    eps: Positive = 1e-6

    cost: ClassVar[int] = 4
    prefix: ClassVar[str] = "rms"
    autocast: ClassVar[Autocast] = "full"  # as CUDA's autocast has it
    answers: ClassVar[Literal["wanted", "input", "all"]] = "all"

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (channels(inputs[0]),)}

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        positions = numel(inputs[0]) // channels(inputs[0])
        return Saved(inputs=(0,), bytes=4 * positions, passing=4 * positions)  # one over the root, in fp32


def no_tokens(op: Op, shape: Shape) -> Shape:
    """The shape of a feature map or a vector, or a `ShapeError` that names the op."""
    if len(shape) == 2:
        raise ShapeError(f"`{op.name}` takes a feature map or a vector, not the tokens {show(shape)}; use layer_norm")
    return shape

"""Activations: every number on its own, or the numbers of one position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...language.schema import WIDEST, NonNegative, Real
from ...tasks.dtypes import DType
from .base import (
    NOTHING,
    SAVES_INPUT,
    SAVES_OUTPUT,
    Autocast,
    Lies,
    Op,
    ParameterKind,
    Saved,
    Shape,
    ShapeError,
    channels,
    numel,
    show,
)


class Elementwise(Op):
    """An op whose output looks like its input; it says what it costs a number and what it keeps.

    Only `relu` works in place. torch copies the input of an in-place relu6, silu, hardswish or hardsigmoid, and keeps
    the result of an in-place leaky_relu, which the next op in place would then destroy.
    """

    __slots__ = ()
    keeps_positions: ClassVar[bool] = True
    cost: ClassVar[int] = 1
    saves: ClassVar[Saved] = SAVES_INPUT


@dataclass(frozen=True, slots=True)
class Relu(Elementwise):
    """max(x, 0), in place where nobody else needs x."""

    inplace: ClassVar[bool] = True
    saves: ClassVar[Saved] = SAVES_OUTPUT


@dataclass(frozen=True, slots=True)
class Relu6(Elementwise):
    """min(max(x, 0), 6)."""

    prefix: ClassVar[str] = "relu"
    cost: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class LeakyRelu(Elementwise):
    """x where it is positive, slope · x elsewhere."""

    slope: NonNegative = 0.01

    prefix: ClassVar[str] = "relu"
    aliases: ClassVar[dict[str, str]] = {"negative_slope": "slope", "alpha": "slope"}
    cost: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class Prelu(Elementwise):
    """x where it is positive, a learnt slope · x elsewhere: `one` slope for all, or one for each of the `channels`."""

    slopes: Literal["one", "channels"] = "one"
    init: Real = 0.25

    holds: ClassVar[ParameterKind] = "scales"
    autocast: ClassVar[Autocast] = "low"
    spreads: ClassVar[bool] = True
    answers: ClassVar[Literal["wanted", "input", "all"]] = "all"
    aliases: ClassVar[dict[str, str]] = {"num_parameters": "slopes", "init_value": "init"}
    cost: ClassVar[int] = 2

    def output(self, *inputs: Shape) -> Shape:
        if self.slopes == "channels" and len(inputs[0]) == 2:
            raise ShapeError(
                f"`prelu` with slopes for channels takes a feature map or a vector, not the tokens {show(inputs[0])}"
            )
        return inputs[0]

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {"weight": (channels(inputs[0]) if self.slopes == "channels" else 1,)}

    def initial(self, parameter: str) -> float | None:
        return self.init


@dataclass(frozen=True, slots=True)
class Scale(Elementwise):
    """Every number times a fixed one: -1 makes a difference of a sum, and 1 - sigmoid(x) is sigmoid(-x)."""

    by: Real

    aliases: ClassVar[dict[str, str]] = {"factor": "by", "value": "by"}
    saves: ClassVar[Saved] = NOTHING


@dataclass(frozen=True, slots=True)
class ToIntegers(Elementwise):
    """Every number rounded to the nearest of `levels` steps from `low` to `high` (what lies outside to the first or the
    last), as an integer that counts the steps from 0: int64, 8 bytes a number. 256 levels from -1 to 1 are the bytes of
    a picture normalised by mean 0.5 and deviation 0.5. No gradient comes through, so it stands before anything trained.
    """

    levels: Annotated[int, Field(ge=2, le=WIDEST)] = 256
    low: Real = -1.0
    high: Real = 1.0

    prefix: ClassVar[str] = "integers"
    makes: ClassVar[DType] = "int64"
    blocks_gradient: ClassVar[bool] = True
    aliases: ClassVar[dict[str, str]] = {"steps": "levels", "bins": "levels", "min": "low", "max": "high"}
    cost: ClassVar[int] = 4

    def output(self, *inputs: Shape) -> Shape:
        if self.low >= self.high:
            raise ShapeError(f"`to_integers` has no values from low {self.low:g} to high {self.high:g}")
        return inputs[0]

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(bytes=4 * numel(output))  # the steps as floats, which go as soon as they are integers

    @property
    def below(self) -> int:
        return self.levels


@dataclass(frozen=True, slots=True)
class Gelu(Elementwise):
    """x · Φ(x), exactly or by the tanh formula."""

    approximate: Literal["none", "tanh"] = "none"

    aliases: ClassVar[dict[str, str]] = {"approximation": "approximate"}
    cost: ClassVar[int] = 8


@dataclass(frozen=True, slots=True)
class Silu(Elementwise):
    """x / (1 + exp(-x)), also called swish."""

    cost: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class Hardswish(Elementwise):
    """x · min(max(x + 3, 0), 6) / 6."""

    cost: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class Hardsigmoid(Elementwise):
    """min(max(x + 3, 0), 6) / 6."""

    cost: ClassVar[int] = 4


@dataclass(frozen=True, slots=True)
class Sigmoid(Elementwise):
    """1 / (1 + exp(-x))."""

    autocast: ClassVar[Autocast] = "full"  # in bf16 it reaches 1, whose logarithm the loss takes
    cost: ClassVar[int] = 4
    saves: ClassVar[Saved] = SAVES_OUTPUT


@dataclass(frozen=True, slots=True)
class Tanh(Elementwise):
    """Hyperbolic tangent."""

    cost: ClassVar[int] = 6
    saves: ClassVar[Saved] = SAVES_OUTPUT


@dataclass(frozen=True, slots=True)
class Softmax(Elementwise):
    """exp(x) divided by its sum over the channels of each position."""

    autocast: ClassVar[Autocast] = "full"  # as CUDA's autocast has it; the CPU's would not
    result_lies: ClassVar[Lies] = "plain"
    gradient_lies: ClassVar[Lies] = "plain"
    cost: ClassVar[int] = 5
    saves: ClassVar[Saved] = SAVES_OUTPUT

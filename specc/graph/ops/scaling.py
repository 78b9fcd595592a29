"""A value times something small: learnt scales, gates and random masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...language.schema import Probability, Real, Width
from .activation import Hardsigmoid, Relu, Sigmoid, Silu
from .base import (
    INPUT,
    NOTHING,
    SAVES_FACTOR,
    Autocast,
    Op,
    ParameterKind,
    Saved,
    Shape,
    SubOp,
    channels,
    is_grid,
    need_map,
    numel,
)
from .convolution import Conv
from .merging import Mul
from .pooling import AdaptiveAvgPool


@dataclass(frozen=True, slots=True)
class LayerScale(Op):
    """Every channel times a learnt number that starts near zero."""

    init: Real = 1e-6

    holds: ClassVar[ParameterKind] = "scales"
    spreads: ClassVar[bool] = True
    cost: ClassVar[int] = 1
    saves: ClassVar[Saved] = SAVES_FACTOR
    keeps_positions: ClassVar[bool] = True
    aliases: ClassVar[dict[str, str]] = {"init_value": "init", "init_values": "init", "gamma": "init", "value": "init"}

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        width = channels(inputs[0])
        return {"weight": (width, *(1 for _ in inputs[0][1:])) if is_grid(inputs[0]) else (width,)}

    def initial(self, parameter: str) -> float | None:
        return self.init


@dataclass(frozen=True, slots=True)
class SqueezeExcite(Op):
    """Every channel times a gate that two layers compute from the means of all channels."""

    squeeze: Width  # channels between the two layers
    activation: Literal["relu", "silu"] = "relu"
    gate: Literal["sigmoid", "hardsigmoid"] = "sigmoid"

    prefix: ClassVar[str] = "se"
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {
        "squeeze_channels": "squeeze", "reduced": "squeeze", "hidden": "squeeze", "rd_channels": "squeeze",
        "act": "activation", "scale_activation": "gate", "gate_activation": "gate",
    }  # fmt: skip

    def output(self, *inputs: Shape) -> Shape:
        return need_map(self, inputs[0])

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        c, s = inputs[0][0], self.squeeze
        return {"fc1.weight": (s, c, 1, 1), "fc1.bias": (s,), "fc2.weight": (c, s, 1, 1), "fc2.bias": (c,)}

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        c, s = output[0], self.squeeze
        return 2 * numel(output) + 2 * (2 * c * s) + 5 * (s + c)

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        c, s = output[0], self.squeeze
        inner = 2 * s if self.activation == "silu" else s  # relu's output is the second layer's input
        gate = 2 * c if self.gate == "hardsigmoid" else c  # sigmoid's output is the product's factor
        return Saved(inputs=(0,), elements=c + inner + gate)

    def parts(self, *inputs: Shape) -> tuple[SubOp, ...]:
        activation = Silu() if self.activation == "silu" else Relu()
        gate = Hardsigmoid() if self.gate == "hardsigmoid" else Gate()
        return (
            ("mean", AdaptiveAvgPool(1), (INPUT,)),
            ("fc1", Conv(self.squeeze, 1, bias=True), ("mean",)),
            ("activation", activation, ("fc1",)),
            ("fc2", Conv(inputs[0][0], 1, bias=True), ("activation",)),
            ("gate", gate, ("fc2",)),
            ("product", Mul(), ("gate", INPUT)),
        )


@dataclass(frozen=True, slots=True)
class Gate(Sigmoid):
    """A sigmoid as precise as its input, inside of another op."""

    name: ClassVar[str] = Sigmoid.name
    autocast: ClassVar[Autocast] = "same"


@dataclass(frozen=True, slots=True)
class Dropping(Op):
    """An op that sets random numbers to zero in training; with p = 0 it hands its input on."""

    p: Probability

    aliases: ClassVar[dict[str, str]] = {"rate": "p", "prob": "p", "probability": "p", "drop_prob": "p"}

    keeps_positions: ClassVar[bool] = True

    @property
    def idle(self) -> bool:
        """Nothing is dropped."""
        return self.p == 0

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return numel(output) if self.p else 0


@dataclass(frozen=True, slots=True)
class Dropout(Dropping):
    """Each number, or each channel of a feature map, zero with probability p, the others scaled by 1 / (1 - p)."""

    p: Probability = 0.5
    channels: bool = False  # whole ones, of each sample

    def output(self, *inputs: Shape) -> Shape:
        return need_map(self, inputs[0]) if self.channels else inputs[0]

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        if self.channels:
            return Saved(elements=output[0]) if self.p else NOTHING
        return Saved(bytes=numel(output), cpu_elements=numel(output)) if self.p else NOTHING  # a bool mask on CUDA


@dataclass(frozen=True, slots=True)
class DropPath(Dropping):
    """Each sample zero with probability p (stochastic depth), the others scaled by 1 / (1 - p)."""

    p: Probability = 0.1

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(elements=1) if self.p else NOTHING

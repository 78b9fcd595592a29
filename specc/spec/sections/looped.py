"""The optimizers that torch loops over parameter by parameter, adaptive ones mostly; `made` says tensor by tensor what
their loops make, so that a step costs to the byte what it was predicted to.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ...language.schema import Bool, Fraction, NonNegative, Positive, Real, problem
from .optimizer import AVERAGES, BETAS, DECAY, DECOUPLED, EPS, LR, Betas, Decaying, Looped, Made, Shape, whole


class Adagrad(Decaying, Looped):
    """Steps divided by the root of all squared gradients so far (Duchi et al. 2011)."""

    name: Literal["adagrad"] = Field(description="`adagrad`")
    lr: Positive = Field(1e-2, description=LR)
    lr_decay: NonNegative = Field(0.0, description="divides the rate by 1 + `lr_decay` · step")
    weight_decay: NonNegative = Field(0.0, description=DECAY)
    initial_accumulator_value: NonNegative = Field(0.0, description="of the sum of squares")
    eps: Positive = Field(1e-10, description=EPS)

    torch: ClassVar[str] = "torch.optim:Adagrad"
    whole: ClassVar[tuple[str, ...]] = ("sum",)
    single: ClassVar[tuple[str, ...]] = ("step",)

    def made(self, shape: Shape) -> Iterable[Made]:
        return *_decayed(self, shape), ("std", whole(shape))


class Adadelta(Decaying, Looped):
    """Steps in the units of the parameters (Zeiler, 1212.5701)."""

    name: Literal["adadelta"] = Field(description="`adadelta`")
    lr: Positive = Field(1.0, description=LR)
    rho: Fraction = Field(0.9, description="decay of the averages of squares")
    eps: Positive = Field(1e-6, description=EPS)
    weight_decay: NonNegative = Field(0.0, description=DECAY)

    torch: ClassVar[str] = "torch.optim:Adadelta"
    whole: ClassVar[tuple[str, ...]] = ("square_avg", "acc_delta")
    single: ClassVar[tuple[str, ...]] = ("step",)

    def made(self, shape: Shape) -> Iterable[Made]:
        return *_decayed(self, shape), ("std", whole(shape)), ("delta", whole(shape))


class Adamax(Decaying, Looped):
    """Adam with the largest gradient instead of the mean square (1412.6980, section 7)."""

    name: Literal["adamax"] = Field(description="`adamax`")
    lr: Positive = Field(2e-3, description=LR)
    betas: Betas = Field([0.9, 0.999], description="decay of the average of the gradient and of its largest number")
    eps: Positive = Field(1e-8, description="added to the gradient's size")
    weight_decay: NonNegative = Field(0.0, description=DECAY)

    torch: ClassVar[str] = "torch.optim:Adamax"
    whole: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_inf")
    single: ClassVar[tuple[str, ...]] = ("step",)

    def made(self, shape: Shape) -> Iterable[Made]:
        return *_decayed(self, shape), ("size", whole(shape)), ("size", 0)


class _Coupled(Decaying, Looped):
    """With weight decay of either kind."""

    decoupled_weight_decay: Bool = Field(False, description="take the decay off the parameter, not into the gradient")

    whole: ClassVar[tuple[str, ...]] = AVERAGES

    def _decayed(self, shape: Shape) -> Iterable[Made]:
        return (("grad", 0),) if self.decoupled_weight_decay else _decayed(self, shape)


class NAdam(_Coupled):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    name: Literal["nadam"] = Field(description="`nadam`")
    lr: Positive = Field(2e-3, description=LR)
    betas: Betas = Field([0.9, 0.999], description=BETAS)
    eps: Positive = Field(1e-8, description=EPS)
    weight_decay: NonNegative = Field(0.0, description=DECAY)
    momentum_decay: NonNegative = Field(4e-3, description="of the momentum, towards the first of the `betas`")

    torch: ClassVar[str] = "torch.optim:NAdam"
    single: ClassVar[tuple[str, ...]] = ("step", "mu_product")

    def made(self, shape: Shape) -> Iterable[Made]:
        size = whole(shape)
        return *self._decayed(shape), ("quotient", size), ("denominator", size), ("quotient", 0)


class RAdam(_Coupled):
    """Adam whose steps wait until the average of squares can be relied on (1908.03265)."""

    name: Literal["radam"] = Field(description="`radam`")
    lr: Positive = Field(1e-3, description=LR)
    betas: Betas = Field([0.9, 0.999], description=BETAS)
    eps: Positive = Field(1e-8, description=EPS)
    weight_decay: NonNegative = Field(0.0, description=DECAY)

    torch: ClassVar[str] = "torch.optim:RAdam"
    single: ClassVar[tuple[str, ...]] = ("step",)

    def made(self, shape: Shape) -> Iterable[Made]:
        size = whole(shape)
        yield from (*self._decayed(shape), ("corrected", size), ("scaled", size))
        yield from (("root", size), ("inverse", size), ("adaptive", size), ("inverse", 0), ("root", 0))
        yield from (("product", size), ("scaled", 0), ("adaptive", 0), ("update", size), ("product", 0), ("update", 0))


class RMSprop(Decaying, Looped):
    """Steps divided by the root of the average of squares (Hinton)."""

    name: Literal["rmsprop"] = Field(description="`rmsprop`")
    lr: Positive = Field(1e-2, description=LR)
    alpha: Fraction = Field(0.99, description="decay of the average of squares")
    eps: Positive = Field(1e-8, description=EPS)
    weight_decay: NonNegative = Field(0.0, description=DECAY)
    momentum: NonNegative = Field(0.0, description="momentum")
    centered: Bool = Field(False, description="divide by the standard deviation")

    torch: ClassVar[str] = "torch.optim:RMSprop"
    single: ClassVar[tuple[str, ...]] = ("step",)

    @property
    def kept(self) -> tuple[str, ...]:
        more = {"momentum_buffer": self.momentum > 0, "grad_avg": self.centered}
        return ("square_avg", *(name for name, there in more.items() if there))

    def made(self, shape: Shape) -> Iterable[Made]:
        return *_decayed(self, shape), ("root", whole(shape))


class Rprop(Looped):
    """Steps whose size grows while the gradient keeps its sign (Riedmiller & Braun 1993); for full batches."""

    name: Literal["rprop"] = Field(description="`rprop`")
    lr: Positive = Field(1e-2, description="size of the first step; later ones adapt, whatever the schedule")
    etas: Annotated[list[Positive], Field(min_length=2, max_length=2)] = Field(
        [0.5, 1.2], description="factors on the step where the sign turns, and where it stays"
    )
    step_sizes: Annotated[list[Positive], Field(min_length=2, max_length=2)] = Field(
        [1e-6, 50.0], description="the smallest step and the largest"
    )

    torch: ClassVar[str] = "torch.optim:Rprop"
    scheduled: ClassVar[bool] = False
    whole: ClassVar[tuple[str, ...]] = ("prev", "step_size")
    single: ClassVar[tuple[str, ...]] = ("step",)

    def made(self, shape: Shape) -> Iterable[Made]:
        size, mask = whole(shape), prod(shape)
        yield from (("grad", 0), ("product", size), ("sign", size), ("product", 0), ("mask", mask), ("mask", 0))
        yield from (("grad", size), ("mask", mask), ("mask", 0), ("direction", size), ("direction", 0))

    @model_validator(mode="after")
    def _rising(self) -> Rprop:
        if not self.etas[0] < 1 < self.etas[1]:
            message = "the first of the `etas` is below 1, the second above"
            raise problem("SPC614", message, key="etas", label="neither shrinks nor grows", help="like `[0.5, 1.2]`")
        if self.step_sizes[0] > self.step_sizes[1]:
            message = "the smallest step is larger than the largest"
            raise problem("SPC614", message, key="step_sizes", label="the wrong way round", help="like `[1e-6, 50.0]`")
        return self


class Asgd(Decaying, Looped):
    """SGD that keeps an average of the parameters beside them (Polyak & Juditsky 1992)."""

    name: Literal["asgd"] = Field(description="`asgd`")
    lr: Positive = Field(1e-2, description=LR)
    lambd: NonNegative = Field(1e-4, description="decay of the parameters")
    alpha: NonNegative = Field(0.75, description="power of the step number that divides the rate")
    t0: NonNegative = Field(1e6, description="the step from which on parameters are averaged")
    weight_decay: NonNegative = Field(0.0, description=DECAY)

    torch: ClassVar[str] = "torch.optim:ASGD"
    whole: ClassVar[tuple[str, ...]] = ("ax",)
    single: ClassVar[tuple[str, ...]] = ("step", "eta", "mu")

    def made(self, shape: Shape) -> Iterable[Made]:
        return *_decayed(self, shape), ("change", whole(shape)), ("change", 0), ("eta", 4), ("mu", 4)


class Adafactor(Decaying, Looped):
    """Adaptive steps whose averages of squares are kept of rows and columns (Shazeer & Stern, 1804.04235)."""

    name: Literal["adafactor"] = Field(description="`adafactor`")
    lr: Positive = Field(1e-2, description=LR)
    beta2_decay: Annotated[Real, Field(le=0)] = Field(
        -0.8, description="power of the step number that is the weight of new squares"
    )
    eps: tuple[NonNegative | None, NonNegative] = Field(
        (None, 1e-3),
        description="the smallest square (by default the precision's), and the least size of parameters",
    )
    d: Annotated[Real, Field(ge=1)] = Field(1.0, description="the largest update")
    weight_decay: NonNegative = Field(0.0, description=DECOUPLED)

    torch: ClassVar[str] = "torch.optim:Adafactor"

    def slots(self, shape: Shape) -> dict[str, Shape]:
        names = ("row_var", "col_var") if len(shape) > 1 else ("variance",)
        return dict(zip(names, _factors(shape), strict=True)) | {"step": ()}

    def made(self, shape: Shape) -> Iterable[Made]:
        size = whole(shape)
        yield from (("norm", 4), ("norm", 0))
        if len(shape) > 1:
            row, column = map(whole, _factors(shape))
            yield from (("rows", row), ("columns", column), ("estimate", size))
            yield from (("mean", row // shape[-2]), ("mean", 0))
        else:
            yield from (("squares", size), ("estimate", size))
        yield from (("estimate", 0), ("update", size), ("norm", 4), ("norm", 0))


def _factors(shape: Shape) -> tuple[Shape, ...]:
    """Of the squares that are kept of rows and columns; of a vector, of all its numbers."""
    return ((*shape[:-1], 1), (*shape[:-2], 1, shape[-1])) if len(shape) > 1 else (shape,)


def _decayed(optimizer: Decaying, shape: Shape) -> Iterable[Made]:
    """The gradient with its part of the parameter added, where there is one: the loop's `grad`."""
    return ("grad", 0), ("grad", whole(shape) if optimizer.weight_decay else 0)

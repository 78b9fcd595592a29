"""`train.optimizer`: one class an optimizer, which says all that is known of it.

All of torch's are there that can train a network by its gradients; their arguments have torch's names and defaults
(`sgd` has those of the field).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, model_validator

from ...language.plugged import Plugged
from ...language.schema import Bool, Fraction, NonNegative, Positive, problem
from ...system.plugins import Registry
from .looped import Adadelta, Adafactor, Adagrad, Adamax, Asgd, NAdam, RAdam, RMSprop, Rprop
from .optimizer import (
    AVERAGES,
    BETAS,
    DECAY,
    DECOUPLED,
    EPS,
    LR,
    Betas,
    Decaying,
    Made,
    Optimizer,
    Shape,
    numbers,
    whole,
)


class Sgd(Decaying):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = Field(description="`sgd`")
    lr: Positive = Field(0.1, description=LR)
    momentum: Fraction = Field(0.9, description="momentum")
    dampening: Fraction = Field(0.0, description="share of the gradient that does not enter the momentum")
    nesterov: Bool = Field(True, description="Nesterov's momentum")
    weight_decay: NonNegative = Field(1e-4, description=DECAY)

    torch: ClassVar[str] = "torch.optim:SGD"
    aliases: ClassVar[dict[str, str]] = {**Decaying.aliases, "l2": "weight_decay"}

    @property
    def kept(self) -> tuple[str, ...]:
        return ("momentum_buffer",) if self.momentum else ()

    @model_validator(mode="after")
    def _consistent(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            message = "`nesterov: true` needs a momentum above zero"
            help = "set `nesterov: false`, or a momentum such as 0.9"
            raise problem("SPC610", message, key="nesterov", beside="momentum", label="without momentum", help=help)
        if self.nesterov and self.dampening:
            message = "`nesterov: true` needs a dampening of zero"
            help = "set `nesterov: false`, or leave `dampening` out"
            raise problem("SPC610", message, key="nesterov", beside="dampening", label="with dampening", help=help)
        return self


class _Adam(Decaying):
    """Adaptive steps from two averages."""

    lr: Positive = Field(1e-3, description=LR)
    betas: Betas = Field([0.9, 0.999], description=BETAS)
    eps: Positive = Field(1e-8, description=EPS)
    amsgrad: Bool = Field(False, description="divide by the highest average of squares so far (1904.09237)")

    single: ClassVar[tuple[str, ...]] = ("step",)

    @property
    def kept(self) -> tuple[str, ...]:
        return (*AVERAGES, "max_exp_avg_sq") if self.amsgrad else AVERAGES


class Adam(_Adam):
    """Adaptive steps from two averages (Kingma & Ba, 1412.6980)."""

    name: Literal["adam"] = Field(description="`adam`")
    weight_decay: NonNegative = Field(0.0, description=DECAY)

    torch: ClassVar[str] = "torch.optim:Adam"


class AdamW(_Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 1711.05101)."""

    name: Literal["adamw"] = Field(description="`adamw`")
    weight_decay: NonNegative = Field(1e-2, description=DECOUPLED)

    torch: ClassVar[str] = "torch.optim:AdamW"


class Lamb(Decaying):
    """AdamW whose steps are as long as the parameters are large (You et al., 1904.00962); specc's own, not torch's."""

    name: Literal["lamb"] = Field(description="`lamb`")
    lr: Positive = Field(1e-3, description=LR)
    betas: Betas = Field([0.9, 0.999], description=BETAS)
    eps: Positive = Field(1e-6, description=EPS)
    weight_decay: NonNegative = Field(1e-2, description="share of the parameter in the update")

    torch: ClassVar[str] = "runtime.engine.lamb:Lamb"
    fused: ClassVar[bool] = False
    fixed: ClassVar[Mapping[str, Any]] = {}
    whole: ClassVar[tuple[str, ...]] = AVERAGES
    single: ClassVar[tuple[str, ...]] = ("step",)

    def made(self, shape: Shape) -> Iterable[Made]:
        return ("update", whole(shape)), ("sizes", 8), ("sizes", 0), ("update", 0)


_OWN: dict[str, type[Optimizer]] = {
    "sgd": Sgd, "adam": Adam, "adamw": AdamW, "adagrad": Adagrad, "adadelta": Adadelta, "adamax": Adamax,
    "nadam": NAdam, "radam": RAdam, "rmsprop": RMSprop, "rprop": Rprop, "asgd": Asgd, "adafactor": Adafactor,
    "lamb": Lamb,
}  # fmt: skip
IMPOSSIBLE = {
    "lbfgs": "it computes the loss several times in a step, and a step here is one forward and one backward a unit",
    "muon": "it trains matrices only, and every unit has vectors or convolutions",
    "sparseadam": "it takes sparse gradients, and every gradient here is dense",
}  # of torch's


def _possible(value: Any) -> Any:
    """Refuses those of torch's that cannot train here."""
    name = value.get("name") if isinstance(value, Mapping) else None
    key = name.lower().replace("_", "") if isinstance(name, str) else ""
    if key in IMPOSSIBLE:
        message = f"the optimizer `{name}` cannot train a spec's units: {IMPOSSIBLE[key]}"
        raise problem("SPC615", message, key="name", label="cannot be used", help="`adamw` is a good beginning")
    return value


OPTIMIZERS: Registry[type[Any]] = Registry("optimizer", Optimizer, _OWN)
AnyOptimizer = Annotated[
    Annotated[
        Sgd | Adam | AdamW | Adagrad | Adadelta | Adamax | NAdam | RAdam | RMSprop | Rprop | Asgd | Adafactor | Lamb,
        Discriminator("name"),
    ],
    Plugged(OPTIMIZERS, "name"),
    BeforeValidator(_possible),
]
__all__ = ["IMPOSSIBLE", "OPTIMIZERS", "AnyOptimizer", "Optimizer", "Sgd", "numbers"]

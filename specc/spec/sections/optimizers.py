"""`train.optimizer`: one class an optimizer, which says all that is known of it."""

from __future__ import annotations

from collections.abc import Collection
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, model_validator

from ...language.plugged import Plugged
from ...language.schema import Bool, Config, Fraction, NonNegative, Positive, problem
from ...system.plugins import Registry

Shape = tuple[int, ...]


class Optimizer(Config):
    """An optimizer; its fields are what its torch class is given."""

    name: str
    lr: Positive

    torch: ClassVar[str]  # where its class is: `torch.optim:SGD`
    fused: ClassVar[bool] = True  # whether it has one kernel a group, which takes no copy of the parameters
    aliases: ClassVar[dict[str, str]] = {"learning_rate": "lr", "wd": "weight_decay"}
    alternatives: ClassVar[tuple[str, ...]] = ("name",)

    def arguments(self) -> dict[str, Any]:
        """What the torch class is given beside the parameters."""
        return self.model_dump(exclude={"name"}) | ({"fused": True} if self.fused else {})

    def state_bytes(self, parameters: Collection[Shape]) -> int:
        """What it keeps between steps for parameters of these shapes."""
        raise NotImplementedError

    def step_bytes(self, parameters: Collection[Shape]) -> int:
        """The most that a step takes on top and gives back, if it is not fused."""
        return 0


def numbers(parameters: Collection[Shape]) -> int:
    """How many numbers are trained."""
    return sum(map(prod, parameters))


class Sgd(Optimizer):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = Field(description="`sgd`")
    lr: Positive = Field(0.1, description="learning rate at the schedule's top")
    momentum: Fraction = Field(0.9, description="momentum")
    nesterov: Bool = Field(True, description="Nesterov's momentum")
    weight_decay: NonNegative = Field(1e-4, description="on every parameter, batch norm and biases too")

    torch: ClassVar[str] = "torch.optim:SGD"
    aliases: ClassVar[dict[str, str]] = {**Optimizer.aliases, "l2": "weight_decay"}

    def state_bytes(self, parameters: Collection[Shape]) -> int:
        """The momentum."""
        return 4 * numbers(parameters) if self.momentum else 0

    @model_validator(mode="after")
    def _consistent(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            message = "`nesterov: true` needs a momentum above zero"
            help = "set `nesterov: false`, or a momentum such as 0.9"
            raise problem("SPC610", message, key="nesterov", beside="momentum", label="without momentum", help=help)
        return self


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 1711.05101)."""

    name: Literal["adamw"] = Field(description="`adamw`")
    lr: Positive = Field(1e-3, description="learning rate at the schedule's top")
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = Field(
        [0.9, 0.999], description="decay of the averages of the gradient and of its square"
    )
    eps: Positive = Field(1e-8, description="added to the denominator")
    weight_decay: NonNegative = Field(1e-2, description="on every parameter")

    torch: ClassVar[str] = "torch.optim:AdamW"
    aliases: ClassVar[dict[str, str]] = {**Optimizer.aliases, "epsilon": "eps"}

    def state_bytes(self, parameters: Collection[Shape]) -> int:
        """Two averages, and a counter for every tensor."""
        return 8 * numbers(parameters) + 4 * len(parameters)


OPTIMIZERS: Registry[type[Config]] = Registry("optimizer", Optimizer, {"sgd": Sgd, "adamw": AdamW})
AnyOptimizer = Annotated[Sgd | AdamW, Discriminator("name"), Plugged(OPTIMIZERS, "name")]

"""`train.optimizer`: one class an optimizer."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from ...language.schema import Bool, Config, Fraction, NonNegative, Positive, problem


class Sgd(Config):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = Field(description="`sgd`")
    lr: Positive = Field(0.1, description="learning rate at the schedule's top")
    momentum: Fraction = Field(0.9, description="momentum")
    nesterov: Bool = Field(True, description="Nesterov's momentum")
    weight_decay: NonNegative = Field(1e-4, description="on every parameter, batch norm and biases too")

    aliases: ClassVar[dict[str, str]] = {"learning_rate": "lr", "wd": "weight_decay", "l2": "weight_decay"}
    alternatives: ClassVar[tuple[str, ...]] = ("name",)

    @model_validator(mode="after")
    def _consistent(self) -> Sgd:
        if self.nesterov and self.momentum == 0:
            message = "`nesterov: true` needs a momentum above zero"
            help = "set `nesterov: false`, or a momentum such as 0.9"
            raise problem("SPC610", message, key="nesterov", beside="momentum", label="without momentum", help=help)
        return self


class AdamW(Config):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 1711.05101)."""

    name: Literal["adamw"] = Field(description="`adamw`")
    lr: Positive = Field(1e-3, description="learning rate at the schedule's top")
    betas: Annotated[list[Fraction], Field(min_length=2, max_length=2)] = Field(
        [0.9, 0.999], description="decay of the averages of the gradient and of its square"
    )
    eps: Positive = Field(1e-8, description="added to the denominator")
    weight_decay: NonNegative = Field(1e-2, description="on every parameter")

    aliases: ClassVar[dict[str, str]] = {"learning_rate": "lr", "wd": "weight_decay", "epsilon": "eps"}
    alternatives: ClassVar[tuple[str, ...]] = ("name",)


Optimizer = Annotated[Sgd | AdamW, Field(discriminator="name")]

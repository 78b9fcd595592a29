"""`train.schedule`: the learning rate of every epoch, or of every step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.config import JsonDict

from ...language.schema import (
    Bool,
    Config,
    Count,
    Fraction,
    Index,
    NonNegative,
    Positive,
    Probability,
    only_with,
    problem,
)

_ONE_CYCLE: JsonDict = only_with(name="one_cycle")
_COSINE, _STEP, _POLY = (only_with(name=name) for name in ("cosine", "step", "poly"))


class Schedule(Config):
    """The learning rate over the training.

    `one_cycle` is torch's `OneCycleLR`, with its arguments; the rate of the optimizer is the highest of the cycle.
    """

    name: Literal["cosine", "constant", "step", "poly", "one_cycle"] = Field(description="shape of the curve")
    by: Literal["epochs", "steps"] = Field(
        "epochs", description="what is counted: the rate is that of an epoch, or changes with every step"
    )
    warmup_epochs: Index = Field(0, description="epochs of linear warm-up from `warmup_lr`")
    warmup_steps: Index = Field(0, description="the same in steps", json_schema_extra=only_with(by="steps"))
    warmup_lr: Positive = Field(0.01, description="the rate at the beginning of the warm-up")
    count_from: Literal[0, 1] = Field(
        0, description="number of the first epoch; InfoPro's CIFAR code counts from 1", json_schema_extra=_COSINE
    )
    milestones: list[Count] = Field(
        [], description="epochs after which the rate falls; steps, where these are counted", json_schema_extra=_STEP
    )
    gamma: Positive = Field(0.1, description="factor at each milestone", json_schema_extra=_STEP)
    power: Positive = Field(
        0.9, description="of what is left of the training: at 1 a straight line", json_schema_extra=_POLY
    )
    min_lr: NonNegative = Field(0.0, description="the rate at the end", json_schema_extra=_POLY)
    pct_start: Fraction = Field(0.3, description="the share that rises", json_schema_extra=_ONE_CYCLE)
    anneal_strategy: Literal["cos", "linear"] = Field(
        "cos", description="how it rises and falls", json_schema_extra=_ONE_CYCLE
    )
    div_factor: Positive = Field(
        25.0, description="the highest rate by that of the beginning", json_schema_extra=_ONE_CYCLE
    )
    final_div_factor: Positive = Field(
        1e4, description="the rate of the beginning by that of the end", json_schema_extra=_ONE_CYCLE
    )
    three_phase: Bool = Field(
        False, description="fall as long as it rose, then to the end", json_schema_extra=_ONE_CYCLE
    )
    cycle_momentum: Bool = Field(
        True,
        description="the momentum, or the first of the `betas`, falls while the rate rises",
        json_schema_extra=_ONE_CYCLE,
    )
    base_momentum: Probability = Field(
        0.85, description="the momentum at the highest rate", json_schema_extra=_ONE_CYCLE
    )
    max_momentum: Probability = Field(
        0.95, description="the momentum at the beginning and the end", json_schema_extra=_ONE_CYCLE
    )

    aliases: ClassVar[dict[str, str]] = {
        "warmup": "warmup_epochs", "type": "name", "kind": "name", "interval": "by",
    }  # fmt: skip
    alternatives: ClassVar[tuple[str, ...]] = ("name",)

    @property
    def constant(self) -> bool:
        """Whether the rate is the same in every step."""
        return self.name == "constant" and not self.warmup_epochs and not self.warmup_steps

    @property
    def cycle(self) -> dict[str, Any]:
        """The arguments of `OneCycleLR` that a spec gives."""
        names = [name for name, field in type(self).model_fields.items() if field.json_schema_extra is _ONE_CYCLE]
        return {name: getattr(self, name) for name in names}

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.name == "step" and not self.milestones:
            message = "the schedule `step` needs `milestones`"
            raise problem("SPC613", message, key="name", label="never falls", help="like `milestones: [80, 120]`")
        if any(later <= first for first, later in pairwise(self.milestones)):
            message = "the milestones are not in rising order"
            raise problem("SPC613", message, key="milestones", label="each epoch comes after the one before")
        if self.warmup_epochs and self.warmup_steps:
            message = "the warm-up is counted in epochs and in steps"
            raise problem("SPC613", message, key="warmup_steps", beside="warmup_epochs", label="one of them says it")
        warm = "warmup_steps" if self.warmup_steps else "warmup_epochs"
        if self.name == "one_cycle" and getattr(self, warm):
            message = "`one_cycle` begins with a warm-up of its own"
            raise problem("SPC613", message, key=warm, beside="name", label="a second one", help="see `pct_start`")
        return self

"""`train.schedule`: the learning rate over the epochs."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from ...language.schema import Config, Count, Index, NonNegative, Positive, only_with, problem


class Schedule(Config):
    """The learning rate over the epochs."""

    name: Literal["cosine", "constant", "step", "poly"] = Field(description="shape of the curve")
    warmup_epochs: Index = Field(0, description="epochs of linear warm-up from `warmup_lr`")
    warmup_lr: Positive = Field(0.01, description="the rate of the first warm-up epoch")
    count_from: Literal[0, 1] = Field(
        0,
        description="number of the first epoch; InfoPro's CIFAR code counts from 1",
        json_schema_extra=only_with(name="cosine"),
    )
    milestones: list[Count] = Field(
        [], description="epochs after which the rate falls", json_schema_extra=only_with(name="step")
    )
    gamma: Positive = Field(0.1, description="factor at each milestone", json_schema_extra=only_with(name="step"))

    power: Positive = Field(
        0.9,
        description="of what is left of the epochs: at 1 a straight line",
        json_schema_extra=only_with(name="poly"),
    )
    min_lr: NonNegative = Field(0.0, description="the rate at the end", json_schema_extra=only_with(name="poly"))

    aliases: ClassVar[dict[str, str]] = {"warmup": "warmup_epochs", "type": "name", "kind": "name"}
    alternatives: ClassVar[tuple[str, ...]] = ("name",)

    @model_validator(mode="after")
    def _consistent(self) -> Schedule:
        if self.name == "step" and not self.milestones:
            message = "the schedule `step` needs `milestones`"
            raise problem("SPC613", message, key="name", label="never falls", help="like `milestones: [80, 120]`")
        if any(later <= first for first, later in pairwise(self.milestones)):
            message = "the milestones are not in rising order"
            raise problem("SPC613", message, key="milestones", label="each epoch comes after the one before")
        return self

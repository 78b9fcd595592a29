"""`train.weight_average`: weights that follow those that are trained."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ...language.schema import Config, Count, Probability


class WeightAverage(Config):
    """An exponential moving average of all that is trained, running statistics too.

    It begins as what the first step leaves. Every evaluation, prediction and export is of the averaged network, while
    training goes on with the weights themselves.
    """

    decay: Probability = Field(0.999, description="share of the average that stays when it is brought up to date")
    every: Count = Field(1, description="of how many steps one brings it up to date")

    aliases: ClassVar[dict[str, str]] = {"momentum": "decay", "beta": "decay", "steps": "every", "interval": "every"}

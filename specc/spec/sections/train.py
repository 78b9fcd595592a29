"""`train`: how to train."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StrictInt

from ...language.schema import Bool, Config, Count, Seed, Text
from .additions import AnyAddition
from .learning_rate import Schedule
from .optimizers import AnyOptimizer, Sgd

MOST_SLICES = 1_024
Slices = Annotated[StrictInt, Field(ge=1, le=MOST_SLICES)]


class Train(Config):
    """How to train."""

    epochs: Count = Field(1, description="passes over the training set")
    optimizer: AnyOptimizer = Field(Sgd(name="sgd"), description="the optimizer")
    schedule: Schedule = Field(Schedule(name="constant"), description="the learning rate schedule")
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="number format of the activations")
    memory_format: Literal["contiguous", "channels_last"] = Field(
        "contiguous",
        description="how feature maps lie in memory: channel by channel, or pixel by pixel, which most convolutions "
        "take less time over (not the numbers' values, only the rounding of sums depends on it)",
    )
    recompute: Bool = Field(
        False, description="activation checkpointing: keep what enters each layer, compute the rest again"
    )
    micro_batches: Slices = Field(
        1,
        description="into how many slices a step's batch is divided: their gradients are summed, then the optimizer "
        "makes one step (see `schedule.order`)",
    )
    instructions: list[AnyAddition] = Field([], description="what packages add to every step: see extending.md")
    seed: Seed = Field(0, description="every random draw derives from it")
    zero_weight_heads: Literal["remove", "keep"] = Field(
        "remove", description="heads whose weight is zero: not built at all, or run for their exact-zero gradients"
    )
    batch_norm_updates: dict[Text, Count | Literal["per_unit"]] = Field(
        {},
        description="how often a step counts a batch in the running statistics, by layer (or `default`); "
        "`per_unit`: once for every unit that contains the layer, as HPFF's released code does",
    )

    aliases: ClassVar[dict[str, str]] = {
        "epoch": "epochs", "num_epochs": "epochs", "optim": "optimizer", "dtype": "precision",
        "accumulate": "micro_batches", "accumulation_steps": "micro_batches", "gradient_accumulation": "micro_batches",
    }  # fmt: skip

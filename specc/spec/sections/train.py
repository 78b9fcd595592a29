"""`train` and `schedule`: how to train, and in which order a step's work is done."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictInt, model_validator

from ...graph.graph import Graph
from ...language.plugged import OneOf, Plugged
from ...language.schema import (
    Bool,
    Config,
    Count,
    Probability,
    Seed,
    Text,
    problem,
)
from ...system.plugins import Registry
from .average import WeightAverage
from .checkpoint import Checkpoints
from .clip import Clip
from .early_stopping import EarlyStopping
from .log import WRITTEN, Logs
from .offload import Offload
from .optimizers import AnyOptimizer, Sgd
from .recompute import Recompute
from .schedule import Schedule

MOST_SLICES = 1_024
NO_GRAPH = "there is no CUDA graph on a processor"
Slices = Annotated[StrictInt, Field(ge=1, le=MOST_SLICES)]
ADDITIONS: Registry[type[Config]] = Registry("instruction", Config, {})


class Addition(Config):
    """Instructions of a kind of its own, which a package adds to a step; its fields are the arguments in a spec."""

    kind: Annotated[str, OneOf(ADDITIONS)] = Field(description="which of those that installed packages add")

    instruction: ClassVar[type[Any]]  # a subclass of `specc.plan.Extension`, whose `kind` is the same

    def into(self, program: Sequence[Any]) -> Iterable[Any]:
        """A program that is right, with the instructions put in; hazards decide the order in which it runs."""
        raise NotImplementedError


ADDITIONS.base = Addition
AnyAddition = Annotated[Addition, Plugged(ADDITIONS, "kind")]


class Train(Config):
    """How to train."""

    epochs: Count = Field(1, description="passes over the training set")
    optimizer: AnyOptimizer = Field(Sgd(name="sgd"), description="the optimizer")
    schedule: Schedule = Field(Schedule(name="constant"), description="the learning rate schedule")
    label_smoothing: Probability = Field(
        0.0,
        description="share of every label that all classes have alike, in every cross-entropy that trains: of the last "
        "unit and of heads, but not in what is measured on images that do not train",
    )
    clip: Clip | None = Field(None, description="how large the gradients of an optimizer step may be")
    weight_average: WeightAverage | None = Field(
        None, description="follow the weights with a moving average, and evaluate that"
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field("fp32", description="number format of the activations")
    memory_format: Literal["contiguous", "channels_last"] = Field(
        "contiguous",
        description="how feature maps lie in memory: channel by channel, or pixel by pixel, which most convolutions "
        "take less time over (not the numbers' values, only the rounding of sums depends on it)",
    )
    recompute: Bool | Recompute = Field(
        False,
        description="activation checkpointing: keep what enters each layer, compute the rest again; of all layers, of "
        "those that are named, or of as few as the budget asks for",
    )
    compile: Bool = Field(
        False,
        description="`torch.compile` of every block, head and branch by itself: steps take less time after a first one "
        "that takes minutes (not the numbers' values, only the rounding of sums depends on it)",
    )
    graphs: Bool = Field(
        False,
        description="on a GPU: the whole step as one CUDA graph, which the host starts with a single call; for steps "
        "of many small operations. It keeps the memory of its step for itself",
    )
    offload: Offload = Field(
        [],
        description="what lives on the host: `[optimizer]`, the optimizer's state, and steps are made there; "
        "`[optimizer, parameters]`, the parameters too, which a device has for their block's turn alone, so that a "
        "network may be larger than the device (see offload.md)",
    )
    micro_batches: Slices = Field(
        1,
        description="into how many slices a step's batch is divided: their gradients are summed, then the optimizer "
        "makes one step (see `schedule.order`)",
    )
    checkpoint: Checkpoints = Field(
        Checkpoints(), description="when the state of the run is saved, and what of it stays"
    )
    log: Logs = Field(["csv"], description=f"where the figures of every epoch are written: {WRITTEN} (see training.md)")
    instructions: list[AnyAddition] = Field([], description="what packages add to every step: see extending.md")
    seed: Seed = Field(0, description="every random draw derives from it")
    deterministic: Bool = Field(
        False,
        description="on a GPU: algorithms that give the same numbers every time; steps take longer, and an operation "
        "that has no such algorithm ends the run. On a processor two runs with as many threads are equal anyway",
    )
    zero_weight_heads: Literal["remove", "keep"] = Field(
        "remove", description="heads whose weight is zero: not built at all, or run for their exact-zero gradients"
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="stop where the validation set has not become better for a while; needs `data.validation`"
    )
    evaluate_units: Bool = Field(
        True,
        description="after every epoch, how good each unit's own classifier is by itself, beside the whole network; "
        "takes a forward of every head over the images that an epoch is judged by",
    )
    freeze: list[Text] = Field(
        [],
        description="layers of the backbone that stay as they are, by name; a name of several (`stage1`) stands for "
        "all of them: no gradients, no optimizer state; the running statistics of their batch norms go on moving",
    )
    batch_norm_updates: dict[Text, Count | Literal["per_unit"]] = Field(
        {},
        description="how often a step counts a batch in the running statistics, by layer (or `default`); "
        "`per_unit`: once for every unit that contains the layer, as HPFF's released code does",
    )

    @model_validator(mode="after")
    def _scheduled(self) -> Train:
        optimizer, cycle = self.optimizer, self.schedule.name == "one_cycle" and self.schedule.cycle_momentum
        if not optimizer.scheduled and not self.schedule.constant:
            message = f"`{optimizer.name}` reads its learning rate once, so that no schedule has an effect on it"
            help = "leave `schedule` out, or take another optimizer"
            raise problem("SPC614", message, key="schedule", beside="optimizer", label="has no effect", help=help)
        if cycle and not getattr(optimizer, "momentum", 0) and not hasattr(optimizer, "betas"):
            message = f"`one_cycle` cycles the momentum too, and `{optimizer.name}` has none"
            help = "set `cycle_momentum: false`, or give the optimizer a momentum"
            raise problem("SPC613", message, key="schedule", beside="optimizer", label="has no momentum", help=help)
        return self

    @model_validator(mode="after")
    def _rises(self) -> Train:
        schedule = self.schedule
        if (schedule.name, schedule.by) == ("one_cycle", "epochs") and schedule.pct_start * self.epochs == 1:
            message = f"`one_cycle` rises in one of {self.epochs} epochs, from nowhere to the top at once"
            help = "set `by: steps`, or another `pct_start`"
            raise problem("SPC613", message, key="schedule", beside="epochs", label="does not rise", help=help)
        return self

    @property
    def not_captured(self) -> str | None:
        """Why a step cannot be a CUDA graph, which holds no decision of the host."""
        cycles = self.schedule.name == "one_cycle" and self.schedule.cycle_momentum
        if self.offload:
            return "parameters are stepped by the host"
        if self.precision == "fp16":
            return "fp16 asks after every backward whether its gradients are finite"
        if not self.optimizer.fused:
            return f"`{self.optimizer.name}` decides on the host what a step does"
        return "the schedule changes the momentum of every step" if cycles else None

    @property
    def steps_in_place(self) -> bool:
        """Whether an optimizer step takes no memory beside what is there."""
        return self.optimizer.fused and (self.clip is None or self.clip.norm is None)

    def step_bytes(self, graphs: Collection[Graph]) -> int:
        """The most that the step of a group of parameters, those of these graphs, takes on top and gives back."""
        shapes = [shape for graph in graphs for shape in graph.trained.values()]
        return max(self.clip.bytes(shapes) if self.clip else 0, self.optimizer.passing(graphs))

    aliases: ClassVar[dict[str, str]] = {
        "epoch": "epochs", "num_epochs": "epochs", "optim": "optimizer", "dtype": "precision",
        "checkpoints": "checkpoint", "save": "checkpoint",
        "logs": "log", "logger": "log", "loggers": "log", "logging": "log",
        "accumulate": "micro_batches", "accumulation_steps": "micro_batches", "gradient_accumulation": "micro_batches",
        "host_offload": "offload", "cpu_offload": "offload",
        "frozen": "freeze", "freeze_layers": "freeze", "frozen_layers": "freeze",
        "clipping": "clip", "gradient_clipping": "clip", "grad_clip": "clip",
        "ema": "weight_average", "model_ema": "weight_average", "swa": "weight_average",
    }  # fmt: skip


class StepOrder(Config):
    """In which order a step's work is done."""

    order: Literal["auto", "slices", "blocks"] = Field(
        "auto",
        description="with `train.micro_batches`: `slices`, each slice of the batch through the whole network, so that "
        "the gradients of all blocks stay; `blocks`, all slices through one block, its heads and its backward before "
        "the next one's turn, so that the features at the cut stay for the whole batch; `auto`: the lower peak",
    )

    alternatives: ClassVar[tuple[str, ...]] = ("order",)

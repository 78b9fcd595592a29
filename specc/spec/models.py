"""The spec language as validated models; every field's description is its documentation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StrictFloat, StrictInt, field_validator, model_validator

from ..graph.families import Backbone
from ..language.schema import (
    Bool,
    Bytes,
    Config,
    Count,
    Factor,
    Fraction,
    Index,
    Matching,
    NonNegative,
    PathText,
    Positive,
    Seed,
    Text,
    Width,
    only_with,
    problem,
)
from ..learning.heads import (
    Augmented,
    Classifier,
    Decoder,
    Goodness,
    Head,
    Periodic,
    Pointwise,
    PooledLinear,
    Similarity,
)

Dataset = Literal[
    "digits", "mnist", "fashion_mnist", "cifar10", "svhn", "stl10", "imagenet", "image_folder", "synthetic"
]


LevelName = Annotated[
    Text, Matching(r"[a-z][a-z0-9_]*", "small letters, digits and `_`, starting with a letter: `cascade`")
]
SpecName = Annotated[
    Text, Matching(r"[A-Za-z0-9][A-Za-z0-9_.-]*", "letters, digits, `_`, `.` and `-`, starting with a letter or digit")
]


# What a machine can hold: an image of more numbers is gigabytes before its first layer, and so is an epoch's order of
# more samples; more processes than the largest machines have cores only take memory.
Side = Annotated[StrictInt, Field(ge=1, le=16_384)]
Channels = Annotated[StrictInt, Field(ge=1, le=1_024)]
Samples = Annotated[StrictInt, Field(ge=1, le=10_000_000)]
Workers = Annotated[StrictInt, Field(ge=0, le=256)]
Deviation = Annotated[StrictFloat, Field(ge=1e-6, le=1, allow_inf_nan=False)]  # 1: images are not scaled
LARGEST_IMAGE = 1 << 30


class Data(Config):
    """Which images to train on."""

    dataset: Dataset = Field("digits", description="the data set; `digits` needs no download")
    root: PathText = Field("data", description="folder of the data set; reads the environment: `${SPECC_DATA:-data}`")
    batch_size: Count = Field(64, description="images a step")
    augment: Literal["none", "paper"] = Field(
        "none", description="`paper`: what the papers' own code does for this data set"
    )
    image_size: Side | None = Field(None, description="height and width in pixels; by default the data set's own")
    channels: Channels | None = Field(
        None, description="for `synthetic`; for `image_folder` 3 (the default), or 1: read in grey"
    )
    classes: Annotated[Width, Field(ge=2)] | None = Field(None, description="for `synthetic` and `image_folder`")
    mean: list[Fraction] | None = Field(
        None, description="mean of each channel for normalisation, for images in [0, 1]"
    )
    std: list[Deviation] | None = Field(None, description="standard deviation of each channel, likewise")
    samples: Samples | None = Field(None, description="for `synthetic`: number of training images")
    resplit: Bool = Field(
        False,
        description="merge the images for training and testing and split them anew, as many for each as before; "
        "not for `imagenet`, `image_folder` and `synthetic`",
    )
    workers: Workers = Field(
        0, description="processes that decode images", json_schema_extra=only_with(dataset=["imagenet", "image_folder"])
    )
    download: Bool = Field(
        False,
        description="fetch the data set into `root` when it is missing",
        json_schema_extra=only_with(dataset=["mnist", "fashion_mnist", "cifar10", "svhn", "stl10", "imagenet"]),
    )

    aliases: ClassVar[dict[str, str]] = {
        "name": "dataset", "path": "root", "dir": "root", "bs": "batch_size", "batch": "batch_size",
        "transforms": "augment", "augmentation": "augment", "num_workers": "workers", "size": "image_size",
        "num_classes": "classes", "n_classes": "classes",
    }  # fmt: skip

    @model_validator(mode="after")
    def _of_a_size(self) -> Data:
        """Each number may be within its bound, and the image still be larger than any memory."""
        if (numbers := (self.image_size or 1) ** 2 * (self.channels or 1)) > LARGEST_IMAGE:
            message = f"an image of {self.image_size} × {self.image_size} pixels with {self.channels} channels has "
            message += f"{numbers:,} numbers, more than {LARGEST_IMAGE:,}"
            raise problem("SPC104", message, key="image_size", beside="channels", label="too large together")
        return self


class Fit(Config):
    """What the budget may decide: where to cut, into how many blocks, and what is allowed to change besides."""

    min_blocks: Count = Field(1, description="no fewer blocks than these")
    max_blocks: Count | None = Field(None, description="no more blocks than these; by default as many as can be cut")
    allow: list[Literal["patches", "recompute", "precision", "batch_size"]] = Field(
        [],
        description="what may change where no split alone fits: `patches` one after the other, `recompute`, "
        "`precision` bf16, half the `batch_size`; as little of it as is enough",
    )

    aliases: ClassVar[dict[str, str]] = {"min": "min_blocks", "max": "max_blocks", "knobs": "allow"}

    @model_validator(mode="after")
    def _some_number(self) -> Fit:
        if self.max_blocks is not None and self.max_blocks < self.min_blocks:
            message = f"no number of blocks is at least {self.min_blocks} and at most {self.max_blocks}"
            raise problem("SPC104", message, key="max_blocks", beside="min_blocks", label="below `min_blocks`")
        return self


class Split(Config):
    """Where the backbone is cut into gradient-isolated blocks."""

    blocks: Count | None = Field(None, description="number of blocks, as equal as the legal cuts allow")
    by: Literal["layers", "flops", "parameters", "memory"] = Field(
        "layers",
        description="what is made equal; `layers` with parameters; `memory`: what a block keeps for its backward",
    )
    after: list[Text] | None = Field(None, description="names of the layers after which to cut")
    fit: Fit | None = Field(
        None, description="let the budget decide: the fewest blocks whose predicted peak fits, cut for the lowest peak"
    )

    aliases: ClassVar[dict[str, str]] = {
        "k": "blocks", "num_blocks": "blocks", "at": "after", "cuts": "after", "auto": "fit",
    }  # fmt: skip
    alternatives: ClassVar[tuple[str, ...]] = ("blocks", "after", "fit")

    @model_validator(mode="after")
    def _one_of(self) -> Split:
        given = [key for key in self.alternatives if getattr(self, key) is not None]
        if len(given) > 1:
            message = f"`{given[0]}` and `{given[1]}` exclude each other"
            raise problem("SPC107", message, key=given[1], beside=given[0], label="delete one of the two")
        if not given:
            message = "give `blocks`, `after` or `fit`"
            raise problem("SPC107", message, label="has none of them", help="`fit: {}` lets the budget decide")
        if self.by != "layers" and self.blocks is None:
            message = f"`by` says how `blocks` are made, but `{given[0]}` decides where to cut"
            raise problem("SPC107", message, key="by", beside=given[0], label="delete one of the two")
        return self


class Auxiliary(Config):
    """The heads of a unit's auxiliary network."""

    classifier: Classifier | None = Field(None, description="a local classifier")
    pointwise: Pointwise | None = Field(None, description="DGL's classifier: pointwise convolutions and an MLP")
    pooled_linear: PooledLinear | None = Field(None, description="PredSim's classifier: pooling and one linear layer")
    augmented: Augmented | None = Field(
        None, description="AugLocal's classifier: layers shaped like the backbone's rest"
    )
    periodic: Periodic | None = Field(None, description="LLS: fixed periodic vectors instead of a trained classifier")
    goodness: Goodness | None = Field(None, description="Forward-Forward: activity for what is right against the rest")
    similarity: Similarity | None = Field(None, description="PredSim's similarity matching")
    reconstruction: Decoder | None = Field(None, description="a decoder that restores the image")

    aliases: ClassVar[dict[str, str]] = {"decoder": "reconstruction", "classification": "classifier"}

    def heads(self) -> dict[str, Head]:
        """The heads that are present, by their key in the spec."""
        return {name: head for name in type(self).model_fields if (head := getattr(self, name)) is not None}


class UnitOverride(Config):
    """What one unit of a level has differently."""

    unit: Index = Field(description="the unit, by the index of its last block")
    weight: Factor | None = Field(None, description="instead of the level's weight")
    auxiliary: Auxiliary | None = Field(None, description="merged over the level's auxiliary network")


class Level(Config):
    """All local units of one window size."""

    name: LevelName = Field(description="part of its units' names")
    window: Count | Literal["all"] = Field(
        1, description="consecutive blocks that gradient flows through; `all`: every block before, nothing is cut"
    )
    weight: Factor = Field(1.0, description="factor on all losses of the level")
    skip: list[Index] = Field([], description="units without a loss, by the index of their last block")
    auxiliary: Auxiliary | None = Field(
        None, description="merged over the top-level auxiliary network; null removes a head"
    )
    units: list[UnitOverride] = Field([], description="overrides for single units")

    aliases: ClassVar[dict[str, str]] = {"size": "window", "w": "window", "lambda": "weight"}

    @property
    def first_end(self) -> int:
        """The first block that ends a unit."""
        return 0 if self.window == "all" else self.window - 1

    def start(self, end: int) -> int:
        """The first block of the unit that ends with block `end`."""
        return 0 if self.window == "all" else end - self.window + 1

    def override(self, unit: int) -> tuple[int, UnitOverride] | None:
        """The override of the unit that ends with block `unit`, and its place in the list."""
        return next(((i, own) for i, own in enumerate(self.units) if own.unit == unit), None)


class EmaLink(Config):
    """An exponential moving average of the first layers of a later block (MAN, 2407.05623, section 3.2)."""

    source: Text = Field(
        "next",
        alias="from",
        description="name of the first layer to copy, or `next`: the first that read the features and have parameters",
    )
    layers: Count = Field(1, description="how many layers to copy; fewer where the block ends before")
    momentum: Fraction = Field(0.995, description="m in ema <- m ema + (1 - m) source")
    bias: Literal["branch", "scaled", "parameter", "none"] = Field(
        "branch",
        description="`branch`: a trainable copy beside the average, outputs added (MAN's released code); `scaled`: "
        "s branch + (2 - s) average with one trained s (MAN++); `parameter`: a trained tensor added to each average",
    )
    average_buffers: Bool = Field(
        False, description="average running statistics too; by default the copy keeps its own"
    )
    init: Literal["independent", "copy"] = Field(
        "independent", description="both copies drawn anew (MAN's released code) or started at the source's values"
    )
    levels: list[Text] | None = Field(None, description="levels whose units have the link; by default all")

    aliases: ClassVar[dict[str, str]] = {"m": "momentum", "decay": "momentum", "source": "from"}


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


class Schedule(Config):
    """The learning rate over the epochs."""

    name: Literal["cosine", "constant", "step"] = Field(description="shape of the curve")
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


class Train(Config):
    """How to train."""

    epochs: Count = Field(1, description="passes over the training set")
    optimizer: Optimizer = Field(Sgd(name="sgd"), description="the optimizer")
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
        "epoch": "epochs",
        "num_epochs": "epochs",
        "optim": "optimizer",
        "dtype": "precision",
    }


class Budget(Config):
    """The most device memory that one training step may take."""

    memory: Bytes = Field(description="bytes, or a number and a unit: `6 GiB`, `512 MB`")
    on_exceed: Literal["error", "warn"] = Field("error", description="what a predicted or measured peak over it is")

    aliases: ClassVar[dict[str, str]] = {"limit": "memory", "size": "memory", "gpu_memory": "memory"}


class SpecModel(Config):
    """A spec: one network, how it is cut and trained, and what it may cost."""

    specc: Literal[1] = Field(description="version of the language")
    name: SpecName = Field(description="names the run directory")
    extends: Text = Field(
        "", exclude=True, description="the spec file, relative to this one, that this one is merged over"
    )
    description: Text = Field("", description="for people")
    data: Data = Field(Data(), description="which images to train on")
    backbone: Backbone = Field(description="the network")
    split: Split = Field(Split(blocks=1), description="where the backbone is cut")
    auxiliary: Auxiliary = Field(
        Auxiliary(classifier=Classifier()),
        description="the heads of every unit; where the key is left out, one `classifier`; `{}`: no heads at all",
    )
    levels: Annotated[list[Level], Field(min_length=1)] = Field([Level(name="independent")], description="window sizes")
    ema_links: list[EmaLink] = Field([], description="EMA copies of later layers in the auxiliary networks (MAN)")
    train: Train = Field(Train(), description="how to train")
    budget: Budget | None = Field(None, description="the most memory one step may take")

    aliases: ClassVar[dict[str, str]] = {
        "model": "backbone", "network": "backbone", "dataset": "data", "splits": "split", "aux": "auxiliary",
        "ema": "ema_links", "links": "ema_links", "training": "train", "memory": "budget", "version": "specc",
        "base": "extends", "parent": "extends", "inherits": "extends", "include": "extends",
    }  # fmt: skip

    @field_validator("extends")
    @classmethod
    def _read_by_now(cls, value: str) -> str:
        """Files are merged before they are validated; whatever says `extends` after that is no file."""
        help = "write it into a file, and give that"
        raise problem("SPC029", "only a file can extend another one", label="not in a file", help=help)

    @property
    def views(self) -> int:
        """How often a step sees every image: three times where Forward-Forward writes labels into it, else once."""
        return 3 if any(a.goodness and a.goodness.negatives == "images" for a in self._auxiliaries()) else 1

    @property
    def rows(self) -> int:
        """Images that go through the network together."""
        return self.data.batch_size * self.views

    def _auxiliaries(self) -> Iterator[Auxiliary]:
        """The auxiliary networks of the levels, and of units that have their own."""
        for level in self.levels:
            yield merge(self.auxiliary, level.auxiliary)
            yield from (merge(self.auxiliary, level.auxiliary, own.auxiliary) for own in level.units if own.auxiliary)


def merge(base: Auxiliary, *overrides: Auxiliary | None) -> Auxiliary:
    """`base` with every key that an override really sets put over it, however deep."""
    merged: dict[str, Any] = base.model_dump(exclude_unset=True)
    for override in filter(None, overrides):
        merged = _merge(merged, override.model_dump(exclude_unset=True))
    return Auxiliary.model_validate(merged)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        result[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result

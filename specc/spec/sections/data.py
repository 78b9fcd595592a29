"""`data`: which images to train on."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue, StrictFloat, StrictInt, model_validator

from ...language.functions import of_a_file
from ...language.plugged import OneOf
from ...language.schema import Bool, Config, Count, Fraction, PathText, Text, Width, only_with, problem
from ...tasks.datasets import INFO, kept_in
from ...tasks.own.facts import MODULE
from ...tasks.segmentation import IGNORED
from ..augmentations import Augmentation, Mixing
from .augment import Steps

Dataset = Annotated[str, OneOf(INFO)]
OwnCode = Annotated[Text, AfterValidator(of_a_file)]

# What a machine can hold: an image of more numbers is gigabytes before its first layer, and so is an epoch's order of
# more samples; more processes than the largest machines have cores only take memory.
Side = Annotated[StrictInt, Field(ge=1, le=16_384)]
Sides = Annotated[list[Side], Field(min_length=1, max_length=3)]
Channels = Annotated[StrictInt, Field(ge=1, le=1_024)]
Held = Annotated[StrictInt, Field(ge=1, le=10_000_000)]
Part = Annotated[StrictFloat, Field(gt=0, lt=1, allow_inf_nan=False)]
Samples = Annotated[StrictInt, Field(ge=1, le=10_000_000)]
Workers = Annotated[StrictInt, Field(ge=0, le=256)]
Deviation = Annotated[StrictFloat, Field(ge=1e-6, le=1, allow_inf_nan=False)]  # 1: images are not scaled
LARGEST_IMAGE = 1 << 30


class Data(Config):
    """Which images to train on."""

    dataset: Dataset = Field("digits", description="the data set; `digits` needs no download")
    module: OwnCode | None = Field(
        None,
        description="a function of your own that makes the data sets: `data.py:make_datasets`, the file as seen from "
        "the spec. It is run only with `--trust-code`, or `SPECC_TRUST_CODE=1`",
    )
    args: dict[str, JsonValue] | None = Field(
        None, description="arguments of the function that `module` names, by name"
    )
    root: PathText = Field(
        "data",
        description="folder of the data set, relative to this file; reads the environment: `${SPECC_DATA:-data}`",
    )
    batch_size: Count = Field(64, description="images, or texts, a step")
    augment: Literal["none", "paper"] | Steps = Field(
        "none",
        description="what is done to training images: `paper`, what the papers' own code does for this data set; or a "
        "list like `[random_crop: {padding: 4}, horizontal_flip, mixup: 0.2]`",
    )
    image_size: Side | Sides | None = Field(
        None,
        description="pixels: one number for height and width, or `[height, width]`; by default the data set's own. "
        "`synthetic` makes signals of a `[length]` and volumes of `[depth, height, width]` too",
    )
    channels: Channels | None = Field(
        None, description="for `synthetic`; for folders of your own 3 (the default), or 1: read in grey"
    )
    length: Side | None = Field(
        None, description="of texts, for `synthetic`: tokens of each; data sets of your own code have one length"
    )
    vocabulary: Annotated[StrictInt, Field(ge=2, le=1 << 24)] | None = Field(
        None, description="of texts: how many tokens there are, which are whole numbers from 0 on"
    )
    classes: Annotated[Width, Field(ge=2)] | None = Field(
        None,
        description="for `synthetic` and folders of your own; an `image_folder` that is there has counted them, and "
        "data sets of your own code may have `classes`",
    )
    ignore_index: Annotated[StrictInt, Field(ge=0, le=255)] = Field(
        IGNORED,
        description="value of pixels in mask files that count for nothing",
        json_schema_extra=only_with(
            dataset=[name for name in kept_in("folder", "own") if "map" in INFO.own[name].targets],
        ),
    )
    mean: list[Fraction] | None = Field(
        None, description="mean of each channel for normalisation, for images in [0, 1]"
    )
    std: list[Deviation] | None = Field(None, description="standard deviation of each channel, likewise")
    samples: Samples | None = Field(None, description="for `synthetic`: number of training images")
    resplit: Bool = Field(
        False,
        description="merge the images for training and testing and split them anew, as many for each as before; "
        "not for folders of images and `synthetic`",
    )
    validation: Held | Part | None = Field(
        None,
        description="training images that are kept apart to judge every epoch by: how many, or which part of them, "
        "like `0.1`; the test set is then looked at once, at the end",
    )
    workers: Workers = Field(
        0, description="processes that decode the images of folders, and that do what a list in `augment` says"
    )
    on_bad_image: Literal["error", "skip"] = Field(
        "error",
        description="what becomes of images that cannot be read when a run begins; `skip`: it goes on without them, "
        "and lists them in `skipped.csv`",
        json_schema_extra=only_with(dataset=[name for name in kept_in("folder") if INFO.own[name].classes is None]),
    )
    download: Bool = Field(
        False,
        description="fetch the data set into `root` when it is missing",
        json_schema_extra=only_with(dataset=["mnist", "fashion_mnist", "cifar10", "svhn", "stl10", "imagenet"]),
    )

    aliases: ClassVar[dict[str, str]] = {
        "name": "dataset", "path": "root", "dir": "root", "bs": "batch_size", "batch": "batch_size",
        "transforms": "augment", "augmentation": "augment", "num_workers": "workers", "size": "image_size",
        "num_classes": "classes", "n_classes": "classes", "val": "validation", "val_split": "validation",
        "validation_split": "validation", "valid": "validation", "python": "module", "code": "module",
        "arguments": "args", "vocab_size": "vocabulary", "vocab": "vocabulary", "max_length": "length",
        "sequence_length": "length", "seq_len": "length",
    }  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _of_own_code(cls, value: Any) -> Any:
        """Who names a function need not say that the data set is what it makes."""
        if isinstance(value, Mapping) and value.get("module") is not None and value.get("dataset") is None:
            return {**value, "dataset": MODULE}
        return value

    @model_validator(mode="after")
    def _by_one(self) -> Data:
        """The data come from one place."""
        if self.module and self.dataset != MODULE:
            message = f"`module` makes the data sets, and `{self.dataset}` is another one"
            raise problem("SPC107", message, key="module", beside="dataset", label="give one of the two",
                          help="`dataset: module` takes what `module` makes, whatever the spec extends")  # fmt: skip
        if self.dataset == MODULE and not self.module:
            raise problem("SPC107", "`dataset: module` needs `module`", key="dataset", label="made by which function?",
                          help="`module: data.py:make_datasets`")  # fmt: skip
        if self.args and not self.module:
            raise problem("SPC107", "`args` are those of `module`, which is not given", key="args", label="of nothing")
        return self

    def placed(self, folder: str) -> Data:
        """The same, the function's file as seen from a folder."""
        if not self.module or os.path.isabs(self.module):
            return self
        return self.model_copy(update={"module": os.path.abspath(os.path.join(folder, self.module))})

    @property
    def augmentations(self) -> list[Augmentation]:
        """What is done to training images, in this order; nothing where it is left to the data set."""
        return [] if isinstance(self.augment, str) else [step.augmentation for step in self.augment]

    @property
    def mixings(self) -> list[Mixing]:
        """Which of them mix the images of a batch."""
        return [each for each in self.augmentations if isinstance(each, Mixing)]

    @model_validator(mode="after")
    def _of_a_size(self) -> Data:
        """Each number may be within its bound, and the image still be larger than any memory."""
        size = self.image_size or 1
        sizes = (size, size) if isinstance(size, int) else size
        if (numbers := prod(sizes) * (self.channels or 1)) > LARGEST_IMAGE:
            message = f"an image of {' × '.join(map(str, sizes))} pixels with {self.channels} channels has "
            message += f"{numbers:,} numbers, more than {LARGEST_IMAGE:,}"
            raise problem("SPC104", message, key="image_size", beside="channels", label="too large together")
        return self

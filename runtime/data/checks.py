"""Whether a data set is what its name says: no image without a label, nothing of another shape, no empty half."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from runtime.data.arrays import Arrays
from runtime.data.config import DataConfig
from runtime.data.errors import DataError
from specc.tasks.datasets import INFO, ResolvedData
from specc.tasks.segmentation import IGNORED


def checked(config: DataConfig, info: ResolvedData, half: str, data: Arrays) -> Arrays:
    """The `half` of a data set held in memory, as it is; `DataError` says what is wrong with it."""
    for problem in _problems(config, info, data):
        raise DataError(
            f"the {half} half of `{config.dataset}` in {config.folder} {problem}",
            help=["put the original files there; images of your own belong into an `image_folder`"],
        )
    return data


def _problems(config: DataConfig, info: ResolvedData, data: Arrays) -> Iterator[str]:
    images, labels, target = data.images, data.labels, config.learns.target
    native = INFO[info.name].shape or info.shape
    if len(images) != len(labels) or labels.shape[1:] != target.shape(replace(info, shape=native)):
        yield f"has {len(images)} images and {labels.size} labels"
    if not len(images):
        yield "has no images"
    if images.shape[1:] != native:
        yield f"has images of {_show(images.shape[1:])}, which should be {_show(native)}"
    most = target.bound(info) - 1
    ignored = (labels == IGNORED) & (config.learns.kind == "map")
    if (wrong := np.argwhere(((labels < 0) | (labels > most)) & ~ignored)).size:
        yield f"has the label {labels[tuple(wrong[0])]} at image {wrong[0][0]}: labels are 0 to {most}"


def _show(shape: tuple[int, ...]) -> str:
    channels, *size = shape
    return f"{'×'.join(map(str, size))} pixels with {channels} channel{'s' * (channels != 1)}"


def differences(info: ResolvedData, train: int, test: int) -> tuple[str, ...]:
    """A remark for each half that has another number of images than the data set is known to have."""
    known = INFO[info.name]
    return tuple(
        f"{info.name} has {found:,} {half} images here, not {size:,}"
        for half, found, size in (("training", train, known.train_size), ("test", test, known.test_size))
        if size not in (None, found)
    )

"""The splits of a data set, and the kind that is held in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Protocol

import numpy as np
import torch

from runtime.data.arrays import Arrays, Augmenting, CropFlip
from runtime.data.augmentation import augmentation_of
from runtime.data.checks import checked, differences
from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.workers import Batch as Batch
from runtime.data.workers import Sample, batched, crowded
from specc.tasks.datasets import ResolvedData

_KEPT = 1 << 32  # bytes of resized images that are kept in memory: all of CIFAR-10 at 150 pixels


class Split(Protocol):
    """The samples of a data set for training, for validation or for testing.

    One that knows them may have `names`, of the files of its samples, and `classes`, the class of each.
    """

    @property
    def info(self) -> ResolvedData:
        """The facts, resolved: shape, classes and statistics are known."""

    @property
    def peak(self) -> int:
        """The pixel value that stands for 1.0."""

    def __len__(self) -> int:
        """The number of samples."""

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """For each array of sample indices the images (n, channels, height, width) and the labels.

        Images are uint8, or float32 in 0..1 where some of them have more than 8 bits.

        With `draws` the images are augmented, without they are as stored.
        """


@dataclass(frozen=True, slots=True)
class Over:
    """A split that gives the samples of another one, or some of them, in a way of its own."""

    whole: Split

    @property
    def info(self) -> ResolvedData:
        """See `Split.info`."""
        return self.whole.info

    @property
    def peak(self) -> int:
        """See `Split.peak`."""
        return self.whole.peak


def beneath(split: Split) -> Split:
    """The split that the samples come from, whatever is over it."""
    while isinstance(split, Over):
        split = split.whole
    return split


@dataclass(frozen=True, slots=True)
class Splits:
    """A data set, opened; `remarks` are for the user: what of it is not as it should be, and used all the same."""

    train: Split
    test: Split | None  # None: nothing is kept for a test at the end
    info: ResolvedData
    remarks: tuple[str, ...] = ()
    validation: Split | None = None

    @property
    def watches(self) -> str:
        """What `watched` is called in the metrics."""
        return "test" if self.validation is None else "val"

    @property
    def watched(self) -> Split:
        """What an epoch is judged by: the validation set, or the test set where there is none."""
        watched = self.validation or self.test
        assert watched is not None, "a data set has one of both"
        return watched


class Stored(Protocol):
    """The samples of a half, held in memory or made when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, indices: Indices) -> Arrays: ...


@dataclass(frozen=True, slots=True)
class ArraySplit:
    """A split held in memory as bytes; `late`: at its own size, each batch being resized when it is asked for."""

    info: ResolvedData
    data: Stored
    augmentation: Augmenting
    peak: int = 255
    late: bool = False
    workers: int = 0  # processes that go through the pipeline of a spec, image by image

    def __len__(self) -> int:
        return len(self.data)

    @property
    def classes(self) -> Indices | None:
        """The class of every sample, where each has one that lies in memory."""
        labels = self.data.labels if isinstance(self.data, Arrays) else None
        return labels if labels is not None and labels.ndim == 1 else None

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`."""
        if draws and self.workers:
            yield from batched(partial(self._sample, draws=draws), batches, self.workers)
            return
        for indices in batches:
            batch = self._unaugmented(indices)
            batch = self.augmentation.of(batch, indices, draws) if draws else batch
            images, labels = (torch.from_numpy(np.ascontiguousarray(part)) for part in (batch.images, batch.labels))
            yield images, labels

    def _unaugmented(self, indices: Indices) -> Arrays:
        return _resized(self.data[indices], self.info) if self.late else self.data[indices]

    def _sample(self, index: int, draws: Draws) -> Sample:
        place = np.array([index])
        batch = self.augmentation.of(self._unaugmented(place), place, draws)
        known = batch.labels[0]
        return torch.from_numpy(batch.images[0]), known if batch.labels.ndim == 1 else torch.from_numpy(known)


def moving(split: Split) -> CropFlip | None:
    """What is done to the images of a split, if that is to crop and mirror them, which a device can do by itself."""
    if not isinstance(split, ArraySplit) or type(split.augmentation) is not CropFlip or split.classes is None:
        return None
    if not split.augmentation.moves:
        return None
    fits = split.augmentation.pad < min(split.info.image_size)  # else a reflection is of a reflection
    return split.augmentation if fits else None


def in_memory(
    config: DataConfig, info: ResolvedData, train: Arrays, test: Arrays, *, paper: CropFlip, peak: int = 255
) -> Splits:
    """The splits of a data set that fits into memory; `paper` is its `augment: paper`."""
    train, test = (checked(config, info, half, data) for half, data in (("training", train), ("test", test)))
    if config.resplit:
        train, test = _resplit(train, test)
    augmentation = augmentation_of(config, info, paper, peak)
    late = (len(train) + len(test)) * prod(info.shape) > _KEPT
    halves = [half if late else _resized(half, info) for half in (train, test)]
    workers = workers_for(config)
    opened = [ArraySplit(info, half, augmentation, peak, late, workers) for half in halves]
    return Splits(opened[0], opened[1], info, (*differences(info, len(train), len(test)), *crowded(workers)))


def workers_for(config: DataConfig) -> int:
    """How many processes a data set in memory is given: it needs none but for the list of a spec."""
    return 0 if isinstance(config.augment, str) else config.workers


def _resplit(train: Arrays, test: Arrays) -> tuple[Arrays, Arrays]:
    """All images, split anew at the same sizes."""
    merged = Arrays(np.concatenate([train.images, test.images]), np.concatenate([train.labels, test.labels]))
    # The seed is fixed: runs with different training seeds are compared on one test set.
    order = Draws(0, 0).permutation(len(merged), "resplit")
    return merged[order[: len(train)]], merged[order[len(train) :]]


def _resized(data: Arrays, info: ResolvedData) -> Arrays:
    size = info.image_size
    if data.images.shape[2:] == size:
        return data
    images = torch.from_numpy(data.images)
    resized = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
    if data.labels.ndim != 3:
        return Arrays(resized.numpy(), data.labels)
    masks = torch.nn.functional.interpolate(torch.from_numpy(data.labels)[:, None], size, mode="nearest-exact")
    return Arrays(resized.numpy(), masks[:, 0].numpy())

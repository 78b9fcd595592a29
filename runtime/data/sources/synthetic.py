"""Made-up images of any size that can be learned: a pattern for each class, under noise. For tests and timing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import torch

from runtime.data.augment import CropFlip, Pixels
from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.splits import Arrays, Batch, Splits, in_memory
from specc.tasks.datasets import DatasetInfo, Shape

_CELLS = 4  # a pattern is a chequerboard of so many random cells a side
_KEPT = (
    1 << 28
)  # bytes of images that are made once and kept in memory; of more each image is made when it is asked for


def load(config: DataConfig, info: DatasetInfo) -> Splits:
    """`samples` train images and a quarter as many test images, the same for the same seed; `paper` changes nothing."""
    assert info.train_size is not None  # `resolved` saw to all of them
    assert info.test_size is not None
    assert info.shape is not None
    assert info.classes is not None
    maker = Maker(info.shape, info.classes, Draws(config.seed, 0))
    if (info.train_size + info.test_size) * prod(info.shape) > _KEPT:
        made = [MadeSplit(info, maker, *half) for half in (("train", info.train_size), ("test", info.test_size))]
        return Splits(made[0], made[1], info)
    train, test = maker.run("train", 0, info.train_size), maker.run("test", 0, info.test_size)
    return in_memory(config, info, train, test, paper=CropFlip())


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes any run of samples without those before it: the pixels are bytes of one endless sequence a half."""

    shape: Shape
    classes: int
    draws: Draws

    def run(self, half: str, first: int, count: int) -> Arrays:
        """The samples `first` to `first + count`; classes take turns."""
        labels = np.arange(first, first + count) % self.classes
        images = self._noise(half, first, count) // 2  # halves, so that the sum is a byte
        for label in range(min(self.classes, count)):
            images[label :: self.classes] += self._pattern(int(labels[label])) // 2
        return Arrays(images, labels)

    def _noise(self, half: str, first: int, count: int) -> Pixels:
        size = prod(self.shape)
        return self.draws.noise(half, first * size, count * size).reshape(count, *self.shape)

    def _pattern(self, label: int) -> Pixels:
        """The pattern (channels, height, width) of a class."""
        channels, height, width = self.shape
        size = channels * _CELLS * _CELLS
        cells = self.draws.noise("patterns", label * size, size).reshape(channels, _CELLS, _CELLS)
        rows, columns = (np.arange(side) * _CELLS // side for side in (height, width))
        return cells[:, rows[:, None], columns]


@dataclass(frozen=True, slots=True)
class MadeSplit:
    """A split larger than memory, of which every image is made when it is asked for."""

    info: DatasetInfo
    maker: Maker
    half: str
    size: int
    peak: int = 255

    def __len__(self) -> int:
        return self.size

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`; there is nothing to augment."""
        for indices in batches:
            made = [self.maker.run(self.half, int(index), 1) for index in indices]
            images, labels = (
                np.concatenate(parts) for parts in zip(*((m.images, m.labels) for m in made), strict=True)
            )
            yield torch.from_numpy(images), torch.from_numpy(labels)

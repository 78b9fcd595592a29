"""Made-up images of any size that can be learned: a pattern for each class, under noise. For tests and timing."""

from __future__ import annotations

import numpy as np

from runtime.data.augment import CropFlip, Pixels
from runtime.data.config import DataConfig
from runtime.data.draws import Draws
from runtime.data.errors import DataError
from runtime.data.splits import Arrays, Splits, in_memory
from specc.datasets import DatasetInfo, Shape

_CELLS = 4  # a pattern is a chequerboard of so many random cells a side


def load(config: DataConfig, info: DatasetInfo) -> Splits:
    """`samples` train images and a quarter as many test images, the same for the same seed; `paper` changes nothing."""
    if config.resplit:
        raise DataError("the data set `synthetic` has no other split", help=["remove `resplit`"])
    if info.train_size is None or info.test_size is None:
        raise DataError("the data set `synthetic` needs `samples`")
    assert info.shape is not None  # `resolved` saw to it
    assert info.classes is not None
    draws = Draws(config.seed, 0)
    patterns = _patterns(info.shape, info.classes, draws)
    train, test = (
        _noisy(patterns, size, draws.generator(0, half))
        for half, size in (("train", info.train_size), ("test", info.test_size))
    )
    return in_memory(config, info, train, test, paper=CropFlip())


def _patterns(shape: Shape, classes: int, draws: Draws) -> Pixels:
    """One pattern (channels, height, width) a class."""
    channels, height, width = shape
    cells = draws.generator(0, "patterns").integers(256, size=(classes, channels, _CELLS, _CELLS), dtype=np.uint8)
    rows, columns = (np.arange(size) * _CELLS // size for size in (height, width))
    return cells[:, :, rows[:, None], columns]


def _noisy(patterns: Pixels, size: int, generator: np.random.Generator) -> Arrays:
    labels = np.arange(size) % len(patterns)
    noise = generator.integers(256, size=(size, *patterns.shape[1:]), dtype=np.uint8)
    return Arrays(patterns[labels] // 2 + noise // 2, labels)  # halves, so that the sum is a byte

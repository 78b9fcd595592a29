"""CIFAR-10, 32 x 32 RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.data.archive import read_archive
from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.splits import Arrays, Splits, in_memory
from specc.datasets import DatasetInfo

_FILES = ["cifar-10-batches-py/data_batch_1", "cifar-10-batches-py/test_batch"]


def load(config: DataConfig, info: DatasetInfo) -> Splits:
    """`paper` crops out of four pixels of reflected padding and mirrors."""
    train, test = read_archive(config, _FILES, lambda root: (_half(config, root, True), _half(config, root, False)))
    return in_memory(config, info, train, test, paper=CropFlip(pad=4, mode="reflect", flip=True))


def _half(config: DataConfig, root: Path, train: bool) -> Arrays:
    from torchvision.datasets import CIFAR10  # late: takes seconds

    data = CIFAR10(root, train=train, download=config.download)
    return Arrays(np.ascontiguousarray(data.data.transpose(0, 3, 1, 2)), np.array(data.targets, dtype=np.int64))

"""SVHN (cropped house numbers), 32 x 32 RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.data.archive import read_archive
from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.splits import Arrays, Splits, in_memory
from specc.datasets import DatasetInfo

_FILES = ["train_32x32.mat", "test_32x32.mat"]


def load(config: DataConfig, info: DatasetInfo) -> Splits:
    """`paper` crops out of two pixels of zero padding; digits have a left and a right, so nothing is mirrored."""
    train, test = read_archive(config, _FILES, lambda root: (_half(config, root, "train"), _half(config, root, "test")))
    return in_memory(config, info, train, test, paper=CropFlip(pad=2))


def _half(config: DataConfig, root: Path, split: str) -> Arrays:
    from torchvision.datasets import SVHN  # late: takes seconds

    data = SVHN(root, split=split, download=config.download)
    return Arrays(np.ascontiguousarray(data.data), data.labels.astype(np.int64))

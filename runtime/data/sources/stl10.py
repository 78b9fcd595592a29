"""STL-10 (the labelled part), 96 x 96 RGB."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.data.archive import read_archive
from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.splits import Arrays, Splits, in_memory
from specc.datasets import DatasetInfo

_FILES = [f"stl10_binary/{half}_{part}.bin" for half in ("train", "test") for part in ("X", "y")]


def load(config: DataConfig, info: DatasetInfo) -> Splits:
    """`paper` crops out of four pixels of zero padding and mirrors."""
    train, test = read_archive(config, _FILES, lambda root: (_half(config, root, "train"), _half(config, root, "test")))
    return in_memory(config, info, train, test, paper=CropFlip(pad=4, flip=True))


def _half(config: DataConfig, root: Path, split: str) -> Arrays:
    from torchvision.datasets import STL10  # late: takes seconds

    data = STL10(root, split=split, download=config.download)
    return Arrays(np.ascontiguousarray(data.data), data.labels.astype(np.int64))

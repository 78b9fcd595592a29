"""Fashion-MNIST, 28 x 28 grey."""

from __future__ import annotations

from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.idx import read_mnist_like
from runtime.data.splits import Splits, in_memory
from specc.tasks.datasets import ResolvedData


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of two pixels of zero padding and mirrors."""
    return in_memory(config, info, *read_mnist_like(config, "FashionMNIST"), paper=CropFlip(pad=2, flip=True))

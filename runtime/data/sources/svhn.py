"""SVHN (cropped house numbers), 32 x 32 RGB."""

from __future__ import annotations

import io

import numpy as np

from runtime.data.archive import Archive
from runtime.data.arrays import Arrays
from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.files import parsed
from runtime.data.splits import Splits, in_memory
from specc.tasks.datasets import ResolvedData

_FILES = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of two pixels of zero padding; digits have a left and a right, so nothing is mirrored."""
    archive = Archive(_FILES, most=1 << 28, fetch=_fetch)
    train, test = archive.read(config, lambda content: [_half(name, content(name)) for name in _FILES])
    return in_memory(config, info, train, test, paper=CropFlip(pad=2))


def _fetch(root: str) -> None:
    from torchvision.datasets import SVHN  # late: takes seconds

    for split in ("train", "test"):
        SVHN(root, split=split, download=True)


def _half(name: str, content: bytes) -> Arrays:
    from scipy.io import loadmat  # late: takes seconds

    found = parsed(name, lambda: loadmat(io.BytesIO(content)))
    images, labels = (np.asarray(found.get(key, ())) for key in "Xy")
    if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype.kind not in "iu":
        raise ValueError(f"{name} holds no images `X` and labels `y`")
    digits = labels.astype(np.int64).reshape(-1)
    return Arrays(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), np.where(digits == 10, 0, digits))  # ten is 0

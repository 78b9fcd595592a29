"""SVHN (cropped house numbers), 32 x 32 RGB, and STL-10 (the labelled part), 96 x 96 RGB."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np

from runtime.data.archive import Archive
from runtime.data.arrays import Arrays, CropFlip
from runtime.data.config import DataConfig
from runtime.data.errors import parsed
from runtime.data.splits import Splits, in_memory
from specc.tasks.datasets import ResolvedData

_SVHN = {
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
}
_STL10 = {
    "stl10_binary/train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "stl10_binary/train_y.bin": "5a34089d4802c674881badbb80307741",
    "stl10_binary/test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "stl10_binary/test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}
_PIXELS = 3 * 96 * 96  # of an image of STL-10


def svhn(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of two pixels of zero padding; digits have a left and a right, so nothing is mirrored."""
    archive = Archive(_SVHN, most=1 << 28, torchvision="SVHN", parts=({"split": "train"}, {"split": "test"}))
    train, test = archive.read(config, lambda content: [_of_matlab(name, content(name)) for name in _SVHN])
    return in_memory(config, info, train, test, paper=CropFlip(pad=2))


def stl10(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of four pixels of zero padding and mirrors."""
    archive = Archive(_STL10, most=1 << 28, torchvision="STL10")  # the archive of one split holds all
    train, test = archive.read(config, lambda content: [_of_bytes(content, half) for half in ("train", "test")])
    return in_memory(config, info, train, test, paper=CropFlip(pad=4, flip=True))


def _of_matlab(name: str, content: bytes) -> Arrays:
    from scipy.io import loadmat  # late: takes seconds

    found = parsed(name, lambda: loadmat(io.BytesIO(content)))
    images, labels = (np.asarray(found.get(key, ())) for key in "Xy")
    if images.dtype != np.uint8 or images.ndim != 4 or labels.dtype.kind not in "iu":
        raise ValueError(f"{name} holds no images `X` and labels `y`")
    digits = labels.astype(np.int64).reshape(-1)
    return Arrays(np.ascontiguousarray(images.transpose(3, 2, 0, 1)), np.where(digits == 10, 0, digits))  # ten is 0


def _of_bytes(content: Callable[[str], bytes], half: str) -> Arrays:
    pixels, labels = (np.frombuffer(content(f"stl10_binary/{half}_{part}.bin"), dtype=np.uint8) for part in "Xy")
    if len(pixels) % _PIXELS:
        raise ValueError(f"{half}_X.bin is cut off: {len(pixels)} bytes are no number of images of {_PIXELS}")
    images = pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)  # stored column by column
    return Arrays(np.ascontiguousarray(images), labels.astype(np.int64) - 1)

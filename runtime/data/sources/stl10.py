"""STL-10 (the labelled part), 96 x 96 RGB."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from runtime.data.archive import Archive
from runtime.data.arrays import Arrays
from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.splits import Splits, in_memory
from specc.tasks.datasets import ResolvedData

_FILES = {
    "stl10_binary/train_X.bin": "918c2871b30a85fa023e0c44e0bee87f",
    "stl10_binary/train_y.bin": "5a34089d4802c674881badbb80307741",
    "stl10_binary/test_X.bin": "7f263ba9f9e0b06b93213547f721ac82",
    "stl10_binary/test_y.bin": "36f9794fa4beb8a2c72628de14fa638e",
}
_PIXELS = 3 * 96 * 96


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` crops out of four pixels of zero padding and mirrors."""
    archive = Archive(_FILES, most=1 << 28, fetch=_fetch)
    train, test = archive.read(config, lambda content: [_half(content, half) for half in ("train", "test")])
    return in_memory(config, info, train, test, paper=CropFlip(pad=4, flip=True))


def _fetch(root: str) -> None:
    from torchvision.datasets import STL10  # late: takes seconds

    STL10(root, split="train", download=True)  # one archive holds all


def _half(content: Callable[[str], bytes], half: str) -> Arrays:
    pixels, labels = (np.frombuffer(content(f"stl10_binary/{half}_{part}.bin"), dtype=np.uint8) for part in "Xy")
    if len(pixels) % _PIXELS:
        raise ValueError(f"{half}_X.bin is cut off: {len(pixels)} bytes are no number of images of {_PIXELS}")
    images = pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)  # stored column by column
    return Arrays(np.ascontiguousarray(images), labels.astype(np.int64) - 1)

"""Data sets of image files in class folders, decoded batch by batch, by worker processes where asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.errors import DataError, missing
from runtime.data.splits import Batch, Splits
from specc.datasets import DatasetInfo

_TEST_NAMES = ("val", "test")
_LAYOUT = "train/CLASS/*.jpg and val/CLASS/*.jpg (or test/)"

# torchvision's RandomResizedCrop: area as a fraction of the image, aspect ratio, attempts before the centre is taken
_AREA, _RATIO, _ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10
_EVAL_MARGIN = 256 / 224  # evaluation resizes the short side to so much more than it then crops


@dataclass(frozen=True, slots=True)
class FolderSplit:
    """A split that stays on the disk: `samples` are (path, label)."""

    info: DatasetInfo
    samples: Sequence[tuple[str, int]]
    augmented: bool
    workers: int
    peak: int = 255

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`."""
        images = _Decoded(self, draws if self.augmented else None)
        yield from DataLoader(
            images,
            batch_sampler=[batch.tolist() for batch in batches],
            num_workers=self.workers,
            generator=torch.Generator(),  # its own, or it would take a draw from the global one every epoch
        )


class _Decoded(Dataset[tuple[Tensor, int]]):
    """The images of a split under the draws of one epoch."""

    def __init__(self, split: FolderSplit, draws: Draws | None) -> None:
        self.split = split
        self.draws = draws

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self.split.samples[index]
        size, _ = self.split.info.image_size
        image = _decode(path)
        cropped = _centre_crop(image, size) if self.draws is None else _random_crop(image, size, self.draws, index)
        return torch.from_numpy(np.array(cropped).transpose(2, 0, 1).copy()), label


def open_folders(config: DataConfig, info: DatasetInfo, roots: Sequence[Path]) -> Splits:
    """The splits in the first of `roots` that has a train and a test folder; classes are folders, in sorted order."""
    if config.resplit:
        raise DataError(f"the data set `{config.dataset}` cannot be split anew", help=["remove `resplit`"])
    (train_classes, train), (test_classes, test) = (_scan(folder) for folder in _folders(config, roots))
    if train_classes != test_classes:
        odd = sorted(set(train_classes) ^ set(test_classes))
        raise DataError(f"train and test folders differ in their classes: {', '.join(odd[:5])}")
    if len(train_classes) != info.classes:
        raise DataError(f"`{config.dataset}` should have {info.classes} classes, {len(train_classes)} folders found")
    augmented = config.augment == "paper"
    info = replace(info, train_size=len(train), test_size=len(test))
    opened = [FolderSplit(info, samples, augmented, config.workers) for samples in (train, test)]
    return Splits(opened[0], opened[1], info)


def _folders(config: DataConfig, roots: Sequence[Path]) -> tuple[Path, Path]:
    for root in roots:
        tests = [root / name for name in _TEST_NAMES if (root / name).is_dir()]
        if (root / "train").is_dir() and tests:
            return root / "train", tests[0]
    looked = [root / half for root in roots for half in ("train", "{val,test}")]
    raise missing(config.dataset, looked, layout=_LAYOUT, download=False)


def _scan(folder: Path) -> tuple[list[str], list[tuple[str, int]]]:
    """The class names, sorted, and every image with the number of its class."""
    from torchvision.datasets import ImageFolder  # late: takes seconds

    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        raise DataError(f"{folder}: {error}", help=[f"the layout is {_LAYOUT}"]) from error
    return found.classes, found.samples


def _decode(path: str) -> Any:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except OSError as error:
        raise DataError(f"{path} cannot be decoded: {error}", help=["replace or remove the file"]) from error


def _centre_crop(image: Any, size: int) -> Any:
    from torchvision.transforms import functional

    return functional.center_crop(functional.resize(image, round(size * _EVAL_MARGIN)), [size, size])


def _random_crop(image: Any, size: int, draws: Draws, index: int) -> Any:
    """RandomResizedCrop and RandomHorizontalFlip, drawn for this sample and epoch."""
    from torchvision.transforms import functional

    generator = draws.generator(index, "crop")
    cropped = functional.resized_crop(image, *_random_box(image.width, image.height, generator), [size, size])
    return functional.hflip(cropped) if generator.integers(2) else cropped


def _random_box(width: int, height: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width in pixels of a crop of random area and aspect ratio."""
    for _ in range(_ATTEMPTS):
        area = width * height * generator.uniform(*_AREA)
        ratio = math.exp(generator.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return int(generator.integers(height - high + 1)), int(generator.integers(width - wide + 1)), high, wide
    return _central_box(width, height)


def _central_box(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest central crop whose aspect ratio is allowed."""
    wide = min(width, round(height * _RATIO[1]))
    high = min(height, round(width / _RATIO[0]))
    return (height - high) // 2, (width - wide) // 2, high, wide

"""Your own images and masks: `train/images/*.jpg`, `train/masks/*.png`, and the same in `val/` (or `test/`)."""

from __future__ import annotations

from pathlib import Path

from runtime.data.config import DataConfig
from runtime.data.folder import half_folders
from runtime.data.masks import named, open_masks, paired
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData

LAYOUT = "train/ and val/ (or test/), in each of them images/ and masks/ with files of the same names"


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """A mask is an image with a byte a pixel: its class, or `ignore_index`."""
    train, test = half_folders(config, [config.folder], LAYOUT)
    return open_masks(config, info, _pairs(train), _pairs(test))


def _pairs(folder: Path) -> list[tuple[str, str]]:
    return paired(named(folder / "images"), named(folder / "masks"), folder)

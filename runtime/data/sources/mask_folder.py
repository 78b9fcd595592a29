"""Your own images and masks: `train/images/*.jpg`, `train/masks/*.png`, and the same in `val/` (or `test/`)."""

from __future__ import annotations

from pathlib import Path

from runtime.data.config import DataConfig
from runtime.data.folder import half_folders
from runtime.data.masks import named, open_masks, paired
from runtime.data.scan import images_in, left_out
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData

LAYOUT = "train/ and val/ (or test/), in each of them images/ and masks/ with files of the same names"


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """A mask is an image with a byte a pixel: its class, or `ignore_index`."""
    halves = half_folders(config, [config.folder], LAYOUT)
    others = [path for half in halves for kind in ("images", "masks") for path in images_in(half / kind)[1]]
    train, test = map(_pairs, halves)
    return open_masks(config, info, train, test, left_out(others))


def _pairs(folder: Path) -> list[tuple[str, str]]:
    return paired(named(folder / "images"), named(folder / "masks"), folder)

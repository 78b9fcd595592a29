"""Cityscapes: street scenes with fine masks of 19 classes, as its two archives unpack and its scripts convert them."""

from __future__ import annotations

from pathlib import Path

from runtime.data.config import DataConfig
from runtime.data.errors import missing
from runtime.data.masks import named, open_masks, paired
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData

LAYOUT = (
    "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and gtFine/{train,val}/CITY/*_gtFine_labelTrainIds.png "
    "(cityscapesscripts' csCreateTrainIdLabelImgs makes the latter)"
)


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """Masks of train ids, which go from 0 to 18."""
    roots = [config.folder, config.folder / "cityscapes"]
    root = next((root for root in roots if (root / "leftImg8bit").is_dir() and (root / "gtFine").is_dir()), None)
    if root is None:
        looked = [root / name for root in roots for name in ("leftImg8bit", "gtFine")]
        raise missing(config.dataset, looked, layout=LAYOUT, download=False)
    return open_masks(config, info, _pairs(root, "train"), _pairs(root, "val"))


def _pairs(root: Path, half: str) -> list[tuple[str, str]]:
    images = named(root / "leftImg8bit" / half, "_leftImg8bit")
    masks = named(root / "gtFine" / half, "_gtFine_labelTrainIds")
    return paired(images, masks, root / "gtFine" / half)

"""PASCAL VOC 2012: 20 kinds of objects and what is around them; with the added masks of SBD where they are there."""

from __future__ import annotations

from pathlib import Path

from runtime.data.config import DataConfig
from runtime.data.errors import DataError, missing
from runtime.data.files import parsed, read_regular
from runtime.data.masks import open_masks
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData

LAYOUT = "JPEGImages, SegmentationClass (or SegmentationClassAug) and ImageSets/Segmentation, as VOCdevkit/VOC2012 has"
# Lists of the training images, the first that is there: 10,582 with the masks of SBD, else VOC's own 1,464.
_TRAIN = (("train_aug.txt", "SegmentationClassAug"), ("trainaug.txt", "SegmentationClassAug"))
_OWN = "SegmentationClass"


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """Masks of 21 classes, of which 0 is the background; 255, around the objects, counts for nothing."""
    roots = [config.folder / inner for inner in ("", "VOC2012", "VOCdevkit/VOC2012")]
    root = next((root for root in roots if (root / "ImageSets" / "Segmentation").is_dir()), None)
    if root is None:
        looked = [root / "ImageSets" / "Segmentation" for root in roots]
        raise missing(config.dataset, looked, layout=LAYOUT, download=False)
    lists = root / "ImageSets" / "Segmentation"
    train = next(((lists / n, m) for n, m in _TRAIN if (lists / n).is_file() and (root / m).is_dir()), None)
    pairs = _pairs(root, *(train or (lists / "train.txt", _OWN)))
    return open_masks(config, info, pairs, _pairs(root, lists / "val.txt", _OWN))


def _pairs(root: Path, listed: Path, masks: str) -> list[tuple[str, str]]:
    """The pairs that a list names."""
    try:
        lines = parsed(listed, lambda: read_regular(listed, most=1 << 24).decode().splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"{listed} cannot be read: {error}", help=[f"the layout is {LAYOUT}"]) from error
    names = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not names:
        raise DataError(f"{listed} names no images", help=["a line of it is the name of an image, without its ending"])
    found = [(root / "JPEGImages" / f"{name}.jpg", root / masks / f"{name}.png") for name in names]
    if absent := next((path for pair in found for path in pair if not path.is_file()), None):
        raise DataError(f"{absent} is not there, and {listed} names it", help=[f"the layout is {LAYOUT}"])
    return [(str(image), str(mask)) for image, mask in found]

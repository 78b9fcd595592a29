"""Images with masks: your own, those of Cityscapes and those of PASCAL VOC."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtime.data.archive import read_regular
from runtime.data.config import DataConfig
from runtime.data.errors import DataError, missing, parsed
from runtime.data.folder import Parts, part_folders
from runtime.data.masks import named, open_masks, paired
from runtime.data.scan import images_in, left_out
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData

_OWN = "train/ and val/ (or test/), in each of them images/ and masks/ with files of the same names"
_CITYSCAPES = (
    "leftImg8bit/{train,val}/CITY/*_leftImg8bit.png and gtFine/{train,val}/CITY/*_gtFine_labelTrainIds.png "
    "(cityscapesscripts' csCreateTrainIdLabelImgs makes the latter)"
)
_VOC = "JPEGImages, SegmentationClass (or SegmentationClassAug) and ImageSets/Segmentation, as VOCdevkit/VOC2012 has"
# Lists of the training images, the first that is there: 10,582 with the masks of SBD, else VOC's own 1,464.
_TRAIN = (("train_aug.txt", "SegmentationClassAug"), ("trainaug.txt", "SegmentationClassAug"))


def mask_folder(config: DataConfig, info: ResolvedData) -> Splits:
    """Your own images and masks: `train/images/*.jpg`, `train/masks/*.png`, and the same in `val/` (or `test/`).

    A mask is an image with a byte a pixel: its class, or `ignore_index`.
    """
    layout = part_folders(config, [config.folder], _OWN)
    others = [path for part in layout.parts for kind in ("images", "masks") for path in images_in(part / kind)[1]]
    parts = Parts.of(layout, lambda part: paired(named(part / "images"), named(part / "masks"), part))
    return open_masks(config, info, parts, left_out(others))


def cityscapes(config: DataConfig, info: ResolvedData) -> Splits:
    """Street scenes with fine masks of 19 classes, as the two archives unpack and Cityscapes' scripts convert them.

    Masks of train ids, which go from 0 to 18.
    """
    root = _root(config, ("", "cityscapes"), ("leftImg8bit", "gtFine"), _CITYSCAPES)
    images, masks = root / "leftImg8bit", root / "gtFine"
    train, val = (
        paired(named(images / half, "_leftImg8bit"), named(masks / half, "_gtFine_labelTrainIds"), masks / half)
        for half in ("train", "val")
    )
    return open_masks(config, info, Parts(train, val))


def _root(config: DataConfig, inner: Sequence[str], parts: Sequence[str], layout: str) -> Path:
    """The first of the places below `data.root` that has all the parts of the layout."""
    roots = [config.folder / name for name in inner]
    for root in roots:
        if all((root / part).is_dir() for part in parts):
            return root
    raise missing(config.dataset, [root / part for root in roots for part in parts], layout=layout, download=False)


def voc(config: DataConfig, info: ResolvedData) -> Splits:
    """PASCAL VOC 2012: 20 kinds of objects and what is around them; with the added masks of SBD where they are there.

    Masks of 21 classes, of which 0 is the background; 255, around the objects, counts for nothing.
    """
    root = _root(config, ("", "VOC2012", "VOCdevkit/VOC2012"), ("ImageSets/Segmentation",), _VOC)
    lists = root / "ImageSets/Segmentation"
    train = next(((lists / n, m) for n, m in _TRAIN if (lists / n).is_file() and (root / m).is_dir()), None)
    pairs = _listed(root, *(train or (lists / "train.txt", "SegmentationClass")))
    return open_masks(config, info, Parts(pairs, _listed(root, lists / "val.txt", "SegmentationClass")))


def _listed(root: Path, listed: Path, masks: str) -> list[tuple[str, str]]:
    """The pairs that a list names."""
    try:
        lines = parsed(listed, lambda: read_regular(listed, most=1 << 24).decode().splitlines())
    except (OSError, ValueError) as error:
        raise DataError(f"{listed} cannot be read: {error}", help=[f"the layout is {_VOC}"]) from error
    names = [Path(line.split()[0]).stem for line in lines if line.strip()]
    if not names:
        raise DataError(f"{listed} names no images", help=["a line of it is the name of an image, without its ending"])
    found = [(root / "JPEGImages" / f"{name}.jpg", root / masks / f"{name}.png") for name in names]
    if absent := next((path for pair in found for path in pair if not path.is_file()), None):
        raise DataError(f"{absent} is not there, and {listed} names it", help=[f"the layout is {_VOC}"])
    return [(str(image), str(mask)) for image, mask in found]

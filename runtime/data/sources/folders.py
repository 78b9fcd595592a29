"""ImageNet, and your own images with one label each or any number.

Classes are folders, or a `labels.csv` names those of every image.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from runtime.data.archive import fetched, read_regular
from runtime.data.config import DataConfig
from runtime.data.errors import DataError, missing, parsed
from runtime.data.folder import Parts, folder_splits, open_folders, part_folders
from runtime.data.scan import images_in, left_out
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData
from specc.tasks.folders import LAYOUT, FolderError, class_layout

_LISTED = "train/ and val/ (or test/), in each of them images and a labels.csv with lines like `a.jpg,cat,dog`"
_PUBLISHED = "train/CLASS/*.JPEG and val/CLASS/*.JPEG"
_ARCHIVES = (
    "to unpack the archives: put ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar "
    "into data.root, then specc run SPEC data.download=true"
)
_WNID = re.compile(r"n[0-9]{8}")  # what ImageNet calls a class
_BESIDE = ("put the images beside labels.csv",)
_SHOWN = 3  # of what would be a long list

Labels = dict[str, list[str]]  # of the images, by their names in the folder


def image_folder(config: DataConfig, info: ResolvedData) -> Splits:
    """Your own images, in formats that Pillow reads: `CLASS/*.png`, or `train/CLASS/*.png` and the same in `test/`.

    `val/` (or `valid/`, `validation/`) is for validation, or for the test where there is no `test/`. `paper` is the
    standard ImageNet augmentation at `image_size`.
    """
    try:
        layout = class_layout(config.folder)
    except FolderError as error:
        raise DataError(str(error), error.help) from error
    if layout is None:
        looked = [config.folder / name for name in ("CLASS", "train/CLASS")]
        raise missing(config.dataset, looked, layout=LAYOUT, download=False)
    return open_folders(config, info, layout)


def imagenet(config: DataConfig, info: ResolvedData) -> Splits:
    """ImageNet (ILSVRC 2012) as class folders, or as the three archives, which `data.download=true` unpacks.

    `paper` is a random resized crop and a mirror; evaluation resizes to 256 and crops 224 from the centre.
    """
    roots = [config.folder, config.folder / "imagenet"]
    if config.download:
        fetched(config, lambda: _unpack(roots))
    try:
        return open_folders(config, info, part_folders(config, roots, _PUBLISHED))
    except DataError as error:
        raise DataError(str(error), help=[*error.help, _ARCHIVES]) from error


def _unpack(roots: list[Path]) -> None:
    """Unpack the archives that lie in one of `roots`; the licence forbids that anything downloads them."""
    from torchvision.datasets import ImageNet  # late: takes seconds

    root = next((root for root in roots if (root / "ILSVRC2012_devkit_t12.tar.gz").is_file()), roots[0])
    _check_meta(root / "meta.bin")
    for split in ("train", "val"):
        ImageNet(str(root), split=split)


def _check_meta(path: Path) -> None:
    """Raise `ValueError` where torchvision's list of classes is somebody else's: it makes folders of the names."""
    if not os.path.lexists(path):
        return
    content = io.BytesIO(read_regular(path, most=1 << 24))
    names, labels = parsed(path, lambda: torch.load(content, weights_only=True))
    if not all(isinstance(name, str) and _WNID.fullmatch(name) for name in (*names, *labels)):
        raise ValueError(f"{path} has other names than those of ImageNet's classes: remove it, it is made anew")


def label_folder(config: DataConfig, info: ResolvedData) -> Splits:
    """`train/labels.csv` and its images, and the same in `val/` (or `test/`).

    Classes are the labels' names in sorted order; an image without labels is one of none of them.
    """
    layout = part_folders(config, [config.folder], _LISTED)
    listed = {folder: _read(folder / "labels.csv") for folder in layout.parts}
    names = sorted({label for half in listed.values() for labels in half.values() for label in labels})
    if len(names) != info.classes:
        shown = ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)
        what = f"`{config.dataset}` should have {info.classes} classes, {len(names)} labels found: {shown}"
        raise DataError(what, help=["`data.classes` is the number of different labels in all lists"])
    parts = Parts.of(layout, lambda folder: [*_samples(folder, listed[folder], names)])
    remarks = [remark for folder in layout.parts for remark in _unlisted(folder, listed[folder])]
    return folder_splits(config, replace(info, class_names=tuple(names)), parts, remarks)


def _read(path: Path) -> Labels:
    try:
        text = parsed(path, lambda: read_regular(path, most=1 << 28).decode("utf-8-sig"))
        rows = parsed(path, lambda: list(csv.reader(io.StringIO(text, newline=""), strict=True)))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}", help=[f"the layout is {_LISTED}"]) from error
    found: Labels = {}
    for number, (name, *labels) in ((i, [cell.strip() for cell in row]) for i, row in enumerate(rows, 1) if row):
        if os.path.isabs(name) or ".." in Path(name).parts:
            raise DataError(f"{path}:{number} lists `{name}`, which is not in this folder", help=_BESIDE)
        if name in found:
            raise DataError(f"{path}:{number} lists `{name}` again", help=["put all labels of an image into one line"])
        found[name] = [label for label in labels if label]
    if not found:
        raise DataError(f"{path} lists no images", help=[f"the layout is {_LISTED}"])
    return found


def _samples(folder: Path, listed: Labels, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The images with a 1 for every label that they have."""
    place = {name: i for i, name in enumerate(names)}
    absent = [name for name in listed if not (folder / name).is_file()]
    if absent:
        shown = ", ".join(absent[:_SHOWN]) + ", ..." * (len(absent) > _SHOWN)
        raise DataError(f"{folder} has no {shown}, which labels.csv lists", help=_BESIDE)
    for name, labels in listed.items():
        hot = np.zeros(len(names), dtype=np.uint8)
        hot[[place[label] for label in labels]] = 1
        yield str(folder / name), hot


def _unlisted(folder: Path, listed: Labels) -> Iterator[str]:
    """A remark on the images and files that nobody asked for."""
    known = {os.path.normpath(folder / name) for name in (*listed, "labels.csv")}
    images, others = ([path for path in paths if os.path.normpath(path) not in known] for paths in images_in(folder))
    yield from left_out(others)
    if images:
        yield f"{len(images):,} images in {folder} are left out, as labels.csv does not list them"

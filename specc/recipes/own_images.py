"""A folder of the reader's own images, as far as a spec has to know it: classes, how many images, of which sizes.

Names are counted. Of a few files the head is read, for their sizes and whether they are grey; no image is decoded. Of
masks a few are, as nothing else says how many classes they have.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from warnings import catch_warnings, simplefilter

from ..system.files import open_regular
from ..tasks.folders import LAYOUT, FolderError, class_layout, classes_of, listed, parts_in
from ..tasks.segmentation import IGNORED

Kind = Literal["image_folder", "mask_folder"]
TASKS: dict[str, Kind] = {"classification": "image_folder", "segmentation": "mask_folder"}
_LOOKED_AT = 64
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
_GREY = {"1", "L", "LA", "I;16", "I;16B", "I", "F"}
_HELD_OUT = 0.1  # of a folder without one to test on


@dataclass(frozen=True, slots=True)
class OwnImages:
    """What a folder holds."""

    root: Path
    kind: Kind
    classes: int
    names: tuple[str, ...]  # of the classes, where folders have them
    training: int  # images to train on
    sizes: tuple[tuple[int, int], ...]  # width and height of the images that were looked at
    grey: bool

    @property
    def side(self) -> int:
        """The shorter side of an image in the middle of the sizes; 0 where none could be read."""
        sides = sorted(min(size) for size in self.sizes)
        return sides[len(sides) // 2] if sides else 0

    @property
    def told(self) -> str:
        """The classes, in words."""
        return f"{self.classes} classes" + (f": {listed(self.names)}" if self.names else "")

    @property
    def measured(self) -> str:
        """The sizes, in words.

        >>> OwnImages(Path("x"), "image_folder", 2, ("a", "b"), 9, ((20, 30), (40, 10)), False).measured
        '20 to 40 pixels wide and 10 to 30 high'
        """
        if not self.sizes:
            return "none that could be read"
        widths, heights = (_range(values) for values in zip(*self.sizes, strict=True))
        return f"{widths} pixels wide and " + ("high" if widths == heights else f"{heights} high")


def _range(values: Sequence[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)} to {max(values)}"


def look(root: Path, kind: Kind) -> OwnImages:
    """What the folder holds; `FolderError` where it is not laid out as a data set of this kind."""
    parts = parts_in(root) if os.path.isdir(root) else None
    masked = parts is not None and (parts.train / "masks").is_dir()
    if kind == "mask_folder":
        return _masked(root, masked)
    if masked:
        raise FolderError(f"{root} has a mask for every image", "take a recipe that learns masks: `man_voc`")
    layout = class_layout(root)
    names = classes_of(layout) if layout else ()
    if layout is None or not names:
        raise FolderError(f"{root} has no class folders", f"the layout is {LAYOUT}")
    files = sorted(path for name in names for path in _files(layout.train / name))
    held = 0 if layout.parts[1:] else _HELD_OUT
    return OwnImages(root, kind, len(names), names, round(len(files) * (1 - held)), *_looked_at(files))


def _masked(root: Path, masked: bool) -> OwnImages:
    if not masked:
        what = "train/images/*.jpg and train/masks/*.png of the same names, and the same in val/"
        raise FolderError(f"{root} has no masks to learn from", f"the layout is {what}")
    train = root / "train"
    files, masks = sorted(_files(train / "images")), sorted(_files(train / "masks"))
    values = [value for image in _opened(_few(masks)) for value in _values(image)]
    return OwnImages(root, "mask_folder", max(values, default=1) + 1, (), len(files), *_looked_at(files))


def _values(mask: Any) -> Iterator[int]:
    """The classes in a mask, whose pixels are bytes."""
    if mask.mode in ("L", "P"):
        yield from (value for value, count in enumerate(mask.histogram()) if count and value != IGNORED)


def _files(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            yield from (Path(entry.path) for entry in entries if not entry.name.startswith(".") and entry.is_file())
    except OSError as error:
        raise FolderError(f"{folder} cannot be searched: {error.strerror}", "make the folder readable") from error


def _few(files: Sequence[Path]) -> Sequence[Path]:
    """Some files from all over a long list."""
    return files[:: max(1, len(files) // _LOOKED_AT)][:_LOOKED_AT]


def _looked_at(files: Sequence[Path]) -> tuple[tuple[tuple[int, int], ...], bool]:
    """The sizes of some images, and whether all of them are grey."""
    seen = [(image.size, image.mode) for image in _opened(_few(files))]
    return tuple(size for size, _ in seen), bool(seen) and all(mode in _GREY for _, mode in seen)


def _opened(files: Iterable[Path]) -> Iterator[Any]:
    """The images that can be read; a run names the others, all of them."""
    from PIL import Image

    for path in files:
        with suppress(Exception), catch_warnings():  # whatever a damaged file makes Pillow raise
            simplefilter("error")
            with open_regular(path) as file, Image.open(file, formats=_FORMATS) as image:
                yield image

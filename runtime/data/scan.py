"""Finds the images of a data set: of class folders in the order of torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.data.errors import DataError

LAYOUT = "train/CLASS/*.jpg and val/CLASS/*.jpg (or test/)"
_IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_SHOWN = 5  # of what would be a long list


@dataclass(frozen=True, slots=True)
class Found:
    """The class names, sorted; every image with the number of its class; files that are no images by their names."""

    classes: list[str]
    samples: list[tuple[str, int]]
    others: list[str]


def scan(folder: Path) -> Found:
    """The classes of a split, which are its folders, and everything in them, however deep."""
    try:
        with os.scandir(folder) as entries:
            classes = sorted(entry.name for entry in entries if entry.is_dir())
        files = [(path, label) for label, name in enumerate(classes) for path in _files(folder / name)]
    except OSError as error:
        raise _unreadable(folder, error) from error
    samples = [(path, label) for path, label in files if _is_image(path)]
    _no_empty_class(folder, classes, {label for _, label in samples})
    return Found(classes, samples, [path for path, _ in files if not _is_image(path)])


def images_in(folder: Path) -> tuple[list[str], list[str]]:
    """The images below a folder, however deep, and the files that are none by their names."""
    try:
        files = list(_files(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [path for path in files if _is_image(path)], [path for path in files if not _is_image(path)]


def _is_image(path: str) -> bool:
    return path.lower().endswith(_IMAGES)


def _unreadable(folder: Path, error: OSError) -> DataError:
    """A folder that may not be read is an error, not an empty one."""
    help = ["make the folder readable for whoever runs this"]
    return DataError(f"{error.filename or folder} cannot be searched: {error.strerror}", help=help)


def _files(folder: Path) -> Iterator[str]:
    for root, names in sorted(_walk(str(folder))):
        yield from (os.path.join(root, name) for name in names)


def _walk(top: str) -> Iterator[tuple[str, list[str]]]:
    """Every folder under `top` with its files' names, through links, but not through one to a folder around it."""
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(top, frozenset())]
    while waiting:
        folder, around = waiting.pop()
        facts = os.stat(folder)
        here = (facts.st_dev, facts.st_ino)
        if here in around:
            continue
        with os.scandir(folder) as entries:
            found = [(entry.is_dir(), entry.name) for entry in entries]
        yield folder, sorted(name for is_folder, name in found if not is_folder)
        waiting += [(os.path.join(folder, name), around | {here}) for is_folder, name in found if is_folder]


def _no_empty_class(folder: Path, classes: list[str], used: set[int]) -> None:
    empty = [name for label, name in enumerate(classes) if label not in used]
    if empty or not classes:
        what = f"no images in {', '.join(empty[:_SHOWN])}" if classes else "no class folders"
        help = [f"the layout is {LAYOUT}", f"images are files that end in {' '.join(_IMAGES)}"]
        raise DataError(f"{folder} has {what}", help=help)


def left_out(others: Sequence[str]) -> tuple[str, ...]:
    """A remark on the files that are no images."""
    if not others:
        return ()
    endings = sorted({os.path.splitext(path)[1] or os.path.basename(path) for path in others})
    shown = " ".join(endings[:_SHOWN])
    return (f"{len(others):,} files are left out, as their names are not those of images: {shown}",)

"""Finds the images of a data set: of class folders in the order of torchvision's ImageFolder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runtime.data.errors import DataError
from specc.tasks.folders import LAYOUT, FolderError, class_names, hidden, listed

_IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
_SHOWN = 5  # of what would be a long list


@dataclass(frozen=True, slots=True)
class Found:
    """The class names, sorted; every image with the number of its class; files that are none or in no class."""

    classes: list[str]
    samples: list[tuple[str, int]]
    others: list[str]
    hidden: list[str]

    @property
    def remarks(self) -> tuple[str, ...]:
        """On all that is left out."""
        folders = f"folders that other programs hide there are left out: {listed(self.hidden)}"
        return (*left_out(self.others), *([folders] if self.hidden else ()))


def scan(folder: Path) -> Found:
    """The classes of a part, which are its folders, and everything in them, however deep."""
    try:
        classes = class_names(folder)
        files = [(path, label) for label, name in enumerate(classes) for path in _files(folder / name)]
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FolderError as error:
        raise DataError(str(error), help=error.help) from error
    except OSError as error:
        raise _unreadable(folder, error) from error
    samples = [(path, label) for path, label in files if is_image(path)]
    _no_empty_class(folder, classes, {label for _, label in samples})
    others = [path for path, _ in files if not is_image(path)] + [each.path for each in entries if each.is_file()]
    return Found(classes, samples, others, [each.path for each in entries if each.is_dir() and hidden(each.name)])


def images_in(folder: Path) -> tuple[list[str], list[str]]:
    """The images below a folder, however deep, and the files that are none by their names."""
    try:
        files = list(_files(folder))
    except OSError as error:
        raise _unreadable(folder, error) from error
    return [path for path in files if is_image(path)], [path for path in files if not is_image(path)]


def is_image(path: str) -> bool:
    """Whether a file is an image by its name."""
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
        what = f"no images in {listed(empty)}" if classes else "no class folders"
        help = [f"the layout is {LAYOUT}", f"images are files that end in {' '.join(_IMAGES)}"]
        raise DataError(f"{folder} has {what}", help, "SPC641")


def left_out(others: Sequence[str]) -> tuple[str, ...]:
    """A remark on the files that are no images, or images of no class."""
    strange = [path for path in others if not is_image(path)]
    loose = [path for path in others if is_image(path)]
    endings = sorted({os.path.splitext(path)[1] or os.path.basename(path) for path in strange})
    remarks = [
        f"{len(strange):,} files are left out, as their names are not those of images: {' '.join(endings[:_SHOWN])}"
    ]
    beside = [f"{len(loose):,} images are left out, as they lie beside the class folders: {listed(loose)}"]
    return (*(remarks if strange else ()), *(beside if loose else ()))

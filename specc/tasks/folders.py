"""How folders of images are laid out, by names alone: no image is opened.

    train/CLASS/*, val/CLASS/* (or valid/, validation/), test/CLASS/*      what to train on is in folders of its own
    CLASS/*                                                                or not: then a part of it is held out

Where there is no `test/`, what is in `val/` is tested on, as ImageNet has it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TRAIN, TEST = "train", "test"
VALIDATION = ("val", "valid", "validation")
LAYOUT = "CLASS/*.jpg, or train/CLASS/*.jpg and the same in val/ or test/"
_PARTS = {TRAIN, TEST, *VALIDATION, "training", "testing", "dev", "eval"}  # hardly what anybody calls a class
_SHOWN = 5  # of what would be a long list


class FolderError(ValueError):
    """A folder that is there and not laid out as a data set; `help` says what to do about it."""

    def __init__(self, message: str, *help: str) -> None:
        super().__init__(message)
        self.help = help


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of a data set's parts."""

    train: Path
    validation: Path | None = None
    test: Path | None = None

    @property
    def parts(self) -> tuple[Path, ...]:
        """Those that there are."""
        return tuple(part for part in (self.train, self.validation, self.test) if part is not None)


def parts_in(root: Path) -> Layout | None:
    """`train/` and what is beside it; None where there is none."""
    if not os.path.isdir(root / TRAIN):
        return None
    validation = [root / name for name in VALIDATION if os.path.isdir(root / name)]
    if len(validation) > 1:
        names = " and ".join(f"{path.name}/" for path in validation)
        raise FolderError(f"{root} has {names}: only one of them can be for validation", "rename or merge them")
    test = [root / TEST] if os.path.isdir(root / TEST) else []
    held, tested = (validation, test) if test else ([], validation)
    return Layout(root / TRAIN, *(next(iter(each), None) for each in (held, tested)))


def class_layout(root: Path) -> Layout | None:
    """Where the folders of classes are; None where there are none at all, `FolderError` where it cannot be told."""
    if not os.path.isdir(root):
        return None
    found = parts_in(root)
    if found and class_names(found.train):
        return found
    names = class_names(root)
    if misnamed := [name for name in names if name.lower() in _PARTS and class_names(root / name)]:
        what = (
            f"{root} has {', '.join(f'{name}/' for name in misnamed)} with folders in it, but no {TRAIN}/ with classes"
        )
        raise FolderError(what, f"call the folders {TRAIN}/, {VALIDATION[0]}/ and {TEST}/")
    return Layout(root) if names else None


def class_names(folder: Path) -> list[str]:
    """The folders in a folder, sorted; not those that other programs hide there."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not hidden(entry.name))
    except OSError as error:
        what = f"{error.filename or folder} cannot be searched: {error.strerror}"
        raise FolderError(what, "make the folder readable for whoever runs this") from error


def hidden(name: str) -> bool:
    """Whether a folder is none of the user's: `.ipynb_checkpoints`, `__MACOSX`, `@eaDir`."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__", "@eaDir")


def classes_of(layout: Layout) -> tuple[str, ...]:
    """The names of the classes, which all parts have to have; two or more."""
    train = class_names(layout.train)
    for part in layout.parts[1:]:
        if odd := "; ".join(_odd(layout.train, train, part, class_names(part))):
            raise FolderError(
                f"{layout.train} and {part} differ in their classes: {odd}", "every part has a folder for every class"
            )
    if strange := next((name for name in train if not name.isprintable()), None):
        what = f"{layout.train} has the class {strange!r}, which no text can hold"
        raise FolderError(what, "give the folder a name in UTF-8 without control characters")
    if len(train) < 2:
        what = f"one class, `{train[0]}`: there is nothing to tell apart" if train else "no class folders"
        raise FolderError(f"{layout.train} has {what}", f"the layout is {LAYOUT}")
    return tuple(train)


def _odd(first: Path, names: Iterable[str], second: Path, others: Iterable[str]) -> Iterator[str]:
    """The classes that one part has and the other has not."""
    for part, alone in ((first, set(names) - set(others)), (second, set(others) - set(names))):
        if alone:
            yield f"{listed(sorted(alone))} in {part.name}/ alone"


def listed(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:_SHOWN]) + ", ..." * (len(names) > _SHOWN)

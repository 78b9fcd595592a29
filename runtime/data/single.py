"""One image out of a file, read as the images of a data set are read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from runtime.data.arrays import Arrays, CropFlip
from runtime.data.decoding import centre_crop, decode
from runtime.data.draws import Draws
from runtime.data.errors import DataError, described
from runtime.data.folder import FolderSplit, Whole, labelled, pixels
from runtime.data.scan import images_in
from runtime.data.splits import ArraySplit, Split
from specc.tasks.datasets import INFO, ResolvedData
from specc.tasks.task import Task

_UNKNOWN = 0  # what stands in the place of a label


def image_paths(given: Iterable[Path]) -> Iterator[str | DataError]:
    """The files that a person names, and the images in the folders among them; what cannot be had is an error."""
    for path in given:
        try:
            found = images_in(path)[0] if os.path.isdir(path) else [str(path)]
        except (DataError, OSError, ValueError) as error:
            yield error if isinstance(error, DataError) else DataError(f"{path} cannot be read: {described(error)}")
            continue
        if not found:
            yield DataError(f"{path} has no images in it")
        yield from found


def one_image(info: ResolvedData, task: Task, path: str) -> Split:
    """A split of the one image, which `Loader` normalises as every other; a file that gives none is a `DataError`.

    Of a data set that is read from folders it is cropped as an image for testing is. Of one that has a size of its own
    its middle is brought to that size first.
    """
    if len(info.shape) != 3 or info.shape[0] not in (1, 3):
        raise DataError(f"files hold images of 1 or 3 channels, and the data set `{info.name}` has no such images")
    if not os.path.lexists(path):
        raise DataError(f"{path} is not there")
    if info.own_numbers:
        help = ["call `Session.predict` from Python with what your data set gives"]
        raise DataError("the samples of this run are what its own code makes of images: a file is none of them", help)
    known = INFO[info.name]
    if known.kept == "folder":
        read = _as_a_picture if task.kind == "map" else labelled
        return FolderSplit(info, [(path, _UNKNOWN)], augmented=False, workers=0, read=read)
    native = (known.shape or info.shape)[1:]
    image = pixels(centre_crop(decode(path, info.shape[0]), native, 1.0)).numpy()
    return ArraySplit(info, Arrays(image[None], np.array([_UNKNOWN])), CropFlip(), late=True)


def _as_a_picture(
    info: ResolvedData, path: str, label: Any, index: int, draws: Draws | Whole | None
) -> tuple[Tensor, Any]:
    """An image as it is read beside a mask."""
    return pixels(centre_crop(decode(path, info.shape[0]), info.image_size, 1.0)), label

"""From an image file to the pixels that a network sees; a file that gives none is named, with what to do."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import numpy as np
from torch import Tensor

from runtime.data.colours import coloured, numbers
from runtime.data.draws import Draws
from runtime.data.errors import DataError, described
from runtime.data.tars import opened

# torchvision's RandomResizedCrop: area as a fraction of the image, aspect ratio, attempts before the centre is taken
_AREA, _RATIO, _ATTEMPTS = (0.08, 1.0), (3 / 4, 4 / 3), 10
_EVAL_MARGIN = 256 / 224  # evaluation resizes the short side to so much more than it then crops
_THIN = 16  # times as long as wide: what lies further out never gets into the centre, whatever is resized
# What the endings of image files promise, and what often hides behind them; Pillow calls other programs for some more.
_FORMATS = ("JPEG", "MPO", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG2000")


Reading = Callable[[Any, BinaryIO], Any]  # of an image of Pillow's, and the file that it is in


def warm_up() -> None:
    """Import what decoding needs: a worker process has from its birth what its parent had, and is born every epoch."""
    from PIL import Image
    from torchvision.transforms import functional  # noqa: F401 - takes seconds

    Image.init()


def decode(path: str, channels: int) -> Any:
    """The image in a file, upright, grey or in colour, as `coloured` has it; `DataError` where there is none."""
    return _opened(path, lambda image, file: coloured(image, file, channels))


def decode_mask(path: str) -> Any:
    """The numbers of a mask, one a pixel, whatever colours its palette has; `DataError` where there are none."""
    return _opened(path, lambda image, file: numbers(image))


def measure(path: str) -> tuple[int, int]:
    """Width and height of the image in a file, as its header has them; `DataError` where there is none."""
    size: tuple[int, int] = _opened(path, lambda image, file: image.size)
    return size


def size_of(image: Any) -> tuple[int, int]:
    """Width and height in pixels."""
    if isinstance(image, Tensor):
        return image.shape[2], image.shape[1]
    width, height = image.size
    return width, height


def _opened(path: str, read: Reading) -> Any:
    try:
        with opened(path) as file:
            return _decoded(file, read)
    except FileNotFoundError as error:
        help = ["put it back, or start a new run: a run looks up its images once, when it starts"]
        raise DataError(f"{path} is no longer there", help=help) from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read: {error.strerror}", help=["make the file readable"]) from error
    except MemoryError:  # of the machine's, and not the file's fault
        raise
    except Exception as error:  # Pillow's readers raise whatever a damaged file makes them stumble over
        raise DataError(
            f"{path} cannot be decoded: {_cause(error)}", help=["put a whole image in its place"]
        ) from error


def _cause(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a format that Pillow reads"
    return (error.strerror if isinstance(error, OSError) else "") or described(error)


def _decoded(file: BinaryIO, read: Reading) -> Any:
    from PIL import Image

    if not file.seek(0, os.SEEK_END):
        raise ValueError("the file is empty")
    file.seek(0)
    Image.init()  # or only the most common formats are known
    with warnings.catch_warnings():
        # Pillow warns of large images and refuses what is twice as large, 178 million pixels: that is bound enough.
        # What else it warns of (odd metadata, colours under transparent pixels) would come again in every epoch.
        warnings.simplefilter("ignore")
        with Image.open(file, formats=[form for form in _FORMATS if form in Image.OPEN]) as image:
            return read(image, file)


def centre_crop(image: Any, size: Sequence[int], margin: float = _EVAL_MARGIN, *, mask: bool = False) -> Any:
    """The middle, of (height, width): of a square what torchvision's Resize and CenterCrop give."""
    from torchvision.transforms import functional

    whole = without_ends(image)
    covering = _covering(size_of(whole), [round(side * margin) for side in size])
    how = functional.InterpolationMode.NEAREST if mask else functional.InterpolationMode.BILINEAR
    return functional.center_crop(functional.resize(whole, covering, how), list(size))


def _covering(whole: tuple[int, int], size: Sequence[int]) -> list[int]:
    """The height and width of an image of (width, height) that is resized to cover a size, and no larger."""
    (width, height), (high, wide) = whole, size
    return [int(wide * height / width), wide] if width * high <= height * wide else [high, int(high * width / height)]


def without_ends(image: Any) -> Any:
    """The middle of a very thin image; resized as a whole, 1 pixel by 65,535 would be gigabytes."""
    from torchvision.transforms import functional

    width, height = size_of(image)
    wide, high = min(width, _THIN * height), min(height, _THIN * width)
    if (wide, high) == (width, height):
        return image
    return functional.crop(image, (height - high) // 2, (width - wide) // 2, high, wide)


def random_crop(image: Any, size: Sequence[int], draws: Draws, index: int) -> Any:
    """RandomResizedCrop and RandomHorizontalFlip, drawn for this sample and epoch."""
    from torchvision.transforms import functional

    generator = draws.generator(index, "crop")
    cropped = functional.resized_crop(image, *random_box(*size_of(image), generator), list(size))
    return functional.hflip(cropped) if generator.integers(2) else cropped


def random_box(width: int, height: int, generator: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width in pixels of a crop of random area and aspect ratio."""
    for _ in range(_ATTEMPTS):
        area = width * height * generator.uniform(*_AREA)
        ratio = math.exp(generator.uniform(math.log(_RATIO[0]), math.log(_RATIO[1])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            return int(generator.integers(height - high + 1)), int(generator.integers(width - wide + 1)), high, wide
    return _central_box(width, height)


def _central_box(width: int, height: int) -> tuple[int, int, int, int]:
    """The largest central crop whose aspect ratio is allowed."""
    wide = min(width, round(height * _RATIO[1]))
    high = min(height, round(width / _RATIO[0]))
    return (height - high) // 2, (width - wide) // 2, high, wide

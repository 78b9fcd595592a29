"""Images and masks that stay on the disk, read in pairs: whatever happens to an image happens to its mask."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from runtime.data.config import DataConfig
from runtime.data.decoding import centre_crop, decode, decode_mask, size_of, without_ends
from runtime.data.draws import Draws
from runtime.data.errors import DataError
from runtime.data.folder import Parts, Whole, folder_splits, pixels
from runtime.data.scan import images_in
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData
from specc.tasks.segmentation import IGNORED

_SCALES = (0.5, 2.0)  # of an image before it is cropped, as DeepLab's training has it
_SHOWN = 3  # of what would be a long list

Files = Mapping[str, str]  # what an image and its mask share in their names -> path


def open_masks(config: DataConfig, info: ResolvedData, parts: Parts, remarks: Iterable[str] = ()) -> Splits:
    """The splits of (image, mask) files. `paper`: scaled by half to double, cropped, mirrored."""
    return folder_splits(config, info, parts, remarks, read=MaskReader(config.ignore_index))


def paired(images: Files, masks: Files, where: Path) -> list[tuple[str, str]]:
    """The images with their masks; `DataError` names those that have no partner."""
    for what, alone in (("mask", images.keys() - masks.keys()), ("image", masks.keys() - images.keys())):
        if alone:
            names = ", ".join(sorted(alone)[:_SHOWN]) + ", ..." * (len(alone) > _SHOWN)
            raise DataError(
                f"{where} has no {what} for {names}",
                help=["an image and its mask have the same name, but for the ending", "put the missing files there"],
            )
    if not images:
        raise DataError(f"{where} has no images", help=["an image and its mask have the same name, but for the ending"])
    return [(images[name], masks[name]) for name in sorted(images)]


def named(folder: Path, ending: str = "") -> Files:
    """The images below a folder by their path in it, without what all of them end in."""
    found = (path for path in images_in(folder)[0] if os.path.splitext(path)[0].endswith(ending))
    return {os.path.splitext(os.path.relpath(path, folder))[0].removesuffix(ending): path for path in found}


@dataclass(frozen=True, slots=True)
class MaskReader:
    """Reads an image and its mask at the size that is asked for; `ignored` is the mask's value of what counts not."""

    ignored: int

    def __call__(
        self, info: ResolvedData, path: str, mask_path: str, index: int, draws: Draws | Whole | None
    ) -> tuple[Tensor, Any]:
        """(channels, height, width) as `pixels` has them, and (height, width) classes or `IGNORED`."""
        image, mask = decode(path, info.shape[0]), self._mask(mask_path, info.classes)
        if size_of(image) != size_of(mask):
            sizes = " and ".join("{1}×{0}".format(*size_of(each)) for each in (image, mask))
            help = ["a mask has a pixel for each of its image's"]
            raise DataError(f"{path} and {mask_path} are of different sizes: {sizes} pixels", help=help)
        if draws == "whole":
            found: tuple[Any, Any] = without_ends(image), without_ends(mask)
        elif draws is None:
            found = centre_crop(image, info.image_size, 1.0), centre_crop(mask, info.image_size, 1.0, mask=True)
        else:
            found = _scaled_crop(info, without_ends(image), without_ends(mask), draws.generator(index, "crop"))
        return pixels(found[0]), pixels(found[1])[0]

    def _mask(self, path: str, classes: int) -> Any:
        from PIL import Image

        numbers = np.array(decode_mask(path))
        numbers[numbers == self.ignored] = IGNORED
        if (wrong := numbers[(numbers >= classes) & (numbers != IGNORED)]).size:
            range = f"classes are 0 to {classes - 1}, and {self.ignored} counts for nothing"
            help = ["`data.classes` and `data.ignore_index` say what a mask may hold"]
            raise DataError(f"{path} has a pixel of class {wrong.min()}: {range}", help=help)
        return Image.fromarray(numbers)


def _scaled_crop(info: ResolvedData, image: Any, mask: Any, generator: np.random.Generator) -> tuple[Any, Any]:
    """Both scaled, where they are too small filled up with the mean and with what does not count, cropped, mirrored."""
    from torchvision.transforms import functional

    scale, (height, width) = generator.uniform(*_SCALES), info.image_size
    size = [max(1, round(side * scale)) for side in reversed(size_of(image))]
    whole = _rows(functional.resize(image, size))
    fill = np.array(info.mean) if whole.dtype == np.float32 else np.round(255 * np.array(info.mean)).astype(np.uint8)
    whole = _filled(whole, info.image_size, fill)
    nearest = functional.InterpolationMode.NEAREST
    truth = _filled(np.asarray(functional.resize(mask, size, nearest)), info.image_size, IGNORED)
    rows, columns = (has - wants for has, wants in zip(truth.shape, info.image_size, strict=True))
    top, left = int(generator.integers(rows + 1)), int(generator.integers(columns + 1))
    step = -1 if generator.integers(2) else 1
    return (
        whole[top : top + height, left : left + width][:, ::step],
        truth[top : top + height, left : left + width][:, ::step],
    )


def _rows(image: Any) -> Any:
    """(height, width, channels)."""
    return image.permute(1, 2, 0).numpy() if isinstance(image, Tensor) else np.atleast_3d(image)


def _filled(array: Any, size: Sequence[int], fill: Any) -> Any:
    """The array with rows and columns of `fill` behind its own, so that it is no smaller than `size`."""
    height, width = (max(has, wants) for has, wants in zip(array.shape, size, strict=False))
    found = np.full((height, width, *array.shape[2:]), fill, dtype=array.dtype)
    found[: array.shape[0], : array.shape[1]] = array
    return found

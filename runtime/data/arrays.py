"""A half of a data set as it lies in memory, and the augmentation of whole batches of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from runtime.data.draws import Draws, Indices
from specc.tasks.segmentation import IGNORED

Pixels = NDArray[np.uint8]
Labels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Images (n, channels, height, width) uint8; labels (n,) int64, or (n, classes) or (n, height, width) uint8.

    Texts are (n, length) int64.
    """

    images: Pixels
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Indices) -> Arrays:
        return Arrays(self.images[indices], self.labels[indices])


class Augmenting(Protocol):
    """What is done to the samples of an epoch."""

    def of(self, batch: Arrays, indices: Indices, draws: Draws) -> Arrays:
        """A batch, which are the samples `indices` (n,); what happens to an image happens to its mask."""


@dataclass(frozen=True, slots=True)
class CropFlip:
    """Pad by `pad` pixels (zeros, or reflected), crop the old size at a random place, mirror half of the images.

    The draws depend on the samples alone, so images and masks of the same samples go through it side by side.
    """

    pad: int = 0
    mode: Literal["constant", "reflect"] = "constant"
    flip: bool = False
    fill: int = 0  # what zero padding is made of

    def __call__(self, images: Pixels, indices: Indices, draws: Draws) -> Pixels:
        """Augment `images` (n, channels, height, width), which are the samples `indices` (n,)."""
        if self.pad:
            images = self._cropped(images, indices, draws)
        if self.flip:
            images = self._mirrored(images, indices, draws)
        return images

    @property
    def moves(self) -> bool:
        """Whether it does anything."""
        return bool(self.pad or self.flip)

    def places(self, size: tuple[int, ...], indices: Indices, draws: Draws) -> tuple[Indices, Indices]:
        """The same as rows (n, height) and columns (n, width) of the images; below zero where there is none."""
        rows, columns = (np.tile(np.arange(length), (len(indices), 1)) for length in size)
        if self.flip:
            chosen = draws.below(2, indices, "flip") == 1
            columns[chosen] = columns[chosen, ::-1]
        if self.pad:
            top, left = self._corners(indices, draws)
            rows, columns = (at + start[:, None] - self.pad for at, start in ((rows, top), (columns, left)))
        height, width = size
        return self._inside(rows, height), self._inside(columns, width)

    def _inside(self, at: Indices, length: int) -> Indices:
        if self.mode == "reflect":
            at = np.abs(at)
            return np.where(at >= length, 2 * (length - 1) - at, at)
        return np.where(at >= length, -1, at)

    def of(self, batch: Arrays, indices: Indices, draws: Draws) -> Arrays:
        """See `Augmenting.of`; what such a crop adds to a mask does not count."""
        labels = batch.labels
        if labels.ndim == 3:
            labels = replace(self, fill=IGNORED)(labels[:, None], indices, draws)[:, 0]
        return Arrays(self(batch.images, indices, draws), labels)

    def _mirrored(self, images: Pixels, indices: Indices, draws: Draws) -> Pixels:
        chosen = draws.below(2, indices, "flip") == 1
        mirrored = images.copy()
        mirrored[chosen] = images[chosen, :, :, ::-1]  # eight times faster than np.where over all of them
        return mirrored

    def _cropped(self, images: Pixels, indices: Indices, draws: Draws) -> Pixels:
        height, width = images.shape[2:]
        sides = (self.pad, self.pad)
        around, fill = ((0, 0), (0, 0), sides, sides), {"constant_values": self.fill} if self.mode == "constant" else {}
        padded = np.pad(images, around, self.mode, **fill)  # type: ignore[call-overload]
        windows = sliding_window_view(padded, (height, width), axis=(2, 3))
        top, left = self._corners(indices, draws)
        return windows[np.arange(len(images)), :, top, left]

    def _corners(self, indices: Indices, draws: Draws) -> tuple[Indices, Indices]:
        """Where the crops begin, in the padded images."""
        top, left = (draws.below(2 * self.pad + 1, indices, stream) for stream in ("crop.top", "crop.left"))
        return top, left

"""A half of a data set as it lies in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from runtime.data.augment import Pixels
from runtime.data.draws import Indices

Labels = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Arrays:
    """Images (n, channels, height, width) uint8; labels (n,) int64, or (n, classes) or (n, height, width) uint8."""

    images: Pixels
    labels: Labels

    def __getitem__(self, indices: Indices) -> Arrays:
        return Arrays(self.images[indices], self.labels[indices])

"""scikit-learn's 8 x 8 digits: real data inside a package, no download."""

from __future__ import annotations

import numpy as np

from runtime.data.arrays import Arrays
from runtime.data.augment import CropFlip
from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.splits import Splits, in_memory
from specc.tasks.datasets import ResolvedData

# Pixels are 0 .. 16. Times 15 they use the range of a byte, so a resize has levels between, and n/16 stays exact.
_SCALE = 15


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """1437 train and 360 test images; `paper` shifts by up to one pixel."""
    from sklearn.datasets import load_digits  # late: takes seconds

    pixels, labels = load_digits(return_X_y=True)
    images = (pixels * _SCALE).astype(np.uint8).reshape(-1, 1, 8, 8)
    train, test = _halves(labels)
    data = Arrays(images, labels.astype(np.int64))
    return in_memory(config, info, data[train], data[test], paper=CropFlip(pad=1), peak=16 * _SCALE)


def _halves(labels: Indices) -> tuple[Indices, Indices]:
    """Train and test indices, every class four to one: of the images ordered by class, every fifth is for testing."""
    by_class = np.lexsort((Draws(0, 0).bits(np.arange(len(labels)), "digits"), labels))
    is_test = np.arange(len(labels)) % 5 == 0
    return np.sort(by_class[~is_test]), np.sort(by_class[is_test])

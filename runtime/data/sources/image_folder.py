"""Your own images: `train/CLASS/*.png` and `val/CLASS/*.png` (or `test/`), any format Pillow reads."""

from __future__ import annotations

from runtime.data.config import DataConfig
from runtime.data.errors import DataError
from runtime.data.folder import open_folders
from runtime.data.splits import Splits
from specc.datasets import DatasetInfo


def load(config: DataConfig, info: DatasetInfo) -> Splits:
    """`paper` is the standard ImageNet augmentation at `image_size`."""
    if config.samples is not None:
        raise DataError("the data set `image_folder` counts its own samples", help=["remove `samples`"])
    return open_folders(config, info, [config.folder])

"""Your own images: `train/CLASS/*.png` and `val/CLASS/*.png` (or `test/`), in formats that Pillow reads."""

from __future__ import annotations

from runtime.data.config import DataConfig
from runtime.data.folder import open_folders
from runtime.data.splits import Splits
from specc.tasks.datasets import ResolvedData


def load(config: DataConfig, info: ResolvedData) -> Splits:
    """`paper` is the standard ImageNet augmentation at `image_size`."""
    return open_folders(config, info, [config.folder])

"""Data sets, augmentation and batches, no models; every random draw derives from (seed, epoch, sample index, stream).

    splits = open_dataset(DataConfig("digits"))
    loader = Loader(splits.train, 64, seed=0, train=True, device="cpu")
    for images, labels in loader.epoch(3, start_step=17):   # resumes in the middle of epoch 3, bit for bit
        ...

A data set is one function `NAME(config, info) -> Splits` in `sources/`, and one line in `specc/tasks/datasets.py`.
"""

from runtime.data.config import DataConfig
from runtime.data.errors import DataError
from runtime.data.loader import Loader
from runtime.data.opening import open_dataset
from runtime.data.splits import Batch, Split, Splits
from specc.tasks.datasets import INFO, ResolvedData

__all__ = ["INFO", "Batch", "DataConfig", "DataError", "Loader", "ResolvedData", "Split", "Splits", "open_dataset"]

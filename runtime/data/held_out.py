"""The part of a training set that is kept apart for validation: always the same one, whatever the seed.

A sample is chosen by the hash of its name, or of its place where samples have no names. So neither another seed nor
another order of the files changes what is validated on, and files that are added or removed leave nearly all others
where they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.errors import DataError
from runtime.data.splits import Batch, Over, Split, Splits, beneath
from specc.tasks.datasets import INFO, OptionError

_TESTED = 0.1  # of the images, where nothing says what to test on


@dataclass(frozen=True, slots=True)
class Part(Over):
    """Some of the samples of a split. Each keeps the place there that its random draws derive from."""

    indices: Indices

    def __len__(self) -> int:
        return len(self.indices)

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`."""
        return self.whole.batches((self.indices[batch] for batch in batches), draws)


def hold_out(splits: Splits, config: DataConfig) -> Splits:
    """The splits with a part of the training set kept for validation, as `data.validation` says."""
    if config.validation is None:
        return splits if splits.test is not None or splits.validation is not None else _with_test(splits)
    if splits.validation is not None:
        what = f"`{config.dataset}` in {config.folder} comes with images for validation"
        raise DataError(what, help=["leave `data.validation` away, which takes some of the training images for it"])
    size = len(splits.train)
    try:
        info = replace(splits.info, train_size=size).holding_out(config.validation)
    except OptionError as error:
        raise DataError(str(error), help=["give less to `data.validation`"]) from error
    train, validation = _apart(splits.train, info.validation_size)
    remark = f"there is no test {_kind(splits)}: nothing is tested on but what is kept for validation"
    remarks = (*splits.remarks, *([remark] if splits.test is None else ()))
    return replace(splits, train=train, validation=validation, info=info, remarks=remarks)


def _with_test(splits: Splits) -> Splits:
    """The splits of a data set without a test set: a tenth of the training set becomes one."""
    size = len(splits.train)
    count = max(1, round(size * _TESTED))
    if count >= size:
        raise DataError("one image is not enough to train on and to test on", help=["add images"])
    train, test = _apart(splits.train, count)
    info = replace(splits.info, train_size=size - count, test_size=count)
    remark = (
        f"there is no test {_kind(splits)}: {count:,} of {size:,} images are held out to test on, "
        "chosen by their names (`data.validation` says how many)"
    )
    return replace(splits, train=train, test=test, info=info, remarks=(*splits.remarks, remark))


def _kind(splits: Splits) -> str:
    """What a part of the data is."""
    return "data set" if INFO[splits.info.name].kept == "own" else "folder"


def _apart(split: Split, count: int) -> tuple[Part, Part]:
    """The samples that are left, and `count` that are held out."""
    chosen = choose(_keys(beneath(split)), count, _classes(beneath(split)))
    kept = np.ones(len(split), dtype=np.bool_)
    kept[chosen] = False
    return Part(split, np.flatnonzero(kept)), Part(split, np.sort(chosen))


def choose(keys: NDArray[np.uint64], count: int, classes: Sequence[int] | None = None) -> Indices:
    """`count` of the samples, by their keys; of every class as large a part as of all.

    Each sample has a place between 0 and 1 in its class, by the order of the keys, and the first of all are taken. So
    the last sample of a class is taken only where hardly any are left.

    >>> choose(np.array([5, 1, 4, 2, 3, 0], dtype=np.uint64), 2, [0, 0, 0, 0, 1, 1]).tolist()
    [1, 5]
    """
    labels = np.zeros(len(keys), dtype=np.int64) if classes is None else np.asarray(classes)
    by_class = np.lexsort((keys, labels))
    _, first, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    places = np.empty(len(keys))
    places[by_class] = (np.arange(len(keys)) - np.repeat(first, counts) + 0.5) / np.repeat(counts, counts)
    return np.lexsort((keys, places))[:count]


def _keys(split: Split) -> NDArray[np.uint64]:
    """A hash of every sample."""
    names: Sequence[str] | None = getattr(split, "names", None)
    if names is None:
        return Draws(0, 0).bits(np.arange(len(split)), "validation")
    digests = (blake2b(os.fsencode(name), digest_size=8).digest() for name in names)
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def _classes(split: Split) -> Sequence[int] | None:
    """The class of every sample, where each has one and it is known without reading the images."""
    return getattr(split, "classes", None)

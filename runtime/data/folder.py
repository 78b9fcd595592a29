"""Data sets of image files, decoded batch by batch, by worker processes where asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from runtime.data.augmentation import Pipeline, pipeline_of
from runtime.data.checks import differences
from runtime.data.config import DataConfig
from runtime.data.decoding import centre_crop, decode, random_crop, without_ends
from runtime.data.draws import Draws, Indices
from runtime.data.errors import DataError, missing
from runtime.data.scan import scan
from runtime.data.splits import Batch, Splits
from runtime.data.workers import Sample, batched, crowded
from specc.tasks.datasets import INFO, ResolvedData
from specc.tasks.folders import FolderError, Layout, classes_of, parts_in

Whole = Literal["whole"]  # an image as large as it is
Reader = Callable[[ResolvedData, str, Any, int, Draws | Whole | None], Sample]


def labelled(info: ResolvedData, path: str, label: Any, index: int, draws: Draws | Whole | None) -> Sample:
    """The pixels of an image at the size that is asked for, and its label as it is."""
    image, size = decode(path, info.shape[0]), info.image_size
    if draws == "whole":
        return pixels(without_ends(image)), label
    return pixels(centre_crop(image, size) if draws is None else random_crop(image, size, draws, index)), label


def pixels(image: Any) -> Tensor:
    """(channels, height, width) bytes, or float32 in 0..1 of an image that has more bits."""
    if isinstance(image, Tensor):
        return image.contiguous()
    array = np.array(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1).transpose(2, 0, 1).copy())


@dataclass(frozen=True, slots=True)
class FolderSplit:
    """A split that stays on the disk: `samples` are (path, what is known of the image), which `read` looks up."""

    info: ResolvedData
    samples: Sequence[tuple[str, Any]]
    augmented: bool
    workers: int
    peak: int = 255
    read: Reader = labelled
    root: Path = Path("/")  # the samples are below
    pipeline: Pipeline | None = None

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def names(self) -> list[str]:
        """Of each sample the path of its file in the data set's folder, the same wherever that lies."""
        root = os.path.join(self.root, "")
        return [path.removeprefix(root).replace(os.sep, "/") for path, _ in self.samples]

    @property
    def classes(self) -> list[int] | None:
        """The class of every sample, where each has one."""
        known = [truth for _, truth in self.samples]
        return known if all(isinstance(truth, int) for truth in known) else None

    def sample(self, index: int, draws: Draws | None) -> Sample:
        """A sample, augmented where there are draws."""
        path, known = self.samples[index]
        if draws is None or self.pipeline is None:
            return self.read(self.info, path, known, index, draws if self.augmented else None)
        image, truth = self.read(self.info, path, known, index, "whole" if self.pipeline.whole else None)
        return self.pipeline(image, truth, index, draws)

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`."""
        return batched(partial(self.sample, draws=draws), batches, self.workers)


Part = Sequence[tuple[str, Any]]  # samples


@dataclass(frozen=True, slots=True)
class Parts:
    """The samples of a data set, as its folders have them."""

    train: Part
    test: Part | None = None
    validation: Part | None = None

    @classmethod
    def of(cls, layout: Layout, samples: Callable[[Path], Part]) -> Parts:
        """What is in each of the folders."""
        test, validation = (samples(part) if part else None for part in (layout.test, layout.validation))
        return cls(samples(layout.train), test, validation)

    def without(self, paths: Collection[str]) -> Parts:
        """All but the samples of these images."""
        if not paths:
            return self
        train, test, validation = (
            [sample for sample in part if sample[0] not in paths] if part is not None else None
            for part in (self.train, self.test, self.validation)
        )
        return Parts(train or [], test, validation)


def open_folders(config: DataConfig, info: ResolvedData, layout: Layout) -> Splits:
    """The splits in folders whose own folders are classes, in sorted order."""
    try:
        names = classes_of(layout)
    except FolderError as error:
        raise DataError(str(error), error.help) from error
    if len(names) != info.classes:
        raise DataError(f"`{config.dataset}` should have {info.classes} classes, {len(names)} folders found")
    found = {folder: scan(folder) for folder in layout.parts}
    parts = Parts.of(layout, lambda folder: found[folder].samples)
    remarks = [remark for each in found.values() for remark in each.remarks]
    return folder_splits(config, replace(info, class_names=names), parts, remarks)


def folder_splits(
    config: DataConfig, info: ResolvedData, parts: Parts, remarks: Iterable[str] = (), read: Reader = labelled
) -> Splits:
    """The splits of samples that stay on the disk."""
    parts = parts.without({str(config.folder / name) for name in config.skipped})
    train, test, validation = (len(part or ()) for part in (parts.train, parts.test, parts.validation))
    info = replace(info, train_size=train, test_size=test, validation_size=validation)
    split = partial(
        FolderSplit,
        info,
        augmented=config.augment == "paper",
        workers=config.workers,
        read=read,
        root=config.folder,
        pipeline=pipeline_of(config, info),
    )
    others = [split(part) if part is not None else None for part in (parts.test, parts.validation)]
    found = (*differences(info, train, test), *remarks, *crowded(config.workers))
    return Splits(split(parts.train), others[0], info, found, others[1])


def part_folders(config: DataConfig, roots: Sequence[Path], layout: str) -> Layout:
    """The folders of the parts in the first of `roots` that has one to train on."""
    try:
        found = next((found for root in roots if (found := parts_in(root))), None)
    except FolderError as error:
        raise DataError(str(error), error.help) from error
    own = INFO[config.dataset].classes is None  # of which a part can be held out to test on
    if found is None or (found.test is None and not own):
        looked = [root / half for root in roots for half in ("train", "{val,test}")]
        raise missing(config.dataset, looked, layout=layout, download=False)
    return found

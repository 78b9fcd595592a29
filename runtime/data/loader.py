"""Batches, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from runtime.data.crossing import Crossing
from runtime.data.draws import Draws, Indices
from runtime.data.errors import DataError
from runtime.data.mixing import mixes
from runtime.data.splits import Batch, Split, moving
from specc.plan import Layout


def taken(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of each image (n, channels, height, width) some rows (n, ...) and columns (n, ...), black where below zero."""
    sample = torch.arange(len(images), device=images.device)[:, None, None]
    there = (rows >= 0)[:, None, :, None] & (columns >= 0)[:, None, None, :]
    found = images[sample, :, rows.clamp(min=0)[:, :, None], columns.clamp(min=0)[:, None, :]]
    return found.permute(0, 3, 1, 2).mul_(there)


def _with_those_before(own: Sequence[int], samples: int) -> list[int]:
    """Some places of a batch, each after the one before it in the batch, with which it is mixed.

    >>> _with_those_before([0, 1, 4], 5)
    [4, 0, 1, 3, 4]
    """
    found: list[int] = []
    for i, place in enumerate(own):
        before = (place - 1) % samples
        found += [place] if i and own[i - 1] == before else [before, place]
    return found


def _those(batch: Batch, own: Sequence[int], read: Sequence[int]) -> Batch:
    """The own samples of what was read; others were there to be mixed with them."""
    if len(read) == len(own):
        return batch
    kept, at = list[int](), -1
    for i, place in enumerate(own):
        at += 1 if i and read[at + 1] == place and own[i - 1] == read[at] else 2
        kept.append(at)
    images, labels = batch
    return images[kept], labels[kept]


class Part(NamedTuple):
    """What one device is given of a batch, if anything, and how many samples the whole batch has."""

    batch: Batch | None
    samples: int


class Loader:
    """The batches of one split, normalised and on `device`.

    With `train` the samples are shuffled and augmented anew every epoch and an incomplete last batch is dropped
    (unless it is the only one); without, every sample comes once, in order and as it is.

    With a `layout` there are the same batches in the same order, however many devices there are: each copy of the
    network loads its part of them, by its first stage. What is drawn for a sample depends on no other one.
    """

    def __init__(
        self, split: Split, batch_size: int, *, seed: int, train: bool, device: torch.device | str = "cpu",
        memory_format: torch.memory_format = torch.contiguous_format, target: torch.dtype = torch.int64,
        layout: Layout | None = None,
    ) -> None:  # fmt: skip
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.train = train
        self.device = torch.device(device)
        self.memory_format, self.target, self.layout = memory_format, target, layout
        self.crossing = Crossing(self.device)
        self._moving = moving(split) if train and self.device.type == "cuda" else None  # by the device itself
        self._mean, self._std = (
            torch.tensor(values, device=self.device).view(-1, *(1 for _ in split.info.shape[1:]))
            for values in (split.info.mean, split.info.std)
        )

    def __len__(self) -> int:
        """Steps an epoch."""
        full, rest = divmod(len(self.split), self.batch_size)
        return full if self.train and full else full + bool(rest)

    def epoch(self, epoch: int, start_step: int = 0) -> Iterator[Batch]:
        """Images (n, channels, height, width) float32 and labels (n, ...) of one epoch, from `start_step` on.

        A batch depends on the epoch and its step only: starting late gives the same batches.
        """
        draws = Draws(self.seed, epoch)
        yield from self._loaded(self._indices(draws)[start_step:], draws)

    def parts(self, epoch: int, start_step: int = 0) -> Iterator[Part]:
        """What this device is given of the batches of one epoch; of one without a layout that is all."""
        draws = Draws(self.seed, epoch)
        batches = self._indices(draws)[start_step:]
        shares = [self._share(len(batch)) for batch in batches]
        mixed = self.train and self.layout is not None and self.layout.copies > 1 and mixes(self.split)
        read = [
            _with_those_before(own, len(batch)) if mixed else own for own, batch in zip(shares, batches, strict=True)
        ]
        pairs = zip(batches, read, strict=True)
        loaded = self._loaded([batch[np.asarray(places, np.int64)] for batch, places in pairs if places], draws)
        for batch, own, places in zip(batches, shares, read, strict=True):
            yield Part(_those(next(loaded), own, places) if own else None, len(batch))

    def _share(self, samples: int) -> Sequence[int]:
        """The samples of a batch that this device loads."""
        if self.layout is None:
            return range(samples)
        if self.layout.stage:
            return range(0)
        return self.layout.share(samples) if self.train else self.layout.shown(samples)

    def _loaded(self, batches: list[Indices], draws: Draws) -> Iterator[Batch]:
        for parts in self._on_host(batches, draws):
            yield self._ready(*parts)

    def _on_host(self, batches: list[Indices], draws: Draws) -> Iterator[tuple[Tensor, ...]]:
        """Images and labels, and which rows and columns of the images the device is to take."""
        if self._moving is None:
            yield from self._batches(batches, draws if self.train else None)
            return
        for indices, (images, labels) in zip(batches, self._batches(batches, None), strict=True):
            yield images, labels, *map(torch.from_numpy, self._moving.places(images.shape[2:], indices, draws))

    def _ready(self, *parts: Tensor) -> Batch:
        """A batch on the device; nobody holds what was on the way, which would count in the step's peak."""
        images, labels, *places = self.crossing(*parts)
        target = labels.dtype if labels.is_floating_point() else self.target  # the former are shares of classes
        return self._normalised(taken(images, *places) if places else images), labels.to(target)

    def _batches(self, batches: list[Indices], draws: Draws | None) -> Iterator[Batch]:
        try:
            yield from self.split.batches(batches, draws)
        except MemoryError as error:
            what = f"a batch of {self.batch_size} images of {self.split.info.shape} does not fit into memory"
            raise DataError(what, help=["lower `data.batch_size` or `data.image_size`"]) from error

    def _indices(self, draws: Draws) -> list[Indices]:
        size = len(self.split)
        order = draws.permutation(size, "order") if self.train else np.arange(size)
        return [order[step * self.batch_size : (step + 1) * self.batch_size] for step in range(len(self))]

    def _normalised(self, images: Tensor) -> Tensor:
        if images.dtype != torch.uint8 and not (images.is_floating_point() and self._mean.numel()):
            return images  # tokens are what they are
        # Bytes have crossed to the device, a quarter of the traffic; now the operations of ToTensor and Normalize.
        pixels = images.to(torch.float32, memory_format=self.memory_format)
        if images.dtype == torch.uint8:
            pixels.div_(self.split.peak)
        return pixels.sub_(self._mean).div_(self._std)

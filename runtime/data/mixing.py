"""mixup and cutmix: the images of a batch mixed with one another, and what is to be learnt of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.splits import Batch, Over, Split
from specc.spec.augmentations import Mixing


def mixed(split: Split, config: DataConfig) -> Split:
    """The split under what the spec's list has of mixings."""
    steps = () if isinstance(config.augment, str) else config.augment
    chosen = [(step.name, step.augmentation) for step in steps]
    found = tuple((name, each.alpha) for name, each in chosen if isinstance(each, Mixing))
    return Mixed(split, found) if found else split


def mixes(split: Split) -> bool:
    """Whether the samples of a split are mixed, each with the one before it in its batch."""
    while isinstance(split, Over):
        if isinstance(split, Mixed):
            return True
        split = split.whole
    return False


@dataclass(frozen=True, slots=True)
class Mixed(Over):
    """A split whose images are mixed where they are augmented: each with the one before it in its batch.

    Each has a share of its own, and of several ways to mix one of its own, drawn from (seed, epoch, sample index). What
    is to be learnt is the share of every class, or of every label.
    """

    mixings: tuple[tuple[str, float], ...]  # their names, and the parameters of the beta distributions of shares

    def __len__(self) -> int:
        return len(self.whole)

    def batches(self, batches: Iterable[Indices], draws: Draws | None) -> Iterator[Batch]:
        """See `Split.batches`."""
        if draws is None:
            yield from self.whole.batches(batches, None)
            return
        known = list(batches)
        for indices, (images, labels) in zip(known, self.whole.batches(known, draws), strict=True):
            yield self._mixed(images, _shares(labels, self.info.classes), indices[: len(images)], draws)

    def _mixed(self, images: Tensor, shares: Tensor, indices: Indices, draws: Draws) -> Batch:
        found, own, blended = images.clone(), torch.ones(len(images)), []
        for i, index in enumerate(map(int, indices)):
            generator = draws.generator(index, "mix")
            name, alpha = self.mixings[int(generator.integers(len(self.mixings)))]
            own[i] = generator.beta(alpha, alpha)
            if name == "cutmix":
                own[i] = _cut(found[i], images[i - 1], float(own[i]), generator)
            else:
                blended.append(i)
        found[blended] = _blended(images[blended], images.roll(1, 0)[blended], own[blended])
        return found, own[:, None] * shares + (1 - own[:, None]) * shares.roll(1, 0)


def _shares(labels: Tensor, classes: int) -> Tensor:
    """(n, classes) shares of samples that are not mixed yet."""
    return (F.one_hot(labels, classes) if labels.ndim == 1 else labels).to(torch.float32)


def _blended(images: Tensor, others: Tensor, shares: Tensor) -> Tensor:
    """Both over one another (Zhang et al., 1710.09412); of bytes in bytes again."""
    mixture = torch.lerp(others.to(torch.float32), images.to(torch.float32), shares.view(-1, 1, 1, 1))
    return mixture if images.is_floating_point() else mixture.round().to(images.dtype)


def _cut(image: Tensor, other: Tensor, share: float, generator: np.random.Generator) -> float:
    """Put a rectangle of the other one into it (Yun et al., 1905.04899); which part of the area is left to it."""
    height, width = image.shape[1:]
    row, column = int(generator.integers(height)), int(generator.integers(width))
    high, wide = (int(sqrt(1 - share) / 2 * side) for side in (height, width))
    rows = slice(max(0, row - high), min(height, row + high))
    columns = slice(max(0, column - wide), min(width, column + wide))
    image[:, rows, columns] = other[:, rows, columns]
    return 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)

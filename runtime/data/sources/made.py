"""Data sets that need no files.

`synthetic` are made-up images of any size that can be learned, patterns of classes under noise, for tests and timing,
or texts in which the words of a class are frequent;
`digits` are scikit-learn's, of 8 x 8: real data inside a package.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from runtime.data.arrays import Arrays, CropFlip, Pixels
from runtime.data.augmentation import augmentation_of
from runtime.data.config import DataConfig
from runtime.data.draws import Draws, Indices
from runtime.data.splits import ArraySplit, Splits, in_memory, workers_for
from specc.tasks.datasets import ResolvedData, Shape, TargetKind
from specc.tasks.segmentation import IGNORED

# The pixels of digits are 0 .. 16. Times 15 they use the range of a byte, so a resize has levels between, and n/16
# stays exact.
_SCALE = 15
_CELLS = 4  # a pattern is a chequerboard of so many random cells a side
_KEPT = 1 << 28  # bytes of images that are made once and kept in memory; of more each is made when it is asked for
_SHAPES, _REACH = 4, (0.1, 0.3)  # how many are drawn into an image for its mask, and how large, of its sides


def synthetic(config: DataConfig, info: ResolvedData) -> Splits:
    """`samples` train images and a quarter as many test images, the same for the same seed; `paper` changes nothing."""
    if info.vocabulary:
        told, asked = (texts(config, info, *each) for each in (("train", info.train_size), ("test", info.test_size)))
        return in_memory(config, info, told, asked, paper=CropFlip())
    maker = Maker(info.shape, info.classes, Draws(config.seed, 0), config.learns.kind)
    if (info.train_size + info.test_size) * prod(info.shape) > _KEPT:
        halves = Made(maker, "train", info.train_size), Made(maker, "test", info.test_size)
        train, test = (
            ArraySplit(info, half, augmentation_of(config, info, CropFlip()), workers=workers_for(config))
            for half in halves
        )
        return Splits(train, test, info)
    first, rest = maker.run("train", 0, info.train_size), maker.run("test", 0, info.test_size)
    return in_memory(config, info, first, rest, paper=CropFlip())


def texts(config: DataConfig, info: ResolvedData, half: str, count: int) -> Arrays:
    """Tokens (count, length) from 1 on, in the end 0, which is padding. Classes take turns.

    Every class has words of its own, of which a text has more than of others.
    """
    draws, (length,), labels = Draws(config.seed, 0), info.shape, np.arange(count) % info.classes
    samples, places = np.arange(count), np.arange(count * length)

    def drawn(below: int, stream: str) -> Indices:
        return draws.below(below, places, f"{half}.{stream}").reshape(count, length)

    words = drawn(info.vocabulary - 1, "words")
    own = words - words % info.classes + labels[:, None]
    own = np.where(own < info.vocabulary - 1, own, labels[:, None] % (info.vocabulary - 1))
    ends = length - draws.below(length // 2 + 1, samples, f"{half}.padding")
    tokens = np.where(np.arange(length) < ends[:, None], 1 + np.where(drawn(2, "own"), own, words), 0)
    return Arrays(tokens, labels)


def digits(config: DataConfig, info: ResolvedData) -> Splits:
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


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes any run of samples without those before it: the pixels are bytes of one endless sequence a half."""

    shape: Shape
    classes: int
    draws: Draws
    kind: TargetKind = "class"

    def run(self, half: str, first: int, count: int) -> Arrays:
        """The samples `first` to `first + count`."""
        images = self._noise(half, first, count) // 2  # halves, so that the sum is a byte
        return {"multi_label": self._mixed, "map": self._drawn}.get(self.kind, self._in_turn)(half, first, images)

    def _in_turn(self, half: str, first: int, images: Pixels) -> Arrays:
        """Classes take turns."""
        labels = np.arange(first, first + len(images)) % self.classes
        for label in range(min(self.classes, len(images))):
            images[label :: self.classes] += self._pattern(int(labels[label])) // 2
        return Arrays(images, labels)

    def _mixed(self, half: str, first: int, images: Pixels) -> Arrays:
        """Each label is there or not, and its pattern with it."""
        size = self.classes
        labels = self.draws.noise(f"{half}.labels", first * size, len(images) * size).reshape(-1, size) % 2
        for label in range(size):
            images[labels[:, label] == 1] += self._pattern(label) // (2 * size)
        return Arrays(images, labels)

    def _drawn(self, half: str, first: int, images: Pixels) -> Arrays:
        """Boxes and discs of the classes' patterns on that of class 0; the outlines count for nothing."""
        patterns = np.stack([self._pattern(label) for label in range(self.classes)])
        drawn = [self._shapes(self.draws.generator(first + i, f"{half}.shapes")) for i in range(len(images))]
        masks = np.stack([mask for mask, _ in drawn])
        for image, (_, outlined) in zip(images, drawn, strict=True):
            image += np.take_along_axis(patterns, outlined[None, None], 0)[0] // 2
        return Arrays(images, masks)

    def _shapes(self, generator: np.random.Generator) -> tuple[Pixels, Indices]:
        """A mask, and the class of every pixel, that of the outlines too."""
        height, width = self.shape[1:]
        classes = np.zeros((height, width), dtype=np.int64)
        counts = np.ones((height, width), dtype=np.bool_)
        for label in generator.integers(self.classes, size=_SHAPES):
            rows, columns = (np.abs(np.arange(side) / side - generator.uniform()) for side in (height, width))
            away = np.maximum(rows[:, None], columns) if label % 2 else np.hypot(rows[:, None], columns)
            reach = generator.uniform(*_REACH)
            inside, outline = away < reach, away < reach + 1 / max(height, width)
            classes[outline] = label
            counts = (counts & ~outline) | inside
        return np.where(counts, classes, IGNORED).astype(np.uint8), classes

    def _noise(self, half: str, first: int, count: int) -> Pixels:
        size = prod(self.shape)
        return self.draws.noise(half, first * size, count * size).reshape(count, *self.shape)

    def _pattern(self, label: int) -> Pixels:
        """The pattern (channels, height, width) of a class; along fewer or more axes likewise."""
        channels, *sides = self.shape
        size = channels * _CELLS ** len(sides)
        cells = self.draws.noise("patterns", label * size, size).reshape(channels, *(_CELLS for _ in sides))
        places = (np.arange(side) * _CELLS // side for side in sides)
        return cells[np.ix_(np.arange(channels), *places)]


@dataclass(frozen=True, slots=True)
class Made:
    """A half that is larger than memory, of which every image is made when it is asked for."""

    maker: Maker
    half: str
    size: int

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, indices: Indices) -> Arrays:
        made = [self.maker.run(self.half, int(index), 1) for index in indices]
        return Arrays(np.concatenate([one.images for one in made]), np.concatenate([one.labels for one in made]))

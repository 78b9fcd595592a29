"""What a task is: what goes into a network, what has to come out of it, and what that is compared with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import Literal

from .datasets import SAMPLE, ResolvedData, TargetKind
from .dtypes import BYTES, DType


@dataclass(frozen=True, slots=True)
class Values:
    """The numbers of one sample: the names of their axes in the data, their type, and what whole ones are below.

    `sample` stands for all axes of a sample: an image, a signal, a volume.

    >>> from .datasets import INFO
    >>> Values(("classes", "height", "width")).shape(INFO["svhn"].resolved())
    (10, 32, 32)
    """

    axes: tuple[str, ...]
    dtype: DType = "float32"
    below: str | int | None = None  # an axis, or the bound itself

    def shape(self, data: ResolvedData) -> tuple[int, ...]:
        """How many there are, axis by axis."""
        sizes = (data.shape if axis == SAMPLE else (data.axes[axis],) for axis in self.axes)
        return tuple(chain.from_iterable(sizes))

    def bytes(self, data: ResolvedData) -> int:
        """What one sample's take."""
        return BYTES[self.dtype] * prod(self.shape(data))

    def bound(self, data: ResolvedData) -> int:
        """What they are below."""
        return data.axes[self.below] if isinstance(self.below, str) else self.below or 0


@dataclass(frozen=True, slots=True)
class Task:
    """What is learnt. One file of this room describes one, and `TASKS` knows it by name.

    `loss` is that of the network's own output, and of every head that does not ask for another; `term` is its name in
    the metrics. The first of `metrics`, which are of the whole test set, is the one that counts; `running` is a mean
    over the batches of an epoch. `restores` says what a decoder gives back, where there is such a thing.
    A task of a package says in `torch` where its own metrics are: `package.module:mapping`.
    """

    name: str
    learns: str  # in words: what is known of a sample
    kind: TargetKind
    target: Values
    output: Values
    loss: str
    term: str
    metrics: tuple[str, ...]
    running: str
    input: Values = Values((SAMPLE,))
    restores: Literal["images"] | None = "images"
    sample: str = "image"  # what one is called
    torch: str = ""

    @property
    def samples(self) -> str:
        """What many are called: images, texts."""
        return f"{self.sample}s"

    @property
    def one(self) -> str:
        """One of them with its article: an image, a text."""
        return f"{'an' if self.sample[:1] in 'aeiou' else 'a'} {self.sample}"

    def mixed(self) -> Task:
        """The same, learnt of mixtures of samples: of the share of every class in place of one class."""
        return replace(self, target=Values(("classes",), below=2)) if self.kind == "class" else self

    def sample_bytes(self, data: ResolvedData) -> int:
        """What one sample of a batch takes: its input and its target."""
        return self.input.bytes(data) + self.target.bytes(data)

"""The losses: what each compares its output with, which function computes it, and what memory that takes.

Every loss works in fp32 (or wider) and is the mean over the samples. Its memory is told as it comes: what autograd
keeps between the two passes, the most that passes in the forward, and for the backward the moments at which something
passes while the last of what is kept is let go of.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..system.plugins import PluginError, Registry
from ..tasks.datasets import TargetKind

Target = Literal["labels", "one_hot", "images", "pairs"]  # what a loss compares with; `labels`: the task's targets
FP32, BOOL = 4, 1  # bytes of one number


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of a loss: `rows` outputs with so many `numbers` each, of so many `channels` where they are maps."""

    rows: int
    numbers: int
    channels: int
    classes: int

    @property
    def full(self) -> int:
        """Bytes of the outputs in fp32."""
        return FP32 * self.rows * self.numbers

    @property
    def compared(self) -> int:
        """Bytes of the rows when a map's channels are one number each."""
        return FP32 * self.rows * self.channels

    @property
    def is_map(self) -> bool:
        """Whether a channel has several numbers."""
        return self.channels < self.numbers


@dataclass(frozen=True, slots=True)
class Use:
    """Bytes of memory of one loss; the gradient at the output, in fp32, is made by the last moment of the backward."""

    keeps_output: bool = True
    kept: tuple[int, ...] = ()  # beside the output, which is let go of last
    passing: int = 0
    backward: tuple[tuple[int, int], ...] = ()  # bytes that pass, and how many of what is kept are still there


@dataclass(frozen=True, slots=True)
class Loss:
    """One loss; `torch` is its function, ``module:name``, which takes (output, target) and gives a scalar.

    Where a head's output answers what the network is to tell, as that of a classifier does, `answers` is the function
    that makes of it what the network itself would give, a number a class for example; empty: it is that already.
    """

    name: str
    target: Target
    use: Callable[[Sizes], Use]
    compares: TargetKind | None = "class"  # what has to be known of a sample; None: nothing but its image
    over_slices: str = ""  # why the mean of slices is not that of the batch, where it is not
    torch: str = ""
    answers: str | None = None
    smoothed: Callable[[Sizes], Use] | None = None  # with label smoothing; None: it has no classes to smooth
    shares: bool = False  # whether it is defined for the shares of classes that a mixture of images has

    def takes(self, sizes: Sizes, smoothing: float) -> Use:
        """The memory of one loss."""
        return self.smoothed(sizes) if smoothing and self.smoothed else self.use(sizes)

    @property
    def in_pixels(self) -> bool:
        """Whether a patch is compared with its part of the target: of an image or of a map of classes."""
        return self.target == "images" or self.compares == "map"

    @property
    def function(self) -> str:
        """Where its function is."""
        return self.torch or f"runtime.engine.losses:{self.name}"


def _elementwise(s: Sizes) -> Use:
    """The loss of every number, of which only the mean stays."""
    return Use(passing=s.full, backward=((s.full, 1),))


def _with_logits(s: Sizes) -> Use:
    """Logarithms of sigmoids beside the complement of the labels; sigmoids beside the gradient that arrives."""
    return Use(passing=2 * s.full, backward=((3 * s.full, 1),))


def _squares(s: Sizes) -> Use:
    """Squares first; their backward is x to the power of 1, twice that, and the product, beside the gradient."""
    return Use(passing=s.full, backward=((4 * s.full, 1),))


def _logarithms(s: Sizes) -> Use:
    """Logarithms of probabilities stay, not logits."""
    return Use(keeps_output=False, kept=(s.full,), backward=((2 * s.full, 1),))


def _smoothed(s: Sizes) -> Use:
    """Beside the logarithms, which rows count; then two gradients at them, one of a number a row, and their sum."""
    rows = s.rows * (s.numbers // s.channels)
    return Use(False, (s.full, BOOL * rows), 2 * FP32 * rows, ((2 * FP32 * rows, 2), (2 * s.full + FP32 * rows, 1)))


def _contrastive(s: Sizes) -> Use:
    """Rows of length one, then products of all pairs: exponentials and two masks stay."""
    pairs, row = s.rows**2, FP32 * s.rows
    kept = (s.full + 2 * row, (FP32 + 2 * BOOL) * pairs + 2 * row)
    # similarities, their logarithms of probabilities, those of positive pairs; back through both factors
    return Use(kept=kept, passing=3 * FP32 * pairs, backward=((2 * s.full, 3), (4 * s.full, 2)))


def _similarity(s: Sizes) -> Use:
    """Deviations over each map, centred rows, rows of length one, and cosines of all pairs before the clamp."""
    pairs, row, rows = FP32 * s.rows**2, FP32 * s.rows, s.compared
    kept = (*([rows] if s.is_map else []), rows + 2 * row, rows + 3 * pairs)
    count = len(kept) + s.is_map
    back = [(2 * rows, count), (5 * rows, count - 1)]  # through the products, then the division by the lengths
    if s.is_map:
        back.append((2 * s.full + 4 * rows, count - 2))  # every map is centred anew
    passing = max(2 * FP32 * s.rows * s.classes, pairs) + pairs
    return Use(s.is_map, kept, passing, tuple(back))  # centring rows needs no numbers for its backward


PAIRS = "compares the samples of a slice with one another: fewer pairs than in the whole batch"
MEANS = "is a mean over the pixels that count: slices weigh alike, however many of their pixels are ignored"
_OWN = (
    Loss("cross_entropy", "labels", _logarithms, answers="", smoothed=_smoothed, shares=True),
    Loss("pixel_cross_entropy", "labels", _logarithms, "map", MEANS, answers="", smoothed=_smoothed),
    Loss("bce_with_logits", "labels", _with_logits, "multi_label", answers="", shares=True),
    Loss("contrastive", "labels", _contrastive, over_slices=PAIRS),
    Loss("similarity", "one_hot", _similarity, over_slices=PAIRS, shares=True),
    Loss("goodness", "labels", _squares, answers="runtime.engine.losses:goodness_of_classes", shares=True),
    Loss("goodness_pairs", "pairs", _squares),
    Loss("bce", "images", _elementwise, None),
    Loss("mse", "images", _elementwise, None),
)
LOSSES = Registry("loss", Loss, {loss.name: loss for loss in _OWN})


def loss_fault(name: str) -> PluginError | None:
    """Why a loss cannot be used that a package's task or head names."""
    if name in LOSSES:
        return LOSSES.fault(name)
    return PluginError(f"there is no loss `{name}`", "a package that names a loss of its own adds it too")

"""What a GPU's libraries take beyond the predicted tensors: measured once a device, never part of a prediction.

cuDNN and cuBLAS take workspaces whose sizes depend on the device, the versions and the shapes, and the allocator rounds
up; no model of tensors can know either. A plan shows the margin beside its prediction, never inside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Annotated

from pydantic import Field

Size = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Sample:
    """One plan on the device: what was predicted, and the peaks from the second step on."""

    name: str
    predicted_bytes: Annotated[int, Field(gt=0)]
    requested_bytes: Size  # asked of the allocator; where that is unknown, as much as allocated
    allocated_bytes: Size  # ... and rounded up by it

    @property
    def excess(self) -> int:
        """What was taken beyond the prediction; negative where the prediction was too high."""
        return self.allocated_bytes - self.predicted_bytes


@dataclass(frozen=True, slots=True)
class Margin:
    """What to add to a prediction on one device under one set of versions: so many bytes and a part of it.

    It was never too little on its samples; beyond the largest of them it is extrapolated.
    """

    allocator: str  # how torch's allocator was set up, which decides how it rounds
    fixed_bytes: Size
    relative: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    samples: tuple[Sample, ...]
    context_bytes: Size | None = None  # the most that CUDA's context took beside; None: nobody looked

    def beyond(self, predicted: int) -> int:
        """Bytes to add to a predicted peak."""
        return _beyond(self.fixed_bytes, self.relative, predicted)


def _beyond(fixed: int, relative: float, predicted: int) -> int:
    """A fixed part and one that grows with the prediction."""
    return fixed + math.ceil(relative * predicted)


def fit(samples: Sequence[Sample]) -> tuple[int, float]:
    """The margin that is too little on no sample and least too much over all, relative to their sizes.

    The best of such lines touches two samples, or one where it is level or rises from zero.

    >>> fit([Sample("a", 100, 120, 120), Sample("b", 1000, 1100, 1110)])
    (10, 0.1)
    >>> fit([Sample("a", 100, 90, 90)])
    (0, 0.0)
    """
    lines = [_raised(samples, slope) for slope in (0.0, *_slopes(samples))]

    def cost(line: tuple[int, float]) -> float:
        fixed, relative = line
        return sum(_beyond(fixed, relative, s.predicted_bytes) / s.predicted_bytes for s in samples)

    return min(lines, key=cost)


def _slopes(samples: Sequence[Sample]) -> Iterator[float]:
    for a in samples:
        yield max(0.0, a.excess / a.predicted_bytes)
    for a, b in combinations(samples, 2):
        if a.predicted_bytes != b.predicted_bytes:
            yield max(0.0, (b.excess - a.excess) / (b.predicted_bytes - a.predicted_bytes))


def _raised(samples: Sequence[Sample], slope: float) -> tuple[int, float]:
    """The lowest line of a slope that is above all samples."""
    return max(0, *(s.excess - math.ceil(slope * s.predicted_bytes) for s in samples)), slope

"""What a measured part takes in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes that grow with the batch."""

    sample: int
    fixed: int

    def of(self, batch: int) -> int:
        """For so many samples."""
        return self.sample * batch + self.fixed


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a part takes where its inputs have certain widths.

    Moments are bytes above those at the beginning, whenever one of them is the highest for some batch. A backward
    begins when the gradient of the result is there, and ends with all gradients made and all that was kept let go of.
    """

    low: bool  # in low precision
    widths: tuple[int, ...]  # bytes of one number of each input
    gives: int  # and of the result
    inputs: tuple[int, ...]  # which of them are kept
    output: bool  # whether the result is
    own: Bytes  # what else is kept
    forward: tuple[Bytes, ...]
    alone: tuple[Bytes, ...]  # of a forward that keeps nothing
    backward: tuple[Bytes, ...]
    again: tuple[Bytes, ...]  # of a backward that lets go of nothing


def highest(moments: tuple[Bytes, ...], batch: int) -> int:
    """The highest of some moments."""
    return max(size.of(batch) for size in moments)

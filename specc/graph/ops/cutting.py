"""Parts of a value, as values of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ...language.schema import Border, Width
from .base import Lies, Op, Shape, ShapeError, show


class Cut(Op):
    """A run of a value along an axis, copied, so that the rest can be freed."""

    __slots__ = ()
    axis: int
    gradient_lies: ClassVar[Lies] = "plain"  # put into zeros

    def run(self, shape: Shape) -> tuple[int, int]:
        """Where the run begins and how long it is."""
        raise NotImplementedError

    def output(self, *inputs: Shape) -> Shape:
        shape = inputs[0]
        if self.axis >= len(shape):
            raise ShapeError(f"`{self.name}` along axis {self.axis} needs more axes than {show(shape)} has")
        return (*shape[: self.axis], self.run(shape)[1], *shape[self.axis + 1 :])


@dataclass(frozen=True, slots=True)
class Slice(Cut):
    """Positions `start` to `stop` - 1 along an axis: 0 is the channels of feature maps, the tokens of tokens."""

    stop: Width
    start: Border = 0
    axis: Border = 0

    aliases: ClassVar[dict[str, str]] = {"end": "stop", "to": "stop", "begin": "start", "dim": "axis"}

    def run(self, shape: Shape) -> tuple[int, int]:
        """As given."""
        if not self.start < self.stop <= shape[self.axis]:
            asked = f"`slice` from {self.start} to {self.stop} along axis {self.axis}"
            raise ShapeError(f"{asked} is not inside of {show(shape)}")
        return self.start, self.stop - self.start


@dataclass(frozen=True, slots=True)
class Split(Cut):
    """One of several equal parts along an axis: 0 is the channels of feature maps, the tokens of tokens."""

    into: Width = 2
    index: Border = 0
    axis: Border = 0

    aliases: ClassVar[dict[str, str]] = {"parts": "into", "chunks": "into", "part": "index", "dim": "axis"}

    def run(self, shape: Shape) -> tuple[int, int]:
        """The part of this index."""
        if self.index >= self.into:
            raise ShapeError(f"`split` into {self.into} parts has no part {self.index}: they count from 0")
        if shape[self.axis] % self.into:
            raise ShapeError(f"`split` cannot divide axis {self.axis} of {show(shape)} into {self.into} equal parts")
        length = shape[self.axis] // self.into
        return self.index * length, length

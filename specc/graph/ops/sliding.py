"""Windows that slide over a feature map or a volume: what convolutions and pools have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...language.schema import Border, Extent
from .base import Op, Shape, ShapeError, need_grid, show

Size = Extent | tuple[Extent, Extent]  # one number for both axes, or height and width
Padding = Border | tuple[Border, Border]
Sizes = Size | tuple[Extent, Extent, Extent]  # or depth, height and width
Paddings = Padding | tuple[Border, Border, Border]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of an argument that may be one number for both."""
    return (value, value) if isinstance(value, int) else value


def spread(value: int | tuple[int, ...], axes: int) -> tuple[int, ...]:
    """An argument for so many axes; it may be one number for all of them."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise ShapeError(f"{list(value)} is not one number for each of {axes} axes")
    return value


def sized(sides: Iterable[int]) -> Sizes:
    """As many numbers as there are axes, two or three."""
    found = tuple(sides)
    return (found[0], found[1]) if len(found) == 2 else (found[0], found[1], found[2])


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: its size, its steps, the padding around it and the gaps in it, along every axis."""

    k: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool = False  # keep a last window that hangs over the edge

    def over(self, op: Op, shape: Shape) -> tuple[int, ...]:
        """The sides of the result, or a `ShapeError` that names the op."""
        _, *sides = need_grid(op, shape)
        found = tuple(self._length(side, axis) for axis, side in enumerate(sides))
        if min(found) < 1:
            k, pad = show(self.k), show(self.pad)
            raise ShapeError(f"`{op.name}` with k {k} and pad {pad} does not fit into {show(shape)}")
        return found

    def _length(self, size: int, axis: int) -> int:
        stride, pad = self.stride[axis], self.pad[axis]
        room = size + 2 * pad - self.dilation[axis] * (self.k[axis] - 1) - 1
        if not self.ceil:
            return room // stride + 1
        length = -(-room // stride) + 1
        return length - ((length - 1) * stride >= size + pad)  # none starts in the far padding

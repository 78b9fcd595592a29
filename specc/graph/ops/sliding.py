"""Windows that slide over a feature map: what convolutions and pools have in common."""

from __future__ import annotations

from dataclasses import dataclass

from ...language.schema import Border, Extent
from .base import Op, Shape, ShapeError, need_map, show

Size = Extent | tuple[Extent, Extent]  # one number for both axes, or height and width
Padding = Border | tuple[Border, Border]


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width of an argument that may be one number for both."""
    return (value, value) if isinstance(value, int) else value


@dataclass(frozen=True, slots=True)
class Window:
    """A sliding window: (height, width) of its size, its steps, the padding around it and the gaps in it."""

    k: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)
    ceil: bool = False  # keep a last window that hangs over the edge

    def over(self, op: Op, shape: Shape) -> tuple[int, int]:
        """Height and width of the result, or a `ShapeError` that names the op."""
        _, h, w = need_map(op, shape)
        height, width = self._length(h, 0), self._length(w, 1)
        if min(height, width) < 1:
            k, pad = show(self.k), show(self.pad)
            raise ShapeError(f"`{op.name}` with k {k} and pad {pad} does not fit into {show(shape)}")
        return height, width

    def _length(self, size: int, axis: int) -> int:
        stride, pad = self.stride[axis], self.pad[axis]
        room = size + 2 * pad - self.dilation[axis] * (self.k[axis] - 1) - 1
        if not self.ceil:
            return room // stride + 1
        length = -(-room // stride) + 1
        return length - ((length - 1) * stride >= size + pad)  # none starts in the far padding

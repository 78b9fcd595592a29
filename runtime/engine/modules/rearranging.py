"""Numbers moved: one copy forwards and one backwards, whatever the layout in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from specc.graph.ops import Shape
from specc.graph.ops.rearranging import Rearrangement

from .registry import Call, Shapes

Move = Callable[[Tensor], Tensor]


class Moved(torch.autograd.Function):
    """A move whose backward is the move back: torch's own would copy as often as the gradient's layout makes it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Move, back: Move) -> Tensor:
        """Move."""
        ctx.back = back
        return there(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Move back."""
        return ctx.back(gradients[0]), None, None


def moved(there: Move, back: Move) -> nn.Module:
    """A module that moves numbers."""

    def call(x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return there(x)  # plain ops alone, for whoever traces or exports the network
        result: Tensor = Moved.apply(x, there, back)
        return result

    return Call(call)


def copy(x: Tensor, divided: Shape, axes: tuple[int, ...], joined: Shape) -> Tensor:
    """Axes divided, exchanged and joined; the batch stays in front. No view, or nothing could work on it in place."""
    parts = x.view(x.shape[0], *divided).permute(0, *(axis + 1 for axis in axes))
    result = x.new_empty(x.shape[0], *joined)
    result.view(parts.shape).copy_(parts)
    return result


def rearrange(op: Rearrangement, shapes: Shapes) -> nn.Module:
    """One module for all that is division, exchange and joining of axes."""
    moves, shape = op.moves(shapes[0]), shapes[0]
    exchanged = tuple(moves.divided[axis] for axis in moves.axes)
    inverse = tuple(moves.axes.index(axis) for axis in range(len(moves.axes)))
    return moved(
        lambda x: copy(x, moves.divided, moves.axes, moves.joined), lambda g: copy(g, exchanged, inverse, shape)
    )


def rolled(x: Tensor, down: int, right: int) -> Tensor:
    """`torch.roll` in one copy; torch makes one an axis, in a layout that depends on the device."""
    height, width = x.shape[2:]
    result = x.new_empty(x.shape)
    for top, bottom, rows in _runs(down % height, height):
        for left, end, columns in _runs(right % width, width):
            part = x[:, :, rows : rows + bottom - top, columns : columns + end - left]
            result[:, :, top:bottom, left:end] = part
    return result


def _runs(shift: int, size: int) -> list[tuple[int, int, int]]:
    """Runs of the result along an axis: from, to, and where each comes from."""
    return [(a, b, start) for a, b, start in ((0, shift, size - shift), (shift, size, 0)) if a < b]

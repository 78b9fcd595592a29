"""The same numbers in another order: a copy, and another copy of the gradient on its way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from ...language.schema import WIDEST, Border, Width
from .base import Lies, Op, Shape, ShapeError, need_map, need_tokens, show
from .sliding import Size, pair

Shift = Annotated[int, Field(ge=-WIDEST, le=WIDEST)]


@dataclass(frozen=True, slots=True)
class Moves:
    """How numbers move: the input's axes divided, put into another order, and joined to the result's.

    Dividing axes and exchanging them is a matter of strides alone; so one copy does it, forwards and backwards.
    """

    divided: Shape
    axes: tuple[int, ...]
    joined: Shape


class Rearrangement(Op):
    """An op that moves numbers and changes none."""

    __slots__ = ()
    result_lies: ClassVar[Lies] = "plain"
    gradient_lies: ClassVar[Lies] = "plain"

    def moves(self, shape: Shape) -> Moves:
        """How the numbers of a value of this shape move; raises `ShapeError`."""
        raise NotImplementedError

    def output(self, *inputs: Shape) -> Shape:
        return self.moves(inputs[0]).joined


@dataclass(frozen=True, slots=True)
class Permute(Rearrangement):
    """The axes in another order: [0, 2, 1] exchanges height and width, [2, 1, 0] makes columns channels."""

    axes: tuple[Border, ...]

    aliases: ClassVar[dict[str, str]] = {"dims": "axes", "order": "axes", "perm": "axes"}

    def moves(self, shape: Shape) -> Moves:
        """As many axes as there are."""
        if sorted(self.axes) != list(range(len(shape))):
            wanted = ", ".join(map(str, range(len(shape))))
            raise ShapeError(f"`permute` of {show(shape)} needs the axes {wanted} in some order, not {list(self.axes)}")
        return Moves(shape, self.axes, tuple(shape[axis] for axis in self.axes))


@dataclass(frozen=True, slots=True)
class ChannelShuffle(Rearrangement):
    """The channels of `groups` groups dealt in turn, so that grouped convolutions exchange them (1707.01083)."""

    groups: Width = 2

    prefix: ClassVar[str] = "shuffle"
    aliases: ClassVar[dict[str, str]] = {"group": "groups"}

    def moves(self, shape: Shape) -> Moves:
        """A matrix of groups and their channels, transposed."""
        c, h, w = need_map(self, shape)
        if c % self.groups:
            raise ShapeError(f"`channel_shuffle` with groups {self.groups} cannot divide the channels of {show(shape)}")
        return Moves((self.groups, c // self.groups, h, w), (1, 0, 2, 3), shape)


@dataclass(frozen=True, slots=True)
class SpaceToDepth(Rearrangement):
    """Every k×k pixels become one with k² times the channels: (C, H, W) becomes (C · k², H / k, W / k)."""

    k: Width = 2

    prefix: ClassVar[str] = "to_depth"
    aliases: ClassVar[dict[str, str]] = {"block_size": "k", "factor": "k", "downscale_factor": "k"}

    def moves(self, shape: Shape) -> Moves:
        """In torch's order: all pixels of the first channel, then of the second."""
        c, h, w = need_map(self, shape)
        if h % self.k or w % self.k:
            raise ShapeError(f"`space_to_depth` with k {self.k} cannot divide the pixels of {show(shape)}")
        rows, columns = h // self.k, w // self.k
        return Moves((c, rows, self.k, columns, self.k), (0, 2, 4, 1, 3), (c * self.k**2, rows, columns))


@dataclass(frozen=True, slots=True)
class DepthToSpace(Rearrangement):
    """Every k² channels become k×k pixels: (C · k², H, W) becomes (C, H · k, W · k); also called pixel shuffle."""

    k: Width = 2

    prefix: ClassVar[str] = "to_space"
    aliases: ClassVar[dict[str, str]] = {"block_size": "k", "factor": "k", "upscale_factor": "k"}

    def moves(self, shape: Shape) -> Moves:
        """The inverse of `space_to_depth`."""
        c, h, w = need_map(self, shape)
        if c % self.k**2:
            raise ShapeError(f"`depth_to_space` with k {self.k} cannot divide the channels of {show(shape)}")
        inner = c // self.k**2
        return Moves((inner, self.k, self.k, h, w), (0, 3, 1, 4, 2), (inner, h * self.k, w * self.k))


@dataclass(frozen=True, slots=True)
class WindowPartition(Rearrangement):
    """Every pixel a token, window after window of `size` pixels, row by row in each: (C, H, W) becomes (H · W, C).
    `attention` with as many `windows` then looks at one of them at a time (Swin, 2103.14030).
    """

    size: Size

    prefix: ClassVar[str] = "windows"
    aliases: ClassVar[dict[str, str]] = {"window": "size", "window_size": "size", "k": "size"}

    def moves(self, shape: Shape) -> Moves:
        """Rows and columns of windows, then of pixels, then the channels."""
        c, h, w = need_map(self, shape)
        kh, kw = pair(self.size)
        if h % kh or w % kw:
            raise ShapeError(f"`window_partition` cannot cut {show(shape)} into windows of {kh}×{kw}")
        return Moves((c, h // kh, kh, w // kw, kw), (1, 3, 2, 4, 0), (h * w, c))


@dataclass(frozen=True, slots=True)
class WindowReverse(Rearrangement):
    """Tokens of windows back to a map of height and width `to`: (H · W, C) becomes (C, H, W)."""

    size: Size
    to: Size

    prefix: ClassVar[str] = "unwindow"
    aliases: ClassVar[dict[str, str]] = {"window": "size", "window_size": "size", "k": "size", "hw": "to", "map": "to"}

    def moves(self, shape: Shape) -> Moves:
        """The inverse of `window_partition`."""
        tokens, c = need_tokens(self, shape)
        (kh, kw), (h, w) = pair(self.size), pair(self.to)
        if tokens != h * w:
            raise ShapeError(f"`window_reverse` to {h}×{w} needs {h * w} tokens, not {show(shape)}")
        if h % kh or w % kw:
            raise ShapeError(f"`window_reverse` cannot lay windows of {kh}×{kw} out as {h}×{w}")
        return Moves((h // kh, w // kw, kh, kw, c), (4, 0, 2, 1, 3), (c, h, w))


@dataclass(frozen=True, slots=True)
class Roll(Rearrangement):
    """Every pixel moved down and right by `shift`; what leaves at one edge enters at the other."""

    shift: Shift | tuple[Shift, Shift]  # one number for both axes, or for height and width

    aliases: ClassVar[dict[str, str]] = {"shifts": "shift", "by": "shift"}

    def moves(self, shape: Shape) -> Moves:
        """No axis moves, only what lies along two of them."""
        return Moves(shape, (0, 1, 2), need_map(self, shape))

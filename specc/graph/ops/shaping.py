"""The same numbers in another shape, or at another resolution."""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import ClassVar, Literal

from ...language.schema import Border, Width
from .base import Lies, Op, Order, Shape, ShapeError, need_grid, need_map, need_tokens, numel, show
from .sliding import Size, Sizes, pair, spread


class View(Op):
    """An op that only looks at its input in another way. (torch copies where the layout in memory forbids that.)"""

    __slots__ = ()
    view: ClassVar[bool] = True
    passes_gradient: ClassVar[bool] = True


class InOrder(View):
    """A view of numbers that lie one after the other, channels before positions; those that do not are copied first."""

    __slots__ = ()
    result_lies: ClassVar[Lies] = "plain"
    gradient_lies: ClassVar[Lies] = "plain"
    gathered: ClassVar[tuple[Order, ...]] = ("swapped", "slice", "swapped slice")


@dataclass(frozen=True, slots=True)
class Flatten(InOrder):
    """All axes into one."""

    def output(self, *inputs: Shape) -> Shape:
        return (numel(inputs[0]),)


@dataclass(frozen=True, slots=True)
class Reshape(InOrder):
    """The same numbers in the same order as another shape: `[1, 1, 256]` makes one long row of a 16×16 picture."""

    shape: tuple[Width, ...]

    aliases: ClassVar[dict[str, str]] = {"size": "shape", "to": "shape"}

    def output(self, *inputs: Shape) -> Shape:
        if not 1 <= len(self.shape) <= 4:
            raise ShapeError(f"`reshape` gives a vector, tokens, a map or a volume, not {len(self.shape)} axes")
        if numel(self.shape) != numel(inputs[0]):
            count = f"{numel(inputs[0])} numbers of {show(inputs[0])}"
            raise ShapeError(f"`reshape` cannot make {show(self.shape)} of the {count}")
        return self.shape


@dataclass(frozen=True, slots=True)
class Transpose(View):
    """Tokens and channels exchanged: (T, D) becomes (D, T), so that a linear layer mixes positions."""

    result_lies: ClassVar[Lies] = "turned"
    gradient_lies: ClassVar[Lies] = "turned"

    def output(self, *inputs: Shape) -> Shape:
        tokens, d = need_tokens(self, inputs[0])
        return (d, tokens)


@dataclass(frozen=True, slots=True)
class ToTokens(View):
    """Every pixel a token, row by row: (C, H, W) becomes (H · W, C)."""

    prefix: ClassVar[str] = "tokens"
    result_lies: ClassVar[Lies] = "turned"
    gradient_lies: ClassVar[Lies] = "turned"
    gathered: ClassVar[tuple[Order, ...]] = ("slice", "swapped slice")

    def output(self, *inputs: Shape) -> Shape:
        c, h, w = need_map(self, inputs[0])
        return (h * w, c)


@dataclass(frozen=True, slots=True)
class ToMap(Op):
    """Every token a pixel, row by row, after leaving out `skip` leading ones: (T, D) becomes (D, H, W).

    Without `size` the tokens must fill a square; a vector is a single token.
    """

    size: Size | None = None
    skip: Border = 0

    prefix: ClassVar[str] = "map"
    aliases: ClassVar[dict[str, str]] = {"hw": "size", "grid": "size", "class_tokens": "skip"}
    view: ClassVar[bool] = True

    @property
    def passes_gradient(self) -> bool:
        """A skipped token gets a gradient of zeros, which is a new tensor."""
        return self.skip == 0

    @property
    def result_lies(self) -> Lies:
        """Tokens from which one is skipped lie one after the other."""
        return "swapped" if self.skip else "turned"

    @property
    def gradient_lies(self) -> Lies:
        """Zeros are made for what was skipped."""
        return "plain" if self.skip else "turned"

    def output(self, *inputs: Shape) -> Shape:
        tokens, d = (1, *inputs[0]) if len(inputs[0]) == 1 else need_tokens(self, inputs[0])
        size = pair(self.size or max(isqrt(max(tokens - self.skip, 0)), 1))
        if numel(size) != tokens - self.skip:
            form = "a square" if self.size is None else show(size)
            raise ShapeError(f"`to_map` with skip {self.skip} cannot lay the tokens {show(inputs[0])} out as {form}")
        return (d, *size)


@dataclass(frozen=True, slots=True)
class Resize(Op):
    """Interpolation to a size in pixels: `bilinear` (corners aligned as in InfoPro's decoders; trilinear of volumes) or
    `nearest` pixel.
    """

    size: Sizes
    align_corners: bool = True  # of the bilinear one
    mode: Literal["bilinear", "nearest"] = "bilinear"

    aliases: ClassVar[dict[str, str]] = {"to": "size", "hw": "size", "output_size": "size", "interpolation": "mode"}

    def output(self, *inputs: Shape) -> Shape:
        c, *sides = need_grid(self, inputs[0])
        return (c, *spread(self.size, len(sides)))

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        lerps = 2 ** (len(output) - 1) - 1  # one of four or eight corners, axis by axis
        return (7 if len(output) == 3 else 3 * lerps) * numel(output) if self.mode == "bilinear" else 0

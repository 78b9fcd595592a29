"""Products with vectors that are fixed, not trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ...language.schema import Width
from .base import Autocast, Op, Saved, Shape, ShapeError, show


@dataclass(frozen=True, slots=True)
class PeriodicBasis(Op):
    """Products of a vector with `out` waves of 1, 2, ... periods, divided by the root of its length (2405.15868)."""

    out: Width
    wave: Literal["cosine", "square"] = "cosine"

    name: ClassVar[str] = "periodic_basis"
    prefix: ClassVar[str] = "basis"
    autocast: ClassVar[Autocast] = "low"
    aliases: ClassVar[dict[str, str]] = {"classes": "out", "waveform": "wave"}

    def output(self, *inputs: Shape) -> Shape:
        if len(inputs[0]) != 1:
            raise ShapeError(f"`periodic_basis` takes a vector (D), not {show(inputs[0])}")
        return (self.out,)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return 2 * inputs[0][0] * self.out

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return Saved(floats=inputs[0][0] * self.out)  # the waves, made anew in every forward

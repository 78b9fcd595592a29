"""A part of somebody else's model that the vocabulary has no word for: measured, not derived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from ...language.names import Name, Part
from .base import NOTHING, Op, Saved, Shape, ShapeError, numel, show
from .footprint import Footprint
from .source import Source


@dataclass(frozen=True, slots=True)
class TracedPart:
    """Where it is found: the calls of a traced model between some of its values and another one.

    Values whose last axis is the channels (N, H, W, C) are tokens outside; `grids` has the (H, W) of those it reads.
    """

    source: Source
    inputs: tuple[Name, ...]
    output: Name
    root: Part  # the module whose tensors it uses, "" when it uses none
    grids: tuple[Shape, ...]  # one an input, () where nothing is to be unfolded
    folds: bool  # whether the result is folded into tokens


@dataclass(frozen=True, slots=True)
class Tensor:
    """A parameter or a buffer; `fill` is the number that it begins with everywhere, None: it is drawn or computed.

    `width` is the bytes of one number: buffers may be whole numbers, or truth values.
    """

    name: Name
    shape: Shape
    fill: float | None = None
    width: Annotated[int, Field(exclude_if=lambda value: value == 4, ge=1, le=16)] = 4


@dataclass(frozen=True, slots=True)
class Opaque(Op):
    """Calls of a traced model; shapes, tensors, FLOPs and memory as measured on tensors without numbers."""

    part: TracedPart
    takes: tuple[Shape, ...]
    gives: Shape
    weights: tuple[Tensor, ...] = ()
    state: tuple[Tensor, ...] = ()
    work: int = 0  # FLOPs of one sample
    keeps: Saved = NOTHING
    shares: bool = False  # the result is a view of the first input
    hands_back: bool = False  # the inputs' gradients are views of the result's
    footprints: tuple[Footprint, ...] = ()

    arity: ClassVar[int | None] = None

    @property
    def view(self) -> bool:
        return self.shares

    @property
    def passes_gradient(self) -> bool:
        return self.hands_back

    def output(self, *inputs: Shape) -> Shape:
        if inputs != self.takes:
            wanted, given = (" and ".join(map(show, shapes)) for shapes in (self.takes, inputs))
            raise ShapeError(
                f"`{self.part.output}` of {self.part.source.name} was measured on {wanted}, not on {given}"
            )
        return self.gives

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {tensor.name: tensor.shape for tensor in self.weights}

    def buffers(self, *inputs: Shape) -> dict[str, Shape]:
        return {tensor.name: tensor.shape for tensor in self.state}

    def buffer_bytes(self, *inputs: Shape) -> int:
        return sum(tensor.width * numel(tensor.shape) for tensor in self.state)

    def initial(self, parameter: str) -> float | None:
        return next(tensor.fill for tensor in self.weights if tensor.name == parameter)

    def flops(self, inputs: tuple[Shape, ...], output: Shape) -> int:
        return self.work

    def saved(self, inputs: tuple[Shape, ...], output: Shape) -> Saved:
        return self.keeps

    def footprint(self, low: bool, widths: tuple[int, ...]) -> Footprint | None:
        """Its memory, in low precision or not, where the inputs have these widths, or nearly."""
        found = [each for each in self.footprints if each.low == low]
        return min(found, key=lambda each: sum(a != b for a, b in zip(each.widths, widths, strict=True)), default=None)

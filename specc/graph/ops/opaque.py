"""A part of somebody else's model that the vocabulary has no word for: measured, not derived."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

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
    idle: Annotated[bool, Field(exclude_if=lambda value: not value)] = False  # no gradient comes to it


Laid = Literal["kept", "turned", "swapped"]  # as what is read, the other way round, or channels last whatever is read


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
    viewed: bool = False  # the result is a view of another tensor of its own
    lies: Laid = "kept"  # how the result lies in memory
    gradient: Laid = "kept"  # and the first input's gradient
    stops: tuple[int, ...] = ()  # the inputs that no gradient comes to
    footprints: tuple[Footprint, ...] = ()

    arity: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        """Raise `ValueError` where a footprint is that of another part."""
        for each in self.footprints:
            tensors = {event.tensor for event in each.backwards.events}
            if len(each.widths) != len(self.takes) or max(tensors, default=-1) >= len(self.weights):
                raise ValueError("what was measured is another part")

    @property
    def view(self) -> bool:
        return self.shares

    @property
    def passes_gradient(self) -> bool:
        return self.hands_back

    @property
    def result_lies(self) -> Laid:
        return self.lies

    @property
    def gradient_lies(self) -> Laid:
        return self.gradient

    @property
    def held_back(self) -> tuple[int, ...]:
        return self.stops

    def fresh(self, *inputs: Shape) -> bool:
        return not (self.shares or self.viewed)

    def output(self, *inputs: Shape) -> Shape:
        if inputs != self.takes:
            wanted, given = (" and ".join(map(show, shapes)) for shapes in (self.takes, inputs))
            raise ShapeError(
                f"`{self.part.output}` of {self.part.source.name} was measured on {wanted}, not on {given}"
            )
        return self.gives

    def parameters(self, *inputs: Shape) -> dict[str, Shape]:
        return {tensor.name: tensor.shape for tensor in self.weights}

    @property
    def unmoved(self) -> frozenset[str]:
        return frozenset(tensor.name for tensor in self.weights if tensor.idle)

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

    def footprint(
        self, low: bool, widths: tuple[int, ...], wanted: tuple[bool, ...], trained: bool
    ) -> Footprint | None:
        """Its memory, in low precision or not, where the inputs have these widths and gradients come to these of them.

        The nearest that was measured; where gradients come to anything, of those that have any.
        """
        anything = trained or any(wanted)
        found = [f for f in self.footprints if f.low == low and (f.trained or any(f.wanted)) == anything]

        def distance(each: Footprint) -> tuple[int, int]:
            others = zip((*each.wanted, each.trained), (*wanted, trained), strict=True)
            return sum(a != b for a, b in others), sum(a != b for a, b in zip(each.widths, widths, strict=True))

        return min(found, key=distance, default=None)

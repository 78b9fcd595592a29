"""What every head shares: weight, patches, and the graph it builds on a unit's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ..backbone.builder import Builder
from ..backbone.graph import BackboneGraph, Graph
from ..backbone.ops import Shape, ShapeError, show
from ..backbone.ops.entry import Entry
from ..schema import Config, Grid, Real

Target = Literal["labels", "one_hot", "images", "pairs"]  # what a loss compares with


class HeadError(ShapeError):
    """A head cannot be built where it should stand. `path` leads from the head's key to what is at fault."""

    code: ClassVar[str] = "SPC410"
    path: tuple[str | int, ...] = ()


class LayerError(HeadError):
    """An op in a head's list of layers does not fit the one before."""

    code: ClassVar[str] = "SPC415"


class TargetError(HeadError):
    """A head's own layers end in a shape that its loss cannot use."""

    code: ClassVar[str] = "SPC416"
    path = ("layers",)


class GridError(HeadError):
    """A patch grid does not divide what it is laid on."""

    code: ClassVar[str] = "SPC417"
    path = ("patches", "grid")


class Ramp(Config):
    """A weight interpolated linearly over the units of a level, from its first to its last."""

    first: Real = Field(description="weight at the level's first unit")
    last: Real = Field(description="weight at the level's last unit that has heads")

    def at(self, index: int, count: int) -> float:
        """The weight of unit `index` of `count`."""
        ratio = index / (count - 1) if count > 1 else 0.0
        return self.first * (1 - ratio) + self.last * ratio


Weight = Annotated[Real | Ramp | list[Real], Field(union_mode="smart")]


class Patches(Config):
    """Run the head on a grid of spatial patches (HPFF's patch feature fusion)."""

    grid: Grid = Field([2, 2], description="rows and columns")
    weights: Literal["shared", "separate"] = Field("separate", description="one network for all patches or one each")
    fuse: Literal["losses", "outputs"] = Field(
        "losses", description="sum the patches' losses (HPFF's code) or average their outputs (HPFF's paper)"
    )
    execution: Literal["joint", "sequential"] = Field(
        "joint", description="all patches at once, or one after the other in a fraction of the memory"
    )


@dataclass(frozen=True, slots=True)
class Context:
    """What a head may know of the place where it is built."""

    feature: Shape  # what it reads
    image: Shape
    classes: int
    backbone: BackboneGraph
    end: int  # index of the unit's last layer
    index: int = 0  # of the unit among those of its level that have heads
    count: int = 1

    def patch(self, grid: Sequence[int], *, whole_image: bool) -> Context:
        """The context of one patch; a fused output stands for the whole image, a fused loss for its own part of it."""
        image = self.image if whole_image else divide(self.image, grid, "image")
        return replace(self, feature=divide(self.feature, grid, "feature map"), image=image)


def divide(shape: Shape, grid: Sequence[int], what: str) -> Shape:
    """One cell of `shape` under the grid; raises `GridError` when it does not divide."""
    if len(shape) != 3:
        kind = "tokens" if len(shape) == 2 else "vector"
        raise GridError(f"patches need a feature map (C×H×W), not the {kind} {show(shape)}")
    if shape[1] % grid[0] or shape[2] % grid[1]:
        raise GridError(f"a {grid[0]}×{grid[1]} patch grid does not divide the {what} {show(shape)}")
    return (shape[0], shape[1] // grid[0], shape[2] // grid[1])


class Head(Config):
    """One loss branch of an auxiliary network."""

    weight: Weight = Field(1.0, description="a number, {first, last}, or one number a unit")
    patches: Patches | None = Field(None, description="run the head on a grid of patches")

    key: ClassVar[str]  # the head's part of a parameter's name
    term: ClassVar[str]  # the name of its loss in metrics
    target: ClassVar[Target]

    def build(self, context: Context) -> Graph:
        """The graph from the unit's features to what the loss takes; raises `ShapeError` when it cannot stand there."""
        raise NotImplementedError

    def loss_name(self) -> str:
        """The loss's name in `runtime.losses`."""
        raise NotImplementedError

    def loss_target(self) -> Target:
        """What the loss compares with."""
        return self.target

    def graph(self, context: Context) -> Graph:
        """The graph of the head, or of one of its patches."""
        if self.patches is None:
            return self.build(context)
        return self.build(context.patch(self.patches.grid, whole_image=self.patches.fuse == "outputs"))


def chain(b: Builder, entries: Sequence[Entry]) -> None:
    """Append a head's list of ops; raises `LayerError` that knows which of them does not fit."""
    for i, entry in enumerate(entries):
        try:
            entry.add_to(b)
        except ShapeError as error:
            wrong = LayerError(str(error))
            wrong.path = ("layers", i)
            raise wrong from None


def builder(context: Context) -> Builder:
    """A builder that starts at the features."""
    return Builder(context.feature)

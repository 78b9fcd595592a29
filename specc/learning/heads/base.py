"""What every head shares: weight, patches, and the graph it builds on a unit's features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

from pydantic import Field

from ...graph.builder import Builder
from ...graph.graph import BackboneGraph, Graph
from ...graph.layout import Layout, Lost, Places
from ...graph.ops import Shape, ShapeError, ToMap, on_grid
from ...graph.ops.entry import Entry
from ...language.schema import Config, Factor, Probability
from ...tasks.task import Task
from .errors import LayerError
from .patches import Patches, as_map, check, divide, lost


class Ramp(Config):
    """A weight interpolated linearly over the units of a level, from its first to its last."""

    first: Factor = Field(description="weight at the level's first unit")
    last: Factor = Field(description="weight at the level's last unit that has heads")

    def at(self, index: int, count: int) -> float:
        """The weight of unit `index` of `count`."""
        ratio = index / (count - 1) if count > 1 else 0.0
        return self.first * (1 - ratio) + self.last * ratio


Weight = Annotated[Factor | Ramp | list[Factor], Field(union_mode="smart")]


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
    through: tuple[Places, ...] = ()  # where the positions of what copied layers give stand
    pixels: bool = False  # every pixel has a class, not the image

    @property
    def text(self) -> bool:
        """Whether a sample is a text, whose tokens are no pixels."""
        return self.backbone.dtype == "int64"

    @property
    def places(self) -> Places:
        """Where the features' positions are in the image."""
        last = self.backbone.layers[self.end].nodes[-1].name
        found = self.through or (self.backbone.layouts[last],)
        if any(isinstance(each, Lost) for each in found):
            return next(each for each in found if isinstance(each, Lost))
        straight = isinstance(found[0], Layout) and not found[0].turned
        return found[0] if straight and len(set(found)) == 1 else Lost(last)

    @property
    def layout(self) -> ToMap:
        """The op that makes a map of tokens, class tokens left out, or of a vector."""
        places = self.places
        if len(self.feature) == 1:
            return ToMap()
        if isinstance(places, Lost):
            raise ShapeError(lost(self.feature, places))
        return ToMap(places.size, places.skip)

    def patches(self, patches: Patches) -> tuple[Context, ...]:
        """The context of each patch; a fused output stands for the whole image, a fused loss for its part of it."""
        parts = divide(as_map(self.feature, self.places), patches.grid, "feature map")
        whole = patches.fuse == "outputs"
        image = on_grid(self.image)
        divided = len(image) == 3 and not whole
        images = divide(image, patches.grid, "image") if divided else [self.image] * len(parts)
        return tuple(replace(self, feature=f, image=i) for f, i in zip(parts, images, strict=True))


class Head(Config):
    """One loss branch of an auxiliary network."""

    weight: Weight = Field(1.0, description="a number, {first, last}, or one number a unit")
    patches: Patches | None = Field(None, description="run the head on a grid of patches")
    label_smoothing: Probability | None = Field(
        None, description="share of every label that all classes have alike; by default `train.label_smoothing`"
    )

    key: ClassVar[str]  # the head's part of a parameter's name
    term: ClassVar[str]  # the name of its loss in metrics
    looks_ahead: ClassVar[bool] = False  # whether its graph depends on layers further down

    def build(self, context: Context) -> Graph:
        """The graph from the unit's features to what the loss takes; raises `ShapeError` when it cannot stand there."""
        raise NotImplementedError

    def weight_at(self, index: int, count: int) -> float:
        """The factor on the loss at unit `index` of `count`."""
        weight = self.weight
        if isinstance(weight, list):
            return weight[index]
        return weight.at(index, count) if isinstance(weight, Ramp) else weight

    def varies(self, index: int, count: int) -> object:
        """What of the head's graph depends on the number of the unit, and on nothing else of its place."""
        return None

    def loss_name(self, task: Task) -> str:
        """Its loss, by name (see `specc.learning.losses`)."""
        return task.loss

    def graphs(self, context: Context) -> tuple[Graph, ...]:
        """The graph of the head, or those of its patches; raises `ShapeError` when it cannot stand there."""
        if self.patches is None:
            return (self.build(context),)
        places = context.patches(self.patches)
        built = {place.feature + place.image: self.build(place) for place in places}
        graphs = tuple(built[place.feature + place.image] for place in places)
        check(self.patches, graphs)
        return graphs


def chain(b: Builder, entries: Sequence[Entry]) -> None:
    """Append a head's list of ops; raises `LayerError` that knows which of them does not fit."""
    for i, entry in enumerate(entries):
        try:
            entry.add_to(b)
        except ShapeError as error:
            wrong = LayerError(str(error))
            wrong.path, wrong.help = ("layers", i), error.help
            raise wrong from None


def builder(context: Context) -> Builder:
    """A builder that starts at the features."""
    return Builder(context.feature)

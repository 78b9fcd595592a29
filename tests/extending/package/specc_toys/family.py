"""A family of backbones: a few numbers that expand into named layers."""

from typing import Literal

from pydantic import Field

from specc.extending import BackboneGraph, Count, Family, LayerBuilder, Shape, Width, classifier_head, ops

from .op import Softplus


class Ladder(Family):
    """Rungs of one convolution each; every second one halves the map."""

    family: Literal["ladder"]
    rungs: Count = Field(4, description="number of convolutions")
    width: Width = Field(8, description="channels of all of them")

    def expand(self, input: Shape, classes: int) -> BackboneGraph:
        b = LayerBuilder(input)
        for i in range(self.rungs):
            with b.layer(f"rung{i}"):
                b.chain([ops.Conv(self.width, stride=1 + i % 2), ops.BatchNorm(), Softplus()])
        classifier_head(b, classes)
        return b.backbone()

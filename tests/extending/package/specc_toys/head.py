"""A head: a configuration that builds a small graph on a unit's features."""

from typing import ClassVar

from pydantic import Field

from specc.extending import Context, Graph, Head, Width, builder, ops


class Bottleneck(Head):
    """Few channels, then a linear classifier of their means."""

    channels: Width = Field(4, description="channels between the features and the classes")

    key: ClassVar[str] = "bottleneck"
    term: ClassVar[str] = "classification"
    target: ClassVar = "labels"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        b.chain([ops.Conv(self.channels, k=1), ops.Relu(), ops.GlobalAvgPool(), ops.Linear(context.classes)])
        return b.graph()

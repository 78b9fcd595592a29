"""Local classifiers: n convolutions, global average pool, m linear layers ("NcMf" of InfoPro, 2101.10832, appendix)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ...graph.builder import Builder
from ...graph.graph import Graph
from ...graph.ops import BatchNorm, Conv, Relu, channels, is_grid
from ...graph.ops.entry import OpEntry
from ...language.schema import FewRepeats, Matching, Text, Width
from ...tasks.task import Task
from .answers import answer, pool, start
from .base import Context, Head, chain

Counts = Annotated[Text, Matching(r"[0-9]c[1-9]f", "`NcMf` with digits N and M: `0c1f`, `1c2f`, `3c2f`")]


class Classifier(Head):
    """Convolutions with batch norm and ReLU, global average pool, linear layers with ReLU between them.

    The first convolution doubles the width and halves the size, until the backbone's last width is reached (16 -> 32,
    32 -> 64, 64 -> 64 for the CIFAR ResNets); further ones keep both. On tokens there are no convolutions and the mean
    is that of all tokens; on vectors the linear layers stand alone.

    Where every pixel has a class, the convolutions keep the size and have half the width (as in InfoPro's code for
    Cityscapes); there is no pool, the linear layers are 1×1 convolutions, and the result is resized to the image.
    """

    layers: Counts | list[OpEntry] = Field(
        "1c2f",
        description="`NcMf`: N convolutions and M linear layers; or a list of ops that stands before the linear layers",
    )
    linears: FewRepeats = Field(1, description="linear layers after an explicit list of ops")
    hidden: Width = Field(128, description="width of the hidden linear layers and of contrastive embeddings")
    loss: Literal["cross_entropy", "bce_with_logits", "contrastive"] | None = Field(
        None, description="the loss on its output; by default that of the task"
    )

    key: ClassVar[str] = "classifier"
    term: ClassVar[str] = "classification"

    def build(self, context: Context) -> Graph:
        b = start(context)
        linears = self.linears
        if isinstance(self.layers, str):
            self._convolutions(b, context, int(self.layers[0]))
            linears = int(self.layers[2])
        else:
            chain(b, self.layers)
        pool(b, context)
        out = self.hidden if self.loss == "contrastive" else context.classes
        answer(b, context, out, [self.hidden] * (linears - 1))
        return b.graph()

    def _convolutions(self, b: Builder, context: Context, count: int) -> None:
        if context.pixels:
            half = -(-b.shape[0] // 2)
            b.chain((Conv(half), BatchNorm(), Relu()) * count)
            return
        if not is_grid(context.feature):
            return
        width, last = context.feature[0], channels(context.backbone.layers[-1].nodes[0].in_shapes[0])
        out = max(width, min(2 * width, last))
        for i in range(count):
            b.chain((Conv(out, stride=2 if i == 0 and out > width else 1), BatchNorm(), Relu()))

    def loss_name(self, task: Task) -> str:
        return self.loss or task.loss

"""Similarity matching: samples of one class shall have similar features (Nøkland & Eidnes, 1901.06656, section 2)."""

from __future__ import annotations

from typing import ClassVar

from ...graph.graph import Graph
from ...graph.ops import Conv, Linear, channels
from ...tasks.task import Task
from .base import Context, Head, builder


class Similarity(Head):
    """One 3×3 convolution (a linear layer where there is no map); its loss compares samples with samples."""

    key: ClassVar[str] = "similarity"
    term: ClassVar[str] = "similarity"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        width = channels(context.feature)
        b.add(Conv(width) if len(context.feature) == 3 else Linear(width, bias=False))
        return b.graph()

    def loss_name(self, task: Task) -> str:
        return "similarity"

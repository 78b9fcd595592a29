"""Similarity matching: samples of one class shall have similar features (Nøkland & Eidnes, 1901.06656, section 2)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from ...graph.builder import Builder
from ...graph.graph import Graph
from ...graph.layout import Lost
from ...graph.ops import Conv, GlobalAvgPool, Linear, SelectToken, channels, is_grid, show
from ...tasks.task import Task
from .base import Context, Head, builder
from .errors import TokenError


class Similarity(Head):
    """One 3×3 convolution (a linear layer where there is no map); its loss compares samples with samples.

    Of tokens it compares their mean, as the classifier reads it, or the class token, or every number of all of them.
    """

    tokens: Literal["mean", "class", "all"] = Field(
        "mean", description="what of tokens is compared: their mean, the class token, or all of them side by side"
    )

    key: ClassVar[str] = "similarity"
    term: ClassVar[str] = "similarity"

    def build(self, context: Context) -> Graph:
        b = builder(context)
        width = channels(context.feature)
        if len(context.feature) == 2:
            self._pool(b, context)
        b.add(Conv(width) if is_grid(context.feature) else Linear(width, bias=False))
        return b.graph()

    def _pool(self, b: Builder, context: Context) -> None:
        """What is compared of tokens."""
        places = context.places
        if self.tokens == "mean":
            b.add(GlobalAvgPool())
        elif self.tokens == "class":
            if isinstance(places, Lost) or not places.skip:
                raise TokenError(f"there is no class token among the tokens {show(context.feature)}")
            b.add(SelectToken())

    def loss_name(self, task: Task) -> str:
        return "similarity"

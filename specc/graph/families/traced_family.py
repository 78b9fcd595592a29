"""What networks that are traced share: where they come from, and how their graphs are read."""

from __future__ import annotations

from typing import ClassVar

from ..graph import BackboneGraph
from ..ops import Shape
from ..ops.source import Source
from ..traced.tracing import graph_of
from .base import Family


class TracedFamily(Family):
    """A network that somebody else wrote; its graph is traced once, which needs torch, and kept in the user's cache."""

    texts: ClassVar[bool] = False  # whether it may read the tokens of a text

    def source(self, input: Shape, classes: int, vocabulary: int = 0) -> Source:
        """What is traced for samples of shape `input`."""
        raise NotImplementedError

    def expand(self, input: Shape, classes: int, vocabulary: int = 0) -> BackboneGraph:
        """The graph for images of shape `input` (C, H, W), or for texts (length,)."""
        return self.read(input, graph_of(self.source(input, classes, vocabulary)))

    def read(self, input: Shape, graph: BackboneGraph) -> BackboneGraph:
        """The graph for images of shape `input`, of the one that was traced."""
        return graph

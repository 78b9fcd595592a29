"""A network that Python handed over, written down: what `specc.trace` gives and `specc.compile` takes."""

from __future__ import annotations

from dataclasses import dataclass

from ..graph import BackboneGraph
from ..ops.source import Source


@dataclass(frozen=True)
class Backbone:
    """A module as `specc.trace` has written it down: its graph, and what the module is known by again."""

    source: Source
    graph: BackboneGraph
    fixed: tuple[str, ...] = ()  # nodes whose parameters ask for no gradient, so that nothing trains them

    @property
    def name(self) -> str:
        """The class of the module."""
        return self.source.name

    @property
    def input(self) -> tuple[int, ...]:
        """Shape of one sample of the example."""
        return self.graph.input

    @property
    def output(self) -> tuple[int, ...]:
        """Shape of what the module makes of one sample."""
        return self.graph.layers[-1].shape

    @property
    def cuts(self) -> tuple[str, ...]:
        """The layers after which the network may be cut, as `split.after` names them."""
        return self.graph.cuts

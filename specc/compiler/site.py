"""The place of a unit while it is built."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..backbone.graph import Graph
from ..diagnostics import Diagnostic
from ..plan import Block, Network
from ..spec.models import Level
from .draft import Draft


@dataclass
class Site:
    """The place of one unit, what is built there, and what is wrong with it."""

    draft: Draft
    number: int  # of the level
    level: Level
    end: Block
    start: int
    count: int  # blocks in all
    networks: dict[str, Network] = field(default_factory=dict)
    found: list[Diagnostic] = field(default_factory=list)
    linked: set[int] = field(default_factory=set)  # the EMA links that the unit was meant to have

    @property
    def name(self) -> str:
        """The unit's name."""
        return f"unit{self.end.index}.{self.level.name}"

    @property
    def last(self) -> bool:
        """Whether the unit ends where the backbone does."""
        return self.end.index == self.count - 1

    @property
    def index(self) -> int:
        """The unit's place in its level, skipped units counted."""
        return self.end.index - self.level.first_end

    @property
    def with_heads(self) -> int:
        """Units of the level that have auxiliary networks: all but the last, which has the backbone's own head."""
        return self.count - 1 - self.level.first_end

    @property
    def weight(self) -> float:
        """The factor on all its losses."""
        own = self.level.override(self.end.index)
        return self.level.weight if own is None or own[1].weight is None else own[1].weight

    def add_network(self, part: str, graph: Graph, group: str | None, others: tuple[Graph, ...] = ()) -> str:
        """Register a network of the unit and return its name."""
        name = f"{self.name}.{part}"
        self.networks[name] = Network(name, name + ".", graph, group, others=others)
        return name
